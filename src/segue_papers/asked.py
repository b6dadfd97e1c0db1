"""Requested rows of tables, with their data, weights and options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationInfo

from segue.errors import SegueError
from segue.options import FilePath, OptionModel, option
from segue.registry import DATASETS, DETECTORS, MODELS
from segue_papers.tables import Table, TableRow


def _by_name(value: Any, info: ValidationInfo) -> Any:
    """Convert texts ``NAME=PATH`` to a mapping."""
    if isinstance(value, Mapping):
        return value
    pairs = [text.partition("=") for text in value]
    if wrong := [name for name, _, place in pairs if not place]:
        raise SegueError(f"--{info.field_name} {wrong[0]}: give NAME=PATH")
    return {name: place for name, _, place in pairs}


def _by_row(value: Any) -> Any:
    """Convert texts ``OPTIONS`` or ``NAME=OPTIONS`` to options by row or network."""
    return [_options(item) if isinstance(item, str) else item for item in value]


def _options(text: str) -> tuple[str | None, str]:
    match = re.fullmatch(r"([^=-][^=]*)=(.*)", text, re.DOTALL)
    name, words = (None, text) if match is None else match.groups()
    try:
        first = [*shlex.split(words), "-"][0]
    except ValueError as error:
        raise SegueError(f"--run {text}: {error}") from None
    if not first.startswith("-"):
        raise SegueError(f"--run {text}: give options, which begin with a dash, or NAME=OPTIONS")
    return name, words


class How(OptionModel):
    """Requested rows and their options."""

    data: Annotated[Mapping[str, FilePath], BeforeValidator(_by_name)] = option({})
    """Folder of a data set, NAME=FOLDER. Repeatable."""

    weights: Annotated[Mapping[str, str], BeforeValidator(_by_name)] = option({})
    """Weight file of a network, a detector or a row, NAME=FILE."""

    output: FilePath = option(Path("segue-out"), flags="output,out,o")
    """Output folder.  [default: segue-out/PAPER]"""

    rows: frozenset[str] | None = option(None, flags="row")
    """Only this row. Repeatable."""

    model: str | None = option(None)
    """Run this network instead of the paper's."""

    subset: str | None = option(None, flags="set")
    """Part of the data set, instead of the paper's."""

    sequences: list[str] | None = option(None, flags="sequence")
    """Only this sequence, video or category. Repeatable."""

    run: Annotated[tuple[tuple[str | None, str], ...], BeforeValidator(_by_row)] = option(())
    """Further options for the commands of the rows, or NAME=OPTIONS for one row or network."""

    workers: int | None = option(None, ge=1)
    """Number of workers.  [default: one per core]"""

    resume: bool = option(False)
    """Continue an interrupted run."""

    def for_tables(self, tables: Iterable[Table]) -> How:
        """Resolve rows to keys of these tables; raise an error for unknown names."""
        if self.model is not None:
            MODELS.find(self.model)
        rows = [(row, row.model or self.model or table.model) for table in tables for row in table.runnable]
        keys = {name: row.key for row, _ in rows for name in (row.name, row.key)}
        starts = [row.training.start.weights for row, _ in rows if row.training and row.training.start]
        owners = keys | {model: model for _, model in rows}
        weights = (*keys.values(), *starts, *MODELS.names, *DETECTORS.names)
        of_some = [name for name, _ in self.run if name is not None]
        for flag, requested, available in (
            ("data", self.data, DATASETS.names),
            ("weights", self.weights, weights),
            ("row", self.rows or (), keys),
            ("run", of_some, owners),
        ):
            if wrong := [name for name in requested if name not in available]:
                names = ", ".join(dict.fromkeys(available))
                raise SegueError(f"--{flag} {wrong[0]}: nothing has this name here; choose from {names}")
        return self.model_copy(
            update={
                "rows": self.rows and frozenset(keys[name] for name in self.rows),
                "run": tuple((name and owners[name], words) for name, words in self.run),
            }
        )

    def options_of(self, model: str, row: TableRow) -> list[str]:
        """Further options of a row: for all rows, for its network, and for itself; later ones win."""
        names = (None, model, row.key) if model != row.key else (None, model)
        return [word for name in names for to, text in self.run if to == name for word in shlex.split(text)]

    def weights_of(self, row: TableRow, model: str) -> str | None:
        """Weight file of a row's network: for this row, or for all its rows."""
        weights = self.weights.get(model)
        return weights if row.first is not None else self.weights.get(row.key, weights)
