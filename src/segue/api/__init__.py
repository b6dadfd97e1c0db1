"""Public functions, one per file; commands of the same names call them."""

from segue.api.results import Results
from segue.api.slides import Slides

__all__ = ["Results", "Slides"]
