"""Errors in the rows of tables, found before the first row starts: a run may take days."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from segue.batch.run import LEDGER, home_of
from segue.batch.work import JobConfig
from segue.errors import SegueError
from segue.jobs.plan import check_needs
from segue.jobs.values import ForegroundJob, InstancesJob, TrackJob
from segue.metrics.data_sets import Request
from segue.reproduce.asked import How
from segue.reproduce.needs import request_of
from segue.reproduce.protocols import OWN_DEPTH, check_classes
from segue.reproduce.tables import Table, TableRow
from segue.reproduce.trained import names_its_start, training_folder, training_lacks, training_words
from segue.weights import load

RowJob = TrackJob | ForegroundJob | InstancesJob
Template = Callable[[Request, JobConfig], RowJob]
"""Gives the job of the videos of a request, with the options of a row."""

CheckTraining = Callable[[Sequence[str]], object]
"""Refuses words that `segue train` would refuse, without training."""


def check_tables(
    tables: Sequence[Table], how: How, template: Template, check_training: CheckTraining
) -> list[str]:
    """See what rows of tables whose data are there cannot be done."""
    wrong: list[str] = []
    for table, row, request in _rows(tables, how):
        model = row.model or how.model or table.model
        folder = how.output / table.name / row.key
        if (home_of(str(folder)) / LEDGER).exists() and not how.resume:
            raise SegueError(f"{folder}: there is a batch already; give --resume, or another output")
        try:
            learns = _training(row, how, check_training)
            job = _job_of(table, row, model, request, how, template, learns)
            check_needs([job], coming=() if learns is None else [learns])
        except SegueError as error:
            wrong.append(f"{table.paper} {table.name}: {row.name} cannot be done: {error}")
            continue
    return wrong


def _training(row: TableRow, how: How, check: CheckTraining) -> Path | None:
    """Folder of the training of a row; None where there is none or its weights are given."""
    if row.training is None or row.key in how.weights:
        return None
    words = training_words(row.training, how, row.key)
    folder = training_folder(row.training, words, how.output)
    start = row.training.start
    made = [] if start is None or names_its_start(row.training, how, row.key) else ["--start", start.name]
    check([*words, *made, "--out", str(folder)])
    return folder


def _job_of(
    table: Table,
    row: TableRow,
    model: str,
    request: Request,
    how: How,
    template: Template,
    learns: Path | None,
) -> RowJob:
    """The job of all videos of a row: its source is the data set, its output their common folder."""
    options = [*table.options, *row.options, *how.run.of(model, row.key), "--model", model]
    given = how.weights_of(row, model) if learns is None else None
    if given is not None:
        load(model, given)  # it fits, or says what it holds
        options += ["--weights", given]
    elif learns is not None:
        options += ["--weights", str(learns / f"{model}.safetensors")]
    folder = how.output / table.name / row.key
    job = template(request, JobConfig(options=tuple(options), output=str(folder)))
    if isinstance(job, InstancesJob) and given is not None:
        check_classes(request, job.model)
    if isinstance(job, ForegroundJob) and job.depth == OWN_DEPTH:
        job = job.model_copy(update={"depth": None})  # each video brings its own
    source = job.source.model_copy(update={"place": str(request.data)})
    outputs = job.outputs.model_copy(update={"folder": folder, "resume": how.resume})
    return job.model_copy(update={"source": source, "outputs": outputs})


def _rows(tables: Sequence[Table], how: How) -> Iterator[tuple[Table, TableRow, Request]]:
    """The rows whose data are there, with what is run of the data set; what others lack is reported later."""
    for table in tables:
        table = replace(table, subset=table.subset if how.subset is None else how.subset)
        request, _ = request_of(table, how)
        for row in table.rows:
            if request is None or (how.rows is not None and row.key not in how.rows):
                continue
            if row.model is None and how.model is not None:
                row = replace(row, training=None)
            trains = row.training is not None and row.key not in how.weights
            if not (trains and any(training_lacks(row, how))):
                yield table, row, request
