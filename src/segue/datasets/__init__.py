"""Readers of data sets; they list files when opened and decode them when asked."""

from segue.datasets.davis import DavisFolder, ImageMaskFolder, Sequence
from segue.datasets.results import Results, open_results
from segue.datasets.ytvos import YtvosFolder, YtvosVideo, read_categories

__all__ = [
    "DavisFolder",
    "ImageMaskFolder",
    "Results",
    "Sequence",
    "YtvosFolder",
    "YtvosVideo",
    "open_results",
    "read_categories",
]
