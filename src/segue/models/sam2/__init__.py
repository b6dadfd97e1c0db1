"""SAM 2.1 (arXiv 2408.00714): masks of what is pointed at, in pictures and through films."""

from segue.models.sam2.film import FilmPredictor, FilmResult
from segue.models.sam2.network import SAM2, SIZES, SizeName
from segue.models.sam2.objects import Settings
from segue.models.sam2.tracker import SAM2Schedule, SAM2Tracker

__all__ = [
    "SAM2",
    "SIZES",
    "FilmPredictor",
    "FilmResult",
    "SAM2Schedule",
    "SAM2Tracker",
    "Settings",
    "SizeName",
]
