"""Arguments of ``segue reproduce``: data, weights, rows, and options for one row or all."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge

from segue.errors import SegueError
from segue.registry import DATASETS, DETECTORS, MODELS
from segue.reproduce.tables import Table, TableRow

_NAMED = re.compile(r"([^=-][^=]*)=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Words:
    """Options as typed, for all rows and for rows by name.

    Attributes:
        common: options of all rows.
        named: further options by the name of a row or network.
    """

    common: tuple[str, ...] = ()
    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, *names: str) -> tuple[str, ...]:
        """The options of what has these names, from the widest to the narrowest: of two, the last counts."""
        own = (word for name in dict.fromkeys(names) for word in self.named.get(name, ()))
        return (*self.common, *own)


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
        train: further options of `segue train`, or NAME=OPTIONS for one row or network.
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
    run: Words = Words()
    train: Words = Words()
    workers: Annotated[int | None, Ge(1)] = None
    resume: bool = False

    def weights_of(self, row: TableRow, model: str) -> str | None:
        """The weight file that is given for the network of a row: for this row, or for all rows of it."""
        given = self.weights.get(model)
        return given if row.first is not None else self.weights.get(row.key, given)


def read_words(
    kind: str, texts: Sequence[str] | None, known: Iterable[str], titles: Mapping[str, str] | None = None
) -> Words:
    """Options to hand on, of texts ``OPTIONS`` or ``NAME=OPTIONS``."""
    names, titles = tuple(dict.fromkeys(known)), titles or {}
    common: list[str] = []
    named: dict[str, tuple[str, ...]] = {}
    for text in texts or ():
        match = _NAMED.fullmatch(text)
        try:
            words = shlex.split(text if match is None else match[2])
        except ValueError as error:
            raise SegueError(f"--{kind} {text}: {error}") from None
        if match is None:
            if words and not words[0].startswith("-"):
                raise SegueError(f"--{kind} {text}: give options, which begin with a dash, or NAME=OPTIONS")
            common += words
            continue
        name = titles.get(match[1], match[1])
        if name not in names:
            raise SegueError(f"--{kind} {text}: no row or network is called {name}; {_listed(names)}")
        named[name] = (*named.get(name, ()), *words)
    return Words(tuple(common), named)


def read_pairs(kind: str, texts: Sequence[str] | None, known: Iterable[str]) -> dict[str, str]:
    """Places by name, of texts ``NAME=PLACE``."""
    names, pairs = tuple(known), {}
    for text in texts or ():
        name, _, place = text.partition("=")
        if name not in names or not place:
            raise SegueError(f"--{kind} {text}: give NAME=PATH with NAME one of {', '.join(names)}")
        pairs[name] = place
    return pairs


def read_rows(tables: Sequence[Table], wanted: Sequence[str] | None) -> frozenset[str] | None:
    """Keys of the rows that are wanted, by name or key; None where all are."""
    if not wanted:
        return None
    known = {name: row.key for table in tables for row in table.rows for name in (row.name, row.key)}
    for name in wanted:
        if name not in known:
            raise SegueError(f"no row is called {name!r}; there are {'; '.join(dict.fromkeys(known))}")
    return frozenset(known[name] for name in wanted)


def read(tables: Sequence[Table], given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of :class:`How` of what is typed for these tables: its lists of texts, and the ``model``."""
    if given["model"] is not None:
        MODELS.find(given["model"])
    rows = [(row, row.model or given["model"] or table.model) for table in tables for row in table.rows]
    titles = {row.name: row.key for row, _ in rows}
    trained = [row.key for row, _ in rows if row.training is not None]
    trainings = [training for table in tables for training in table.trainings]
    starts = [training.start.name for training in trainings if training.start is not None]
    folders = read_pairs("data", given["data"], DATASETS.names)
    places = dict.fromkeys((*trained, *starts, *MODELS.names, *DETECTORS.names))
    return {
        "data": {name: Path(folder) for name, folder in folders.items()},
        "weights": read_pairs("weights", given["weights"], places),
        "rows": read_rows(tables, given["rows"]),
        "run": read_words("run", given["run"], (n for row, model in rows for n in (model, row.key)), titles),
        "train": read_words(
            "train", given["train"], (*(item.network for item in trainings), *trained), titles
        ),
    }


def _listed(names: Sequence[str]) -> str:
    return f"choose from {', '.join(names)}" if names else "no row of these tables takes any"
