"""What of a data set a table takes, and what is missing of it."""

from __future__ import annotations

from pathlib import Path

from segue.datasets.davis import DAVIS_2016_VAL, DAVIS_VAL
from segue.datasets.inventories import described_videos, list_davis
from segue.datasets.ytvos import all_frames_folder
from segue.errors import DatasetError
from segue.metrics.data_sets import Request
from segue.naming import first_few
from segue.registry import DATASETS
from segue.reproduce.asked import How
from segue.reproduce.tables import Table


def request_of(table: Table, how: How) -> tuple[Request | None, tuple[str, ...]]:
    """What is run of the data set of a table, and what is missing of it.

    Args:
        table: the table.
        how: data, weights and options of the run.

    Returns:
        The request, or None where the data set is not there; and remarks.
    """
    if table.dataset not in how.data:
        return None, (absent(table.dataset),)
    root, names = how.data[table.dataset], how.sequences
    missing: tuple[str, ...] = (f"of the data set only {first_few(names or ())}",)
    if not names:
        names, missing = videos_of(table, root)
    part = {"year": table.year} if table.dataset == "davis" else {"subset": table.subset}
    return Request(data=root, dataset=table.dataset, sequences=names, **part), missing


def videos_of(table: Table, root: Path) -> tuple[list[str] | None, tuple[str, ...]]:
    """The videos of a table that are in a folder, and remarks on what is missing.

    None stands for all that the reader of the data set finds there.

    Args:
        table: the table.
        root: folder of its data set.

    Returns:
        Names of the videos, or None; and remarks.

    Raises:
        DatasetError: nothing is there.
    """
    if table.subset is None or table.dataset not in ("davis", "ytvos"):
        return None, ()
    remarks: tuple[str, ...] = ()
    if table.dataset == "davis":
        wanted, there = _davis_split(root, table.year[:4], table.subset), list(list_davis(root).parts)
    else:
        folder = root / table.subset
        images = all_frames_folder(folder)
        wanted = described_videos(folder / "meta.json")
        there = [name for name in wanted if ((images or folder / "JPEGImages") / name).is_dir()]
        if images is None:
            remarks = (
                f"{folder.name}_all_frames is not there: the memory interval counts frames of {folder.name}",
            )
    found = [name for name in wanted if name in there]
    missing = [name for name in wanted if name not in there]
    part = f"{table.subset} of {DATASETS.find(table.dataset).title}"
    if not there:
        raise DatasetError(f"{root} holds no video")
    if not found:
        text = f"none of the {len(wanted)} videos of {part} is there; all {len(there)} were taken"
        return there, (text, *remarks)
    if not missing:
        return found, remarks
    text = f"{len(missing)} of the {len(wanted)} videos of {part} are missing: {first_few(missing)}"
    return found, (text, *remarks)


def _davis_split(root: Path, year: str, part: str) -> list[str]:
    """Names of the sequences of a split; those of the validation sets are known without ``ImageSets``."""
    file = root / "ImageSets" / year / f"{part}.txt"
    if file.is_file():
        return list(filter(None, map(str.strip, file.read_text("utf-8", "replace").splitlines())))
    if part != "val":
        raise DatasetError(f"no part {part!r}: {file} does not exist; give sequence names")
    return sorted(DAVIS_2016_VAL if year == "2016" else DAVIS_VAL)


def absent(name: str) -> str:
    """Say that a data set is missing, where it comes from, and how its folder is given.

    Args:
        name: name of the data set.

    Returns:
        One line.
    """
    entry = DATASETS.find(name)
    return f"{entry.title} is not there: {entry.address}; give --data {name}=FOLDER"
