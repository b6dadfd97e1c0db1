"""Functions of ``import segue``, one per file; the commands of the same names call them."""

from segue.api.results import Results
from segue.api.slides import Slides

__all__ = ["Results", "Slides"]
