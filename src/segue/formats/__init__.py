"""Formats of masks and annotations: readers and writers for runs, the page, training and Python.

Each reads files into :class:`~segue.formats.labels.Labels`, writes
:class:`~segue.formats.frames.FrameObjects`, or does both; the registry is :data:`segue.registry.FORMATS`.
"""

from typing import TYPE_CHECKING

from segue.utils.lazy import lazy_names

if TYPE_CHECKING:
    from segue.formats.base import FileSink as FileSink
    from segue.formats.base import TextSink as TextSink
    from segue.formats.base import Writer as Writer
    from segue.formats.files import Files as Files
    from segue.formats.folders import FolderWriter as FolderWriter
    from segue.formats.frames import FrameObjects as FrameObjects
    from segue.formats.labels import Frames as Frames
    from segue.formats.labels import Labels as Labels

_MODULES = {
    "segue.formats.base": "FileSink TextSink Writer",
    "segue.formats.files": "Files",
    "segue.formats.folders": "FolderWriter",
    "segue.formats.frames": "FrameObjects",
    "segue.formats.labels": "Frames Labels",
}

__all__ = [*" ".join(_MODULES.values()).split()]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
