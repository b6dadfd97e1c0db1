"""Version of segue, from which the distribution takes it."""

__version__ = "0.1.0"
