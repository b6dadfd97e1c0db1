"""Open the videos of a folder by the reader of a data set, also of a plug-in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segue.datasets.davis import Sequence
from segue.datasets.files import ByName
from segue.datasets.foreground.folder import ForegroundFolder, ForegroundSequence
from segue.datasets.something import BoxSequence
from segue.datasets.ytvis import YTVISDataset
from segue.entries.datasets import DatasetEntry, LabelKind
from segue.errors import DatasetError, SegueError
from segue.utils.inputs import kind_of

_VIDEOS: Mapping[str, tuple[type, ...]] = {
    "masks": (Sequence, BoxSequence),
    "videos": (ForegroundSequence,),
}
"""Types of the videos of readers, by kind of labels."""

_READERS: Mapping[str, tuple[type, str]] = {
    "masks": (ByName, "a mapping from names to segue.datasets.davis.Sequence"),
    "videos": (
        ForegroundFolder,
        "a segue.datasets.ForegroundFolder or a mapping from names to its videos",
    ),
    "instances": (YTVISDataset, "a segue.datasets.ytvis.YTVISDataset"),
}
"""Return types of readers, by kind of labels, and their names in messages."""


def open_labels(entry: DatasetEntry, kind: LabelKind, root: Path) -> Any:
    """Open the videos of a folder by the reader of a data set.

    Args:
        entry: the data set.
        kind: which of its readers.
        root: the folder.

    Returns:
        A :class:`ByName` of videos, for foreground a :class:`ForegroundFolder`, for instances a
        :class:`YTVISDataset`.

    Raises:
        DatasetError: the reader refuses the folder, fails, or gives something else.
    """
    try:
        opened = getattr(entry, kind)(root)
    except SegueError:
        raise
    except Exception as error:  # whatever the reader of another package runs into
        raise DatasetError(
            f"{root}: the reader of {entry.name} fails with {type(error).__name__}: {error}"
        ) from error
    if isinstance(opened, Mapping) and kind in _VIDEOS:
        wrong = [video for video in opened.values() if not isinstance(video, _VIDEOS[kind])]
        if not opened:
            raise DatasetError(f"{root}: no videos; the layout is {entry.layout}")
        if not wrong:
            return ForegroundFolder(root, opened.values()) if kind == "videos" else ByName.of(root, opened)
        opened = wrong[0]
    expected, words = _READERS[kind]
    if not isinstance(opened, expected):
        raise DatasetError(f"{entry.name}: its reader gives {kind_of(opened)}; it must give {words}")
    return opened
