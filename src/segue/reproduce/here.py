"""Rows of a table that can run on this machine: data and weights are present, or the network ships."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from segue.errors import DatasetError
from segue.extras import missing_packages
from segue.naming import first_few
from segue.registry import DETECTORS, MODELS, Entry
from segue.reproduce.asked import How
from segue.reproduce.needs import other_data
from segue.reproduce.papers import DISCOVERIES, INSTANCES
from segue.reproduce.tables import Table, TableRow
from segue.reproduce.trained import names_its_start
from segue.weights.available import weight_file
from segue.weights.download import is_available


def runs_here(table: Table, how: How) -> str:
    """The rows of a table that run here, with what else they need."""
    rows = [row.name for row in table.rows if not any(row_lacks(row, table, how))]
    bundled = (entry for entry in MODELS if entry.bundled is not None)
    task = MODELS.find(table.model).task
    # What comes with segue finds the classes of COCO, not those of YouTube-VIS.
    stand_in = None if table.edition else next((entry.name for entry in bundled if entry.task == task), None)
    parts = [first_few(rows)] if rows else []
    if stand_in is not None and not rows and any(row.model is None for row in table.rows):
        parts.append(f"--model {stand_in}")
    try:
        other = other_data(table, how)
    except DatasetError as error:
        other = str(error)
    if other is not None:
        return f"nothing: {other}"
    folder = how.data.get(table.dataset)
    if folder is not None and not folder.is_dir():
        return f"nothing: no folder {folder}"
    if not parts:
        wanted = dict.fromkeys((table.dataset, *(name for item in table.trainings for name in item.data)))
        missing = [name for name in wanted if name not in how.data]
        return f"nothing: no {', '.join(missing)}" if missing else "nothing: weights to begin from are wanted"
    return f"{parts[0]}, with --data {table.dataset}=FOLDER" if folder is None else f"{parts[0]}, on {folder}"


def rows_lack(table: Table, how: How) -> str:
    """The rows of a table that do not run here, and what would let them; rows that lack the same together."""
    rows: dict[str, list[str]] = {}
    for row in table.rows:
        if lacks := list(dict.fromkeys(row_lacks(row, table, how))):
            rows.setdefault(" and ".join(lacks), []).append(row.name)
    return "; ".join(f"{first_few(names)}: {lacks}" for lacks, names in rows.items())


def row_lacks(row: TableRow, table: Table, how: How) -> Iterator[str]:
    """What must be given or installed for a row, beside the data of its table."""
    model = row.model or how.model or table.model
    if row.training is not None and not (row.model is None and how.model is not None):
        if row.key in how.weights:
            yield from _file_lacks(how.weights[row.key])
        else:
            yield from _training_lacks(row, how)
        return
    yield from _network_lacks(MODELS.find(model), how.weights_of(row, model))
    for name in (INSTANCES.get(row.first or ""), *DISCOVERIES.get(row.first or "", ())[:1]):
        if name is not None:
            yield from _detector_lacks(name, how)
    if row.first == "DeepLabV3":
        yield from _detector_lacks("deeplab", how)


def _detector_lacks(name: str, how: How) -> Iterator[str]:
    network = DETECTORS.find(name).network or name
    yield from _network_lacks(MODELS.find(network), how.weights.get(name, how.weights.get(network)))


def _network_lacks(entry: Entry, given: str | None) -> Iterator[str]:
    if given is not None:
        yield from _file_lacks(given)
    elif entry.signature is not None and not is_available(entry):
        yield f"`{entry.download_command}`" if entry.remote else f"--weights {entry.name}=FILE"


def _file_lacks(given: str) -> Iterator[str]:
    if not weight_file(Path(given)).is_file():
        yield f"{given}, which is no file"


def _training_lacks(row: TableRow, how: How) -> Iterator[str]:
    training = row.training
    assert training is not None
    if missing := missing_packages("train"):
        yield missing
    start, needed = training.start, list(training.data)
    if start is not None and start.name not in how.weights and not names_its_start(training, how, row.key):
        if names_its_start(start.training, how):
            needed += start.training.data
        else:
            yield f"--weights {start.name}=FILE"
    missing_data = [name for name in dict.fromkeys(needed) if name not in how.data]
    yield from (f"--data {name}=FOLDER" for name in missing_data)
