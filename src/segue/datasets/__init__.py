"""Readers of data sets; they list files when opened and decode them when asked."""

from segue.datasets.davis import DavisFolder, ImageMaskFolder, Sequence

__all__ = ["DavisFolder", "ImageMaskFolder", "Sequence"]
