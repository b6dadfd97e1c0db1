"""How the command line scores each data set, for ``segue eval`` and ``segue compare`` alike."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum
from pathlib import Path
from typing import cast

from segue.datasets import hofam, lasiesta, limu, sbi
from segue.datasets.cdnet import open_cdnet, read_training_frames
from segue.datasets.davis import DavisFolder
from segue.datasets.foreground import ForegroundFolder, open_plain
from segue.datasets.ytvis import YTVISDataset
from segue.datasets.ytvos import YtvosFolder, read_categories
from segue.errors import DatasetError
from segue.metrics import davis_results, foreground_results
from segue.metrics.cdnet import OFFICIAL, evaluate_cdnet, evaluate_videos
from segue.metrics.cross_scene import HOFAM, evaluate_hofam, evaluate_lasiesta
from segue.metrics.evaluation import Evaluation
from segue.metrics.foreground_results import ForegroundSettings
from segue.metrics.missing import Missing
from segue.metrics.parallel import Progress
from segue.metrics.ytvis import evaluate_ytvis
from segue.metrics.ytvos import evaluate_ytvos


class DataSetName(str, Enum):
    """Data sets that results can be scored on."""

    davis = "davis"
    folder = "folder"
    ytvos = "ytvos"
    ytvis = "ytvis"
    ovis = "ovis"
    cdnet = "cdnet"
    sbi = "sbi"
    lasiesta = "lasiesta"
    limu = "limu"
    hofam = "hofam"
    foreground = "foreground"


class TaskName(str, Enum):
    """Tasks of DAVIS."""

    semi = "semi"
    unsupervised = "unsupervised"


class YearName(str, Enum):
    """Editions of DAVIS."""

    y2016 = "2016"
    toolkit = "2016-toolkit"
    y2017 = "2017"


class MissingName(str, Enum):
    """What a frame without a result is."""

    error = "error"
    empty = "empty"


class ForegroundMissingName(str, Enum):
    """What a labelled frame without a result is."""

    error = "error"
    empty = "empty"
    skip = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is scored and how; ``results`` come apart, for there may be two.

    Attributes:
        dataset: which data set it is.
        data: where its ground truth lies.
        subset: name of its split.
        sequences: names of the only sequences to score.
        task: task of DAVIS.
        year: edition of DAVIS.
        seen: file with the categories of YouTube-VOS that were trained on.
        threshold: value from which on results are foreground; None for that of the data set.
        training_frames: ``COUNT@FILE``: frames to leave out.
        missing: what a frame without a result is.
        workers: processes that score sequences side by side.
    """

    dataset: DataSetName
    data: Path
    subset: str | None = None
    sequences: tuple[str, ...] = ()
    task: TaskName = TaskName.semi
    year: YearName = YearName.y2017
    seen: Path | None = None
    threshold: int | None = None
    training_frames: str | None = None
    missing: str = "error"
    workers: int = 1

    def score(self, results: Path, progress: Progress) -> Evaluation:
        """Score results.

        Raises:
            SegueError: something is missing, does not fit, or has no meaning for the data set.
        """
        score, options = _SCORERS[self.dataset]
        for item in fields(self):
            given = item.name not in ("dataset", "data") and getattr(self, item.name) != item.default
            if given and item.name not in options:
                name = _OPTIONS.get(item.name, item.name.replace("_", "-"))
                raise DatasetError(f"--{name} means nothing for {self.dataset.value}; leave it out")
        return score(results, self, progress)


def _davis(results: Path, request: Request, progress: Progress) -> Evaluation:
    if request.task == TaskName.unsupervised and request.year != YearName.y2017:
        raise DatasetError(f"the unsupervised task is of DAVIS 2017, but --year is {request.year.value}")
    unsupervised = request.task == TaskName.unsupervised
    subset = request.subset
    if subset is None and (request.data / "ImageSets").is_dir() and request.dataset == DataSetName.davis:
        subset = "val"
    davis = DavisFolder(
        request.data,
        _names(request) or subset,
        year=int(request.year.value[:4]),
        annotations="Annotations_unsupervised" if unsupervised else "Annotations",
    )
    protocol = "unsupervised" if unsupervised else request.year.value
    return davis_results.evaluate_davis(
        results,
        davis,
        protocol=cast(davis_results.Protocol, protocol),
        missing=cast(Missing, request.missing),
        workers=request.workers,
        progress=progress,
    )


def _names(request: Request) -> tuple[str, ...]:
    if request.sequences and request.subset is not None:
        raise DatasetError("give --set or --sequence, not both")
    return request.sequences


def _ytvos(results: Path, request: Request, progress: Progress) -> Evaluation:
    ytvos = YtvosFolder(request.data / (request.subset or "."), videos=request.sequences or None)
    return evaluate_ytvos(
        results,
        ytvos,
        seen=None if request.seen is None else read_categories(request.seen),
        missing=cast(Missing, request.missing),
        workers=request.workers,
        progress=progress,
    )


def _ytvis(results: Path, request: Request, progress: Progress) -> Evaluation:
    return evaluate_ytvis(results, YTVISDataset.open(request.data, request.subset or "valid"))


def _cdnet(results: Path, request: Request, progress: Progress) -> Evaluation:
    exclude: Mapping[str, Collection[int]] | None = None
    if request.training_frames is not None:
        count, _, file = request.training_frames.partition("@")
        if not count.isdecimal() or not file:
            raise DatasetError(f"--training-frames {request.training_frames}: give COUNT@FILE")
        exclude = read_training_frames(file, int(count))
    return evaluate_cdnet(
        results,
        _videos(open_cdnet, request),
        _settings(request),
        missing=_missing(request),
        exclude=exclude,
        workers=request.workers,
        progress=progress,
    )


def _named_videos(
    name: str, open_videos: Callable[[Path], ForegroundFolder], expected: Collection[str] = ()
) -> Callable[[Path, Request, Progress], Evaluation]:
    """Scores videos that have no protocol of their own."""

    def score(results: Path, request: Request, progress: Progress) -> Evaluation:
        return evaluate_videos(
            results,
            _videos(open_videos, request),
            _settings(request),
            missing=_missing(request),
            protocol=name,
            expected=expected,
            workers=request.workers,
            progress=progress,
        )

    return score


def _lasiesta(results: Path, request: Request, progress: Progress) -> Evaluation:
    return evaluate_lasiesta(
        results,
        _videos(lasiesta.open_lasiesta, request),
        _settings(request),
        missing=_missing(request),
        workers=request.workers,
        progress=progress,
    )


def _hofam(results: Path, request: Request, progress: Progress) -> Evaluation:
    return evaluate_hofam(
        results,
        _videos(hofam.open_hofam, request),
        _settings(request, HOFAM),
        missing=_missing(request),
        workers=request.workers,
        progress=progress,
    )


def _videos(open_videos: Callable[[Path], ForegroundFolder], request: Request) -> ForegroundFolder:
    videos = open_videos(request.data)
    return videos.select(request.sequences) if request.sequences else videos


def _settings(request: Request, base: ForegroundSettings = OFFICIAL) -> ForegroundSettings:
    return base if request.threshold is None else replace(base, threshold=request.threshold)


def _missing(request: Request) -> foreground_results.Missing:
    return cast(foreground_results.Missing, request.missing)


_OPTIONS = {"subset": "set", "sequences": "sequence"}
"""Options that are called otherwise than their attribute."""

_OF_VIDEOS = ("sequences", "threshold", "missing", "workers")

_SCORERS: Mapping[DataSetName, tuple[Callable[[Path, Request, Progress], Evaluation], Collection[str]]] = {
    DataSetName.davis: (_davis, ("subset", "sequences", "task", "year", "missing", "workers")),
    DataSetName.folder: (_davis, ("sequences", "task", "missing", "workers")),
    DataSetName.ytvos: (_ytvos, ("subset", "sequences", "seen", "missing", "workers")),
    DataSetName.ytvis: (_ytvis, ("subset",)),
    DataSetName.ovis: (_ytvis, ("subset",)),
    DataSetName.cdnet: (_cdnet, (*_OF_VIDEOS, "training_frames")),
    DataSetName.sbi: (_named_videos("SBI2015", sbi.open_sbi, sbi.VIDEOS), _OF_VIDEOS),
    DataSetName.lasiesta: (_lasiesta, _OF_VIDEOS),
    DataSetName.limu: (_named_videos("LIMU", limu.open_limu), _OF_VIDEOS),
    DataSetName.hofam: (_hofam, _OF_VIDEOS),
    DataSetName.foreground: (_named_videos("foreground", open_plain), _OF_VIDEOS),
}
"""How each data set is scored, and which attributes of a request mean something to it."""
