"""Run a table for ``segue reproduce``: check data and weights, train, run and score row by row."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from segue.batch.ledger import Ledger
from segue.batch.places import SUBFOLDER
from segue.batch.plan import Task
from segue.batch.run import LEDGER
from segue.batch.work import JobConfig
from segue.cancel import interrupt_on_signals
from segue.errors import CheckpointError, DatasetError, SegueError
from segue.jobs.values import TrackJob
from segue.masks import read_index_mask, write_index_mask
from segue.masks.files import encode_index_mask
from segue.metrics.data_sets import Request, open_masks
from segue.metrics.evaluation import Evaluation
from segue.notices import notice
from segue.options import value_of
from segue.reports import write_report
from segue.reproduce.asked import How
from segue.reproduce.cost import cost_of
from segue.reproduce.needs import request_of
from segue.reproduce.notes import notes_of
from segue.reproduce.papers import Truth
from segue.reproduce.protocols import results_of, scored_here, with_job
from segue.reproduce.results import Done, Result, result_of
from segue.reproduce.stcn_report import (
    FirstFrame,
    Show,
    detector_file,
    filtering_image,
    first_frame,
    start_of,
)
from segue.reproduce.submission import write_submission
from segue.reproduce.tables import Table, TableRow
from segue.reproduce.trained import Trainer, random_start, training_lacks
from segue.types import MaskPrompt
from segue.video.images import write_image
from segue.video.partial import write_complete
from segue.weights import load

Adapt = Callable[[Iterator[Task]], Iterable[Task]]
"""Changes the videos of a data set before they are run."""


@dataclass(frozen=True, slots=True)
class Face:
    """Runs the videos of a data set, gives the number that failed, scores them, and trains."""

    run_videos: Callable[[Request, JobConfig, Adapt], int]
    score_videos: Callable[[Request, JobConfig, int], Evaluation]
    train: Callable[[Sequence[str]], object]
    notice: Callable[[str], None]


def do_table(table: Table, how: How, face: Face) -> Result:
    """Do the rows of a table whose data and weights are there."""
    table = replace(table, subset=table.subset if how.subset is None else how.subset)
    rows = [row for row in table.rows if how.rows is None or row.key in how.rows]
    done: list[Done] = []
    missing: tuple[str, ...] = ()
    broken: BaseException | None = None
    try:
        with interrupt_on_signals():
            request, missing = request_of(table, how)
            _check_new(table, rows, how)
            for row in rows:
                done.append(_done(row, table, request, how, face))
    except BaseException as error:  # Ctrl-C or a defect: what is finished is printed first
        broken = error
    return result_of(table, done, missing, how, broken)


def _done(row: TableRow, table: Table, request: Request | None, how: How, face: Face) -> Done:
    """Do a row; what is wrong with it is in its result."""
    model = row.model or how.model or table.model
    if row.model is None and how.model is not None:
        row = replace(row, training=None)
    random = random_start(row, how)
    try:
        found = _do(row, model, table, request, how, face)
    except SegueError as error:
        return Done(row, model, ended=str(error))
    except torch.cuda.OutOfMemoryError as error:  # of a detector; videos and trainings have their processes
        return Done(row, model, ended=_first_line(error))
    return found if found.lacks or found.ended else replace(found, random=random)


def _check_new(table: Table, rows: Iterable[TableRow], how: How) -> None:
    """See that there are no results of another run, unless that is resumed."""
    for row in rows:
        home = how.output / table.name / row.key / SUBFOLDER
        if (home / LEDGER).exists() and not how.resume:
            raise SegueError(f"{home}: there is a batch already; give --resume, or another output")


def _do(row: TableRow, model: str, table: Table, request: Request | None, how: How, face: Face) -> Done:
    lacks = tuple(_lacks(row, model, table, how))
    if request is None or lacks:
        return Done(row, model, lacks=lacks)
    options = [*table.options, *row.options, *how.run.of(model, row.key), "--model", model]
    folder = how.output / table.name / row.key
    trainer = Trainer(row, model, how, face.train, face.notice)
    adapt: Adapt = iter
    if row.first is not None:
        found_there: list[npt.NDArray[np.floating]] = []
        source = _source(row, model, table, how, found_there.append)
        adapt = partial(_from_first_frames, source=source, found=found_there, request=request, folder=folder)
    learns = row.training if row.key not in how.weights else None
    given = how.weights_of(row, model) if learns is None else None
    if learns is not None and learns.folds:
        adapt = trainer.videos
    elif learns is not None:
        options += ["--weights", str(trainer.weights())]
    elif given is not None:
        options += ["--weights", given]
    notice(f"{table.paper} {table.name}: {row.name}")
    running = JobConfig(options=tuple(options), output=str(folder), workers=how.workers, resume=how.resume)
    failed = face.run_videos(request, running, adapt)
    speed, reasons = _speed_and_reasons(folder)
    if failed and math.isnan(speed):
        return Done(row, model, folder=folder, failed=failed, ended=reasons[0])
    notes = (*reasons[:1], *notes_of(row, model, table, how))
    if (images := _images(folder)).is_dir():
        notes = (*notes, f"first frames before and after filtering: {images}")
    found = Done(row, model, None, speed, folder, failed=failed, notes=notes)
    if table.costs:
        found = _with_cost(found, folder)
    if not scored_here(request):
        return _packed(found, request, folder)
    evaluation = face.score_videos(request, running, failed)
    try:
        about = {"row": row.name, "model": model}
        write_report(evaluation, folder.with_name(f"{row.key}.html"), about=about)
    except (SegueError, OSError) as error:  # the scores are there, and may have taken days
        found = replace(found, notes=(*found.notes, f"no page of scores: {error}"))
    return replace(found, evaluation=evaluation)


def _packed(done: Done, request: Request, folder: Path) -> Done:
    """A row whose results are packed for the server that scores them, or say why they are not."""
    file = folder.with_name(f"{done.row.key}.zip")
    try:
        write_submission(file, replace(request, sequences=None), folder)
    except DatasetError as error:
        notes = (*done.notes, f"no zip for the server: {error}")
        return replace(done, folder=results_of(request, folder), notes=notes)
    return replace(done, folder=file)


def _from_first_frames(
    videos: Iterator[Task],
    source: FirstFrame,
    found: list[npt.NDArray[np.floating]],
    request: Request,
    folder: Path,
) -> Iterator[Task]:
    """The videos with the masks that a source draws; where it draws none, the results are empty masks."""
    sequences = open_masks(request)
    for video in videos:
        sequence = sequences[video.name]
        drawn = folder / SUBFOLDER / "prompts" / video.name / "found.png"
        if not drawn.exists():
            drawn.parent.mkdir(parents=True, exist_ok=True)
            start = start_of(sequence)
            chosen = source(start)
            if found:
                image = filtering_image(start, found.pop(), chosen)
                write_image(_images(folder) / f"{video.name}.png", image)
            write_complete(drawn, encode_index_mask(chosen))
        mask = read_index_mask(drawn)
        if mask.any():
            assert isinstance(video.job, TrackJob)
            yield with_job(video, prompts=tuple(MaskPrompt.each(mask, video.job.prompts[0].frame)))
            continue
        (folder / video.name).mkdir(parents=True, exist_ok=True)
        for frame in sequence.frames:
            write_index_mask(folder / video.name / f"{frame.stem}.png", mask)


def _images(folder: Path) -> Path:
    """Folder of the first-frame images of a row, beside its results."""
    return folder.with_name(f"{folder.name}-first-frames")


def _source(row: TableRow, model: str, table: Table, how: How, show: Show | None = None) -> FirstFrame:
    """Writer of the first-frame images of a row."""
    assert row.first is not None
    device = value_of(how.run.of(model, row.key), "--device")
    truth: Truth = "boxes" if table.dataset == "something" else "masks"
    return first_frame(row.first, truth, how.weights, device, show)


def _lacks(row: TableRow, model: str, table: Table, how: How) -> Iterator[str]:
    """Missing requirements of a row, with the command that provides each."""
    if row.training is not None and row.key not in how.weights:
        yield from training_lacks(row, how)
        return
    given = how.weights_of(row, model)
    try:
        load(model, given)
    except CheckpointError as error:
        if given is not None:
            raise
        yield f"{error} (here --weights {model}=FILE)"
    try:
        if row.first is not None:
            _source(row, model, table, how)
    except CheckpointError as error:
        if row.first is not None and detector_file(row.first, how.weights) is not None:
            raise
        yield str(error)


def _with_cost(done: Done, folder: Path) -> Done:
    """A row with time and memory of its network over the first frames of the first video that was done."""
    with Ledger(folder / SUBFOLDER / LEDGER, create=False) as ledger:
        job = next(task.job for task in ledger.tasks("done"))
    try:
        return replace(done, cost=cost_of(job))
    except (SegueError, RuntimeError, OSError) as error:
        return replace(done, notes=(*done.notes, f"time and memory were not measured: {_first_line(error)}"))


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _speed_and_reasons(folder: Path) -> tuple[float, list[str]]:
    """Frames a second of one worker, NaN where no video was done, and why others failed."""
    with Ledger(folder / SUBFOLDER / LEDGER, create=False) as ledger:
        rows = ledger.tasks("done")
        reasons = [f"{row.name}: {row.error}" for row in ledger.tasks("failed")]
    seconds = sum(row.seconds or 0.0 for row in rows)
    return sum(row.frames for row in rows) / seconds if seconds else math.nan, reasons
