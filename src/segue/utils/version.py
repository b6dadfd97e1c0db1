"""Version of segue and of its distribution."""

__version__ = "0.1.0"
