"""Which videos of a data set a table takes, and which of them are there."""

from __future__ import annotations

from pathlib import Path

from segue.datasets.davis import DAVIS_2016_VAL, DAVIS_VAL
from segue.datasets.inventories import described_videos, list_davis
from segue.errors import DatasetError
from segue.naming import first_few
from segue.registry import DATASETS
from segue.reproduce.tables import Table

_DAVIS_VAL = {"2016": sorted(DAVIS_2016_VAL), "2017": sorted(DAVIS_VAL)}
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
    if table.subset is None or table.dataset not in ("davis", "ytvos"):
        return None, ()
    if table.dataset == "davis":
        wanted, there = _davis(root, table.year[:4], table.subset)
    else:
        folder = root / table.subset
        wanted = described_videos(folder / "meta.json")
        there = [name for name in wanted if (folder / "JPEGImages" / name).is_dir()]
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


def _davis(root: Path, year: str, part: str) -> tuple[list[str], list[str]]:
    """Names in the split, and of the folders."""
    there = list(list_davis(root).parts)
    file = root / "ImageSets" / year / f"{part}.txt"
    if file.is_file():
        names = (line.strip() for line in file.read_text("utf-8", "replace").splitlines())
        return list(filter(None, names)), there
    if part != "val":
        raise DatasetError(f"no part {part!r}: {file} does not exist; give sequence names")
    return _DAVIS_VAL[year], there
