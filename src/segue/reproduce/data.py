"""Which videos of a data set a table takes, and which of them are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from segue.datasets.inventories import described_videos, list_davis
from segue.errors import DatasetError
from segue.naming import first_few
from segue.registry import DATASETS
from segue.reproduce.tables import Table

_BOTH_YEARS = """blackswan bmx-trees breakdance camel car-roundabout car-shadow cows dance-twirl dog
drift-chicane drift-straight goat horsejump-high kite-surf libby motocross-jump paragliding-launch parkour
scooter-black soapbox"""
_ONLY_2017 = "bike-packing dogs-jump gold-fish india judo lab-coat loading mbike-trick pigs shooting"

DAVIS_VAL = {"2016": _BOTH_YEARS.split(), "2017": sorted(f"{_BOTH_YEARS} {_ONLY_2017}".split())}
"""The sequences of the validation sets, for folders without ``ImageSets``."""


def videos_of(table: Table, root: Path) -> tuple[list[str] | None, tuple[str, ...]]:
    """The videos of a table that are in a folder.

    Args:
        table: what is run.
        root: folder of its data set.

    Returns:
        Their names, or None where the reader of the data set takes what is there; and remarks on what is
        missing.

    Raises:
        DatasetError: nothing is there.
    """
    find = _FINDERS.get(table.dataset)
    if find is None or table.subset is None:
        return None, ()
    wanted, there = find(table, root)
    found = [name for name in wanted if name in there]
    part = f"{table.subset} of {DATASETS.find(table.dataset).title}"
    if not found:
        if not there:
            raise DatasetError(f"{root} holds no video")
        return there, (f"none of the {len(wanted)} videos of {part} is there; all {len(there)} were taken",)
    missing = [name for name in wanted if name not in there]
    if not missing:
        return found, ()
    return found, (f"{len(missing)} of the {len(wanted)} videos of {part} are missing: {first_few(missing)}",)


def _davis(table: Table, root: Path) -> tuple[list[str], list[str]]:
    """Names in the split, and of the folders."""
    there = list(list_davis(root).parts)
    year, part = table.year[:4], str(table.subset)
    file = root / "ImageSets" / year / f"{part}.txt"
    if file.is_file():
        names = (line.strip() for line in file.read_text("utf-8", "replace").splitlines())
        return list(filter(None, names)), there
    if part != "val":
        raise DatasetError(f"no part {part!r}: {file} does not exist; give sequence names")
    return list(DAVIS_VAL[year]), there


def _ytvos(table: Table, root: Path) -> tuple[list[str], list[str]]:
    folder = root / str(table.subset)
    wanted = described_videos(folder / "meta.json")
    return wanted, [name for name in wanted if (folder / "JPEGImages" / name).is_dir()]


_FINDERS: Mapping[str, Callable[[Table, Path], tuple[list[str], list[str]]]] = {
    "davis": _davis,
    "ytvos": _ytvos,
}
