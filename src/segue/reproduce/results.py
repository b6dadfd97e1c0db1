"""Results of a table: its rows and notes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segue.errors import SegueError
from segue.metrics.evaluation import Evaluation
from segue.reports import evaluation_values
from segue.reports.charts import write_percentiles
from segue.reproduce.asked import How
from segue.reproduce.cost import Cost
from segue.reproduce.tables import COSTS, PACE, SPEED, Table, TableRow


@dataclass(frozen=True, slots=True)
class Done:
    """Result of a row: scores and frames per second of one worker, or what is missing."""

    row: TableRow
    model: str
    evaluation: Evaluation | None = None
    speed: float = math.nan
    folder: Path | None = None  # the results, or the file of them that a server scores
    lacks: tuple[str, ...] = ()  # what must be there first
    failed: int = 0  # videos that failed
    notes: tuple[str, ...] = ()  # what a reader must know of this row
    ended: str | None = None  # what was wrong, where it ended before it had scores
    random: str | None = None  # what the paper begins the training from, where it began at random
    cost: Cost | None = None

    @property
    def name(self) -> str:
        """Heading of the row."""
        return self.row.name + (" (from random weights)" if self.random else "")


@dataclass(frozen=True, slots=True)
class Result:
    """Results of a table: its rows that were done, and the notes below it."""

    table: Table
    rows: tuple[Done, ...]
    remarks: tuple[str, ...]
    percentiles: Mapping[str, list[float]] = field(default_factory=dict)
    broken: BaseException | None = None

    @property
    def failed(self) -> int:
        """Number of videos and rows that failed."""
        return sum(done.failed + (done.ended is not None) for done in self.rows)

    def cells(self) -> dict[str, list[str]]:
        """Rows as they are printed: measured, then published."""
        table, rows = self.table, {}
        for done in self.rows:
            found = {SPEED: done.speed, PACE: 1 / done.speed if done.speed else math.nan}
            if done.evaluation is not None:
                found |= table.measured(done.evaluation.overall, done.evaluation.categories)
            if done.cost is not None:
                found |= dict(zip(COSTS, (done.cost.milliseconds, done.cost.mebibytes), strict=True))
            measured = [table.show(name, found.get(name)) for name in table.measures]
            published = [table.show(name, done.row.published.get(name)) for name in table.headings]
            rows[done.name] = [*measured, *published]
        return rows

    def values(self) -> dict[str, Any]:
        """Everything as values that JSON can hold."""
        rows = [
            {
                "name": done.row.name,
                "model": done.model,
                "published": dict(done.row.published),
                "scores": done.evaluation and evaluation_values(done.evaluation),
                "frames/s": None if math.isnan(done.speed) else done.speed,
                "cost": done.cost and asdict(done.cost),
                "results": done.folder and str(done.folder),
                "lacks": list(done.lacks),
                "failed": done.failed,
                "ended": done.ended,
                "random_start": done.random is not None,
            }
            for done in self.rows
        ]
        names = {name: getattr(self.table, name) for name in ("name", "title", "remark")}
        return names | {"rows": rows, "remarks": list(self.remarks), "percentiles": dict(self.percentiles)}


def result_of(
    table: Table, done: list[Done], missing: Iterable[str], how: How, broken: BaseException | None
) -> Result:
    """The result of a partly finished table."""
    remarks = [*remarks_of(table, done, tuple(missing), how)]
    percentiles: dict[str, list[float]] = {}
    scored = [(item, item.evaluation) for item in done if item.evaluation is not None]
    if table.curve is not None and scored:
        first, evaluation = scored[0]
        title = f"{table.title.partition(',')[0]} ({first.model}, {len(evaluation.sequences)} videos)"
        image = how.output / table.name / "percentiles.svg"
        lines = {item.row.name: _values(evaluation, table.curve) for item, evaluation in scored}
        try:
            percentiles = write_percentiles(image, title, table.curve, lines)
            remarks.append(f"curve: {image}")
        except (SegueError, OSError) as error:  # rows that took days are printed without it
            remarks.append(f"no curve: {error}")
    return Result(table, tuple(done), tuple(remarks), percentiles, broken)


def remarks_of(table: Table, done: list[Done], missing: tuple[str, ...], how: How) -> Iterator[str]:
    """The notes below a table: of the paper, of the data, of the rows."""
    if table.remark is not None:
        yield table.remark
    yield from missing
    if how.model not in (None, table.model) and any(item.row.model is None for item in done):
        yield f"run with {how.model} instead of {table.model}, of which the published numbers are"
    notes: dict[str, list[str]] = {}
    for item in done:
        ended = [] if item.ended is None else [f"ended: {item.ended}"]
        random = [] if item.random is None else [f"trained from random weights, not from {item.random}"]
        for text in (*item.lacks, *random, *item.notes, *ended):
            notes.setdefault(text, []).append(item.row.name)
    for text, names in notes.items():
        if text not in missing:
            yield text if len(names) == len(done) else f"{', '.join(names)}: {text}"
    scored: dict[str, list[str]] = {}
    for item in done:
        for text in () if item.evaluation is None else dict.fromkeys(item.evaluation.remarks):
            scored.setdefault(text, []).append(item.row.name)
    count = sum(item.evaluation is not None for item in done)
    for text, names in scored.items():
        yield text if len(names) == count else f"{', '.join(names)}: {text}"
    for item in done:
        if item.failed and item.ended is None:
            yield f"{item.row.name}: {item.failed} videos failed, and count as empty masks"
        if item.folder and item.evaluation is None and item.ended is None:
            where = f"{table.server} scores {item.folder}"
            yield f"{item.row.name}: the annotations of this part are not public; {where}"


def _values(evaluation: Evaluation, measure: str) -> npt.NDArray[np.float64]:
    """A measure of every object on every scored frame."""
    found = []
    for series in evaluation.series.values():
        objects = [key for key in series if key.startswith(f"{measure}_")]
        found += [series[key].values for key in objects or [measure]]
    return np.concatenate(found)
