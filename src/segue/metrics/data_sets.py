"""Open and score data sets for ``segue run`` and ``segue eval``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from segue.datasets.catalogue import KINDS, completed
from segue.datasets.davis import DavisFolder, Sequence
from segue.datasets.files import ByName
from segue.datasets.foreground.cdnet import read_training_frames
from segue.datasets.foreground.folder import ForegroundFolder
from segue.datasets.foreground.isd import open_isd_part
from segue.datasets.opening import open_labels
from segue.datasets.something import SomethingElseFolder
from segue.datasets.ytvis import YTVISDataset
from segue.datasets.ytvos import YtvosFolder, all_frames_folder, read_categories
from segue.entries.datasets import LabelKind
from segue.errors import DatasetError
from segue.metrics.davis_results import DavisProtocol, evaluate_davis
from segue.metrics.evaluation import Evaluation, Progress
from segue.metrics.foreground import counts as foreground
from segue.metrics.foreground.cdnet import evaluate_foreground, rules_of
from segue.metrics.further import with_metrics
from segue.metrics.ytvis import evaluate_ytvis
from segue.metrics.ytvos import evaluate_ytvos
from segue.options import FilePath, OptionModel, flags_of, offered, option
from segue.registry import DATASETS, METRICS, DatasetEntry
from segue.utils.inputs import whole_number

Year = Literal["2016", "2016-toolkit", "2017"]


class Request(OptionModel):
    """Part and protocol of a data set to score; results are separate, for a comparison has two."""

    data: FilePath = option()
    """Folder of the data set."""

    dataset: str = option("davis")
    """Data set with the scoring rules, as for segue eval."""

    subset: str | None = option(None, flags="set")
    """Split, as for segue eval."""

    sequences: list[str] | None = option(None, flags="sequence")
    """Only this sequence, video or category. Repeatable."""

    task: Literal["semi", "unsupervised"] = option("semi")
    """Task of DAVIS."""

    year: Year = option("2017")
    """Edition of DAVIS; 2016 merges all objects into one, 2016-toolkit scores all frames."""

    seen: FilePath | None = option(None)
    """Training categories of YouTube-VOS: one per line, or a meta.json.  [default: all]"""

    threshold: int | None = option(None, ge=1, le=255)
    """Values of at least this number are foreground.  [default: 255; hofam 15]"""

    training_frames: str | None = option(None)
    """Leave out the training frames of CDnet2014 in a list, COUNT@FILE."""

    missing: foreground.Missing = option("error")
    """How to score a labelled frame without a result."""

    metrics: list[str] | None = option(None, flags="metric")
    """Add a measure of masks: dice, precision, recall, or a metric of a plug-in. Repeatable."""

    workers: int = option(1, ge=1)
    """Number of sequences to score in parallel."""

    def score(self, results: Path, progress: Progress) -> Evaluation:
        """Score results by the protocol of the data set."""
        entry = self.check()
        assert entry.evaluate is not None
        for name in self.metrics or ():
            METRICS.find(name)
        evaluation: Evaluation = entry.evaluate(results, self, progress)
        return with_metrics(evaluation, self.metrics) if self.metrics else evaluation

    def open(self) -> Any:
        """Open the requested videos."""
        entry = self.entry
        assert entry.open is not None
        return entry.open(self)

    @property
    def entry(self) -> DatasetEntry:
        """Registry entry of the data set, specialised for its kind of labels."""
        if self.dataset not in data_sets():
            raise DatasetError(f"dataset {self.dataset!r}: give one of {', '.join(data_sets())}")
        return completed(DATASETS.find(self.dataset))

    @property
    def part(self) -> str | None:
        """Requested part of the data set, or its default."""
        return self.subset or self.entry.part

    def check(self) -> DatasetEntry:
        """Entry of the data set; raises an error for options that do not apply to it."""
        entry = self.entry
        supported = {"data", "dataset", "metrics", *(entry.options or "").split()}
        for place, item in offered(Request):
            if place[0] not in supported and getattr(self, place[0]) not in (item.default, []):
                flag = flags_of(place, item)[0]
                raise DatasetError(f"--{flag} does not apply to {self.dataset}; leave it out")
        return entry

    @property
    def words(self) -> list[str]:
        """Options of ``segue run`` and ``segue eval`` for this part of the data set."""
        words: list[str] = []
        for name in ("subset", "sequences", "year"):
            value, item = getattr(self, name), Request.model_fields[name]
            if value not in (item.default, []):
                flag = f"--{flags_of((name,), item)[0]}"
                words += [
                    word for each in (value if isinstance(value, list) else [value]) for word in (flag, each)
                ]
        return words

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments that all evaluations of masks share."""
        return {"missing": self.missing, "workers": self.workers}


class MaskRequest(Request):
    """Request for masks, in which every labelled frame counts."""

    missing: Literal["error", "empty"] = option("error")
    """How to score a labelled frame without a result."""


def data_sets() -> tuple[str, ...]:
    """Names of the data sets that can be run and scored, segue's own first; imports no plug-in."""
    added = DATASETS.added
    built_in = (DATASETS.find(name) for name in DATASETS.names if name not in added)
    return (*(entry.name for entry in built_in if entry.labels in KINDS), *added)


def _selected(request: Request, kind: LabelKind, what: str) -> ByName[Any]:
    if getattr(request.entry, kind) is None:
        raise DatasetError(f"{request.dataset} has no {what}")
    videos: ByName[Any] = open_labels(request.entry, kind, request.data)
    return videos.select(request.sequences) if request.sequences else videos


def open_masks(request: Request) -> ByName[Sequence]:
    """Open the sequences of a data set with index masks."""
    return _selected(request, "masks", "videos with index masks")


def open_davis(request: Request) -> DavisFolder:
    """Open the sequences of DAVIS, or of a folder in its layout."""
    unsupervised = request.task == "unsupervised"
    if unsupervised and request.year != "2017":
        raise DatasetError(f"the unsupervised task is of DAVIS 2017, but --year is {request.year}")
    if request.sequences and request.subset is not None:
        raise DatasetError("give --set or --sequence, not both")
    subset = request.subset
    if subset is None and (request.data / "ImageSets").is_dir() and request.dataset == "davis":
        subset = "val"
    return DavisFolder(
        request.data,
        request.sequences or subset,
        year=int(request.year[:4]),
        annotations="Annotations_unsupervised" if unsupervised else "Annotations",
    )


def open_something(request: Request) -> SomethingElseFolder:
    """Open the videos of Something-Else."""
    return SomethingElseFolder(request.data, request.sequences or None)


def score_masks(results: Path, request: Request, progress: Progress) -> Evaluation:
    """Score J and F of a data set with index masks."""
    protocol: DavisProtocol = "unsupervised" if request.task == "unsupervised" else request.year
    return evaluate_davis(results, request.open(), protocol=protocol, progress=progress, **request.settings)


def open_ytvos(request: Request) -> YtvosFolder:
    """Open the videos of YouTube-VOS, with all frames if they are available."""
    part = request.data / (request.subset or ".")
    return YtvosFolder(part, videos=request.sequences or None, images=all_frames_folder(part))


def score_ytvos(results: Path, request: Request, progress: Progress) -> Evaluation:
    """Score J and F of YouTube-VOS, split by seen and unseen categories."""
    seen = None if request.seen is None else read_categories(request.seen)
    return evaluate_ytvos(results, open_ytvos(request), seen=seen, progress=progress, **request.settings)


def open_ytvis(request: Request) -> YTVISDataset:
    """Open the videos of YouTube-VIS or OVIS."""
    return YTVISDataset.open(request.data, request.part or "valid")


def open_instances(request: Request) -> YTVISDataset:
    """Open the videos of a data set with instances."""
    if request.entry.instances is None:
        raise DatasetError(f"{request.dataset} has no videos with instances")
    videos: YTVISDataset = open_labels(request.entry, "instances", request.data)
    return videos


def score_instances(results: Path, request: Request, progress: Progress) -> Evaluation:
    """Score AP of a data set with instances."""
    return evaluate_ytvis(results, request.open())


def open_videos(request: Request) -> ForegroundFolder:
    """Open the videos of a data set with foreground labels."""
    videos = _selected(request, "videos", "videos of still cameras; segue knows no other scores of it")
    assert isinstance(videos, ForegroundFolder)
    return videos


def open_isd_clips(request: Request) -> ForegroundFolder:
    """Open the clips of a part of rendered scenes, by motion of the camera."""
    videos = open_isd_part(request.data, request.part or "test")
    return videos.select(request.sequences) if request.sequences else videos


def score_videos(results: Path, request: Request, progress: Progress) -> Evaluation:
    """Score F and related measures of a data set with foreground labels."""
    videos, name, exclude = request.open(), request.dataset, None
    settings = rules_of(name).settings
    if request.threshold is not None:
        settings = replace(settings, threshold=request.threshold)
    if request.training_frames is not None:
        count, _, file = request.training_frames.partition("@")
        number = whole_number(count)
        if number is None or not file:
            raise DatasetError(f"--training-frames {request.training_frames}: give COUNT@FILE")
        exclude = read_training_frames(file, number)
    return evaluate_foreground(
        results, videos, name, settings, exclude=exclude, progress=progress, **request.settings
    )
