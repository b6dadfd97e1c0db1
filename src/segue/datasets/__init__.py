"""Readers of data sets; they list files when opened and decode them when asked.

Whatever is missing, damaged or does not fit is a :class:`~segue.errors.DatasetError` that names the file.
"""

from segue.datasets.davis import DavisFolder, ImageMaskFolder, Sequence
from segue.datasets.foreground.cdnet import open_cdnet
from segue.datasets.foreground.folder import ForegroundFolder, ForegroundSequence, open_plain
from segue.datasets.foreground.isd import open_isd
from segue.datasets.foreground.sets import open_hofam, open_lasiesta, open_limu, open_sbi
from segue.datasets.results import Results, open_results
from segue.datasets.something import SomethingElseFolder
from segue.datasets.ytvis import CocoImages, YTVISDataset
from segue.datasets.ytvos import YtvosFolder, YtvosVideo, read_categories

__all__ = [
    "CocoImages",
    "DavisFolder",
    "ForegroundFolder",
    "ForegroundSequence",
    "ImageMaskFolder",
    "Results",
    "Sequence",
    "SomethingElseFolder",
    "YTVISDataset",
    "YtvosFolder",
    "YtvosVideo",
    "open_cdnet",
    "open_hofam",
    "open_isd",
    "open_lasiesta",
    "open_limu",
    "open_plain",
    "open_results",
    "open_sbi",
    "read_categories",
]
