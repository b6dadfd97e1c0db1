"""How ``segue reproduce`` does a table: find what is there, train, run and score row by row."""

from __future__ import annotations

import hashlib
import math
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from annotated_types import Ge

from segue.batch.do import LEDGER
from segue.batch.ledger import Ledger
from segue.batch.names import SUBFOLDER
from segue.batch.protocols import DatasetVideo, dataset_videos, results_of, scored_here
from segue.batch.submission import write_submission
from segue.batch.work import JobConfig
from segue.datasets.cdnet import unseen_folds
from segue.datasets.davis import DAVIS_2016_VAL, DAVIS_VAL
from segue.datasets.inventories import described_videos, list_davis
from segue.datasets.ytvos import all_frames_folder
from segue.errors import CheckpointError, DatasetError
from segue.extras import missing_packages
from segue.jobs.processes import settings_of, value_of
from segue.jobs.prompting import mask_values
from segue.jobs.values import TrainJob
from segue.masks import read_index_mask, write_index_mask
from segue.masks.files import encode_index_mask
from segue.metrics.data_sets import Request, open_masks
from segue.metrics.evaluation import Evaluation
from segue.naming import first_few
from segue.registry import DATASETS, MODELS
from segue.reports import evaluation_values, write_report
from segue.reports.charts import write_percentiles
from segue.reproduce import Row, Table, Training
from segue.reproduce.stcn_report import FirstFrame, first_frame, start_of
from segue.video.partial import write_complete
from segue.weights import load, read_checkpoint


@dataclass(frozen=True, slots=True)
class How:
    """What is run for the rows of tables, and how.

    Attributes:
        data: where a data set is, NAME=FOLDER; may be given several times.
        weights: weight file of a network, a detector or a row, NAME=FILE.
        output: folder.  [default: segue-out/PAPER]
        rows: only this row; may be given several times.
        model: run this network instead of the paper's.
        subset: part of the data set, instead of the paper's.
        sequences: only this sequence, video or category; may be given several.
        run: further options of the command of a row.
        train: further options of `segue train`, for rows that train.
        workers: number of workers.  [default: one a core]
        resume: go on with an interrupted run.
        quiet: no progress.
    """

    data: Mapping[str, Path]
    weights: Mapping[str, str]
    output: Path
    rows: frozenset[str] | None = None
    model: str | None = None
    subset: str | None = None
    sequences: list[str] | None = None
    run: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    workers: Annotated[int | None, Ge(1)] = None
    resume: bool = False
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Face:
    """Who has the rows done: it runs the videos of a data set, scores them, and trains.

    Attributes:
        run_videos: runs a model over the videos of a request, or over those that are given; gives the number
            of those that failed.
        score_videos: scores what was written; given the number of those that failed.
        train: carries out a training.
        notice: tells a line.
    """

    run_videos: Callable[[Request, JobConfig, Iterable[DatasetVideo] | None], int]
    score_videos: Callable[[Request, JobConfig, int], Evaluation]
    train: Callable[[TrainJob], None]
    notice: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a row: its scores and frames a second of one worker, or what must be there first."""

    row: Row
    model: str
    evaluation: Evaluation | None = None
    speed: float = math.nan
    folder: Path | None = None
    lacks: tuple[str, ...] = ()
    failed: int = 0
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a table, with the percentiles of its curve at 0, 10, ... 100 percent by row."""

    table: Table
    rows: tuple[Done, ...]
    remarks: tuple[str, ...]
    percentiles: Mapping[str, list[float]] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        return sum(done.failed for done in self.rows)

    def cells(self) -> dict[str, list[str]]:
        """Rows as they are printed: measured, published, frames/s."""
        rows = {}
        for done in self.rows:
            measured = {} if done.evaluation is None else self.table.measured(done.evaluation.overall)
            rows[done.row.name] = [
                *(self.table.show(measured.get(name)) for name in self.table.columns),
                "" if math.isnan(done.speed) else f"{done.speed:.1f}",
                *(self.table.show(done.row.published.get(name)) for name in self.table.headings),
            ]
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
                "results": done.folder and str(done.folder),
                "lacks": list(done.lacks),
                "failed": done.failed,
            }
            for done in self.rows
        ]
        names = {name: getattr(self.table, name) for name in ("name", "title", "remark")}
        return names | {"rows": rows, "remarks": list(self.remarks), "percentiles": dict(self.percentiles)}


def do_table(table: Table, how: How, face: Face) -> Result:
    """Do the rows of a table whose data and weights are there."""
    table = replace(table, subset=table.subset if how.subset is None else how.subset)
    rows = [row for row in table.rows if how.rows is None or row.key in how.rows]
    remarks = [] if table.remark is None else [table.remark]
    request, missing = _request(table, how)
    done = [_do(row, table, request, how, face) for row in rows]
    remarks += missing
    if how.model not in (None, table.model) and any(row.model is None for row in rows):
        remarks.append(f"run with {how.model} instead of {table.model}, of which the published numbers are")
    for lack in dict.fromkeys(lack for item in done for lack in item.lacks):
        names = [item.row.name for item in done if lack in item.lacks]
        if lack not in missing:
            remarks.append(lack if len(names) == len(done) else f"{', '.join(names)}: {lack}")
    remarks += dict.fromkeys(text for item in done if item.evaluation for text in item.evaluation.remarks)
    for item in done:
        remarks += [f"{item.row.name}: {remark}" for remark in item.remarks]
        if item.failed:
            remarks.append(f"{item.row.name}: {item.failed} videos failed, and count as empty masks")
        if item.folder and item.evaluation is None:
            where = f"{table.server} scores {item.folder}"
            remarks.append(f"{item.row.name}: the annotations of this part are not public; {where}")
    percentiles: dict[str, list[float]] = {}
    scored = [(item, item.evaluation) for item in done if item.evaluation is not None]
    if table.curve is not None and scored:
        first, evaluation = scored[0]
        title = f"{table.title.partition(',')[0]} ({first.model}, {len(evaluation.sequences)} videos)"
        picture = how.output / table.name / "percentiles.svg"
        lines = {item.row.name: _values(evaluation, table.curve) for item, evaluation in scored}
        percentiles = write_percentiles(picture, title, table.curve, lines)
        remarks.append(f"curve: {picture}")
    return Result(table, tuple(done), tuple(remarks), percentiles)


def _request(table: Table, how: How) -> tuple[Request | None, tuple[str, ...]]:
    """What is run of the data set, or None where it is not there; and what is missing of it."""
    if table.dataset not in how.data:
        return None, (_absent(table.dataset),)
    root, names = how.data[table.dataset], how.sequences
    missing: tuple[str, ...] = (f"of the data set only {first_few(names or ())}",)
    if not names:
        names, missing = videos_of(table, root)
    part = {"year": table.year} if table.dataset == "davis" else {"subset": table.subset}
    return Request(data=root, dataset=table.dataset, sequences=names, **part), missing


def videos_of(table: Table, root: Path) -> tuple[list[str] | None, tuple[str, ...]]:
    """The videos of a table that are in a folder, and remarks on what is missing.

    None stands for all that the reader of the data set finds there.

    Raises:
        DatasetError: nothing is there.
    """
    if table.subset is None or table.dataset not in ("davis", "ytvos"):
        return None, ()
    remarks: tuple[str, ...] = ()
    if table.dataset == "davis":
        wanted, there = _davis_split(root, table.year[:4], table.subset), list(list_davis(root).parts)
    else:
        folder = root / table.subset
        images = all_frames_folder(folder)
        wanted = described_videos(folder / "meta.json")
        there = [name for name in wanted if ((images or folder / "JPEGImages") / name).is_dir()]
        if images is None:
            remarks = (
                f"{folder.name}_all_frames is not there: the memory interval counts frames of {folder.name}",
            )
    found = [name for name in wanted if name in there]
    missing = [name for name in wanted if name not in there]
    part = f"{table.subset} of {DATASETS.find(table.dataset).title}"
    if not there:
        raise DatasetError(f"{root} holds no video")
    if not found:
        text = f"none of the {len(wanted)} videos of {part} is there; all {len(there)} were taken"
        return there, (text, *remarks)
    if not missing:
        return found, remarks
    text = f"{len(missing)} of the {len(wanted)} videos of {part} are missing: {first_few(missing)}"
    return found, (text, *remarks)


def _davis_split(root: Path, year: str, part: str) -> list[str]:
    """Names of the sequences of a split; those of the validation sets are known without ``ImageSets``."""
    file = root / "ImageSets" / year / f"{part}.txt"
    if file.is_file():
        return list(filter(None, map(str.strip, file.read_text("utf-8", "replace").splitlines())))
    if part != "val":
        raise DatasetError(f"no part {part!r}: {file} does not exist; give sequence names")
    return sorted(DAVIS_2016_VAL if year == "2016" else DAVIS_VAL)


def _absent(name: str) -> str:
    """What brings a data set."""
    entry = DATASETS.find(name)
    return f"{entry.title} is not there: {entry.address}; give --data {name}=FOLDER"


def _do(row: Row, table: Table, request: Request | None, how: How, face: Face) -> Done:
    model = row.model or how.model or table.model
    if row.model is None and how.model is not None:
        row = replace(row, training=None)
    lacks = tuple(_lacks(row, model, table, how))
    if request is None or lacks:
        return Done(row, model, lacks=lacks)
    options = [*row.options, *how.run, "--model", model]
    folder = how.output / table.name / row.key
    videos = None if row.first is None else _from_first_frames(_source(row, table, how), request, folder)
    if row.training is not None and row.training.folds and row.key not in how.weights:
        videos = _by_fold(row.training, model, request, folder, how, face)
    elif weights := _weights(row, model, how, face):
        options += ["--weights", weights]
    if not how.quiet:
        face.notice(f"{table.paper} {table.name}: {row.name}")
    running = JobConfig(
        options=tuple(options), output=str(folder), workers=how.workers, resume=how.resume, quiet=how.quiet
    )
    failed = face.run_videos(request, running, videos)
    speed = _speed(folder)
    if not scored_here(request):
        done = Done(row, model, speed=speed, folder=folder.with_name(f"{row.key}.zip"), failed=failed)
        assert done.folder is not None
        try:
            write_submission(done.folder, replace(request, sequences=None), folder)
        except DatasetError as error:
            lack = f"no zip for the server: {error}"
            return replace(done, folder=results_of(request, folder), remarks=(lack,))
        return done
    evaluation = face.score_videos(request, running, failed)
    write_report(evaluation, folder.with_name(f"{row.key}.html"), about={"row": row.name, "model": model})
    return Done(row, model, evaluation, speed, folder, failed=failed)


def _from_first_frames(source: FirstFrame, request: Request, folder: Path) -> Iterator[DatasetVideo]:
    """The videos with the masks that a source draws; where it draws none, the results are empty masks."""
    sequences = open_masks(request)
    for video in dataset_videos(request, folder):
        sequence = sequences[video.name]
        drawn = folder / SUBFOLDER / "prompts" / video.name / "found.png"
        if not drawn.exists():
            drawn.parent.mkdir(parents=True, exist_ok=True)
            write_complete(drawn, encode_index_mask(source(start_of(sequence))))
        mask = read_index_mask(drawn)
        if mask.any():
            yield replace(video, prompts=mask_values(mask, video.prompts[0].frame))
            continue
        (folder / video.name / "masks").mkdir(parents=True, exist_ok=True)
        for frame in sequence.frames:
            write_index_mask(folder / video.name / "masks" / f"{frame.stem}.png", mask)


def _source(row: Row, table: Table, how: How) -> FirstFrame:
    """What draws the first frames of a row."""
    assert row.first is not None
    device = value_of(list(how.run), "--device")
    return first_frame(row.first, "boxes" if table.dataset == "something" else "masks", how.weights, device)


def _lacks(row: Row, model: str, table: Table, how: How) -> Iterator[str]:
    """What a row needs and is not there, with what brings it."""
    if row.training is not None and row.key not in how.weights:
        if missing := missing_packages("train"):
            yield f"training needs {missing}"
        yield from (_absent(name) for name in row.training.data if name not in how.data)
        start = row.training.start
        if start is not None and start not in how.weights and not {"--start", "--init"} & set(how.train):
            place = f'{MODELS.find(start).source}; give --weights {start}=FILE or --train "--init FILE"'
            yield f"the training begins from {start}, {place}"
        return
    given = how.weights.get(row.key, how.weights.get(model))
    try:
        load(model, given)
    except CheckpointError as error:
        if given is not None:
            raise
        yield f"{error} (here --weights {model}=FILE)"
    try:
        if row.first is not None:
            _source(row, table, how)
    except CheckpointError as error:
        yield str(error)


def _weights(row: Row, model: str, how: How, face: Face) -> str | None:
    """The weight file of a row, trained if it must be; None where the network has its own."""
    if row.key in how.weights:
        return how.weights[row.key]
    if row.training is None:
        return how.weights.get(model)
    return str(_trained(row.training, model, how, face))


def _by_fold(
    training: Training, model: str, request: Request, folder: Path, how: How, face: Face
) -> Iterator[DatasetVideo]:
    """The videos, each with the weights of a training that left out its fold."""
    folds = unseen_folds()
    for video in dataset_videos(request, folder):
        if video.name not in folds:
            raise DatasetError(f"{video.name} is no video of CDnet2014, whose folds are known")
        yield replace(video, weights=_trained(training, model, how, face, folds[video.name]))


def _trained(training: Training, model: str, how: How, face: Face, fold: int | None = None) -> Path:
    """The weights of a training that has come to its end, and left out a fold."""
    job = training_job(training, how, fold)
    weights = job.folder / f"{model}.safetensors"
    notes = read_checkpoint(weights).metadata if weights.exists() else None
    if notes is not None and notes["step"] == notes["steps"]:
        return weights
    how_again = {"overwrite": notes is None, "resume": notes is not None} if how.resume else {}
    typed = [*_training_words(training, how, fold), "--out", str(how.output / "weights" / job.folder.name)]
    face.notice("segue train " + shlex.join(typed))
    face.train(job.model_copy(update=how_again))
    return weights


def _training_words(training: Training, how: How, fold: int | None) -> list[str]:
    """A training of a row as it would be typed after ``segue train``, without where its weights go."""
    words = [training.network, *training.options, *how.train]
    words += [f"--data={name}={how.data[name]}" for name in training.data]
    words += [] if fold is None else ["--fold", str(fold)]
    if training.start is not None and training.start in how.weights:
        words += ["--start", how.weights[training.start]]
    return words


def training_job(training: Training, how: How, fold: int | None = None) -> TrainJob:
    """The training of a row as a job, whose folder is told from others by all that it depends on."""
    words = _training_words(training, how, fold)
    name = f"{training.name}-{hashlib.sha256(shlex.join(words).encode()).hexdigest()[:8]}"
    return TrainJob(
        network=training.network,
        settings=settings_of(words[1:]),
        folder=(how.output / "weights" / name).absolute(),
    )


def _speed(folder: Path) -> float:
    with Ledger(folder / SUBFOLDER / LEDGER, create=False) as ledger:
        rows = list(ledger.rows("done"))
    seconds = sum(row.seconds or 0.0 for row in rows)
    return sum(row.frames for row in rows) / seconds if seconds else math.nan


def _values(evaluation: Evaluation, measure: str) -> npt.NDArray[np.float64]:
    """A measure of every object on every scored frame."""
    found = []
    for series in evaluation.series.values():
        objects = [key for key in series if key.startswith(f"{measure}_")]
        found += [series[key].values for key in objects or [measure]]
    return np.concatenate(found)
