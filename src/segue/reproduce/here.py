"""Rows of a table that can run on this machine: data and weights are present, or the network ships."""

from __future__ import annotations

from segue.errors import DatasetError
from segue.extras import missing_packages
from segue.naming import first_few
from segue.registry import MODELS
from segue.reproduce.asked import How
from segue.reproduce.needs import other_data
from segue.reproduce.tables import Table, TableRow
from segue.reproduce.trained import training_lacks
from segue.weights.download import is_available


def runs_here(table: Table, how: How) -> str:
    """The rows of a table that run here, with what else they need."""
    rows = [row.name for row in table.rows if _has_weights(row, table, how)]
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
    here = folder is not None and folder.is_dir()
    if not parts:
        wanted = dict.fromkeys((table.dataset, *(name for item in table.trainings for name in item.data)))
        missing = [name for name in wanted if name not in how.data]
        return f"nothing: no {', '.join(missing)}" if missing else "nothing: weights to begin from are wanted"
    return f"{parts[0]}, on {folder}" if here else f"{parts[0]}, with --data {table.dataset}=FOLDER"


def _has_weights(row: TableRow, table: Table, how: How) -> bool:
    model = row.model or how.model or table.model
    if row.training is not None and not (row.model is None and how.model is not None):
        given = row.key in how.weights
        return given or (not missing_packages("train") and not any(training_lacks(row, how)))
    return how.weights_of(row, model) is not None or is_available(MODELS.find(model))
