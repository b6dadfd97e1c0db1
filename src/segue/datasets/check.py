"""Check which parts of a data set a folder contains; nothing is downloaded or changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from segue.datasets import inventories
from segue.datasets.foreground.folder import ForegroundSequence
from segue.datasets.inventories import CheckedVideo, Inventory
from segue.datasets.opening import open_labels
from segue.entries.datasets import LabelKind
from segue.errors import DatasetError
from segue.registry import DATASETS, DatasetEntry
from segue.utils.inputs import user_path


@dataclass(frozen=True, slots=True)
class DataCheck:
    """The parts of data set ``kind`` in the folder ``root``."""

    kind: str
    root: Path
    videos: tuple[CheckedVideo, ...]  # every video that is there, in order
    missing: tuple[str, ...]  # names of videos that the data set has and the folder has not
    problems: tuple[str, ...]  # what is wrong with the data set as a whole

    @property
    def origin(self) -> DatasetEntry:
        """The entry of the data set."""
        return DATASETS.find(self.kind)

    @property
    def complete(self) -> bool:
        """Whether nothing is missing and nothing is wrong."""
        return not (self.missing or self.problems or any(video.problems for video in self.videos))

    def values(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return {
            "kind": self.kind,
            "root": str(self.root),
            "complete": self.complete,
            "origin": {key: getattr(self.origin, key) for key in ("title", "address", "licence", "layout")},
            "videos": [asdict(video) for video in self.videos],
            "missing": list(self.missing),
            "problems": list(self.problems),
        }


def check_data(
    root: Path | str, kind: str | None = None, *, progress: Callable[[int, int, str], None] | None = None
) -> DataCheck:
    """Check which parts of a data set a folder holds.

    The folder is opened with the reader of the data set, and the header of every image is read, so that
    damaged downloads show; nothing is decoded.

    >>> check = check_data("CDnet2014")
    >>> check.kind, len(check.videos), check.missing

    Args:
        root: folder of the data set.
        kind: which data set it is, such as ``cdnet``; default: the one whose layout it has.
        progress: called after each video with the number done, the number of all and its name.

    Returns:
        The videos that are there, each with the numbers of its images and labelled frames and with its
        problems; the names of missing videos; and the problems of the whole data set. ``complete`` is true
        where nothing is missing or wrong.

    Raises:
        DatasetError: there is no folder, it has the layout of no data set, or ``kind`` is not known.
    """
    root = user_path(root)
    if not root.is_dir():
        raise DatasetError(f"no folder {root}")
    entry = _recognised(root) if kind is None else _entry_of(kind)
    inventory = _listed(entry, root)
    videos = []
    for name, check in inventory.parts.items():
        try:
            videos.append(check())
        except DatasetError as error:
            videos.append(CheckedVideo(name, 0, 0, (str(error),)))
        if not videos[-1].frames and not videos[-1].problems:
            videos[-1] = replace(videos[-1], problems=(f"no images; the layout is {entry.layout}",))
        if progress is not None:
            progress(len(videos), len(inventory.parts), name)
    problems = list(inventory.problems)
    if not inventory.parts and not problems:
        problems.append(f"no videos; the layout is {entry.layout}")
    if (refused := _refused(entry, root)) is not None:
        reported = [*problems, *(problem for video in videos for problem in video.problems)]
        refused = refused.partition("; `segue data check")[0]  # which is this
        problems += [] if any(refused in text or text in refused for text in reported) else [refused]
    missing = [name for name in inventory.expected or entry.expected if name not in inventory.parts]
    return DataCheck(entry.name, root, tuple(videos), tuple(missing), tuple(problems))


def _entry_of(kind: str) -> DatasetEntry:
    """Entry of a named kind."""
    if kind in DATASETS and (entry := DATASETS.find(kind)).labels is not None:
        return entry
    kinds = ", ".join(entry.name for entry in DATASETS if entry.labels is not None)
    raise DatasetError(f"kind is {kind!r}; it must be one of {kinds}")


def _listed(entry: DatasetEntry, root: Path) -> Inventory:
    """List the videos of a data set in a folder, by its own function or the reader of its labels."""
    if entry.list is not None:
        listed: Inventory = entry.list(root)
        return listed
    if entry.labels == "stills":
        return inventories.list_stills(root)
    if entry.labels == "instances":
        return inventories.list_instances(partial(open_labels, entry, "instances"), root)
    assert entry.labels is not None
    return inventories.list_opened(partial(open_labels, entry, entry.labels), root)


def _refused(entry: DatasetEntry, root: Path) -> str | None:
    """Error of the reader that `segue run` and `segue train` use for a folder."""
    kinds: dict[str | None, LabelKind] = {"masks": "masks", "videos": "videos", "stills": "instances"}
    kind = kinds.get(entry.labels)
    try:
        if kind is not None and getattr(entry, kind) is not None:
            open_labels(entry, kind, root)
    except DatasetError as error:
        return str(error)
    return None


def foreground_videos(root: Path, kind: str | None = None) -> list[ForegroundSequence]:
    """Videos of a data set with foreground labels; without ``kind`` the layout decides."""
    entry = _recognised(root) if kind is None else _entry_of(kind)
    if entry.videos is None:
        raise DatasetError(f"{entry.title} has no foreground labels")
    return list(entry.videos(root))


def recognise(root: Path) -> DatasetEntry | None:
    """Find the entry of the data set whose layout a folder has; None if there is none."""
    return next((entry for entry in DATASETS if entry.fits is not None and entry.fits(root)), None)


def _recognised(root: Path) -> DatasetEntry:
    if (entry := recognise(root)) is not None:
        return entry
    layouts = "; ".join(f"{entry.name}: {entry.layout}" for entry in DATASETS if entry.fits)
    raise DatasetError(f"{root} has the layout of no data set that segue knows ({layouts})")
