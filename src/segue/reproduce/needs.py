"""The part of a data set that a table uses, and what is missing."""

from __future__ import annotations

from pathlib import Path

from segue.datasets.davis import DAVIS_2016_VAL, DAVIS_VAL
from segue.datasets.inventories import described_videos, list_davis, list_isd
from segue.datasets.ytvis import YTVISDataset
from segue.datasets.ytvos import all_frames_folder
from segue.errors import DatasetError
from segue.jobs.instances import EDITIONS
from segue.metrics.data_sets import Request
from segue.naming import first_few
from segue.registry import DATASETS
from segue.reproduce.asked import How
from segue.reproduce.tables import Table

VIDEOS = ("cdnet", "sbi", "lasiesta", "limu", "isd")
"""Data sets of labelled videos; what is there of them is run."""


def request_of(table: Table, how: How) -> tuple[Request | None, tuple[str, ...]]:
    """The videos of a data set that a table runs, and the missing ones."""
    if table.dataset not in how.data:
        return None, (absent(table.dataset),)
    root, names = how.data[table.dataset], how.sequences
    if (other := other_data(table, how)) is not None:
        return None, (other,)
    missing: tuple[str, ...] = (f"of the data set only {first_few(names or ())}",)
    if not names:
        names, missing = videos_of(table, root)
    part = {"year": table.year} if table.dataset == "davis" else {"subset": table.subset}
    return Request(data=root, dataset=table.dataset, sequences=names, **part), missing


def other_data(table: Table, how: How) -> str | None:
    """Problems of data of the right kind that a table cannot use."""
    root = how.data.get(table.dataset)
    if root is None:
        return None
    another = f"give its folder with --data {table.dataset}=FOLDER"
    if table.edition is not None:
        dataset = YTVISDataset.open(root, table.subset or "valid")
        found = next((name for name, classes in EDITIONS.items() if dataset.categories == classes), None)
        if found not in (None, table.edition):
            return f"{dataset.path} has the classes of {found}, this table is of {table.edition}; {another}"
    if table.dataset == "isd" and table.subset is not None and root.is_dir():
        names = list_isd(root).parts
        if names and not any(name.startswith(f"{table.subset}/") for name in names):
            return f"{root} has no clips of the part {table.subset}; {another}"
    return None


def videos_of(table: Table, root: Path) -> tuple[list[str] | None, tuple[str, ...]]:
    """The videos of a table that are in a folder, and remarks on what is missing."""
    if table.dataset in VIDEOS:
        return None, _videos_remarks(table, root)
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
    return found, (_lost(missing, wanted, part), *remarks)


def _videos_remarks(table: Table, root: Path) -> tuple[str, ...]:
    """See that a folder has videos of a data set; of rendered clips, say which it lacks."""
    if not root.is_dir():
        raise DatasetError(f"no folder {root}")
    entry = DATASETS.find(table.dataset)
    assert entry.list is not None
    inventory = entry.list(root)
    if not inventory.parts:
        raise DatasetError(f"{root} holds no video of {entry.title}")
    if table.dataset != "isd" or table.subset is None:
        return ()
    wanted = [name for name in inventory.expected if name.startswith(f"{table.subset}/")]
    missing = [name for name in wanted if name not in inventory.parts]
    return (_lost(missing, wanted, f"{table.subset} of {entry.title}"),) if missing else ()


def _lost(missing: list[str], wanted: list[str], what: str) -> str:
    return f"{len(missing)} of the {len(wanted)} videos of {what} are missing: {first_few(missing)}"


def _davis_split(root: Path, year: str, part: str) -> list[str]:
    """Names of the sequences of a split; validation sets are known without ``ImageSets``."""
    file = root / "ImageSets" / year / f"{part}.txt"
    if file.is_file():
        return list(filter(None, map(str.strip, file.read_text("utf-8", "replace").splitlines())))
    if part != "val":
        raise DatasetError(f"no part {part!r}: {file} does not exist; give sequence names")
    return sorted(DAVIS_2016_VAL if year == "2016" else DAVIS_VAL)


def absent(name: str) -> str:
    """Say that a data set is missing, where it comes from, and how its folder is given."""
    entry = DATASETS.find(name)
    return f"{entry.title} is not there: {entry.address}; give --data {name}=FOLDER"
