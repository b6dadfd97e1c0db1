"""The rows that are wanted, and what is given for them: data, weights, options."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge

from segue.reproduce.tables import TableRow


@dataclass(frozen=True, slots=True)
class How:
    """The rows to run and their options.

    Attributes:
        data: where a data set is, NAME=FOLDER; may be given several times.
        weights: weight file of a network, a detector or a row, NAME=FILE.
        output: folder.  [default: segue-out/PAPER]
        rows: only this row; may be given several times.
        model: run this network instead of the paper's.
        subset: part of the data set, instead of the paper's.
        sequences: only this sequence, video or category; may be given several times.
        run: further options of the command of a row, or NAME=OPTIONS for one row or network.
        workers: number of workers.  [default: one a core]
        resume: continue an interrupted run.
    """

    data: Mapping[str, Path]
    weights: Mapping[str, str]
    output: Path
    rows: frozenset[str] | None = None
    model: str | None = None
    subset: str | None = None
    sequences: list[str] | None = None
    run: tuple[tuple[str | None, str], ...] = ()
    workers: Annotated[int | None, Ge(1)] = None
    resume: bool = False

    def options_of(self, model: str, row: TableRow) -> list[str]:
        """Further options of a row: those of all, of its network, and its own; of two, the last counts."""
        names = (None, model, row.key) if model != row.key else (None, model)
        return [word for name in names for to, text in self.run if to == name for word in shlex.split(text)]

    def weights_of(self, row: TableRow, model: str) -> str | None:
        """The weight file that is given for the network of a row: for this row, or for all rows of it."""
        given = self.weights.get(model)
        return given if row.first is not None else self.weights.get(row.key, given)
