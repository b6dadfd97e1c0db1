"""Run the rows of a table, and compare their numbers with the published ones."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from segue.batch.ledger import Ledger
from segue.batch.places import SUBFOLDER
from segue.batch.plan import Task
from segue.batch.shards import LEDGER
from segue.batch.work import JobConfig
from segue.dataset_runs.protocols import OWN_DEPTH, check_classes, results_of, scored_here, with_job
from segue.dataset_runs.submission import write_submission
from segue.errors import DatasetError, SegueError
from segue.inference.running import choose_device
from segue.jobs.plan import check_needs
from segue.jobs.values import InstancesJob, Model, VideoJob
from segue.metrics.data_sets import Request
from segue.metrics.evaluation import Evaluation
from segue.registry import DETECTORS
from segue.reports import evaluation_values, write_report
from segue.reports.charts import write_percentiles
from segue.utils.arrays import Float32Array
from segue.utils.cancel import interrupt_on_signals
from segue.video.sources.images import write_image
from segue.weights import load
from segue_papers.asked import How
from segue_papers.attention import attention_maps, draw_figure, read_frames, select_videos
from segue_papers.needs import folds_of, request_of, row_lacks, trained, training_of
from segue_papers.papers import SOURCES, Truth
from segue_papers.stcn_report import first_frame, with_first_frames
from segue_papers.strips import Strip, draw_strips
from segue_papers.tables import (
    NETWORK_PACE,
    NETWORK_SPEED,
    PACE,
    SIZE,
    SPEED,
    Difference,
    Table,
    TableRow,
    slug,
)


@dataclass(frozen=True, slots=True)
class Face:
    """Interface to run and score requests: makes jobs, runs videos, reports."""

    template: Callable[[Request, JobConfig], VideoJob]
    run_videos: Callable[[Request, JobConfig, VideoJob, Callable[[Iterator[Task]], Iterable[Task]]], int]
    score_videos: Callable[[Request, JobConfig, int], Evaluation]
    notice: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Done:
    """Outcome of a row: its run with scores, or the missing needs."""

    row: TableRow
    model: str
    folder: Path
    options: tuple[str, ...] = ()
    job: VideoJob | None = None  # of every video, its source still to be named; None where something lacks
    lacks: tuple[str, ...] = ()  # what must be there first
    notes: tuple[str, ...] = ()  # what a reader must know of this row
    failed: int = 0  # videos that failed
    ended: str | None = None  # what was wrong, where it ended before it had scores
    speed: float = math.nan
    network_speed: float = math.nan  # without reading and writing
    parameters: float = math.nan  # in millions
    evaluation: Evaluation | None = None

    @property
    def remarks(self) -> Iterator[str]:
        """Remarks below the table."""
        yield from (*self.lacks, *self.notes, *(() if self.ended is None else (f"ended: {self.ended}",)))
        if self.failed and self.ended is None:
            yield f"{self.failed} videos failed, and count as empty masks"
        yield from dict.fromkeys(() if self.evaluation is None else self.evaluation.remarks)


@dataclass(slots=True)
class TableRun:
    """A table with its requested rows: planned, then run as far as data and weights are present."""

    table: Table
    how: How
    face: Face
    request: Request | None  # what is there of its data set
    missing: list[str]  # of its data set
    remarks: list[str]
    rows: list[Done] = field(default_factory=list)
    percentiles: Mapping[str, list[float]] = field(default_factory=dict)
    attention: dict[str, dict[str, list[Float32Array]]] = field(default_factory=dict)  # by video and row
    broken: BaseException | None = None

    def cells(self) -> dict[str, list[str]]:
        """Table cells of rows: measured, then published."""
        table, rows = self.table, {}
        for done in self.rows:
            values = {SPEED: done.speed, NETWORK_SPEED: done.network_speed}
            values |= {PACE: _inverse(done.speed), NETWORK_PACE: _inverse(done.network_speed)}
            values[SIZE] = done.parameters
            if done.evaluation is not None:
                values |= table.measured(done.evaluation)
            measured = [table.show(name, values.get(name)) for name in table.measures]
            published = [table.show(name, done.row.published.get(name)) for name in table.headings]
            rows[done.row.name] = [*measured, *published]
        return rows

    def values(self) -> dict[str, Any]:
        """All results as JSON values."""
        rows = [
            {
                "name": done.row.name,
                "model": done.model,
                "options": list(done.options),
                "published": dict(done.row.published),
                "scores": done.evaluation and evaluation_values(done.evaluation),
                SPEED: None if math.isnan(done.speed) else done.speed,
                NETWORK_SPEED: None if math.isnan(done.network_speed) else done.network_speed,
                SIZE: None if math.isnan(done.parameters) else done.parameters,
                "results": str(done.folder),
                "lacks": list(done.lacks),
                "failed": done.failed,
                "ended": done.ended,
            }
            for done in self.rows
        ]
        names = {name: getattr(self.table, name) for name in ("name", "title", "remark")}
        return names | {"rows": rows, "remarks": self.remarks, "percentiles": dict(self.percentiles)}

    def plan(self) -> None:
        """Check each row without running it."""
        rows = [self._plan(row) for row in self.table.rows if row.key in (self.how.rows or {row.key})]
        for done in rows:
            if (done.folder / SUBFOLDER / LEDGER).exists() and not self.how.resume:
                text = "there is a batch already; give --resume, or another output"
                raise SegueError(f"{done.folder}: {text}")
        self.rows = [done if done.row.no_command else _attempt(self._check, done) for done in rows]

    def do(self) -> None:
        """Run the rows whose data and weights are present."""
        planned, self.rows = self.rows, []
        try:
            with interrupt_on_signals():
                for done in planned:
                    missing = done.lacks or done.ended or done.row.no_command
                    ready = self.request is not None and not missing
                    self.rows.append(_attempt(self._run, done) if ready else done)
        except BaseException as error:  # Ctrl-C or a defect: what is finished is printed first
            self.broken = error
        if self.how.model not in (None, self.table.model) and any(
            done.row.model is None for done in self.rows
        ):
            of_paper = f"{self.table.model}, of which the published numbers are"
            self.remarks.append(f"run with {self.how.model} instead of {of_paper}")
        self.remarks += filter(None, map(self._difference, self.table.differences))
        rows_of_text: dict[str, list[str]] = {}
        for done in self.rows:
            for text in done.remarks:
                rows_of_text.setdefault(text, []).append(done.row.name)
        for text, names in rows_of_text.items():
            self.remarks.append(text if len(names) == len(self.rows) else f"{', '.join(names)}: {text}")
        self._draw()

    def _plan(self, row: TableRow) -> Done:
        table, how = self.table, self.how
        model = row.model or how.model or table.model
        options = [*table.options, *row.options, *how.options_of(model, row), "--model", model]
        training = training_of(row, how)
        weights = trained(training, model, how) if training is not None else how.weights_of(row, model)
        if weights is not None and not (training is not None and training.folds):
            options += ["--weights", str(weights)]
        return Done(row, model, how.output / table.name / row.key, tuple(options))

    def _check(self, done: Done) -> Done:
        """Check the requirements, options and weights of a row."""
        if self.request is None:
            return done
        training = training_of(done.row, self.how)
        videos = [video.key for video in self.request.open()] if training and training.folds else []
        if lacks := tuple(row_lacks(done.row, self.table, self.how, videos)):
            return replace(done, lacks=lacks)
        job = self.face.template(self.request, self._config(done))
        if job.model.weights is not None:
            load(job.model.name, job.model.weights)  # it fits, or says what it holds
            if isinstance(job, InstancesJob):
                check_classes(self.request, job.model)
        model = job.model
        if training is not None and training.folds:
            weights = trained(training, done.model, self.how, folds_of(videos)[videos[0]])
            model = Model(name=done.model, weights=weights)
        source = job.source.model_copy(update={"place": str(self.request.data)})
        own_depth = {"depth": None} if getattr(job, "depth", None) == OWN_DEPTH else {}
        check_needs([job.model_copy(update={"source": source, "model": model, **own_depth})])
        return replace(done, job=job, parameters=_millions(model) if self.table.sizes else math.nan)

    def _config(self, done: Done) -> JobConfig:
        folder, how = str(done.folder), self.how
        return JobConfig(options=done.options, output=folder, workers=how.workers, resume=how.resume)

    def _run(self, done: Done) -> Done:
        """Run and score a row, or pack the zip for its server."""
        request = self.request
        assert request is not None
        assert done.job is not None
        self.face.notice(f"{self.table.paper} {self.table.name}: {done.row.name}: {self.command_of(done)}")
        if self.table.shows_attention:
            self._store_attention(request, done)
            return done
        config = self._config(done)
        failed = self.face.run_videos(request, config, done.job, partial(self._adapt, done))
        done = replace(done, failed=failed)
        with Ledger(done.folder / SUBFOLDER / LEDGER, create=False) as ledger:
            ran = ledger.tasks("done")
            reasons = [f"{task.name}: {task.error}" for task in ledger.tasks("failed")]
        frames = sum(task.frames for task in ran)
        seconds = sum(task.seconds or 0.0 for task in ran)
        network_seconds = sum(task.frames * (task.pace or 0.0) for task in ran)
        done = replace(
            done, speed=frames * _inverse(seconds), network_speed=frames * _inverse(network_seconds)
        )
        if done.failed and not ran:
            return replace(done, ended=reasons[0])
        notes = reasons[:1]
        if (images := _images(done)).is_dir():
            notes.append(f"first frames before and after filtering: {images}")
        page = done.folder.with_name(f"{done.row.key}.html")
        if not scored_here(request):
            place = page.with_suffix(".zip")
            try:
                write_submission(place, request.model_copy(update={"sequences": None}), done.folder)
            except DatasetError as error:
                notes.append(f"no zip for the server: {error}")
                place = results_of(request, done.folder)
            notes.append(f"the annotations of this part are not public; {self.table.server} scores {place}")
            return replace(done, folder=place, notes=tuple(notes))
        evaluation = self.face.score_videos(request, config, done.failed)
        try:
            write_report(evaluation, page, about={"row": done.row.name, "model": done.model})
        except (SegueError, OSError) as error:  # the scores are there, and may have taken days
            notes.append(f"no page of scores: {error}")
        return replace(done, evaluation=evaluation, notes=tuple(notes))

    def _difference(self, difference: Difference) -> str | None:
        """Measured value of a published difference."""
        values = {
            done.row.name: self.table.measured(done.evaluation)
            for done in self.rows
            if done.evaluation is not None
        }
        row, other = (
            values.get(name, {}).get(difference.heading) for name in (difference.row, difference.other)
        )
        if row is None or other is None:
            return None
        return (
            f"{difference.heading} of {difference.row} is {row - other:+.1f} points from {difference.other}; "
            f"published {difference.published:+.1f}"
        )

    def command_of(self, done: Done) -> str:
        """Shell command that reproduces a row alone."""
        request, training = self.request, training_of(done.row, self.how)
        assert request is not None
        by_itself = self.table.shows_attention or done.row.first is not None
        if by_itself or (training is not None and training.folds):
            return self._own_command(done)
        everything = request.model_copy(update={"sequences": None})
        if request.sequences and len([*everything.open()]) == len([*request.open()]):
            request = everything
        where = [request.dataset, str(request.data), *request.words]
        text = self.table.published_text(done.row)
        published = ("--published", text) if text else ()
        return shlex.join(["segue", "run", *where, *done.options, *published, "-o", str(done.folder)])

    def _own_command(self, done: Done) -> str:
        """Command of this table for a row that no other command can express."""
        table, how = self.table, self.how
        words = ["segue", "reproduce", table.paper, table.name, "--row", done.row.name]
        names = {table.dataset, *(table_training.data if (table_training := done.row.training) else ())}
        words += [
            part
            for name in sorted(names & how.data.keys())
            for part in ("--data", f"{name}={how.data[name]}")
        ]
        source = SOURCES[done.row.first].detector if done.row.first is not None else None
        networks = {done.model, done.row.key, *([source, DETECTORS.find(source).network] if source else [])}
        words += [
            part
            for name, path in how.weights.items()
            if name in networks
            for part in ("--weights", f"{name}={path}")
        ]
        words += [] if how.model is None else ["--model", how.model]
        words += [] if how.subset is None else ["--set", how.subset]
        words += [part for name in how.sequences or () for part in ("--sequence", name)]
        words += [
            part for name, text in how.run for part in ("--run", text if name is None else f"{name}={text}")
        ]
        return shlex.join([*words, "-o", str(how.output)])

    def _adapt(self, done: Done, videos: Iterator[Task]) -> Iterator[Task]:
        """Videos with first frames of another source, or with weights of their fold."""
        assert self.request is not None
        assert done.job is not None
        training = training_of(done.row, self.how)
        if done.row.first is not None:
            truth: Truth = "boxes" if self.table.dataset == "something" else "masks"
            source = first_frame(done.row.first, truth, self.how.weights, done.job.device)
            sequences = self.request.open()
            yield from with_first_frames(videos, source, sequences, done.folder, _images(done))
        elif training is not None and training.folds:
            for video in videos:
                assert video.job is not None
                fold = folds_of([video.name])[video.name]
                weights = trained(training, done.model, self.how, fold).absolute()
                yield with_job(video, model=video.job.model.model_copy(update={"weights": weights}))
        else:
            yield from videos

    def _draw_strips(self, evaluations: Mapping[str, Evaluation], kind: Strip) -> None:
        folder = self.how.output / self.table.name / "strips"
        try:
            if draw_strips(evaluations, kind, folder):
                self.remarks.append(f"frames on which rows differ most: {folder}")
        except (SegueError, OSError) as error:
            self.remarks.append(f"no strips: {error}")

    def _store_attention(self, request: Request, done: Done) -> None:
        """Store the attention of a row's network."""
        assert done.job is not None
        model = done.job.model
        network = load(model.name, model.weights, device=str(choose_device(done.job.device)))
        data = request.open()
        for title, video in select_videos(data, self.how.sequences).items():
            maps = attention_maps(network, read_frames(data, video))
            self.attention.setdefault(title, {})[done.row.name] = maps

    def _draw_attention(self) -> None:
        """Draw an image per video with the maps of all rows."""
        if not self.attention:
            return
        assert self.request is not None
        data = self.request.open()
        folder = self.how.output / self.table.name
        for title, video in select_videos(data, self.how.sequences).items():
            image = draw_figure(read_frames(data, video), self.attention[title])
            write_image(folder / f"{slug(title)}.png", image)
            self.remarks.append(f"{title}: video {video.name}, {folder / f'{slug(title)}.png'}")

    def _draw(self) -> None:
        """Draw the distribution of a measure over all objects and frames, one line per row."""
        self._draw_attention()
        scored = [(done, done.evaluation) for done in self.rows if done.evaluation is not None]
        if self.table.strip is not None and scored:
            self._draw_strips({done.row.name: evaluation for done, evaluation in scored}, self.table.strip)
        if self.table.curve is None or not scored:
            return
        count = len(scored[0][1].sequences)
        title = f"{self.table.title.partition(',')[0]} ({scored[0][0].model}, {count} videos)"
        image = self.how.output / self.table.name / "percentiles.svg"
        lines = {done.row.name: evaluation.values_of(self.table.curve) for done, evaluation in scored}
        try:
            self.percentiles = write_percentiles(image, title, self.table.curve, lines)
            self.remarks.append(f"curve: {image}")
        except (SegueError, OSError) as error:  # rows that took days are printed without it
            self.remarks.append(f"no curve: {error}")


def plan_table(table: Table, how: How, face: Face) -> TableRun:
    """Plan the requested rows of a table without running them."""
    request, missing = request_of(table, how)
    remarks = [*filter(None, (table.remark,)), *missing]
    run = TableRun(table, how, face, request, missing, remarks)
    run.plan()
    return run


def _images(done: Done) -> Path:
    """Folder of a row's first-frame images, beside its results."""
    return done.folder.with_name(f"{done.folder.name}-first-frames")


def _inverse(value: float) -> float:
    """Reciprocal of a number; NaN for 0."""
    return 1 / value if value else math.nan


def _millions(model: Model) -> float:
    """Trainable parameters of a network, in millions."""
    network = load(model.name, model.weights)
    return float(sum(parameter.numel() for parameter in network.parameters())) / 1e6


def _attempt(step: Callable[[Done], Done], done: Done) -> Done:
    """Run a step of a row; an error becomes its outcome."""
    try:
        return step(done)
    except SegueError as error:
        return replace(done, ended=str(error))
    except torch.cuda.OutOfMemoryError as error:  # of a detector; videos have their processes
        return replace(done, ended=next(iter(str(error).splitlines()), type(error).__name__))
