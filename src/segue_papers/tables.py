"""Tables of papers: rows, requirements, and published numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from segue.metrics.davis import SemiSupervised
from segue.metrics.evaluation import Evaluation

SPEED = "frames/s"
"""Heading of the speed of one worker, with reading and writing."""

NETWORK_SPEED = "frames/s, network"
"""Heading of the speed of its networks alone, without reading and writing."""

SIZE = "M parameters"
"""Heading of the size of a network, in millions of learnt values."""

PACE = "s/frame"
"""Heading of seconds per frame, for papers that report it instead of the frame rate."""

NETWORK_PACE = "s/frame, network"
"""Heading of the inverse of the speed of its networks alone."""


@dataclass(frozen=True, slots=True)
class Training:
    """Training of a row's network; prints its command and finds its weights.

    Attributes:
        network: the command of ``segue train``.
        data: data sets that it learns from.
        options: its further options.
        folds: one training for each fold of CDnet2014, whose videos it then runs; it has not seen them.
        start: the training that it begins from.
        pretrained: initial weights of the paper, for ``--init``.
        weights: name of its weights for ``--weights``, where others begin from it.
        file: name of their file.
        source: address of the published weights.
    """

    network: str
    data: tuple[str, ...]
    options: tuple[str, ...] = ()
    folds: bool = False
    start: Training | None = None
    pretrained: str | None = None
    weights: str = ""
    file: str = ""
    source: str = ""

    @property
    def name(self) -> str:
        """Prefix of its folder names."""
        return slug(" ".join((self.network, *self.data, *self.options)))


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row: a model on the data set of its table.

    Attributes:
        name: heading of the row.
        published: the numbers of the paper, by heading of the table.
        model: the network; None is the network of the table or the user's replacement.
        options: options of ``segue run`` for it.
        training: training of its weights, unless the network's own are used.
        first: where the masks of first frames come from, see :mod:`segue_papers.stcn_report`; None takes
            those of the data set.
        no_command: why nothing runs it; its published numbers stand beside the others.
    """

    name: str
    published: Mapping[str, float] = field(default_factory=dict)
    model: str | None = None
    options: tuple[str, ...] = ()
    training: Training | None = None
    first: str | None = None
    no_command: str | None = None

    @property
    def key(self) -> str:
        """Name of its folder, and of its weights in ``--weights``."""
        return slug(self.name)


@dataclass(frozen=True, slots=True)
class Difference:
    """Published difference between two rows.

    Attributes:
        heading: heading of the measure.
        row, other: names of the rows.
        published: points of the paper.
    """

    heading: str
    row: str
    other: str
    published: float


@dataclass(frozen=True, slots=True)
class Table:
    """A table or figure of a paper.

    Attributes:
        paper, name: names for the command.
        title: description, and its place in the paper.
        dataset: name of the data set, as ``segue run`` and ``--data`` have it.
        columns: measure of the evaluation by heading; ``moving/F`` is the F of a category or a group.
        rows: from top to bottom.
        model: the network of the rows that name none.
        subset, year: part of the data set, and edition of DAVIS.
        edition: edition of YouTube-VIS, whose classes the data must have; see ``EDITIONS``.
        percent: numbers are shown in percent.
        server: scoring server for private annotations.
        curve: a measure over time whose distribution is drawn, one line a row.
        remark: note on the published numbers.
        options: options of the command for its rows, following the protocol of the paper.
        pace: speed is given in seconds a frame, as in the paper.
        network_speed: show the speed without reading and writing next to the speed with them.
        differences: published differences between two rows.
        strip: kind of the strip of frames of each sequence, see :mod:`segue_papers.strips`; None draws none.
        sizes: show the size of each network next to its scores.
        shows_attention: rows are not scored; the attention of their encoders is drawn,
            see :mod:`segue_papers.attention`.
    """

    paper: str
    name: str
    title: str
    dataset: str
    columns: Mapping[str, str]
    rows: tuple[TableRow, ...]
    model: str
    subset: str | None = None
    year: SemiSupervised = "2017"
    edition: str | None = None
    percent: bool = False
    server: str | None = None
    curve: str | None = None
    remark: str | None = None
    options: tuple[str, ...] = ()
    pace: bool = False
    network_speed: bool = False
    differences: tuple[Difference, ...] = ()
    strip: Literal["masks", "errors"] | None = None
    sizes: bool = False
    shows_attention: bool = False

    @property
    def runnable(self) -> tuple[TableRow, ...]:
        """Rows that a command can run."""
        return tuple(row for row in self.rows if row.no_command is None)

    @property
    def measures(self) -> tuple[str, ...]:
        """Headings of all measured values."""
        speeds = (PACE, NETWORK_PACE) if self.pace else (SPEED, NETWORK_SPEED)
        return (*self.columns, *((SIZE,) if self.sizes else ()), *speeds[: 1 + self.network_speed])

    @property
    def headings(self) -> tuple[str, ...]:
        """Headings with published values."""
        names = self.measures
        return tuple(name for name in names if any(name in row.published for row in self.rows))

    @property
    def trainings(self) -> tuple[Training, ...]:
        """Trainings of the rows, and those they start from."""
        row_trainings = [row.training for row in self.rows if row.training is not None]
        return (*row_trainings, *(training.start for training in row_trainings if training.start is not None))

    @property
    def data(self) -> str:
        """Names of the required data sets, training sets in brackets."""
        learnt = dict.fromkeys(name for training in self.trainings for name in training.data)
        return self.dataset + (f" ({', '.join(learnt)})" if learnt else "")

    def measured(self, evaluation: Evaluation) -> dict[str, float]:
        """Values of a row by heading, from an evaluation overall, by category and by group."""
        parts = {**evaluation.groups, **evaluation.categories}
        scale = 100 if self.percent else 1
        by_heading = {}
        for heading, key in self.columns.items():
            category, _, measure = key.rpartition("/")
            values = parts.get(category, {}) if category else evaluation.overall
            if measure in values:
                by_heading[heading] = scale * values[measure]
        return by_heading

    def published_text(self, row: TableRow) -> str:
        """Published values of a row, with its name and table; empty without any."""
        columns = [name for name in self.headings if name in row.published]
        numbers = [f"{name} {self.show(name, row.published[name])}" for name in columns]
        return f"{self.paper} {self.name}, {row.name}: {', '.join(numbers)}" if numbers else ""

    def show(self, heading: str, value: float | None) -> str:
        """Format a number as the paper prints it; empty for None and NaN."""
        if value is None or math.isnan(value):
            return ""
        digits = {SPEED: 1, NETWORK_SPEED: 1, PACE: 2, NETWORK_PACE: 2, SIZE: 2}.get(
            heading, 1 if self.percent else 4
        )
        return f"{value:.{digits}f}"


NOT_HERE = "its network is not in segue; the numbers are those of the paper"
"""Reason why a published row has no command."""


def published_rows(headings: Iterable[str], text: str) -> tuple[TableRow, ...]:
    """Parse published rows to print beside ours: ``NAME | numbers``, ``-`` for missing ones."""
    names = tuple(headings)
    rows = []
    for line in text.strip().splitlines():
        name, _, values = line.partition("|")
        numbers = {
            heading: float(value)
            for heading, value in zip(names, values.split(), strict=True)
            if value != "-"
        }
        rows.append(TableRow(name.strip(), numbers, no_command=NOT_HERE))
    return tuple(rows)


def slug(text: str) -> str:
    """Convert a text to a folder name."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")
