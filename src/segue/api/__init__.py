"""Functions of ``import segue``, one per file; the commands of the same names call them."""

from segue.api.results import Results

__all__ = ["Results"]
