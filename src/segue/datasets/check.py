"""What of a data set is in a folder, and what is missing; nothing is downloaded or changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from segue.datasets import check_foreground, check_objects
from segue.datasets.checking import CheckedVideo, Inventory
from segue.datasets.origins import ORIGINS, Kind, Origin
from segue.errors import DatasetError

Progress = Callable[[int, int, str], None]
"""Called after each video with the number done, the number of all and the name of this one."""

_INVENTORIES: dict[Kind, tuple[Callable[[Path], bool], Callable[[Path], Inventory]]] = {
    # Synthetic scenes also have annotations in the form of YouTube-VIS.
    "isd": (check_foreground.is_isd, check_foreground.list_isd),
    "ytvos": (check_objects.is_ytvos, check_objects.list_ytvos),
    "ovis": (check_objects.is_ovis, check_objects.list_ytvis),
    "ytvis": (check_objects.is_ytvis, check_objects.list_ytvis),
    "davis": (check_objects.is_davis, check_objects.list_davis),
    "lasiesta": (check_foreground.is_lasiesta, check_foreground.list_lasiesta),
    "sbi": (check_foreground.is_sbi, check_foreground.list_sbi),
    "cdnet": (check_foreground.is_cdnet, check_foreground.list_cdnet),
    "limu": (check_foreground.is_limu, check_foreground.list_limu),
}
"""How each layout is told and listed; the first that fits is taken."""


@dataclass(frozen=True, slots=True)
class DataCheck:
    """What a folder holds of a data set.

    Attributes:
        kind: which data set.
        root: the folder.
        videos: every video that is there, in order.
        missing: names of videos that the data set has and the folder has not.
        problems: what is wrong with the data set as a whole.
    """

    kind: Kind
    root: Path
    videos: tuple[CheckedVideo, ...]
    missing: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def origin(self) -> Origin:
        """Where the data set comes from."""
        return ORIGINS[self.kind]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing and nothing is wrong."""
        return not (self.missing or self.problems or any(video.problems for video in self.videos))

    def rows(self) -> Iterator[tuple[str, int, int, str]]:
        """Table of the videos: name, frames, labelled frames, problems."""
        for video in self.videos:
            yield video.name, video.frames, video.labelled, "; ".join(video.problems)

    def values(self) -> dict[str, Any]:
        """Everything as values that JSON can hold."""
        return {
            "kind": self.kind,
            "root": str(self.root),
            "complete": self.complete,
            "origin": asdict(self.origin),
            "videos": [asdict(video) for video in self.videos],
            "missing": list(self.missing),
            "problems": list(self.problems),
        }


def check_data(root: Path | str, kind: Kind | None = None, *, progress: Progress | None = None) -> DataCheck:
    """Say what a folder holds of a data set.

    The header of every picture is read, so that damaged downloads show; nothing is decoded.

    >>> check = check_data("CDnet2014")
    >>> check.kind, len(check.videos), check.missing

    Args:
        root: folder of the data set.
        kind: which data set it is; default: the one whose layout it has.
        progress: see :data:`Progress`.

    Raises:
        DatasetError: there is no folder, or it has the layout of no data set.
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(f"no folder {root}")
    if kind is None:
        kind = recognise(root)
    elif kind not in _INVENTORIES:
        raise DatasetError(f"kind is {kind!r}; it must be one of {', '.join(get_args(Kind))}")
    inventory = _INVENTORIES[kind][1](root)
    videos = []
    for name, check in inventory.parts.items():
        videos.append(check())
        if progress is not None:
            progress(len(videos), len(inventory.parts), name)
    missing = [name for name in inventory.expected if name not in inventory.parts]
    return DataCheck(kind, root, tuple(videos), tuple(missing), inventory.problems)


def recognise(root: Path) -> Kind:
    """The data set whose layout a folder has.

    Raises:
        DatasetError: there is none.
    """
    for kind, (fits, _) in _INVENTORIES.items():
        if fits(root):
            return kind
    layouts = "; ".join(f"{kind}: {origin.layout}" for kind, origin in ORIGINS.items())
    raise DatasetError(f"{root} has the layout of no data set that segue knows ({layouts})")
