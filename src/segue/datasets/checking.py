"""What the checks of all data sets share: videos, their problems, and headers of pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from segue.datasets.files import picture_size
from segue.errors import DatasetError
from segue.naming import first_few

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True, slots=True)
class CheckedVideo:
    """One video of a data set.

    Attributes:
        name: its name in the data set.
        frames: number of its pictures.
        labelled: number of its frames with labels.
        problems: what is wrong with it.
    """

    name: str
    frames: int
    labelled: int
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inventory:
    """What there is to check.

    Attributes:
        parts: a check of each video by its name.
        expected: names of the videos of the complete data set, as far as known.
        problems: what is wrong with the data set as a whole.
    """

    parts: Mapping[str, Callable[[], CheckedVideo]]
    expected: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def check_headers(
    pictures: Iterable[Path], kind: str, size: Size | None = None
) -> tuple[Size | None, list[str]]:
    """Read the headers of pictures that should have one size.

    Args:
        pictures: their files.
        kind: what they are, in the plural, for messages.
        size: the size that they should have; default: that of most of them.

    Returns:
        The size, or None if no picture is readable, and what is wrong.
    """
    sizes: dict[Path, Size] = {}
    damaged = []
    for path in pictures:
        try:
            sizes[path] = picture_size(path)
        except DatasetError:
            damaged.append(path.name)
    problems = [f"{len(damaged)} {kind} are not readable: {first_few(damaged)}"] if damaged else []
    if not sizes:
        return size, problems
    if size is None:
        size = Counter(sizes.values()).most_common(1)[0][0]
    odd = [path.name for path, found in sizes.items() if found != size]
    if odd:
        problems.append(f"{len(odd)} {kind} are not {size[1]}x{size[0]}: {first_few(odd)}")
    return size, problems
