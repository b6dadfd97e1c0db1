"""Scoring of each data set for ``segue eval`` and ``segue compare``: one row per data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from segue.datasets.cdnet import read_training_frames
from segue.datasets.davis import DavisFolder, Sequence
from segue.datasets.files import ByName
from segue.datasets.foreground import ForegroundFolder, open_plain
from segue.datasets.foreground_sets import open_limu, open_sbi
from segue.datasets.isd import open_isd_part
from segue.datasets.something import SomethingElseFolder
from segue.datasets.ytvis import YTVISDataset
from segue.datasets.ytvos import YtvosFolder, all_frames_folder, read_categories
from segue.errors import DatasetError
from segue.inputs import whole_number
from segue.metrics import foreground
from segue.metrics.cdnet import OFFICIAL, PROTOCOLS, evaluate_foreground
from segue.metrics.davis_results import DavisProtocol, evaluate_davis
from segue.metrics.evaluation import Evaluation, Progress
from segue.metrics.ytvis import evaluate_ytvis
from segue.metrics.ytvos import evaluate_ytvos
from segue.registry import DATASETS

Year = Literal["2016", "2016-toolkit", "2017"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is scored and how; results come apart, for there may be two.

    Attributes:
        data: folder of the data set.
        dataset: what to score as; any data set of segue eval.
        subset: split, as for segue eval.
        sequences: only this sequence, video or category; may be given several times.
        task: task of DAVIS.
        year: edition of DAVIS; 2016 takes all objects as one, 2016-toolkit scores all frames.
        seen: categories of YouTube-VOS that were trained on: one in a line, or a meta.json.  [default: all]
        threshold: results are foreground from this value on.  [default: 255; hofam 15]
        training_frames: leave out the training frames of CDnet2014 in a list, COUNT@FILE.
        missing: what a labelled frame without a result is.
        workers: sequences to score side by side.
    """

    data: Path
    dataset: str = "davis"
    subset: str | None = None
    sequences: list[str] | None = None
    task: Literal["semi", "unsupervised"] = "semi"
    year: Year = "2017"
    seen: Path | None = None
    threshold: Annotated[int | None, Ge(1), Le(255)] = None
    training_frames: str | None = None
    missing: foreground.Missing = "error"
    workers: Annotated[int, Ge(1)] = 1

    def score(self, results: Path, progress: Progress) -> Evaluation:
        """Score results by the rules of the data set."""
        return self.check().score(results, self, progress)

    def check(self) -> DataSet:
        """How the data set is scored; options that mean nothing for it are refused."""
        row = data_sets().get(self.dataset)
        if row is None:
            raise DatasetError(f"dataset {self.dataset!r}: give one of {', '.join(data_sets())}")
        known = {"data", "dataset", *(word.partition(":")[0] for word in row.options.split())}
        for item in fields(self):
            if item.name not in known and getattr(self, item.name) not in (item.default, []):
                name = OPTIONS.get(item.name, item.name).replace("_", "-")
                raise DatasetError(f"--{name} means nothing for {self.dataset}; leave it out")
        return row

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments that all evaluations of masks share."""
        return {"missing": self.missing, "workers": self.workers}


OPTIONS = {"subset": "set", "sequences": "sequence"}
"""Options that are called otherwise than their attribute."""


def open_masks(request: Request) -> DavisFolder | SomethingElseFolder | ByName[Sequence]:
    """The sequences of a request for ``davis``, ``folder``, ``something`` or a data set with index masks."""
    if request.dataset not in ("davis", "folder", "something"):
        opener = DATASETS.find(request.dataset).masks
        if opener is None:
            raise DatasetError(f"{request.dataset} has no videos with index masks")
        sequences = opener(request.data)
        return sequences.select(request.sequences) if request.sequences else sequences
    if request.dataset == "something":
        return SomethingElseFolder(request.data, request.sequences or None)
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


def _objects(results: Path, request: Request, progress: Progress) -> Evaluation:
    protocol: DavisProtocol = "unsupervised" if request.task == "unsupervised" else request.year
    videos = open_masks(request)
    return evaluate_davis(results, videos, protocol=protocol, progress=progress, **request.settings)


def open_ytvos(request: Request) -> YtvosFolder:
    """The videos of a request for ``ytvos``, with all frames of their videos where those are there."""
    part = request.data / (request.subset or ".")
    return YtvosFolder(part, videos=request.sequences or None, images=all_frames_folder(part))


def _ytvos(results: Path, request: Request, progress: Progress) -> Evaluation:
    ytvos = open_ytvos(request)
    seen = None if request.seen is None else read_categories(request.seen)
    return evaluate_ytvos(results, ytvos, seen=seen, progress=progress, **request.settings)


def open_ytvis(request: Request) -> YTVISDataset:
    """The videos of a request for ``ytvis``, ``ovis`` or a data set with instances."""
    if request.dataset in ("ytvis", "ovis"):
        return YTVISDataset.open(request.data, request.subset or "valid")
    opener = DATASETS.find(request.dataset).instances
    if opener is None:
        raise DatasetError(f"{request.dataset} has no videos with instances")
    return opener(request.data)


def _ytvis(results: Path, request: Request, progress: Progress) -> Evaluation:
    return evaluate_ytvis(results, open_ytvis(request))


Kind = Literal["masks", "instances", "videos"]


def kind_of_data(name: str) -> Kind:
    """First kind of label that the registry lists for a data set."""
    entry = DATASETS.find(name)
    kinds: tuple[Kind, ...] = ("masks", "instances", "videos")
    found = next((kind for kind in kinds if getattr(entry, kind) is not None), None)
    if found is None:
        raise DatasetError(f"{name} names no videos: its entry has neither masks, nor instances, nor videos")
    return found


def _added(results: Path, request: Request, progress: Progress) -> Evaluation:
    """Score by what the entry of a data set of another package has."""
    score = {"masks": _objects, "instances": _ytvis, "videos": _videos}[kind_of_data(request.dataset)]
    return score(results, request, progress)


UNTRAINED: Mapping[str, Callable[[Path], ForegroundFolder]] = {
    "sbi": open_sbi,
    "limu": open_limu,
    "foreground": open_plain,
}
"""Readers of videos with foreground labels that are scored, and no videos of the registry to train on."""


def open_videos(request: Request) -> ForegroundFolder:
    """The videos of a request for a data set with labels of the foreground."""
    opener = UNTRAINED.get(request.dataset) or DATASETS.find(request.dataset).videos
    if request.dataset == "isd":
        opener = partial(open_isd_part, part=request.subset or "test")
    if opener is None:
        raise DatasetError(
            f"{request.dataset} has no videos of still cameras; segue knows no other scores of it"
        )
    videos = opener(request.data)
    return videos.select(request.sequences) if request.sequences else videos


def _videos(results: Path, request: Request, progress: Progress) -> Evaluation:
    videos, name, exclude = open_videos(request), request.dataset, None
    settings = PROTOCOLS[name].settings if name in PROTOCOLS else OFFICIAL
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


@dataclass(frozen=True, slots=True)
class DataSet:
    """How a data set is scored, and the help of its command.

    The options are those attributes of a request that mean something to it, the defaults and texts those that
    are otherwise than :class:`Request` says; ``csv`` tells whether it has official result files.
    """

    title: str
    examples: tuple[str, ...] = ()
    score: Callable[[Path, Request, Progress], Evaluation] = _videos
    options: str = "sequences threshold missing workers"
    results: str = "Folder or zip with images VIDEO/*000001.png."
    defaults: Mapping[str, Any] | None = None
    texts: Mapping[str, str] | None = None
    csv: bool = False

    def help(self, name: str) -> str:
        """Text of the command's help, before its options."""
        lines = [f"    segue eval {name} {example}" for example in self.examples]
        heading = ["Examples:" if len(lines) > 1 else "Example:"] if lines else []
        return "\n\n".join((self.title, *heading, *lines))


_MASKS = "Folder or zip with masks SEQUENCE/FRAME.png."
_TRACKS: dict[str, Any] = {
    "score": _ytvis,
    "options": "subset",
    "results": "Result file of the official form, JSON or zip.",
    "defaults": {"subset": "valid"},
    "texts": {"subset": "Split: train, valid or test."},
}

DATA_SETS: Mapping[str, DataSet] = {
    "davis": DataSet(
        "DAVIS 2016 and 2017: J, F and their mean.",
        (
            "results/ --data DAVIS",
            "results.zip --data DAVIS --task unsupervised --workers 4 --report scores.html",
            "results/ --data DAVIS --year 2016 --json scores.json --csv official/",
        ),
        _objects,
        "subset sequences task year missing workers",
        _MASKS,
        texts={"subset": "Split in ImageSets.  [default: val; without ImageSets, all sequences]"},
        csv=True,
    ),
    "folder": DataSet(
        "Any folder in the layout of DAVIS, all of its sequences: J, F and their mean.",
        (
            "results/ --data my_videos",
            "results/ --data my_videos --sequence dog --sequence cat --report scores.html",
        ),
        _objects,
        "sequences task missing workers",
        _MASKS,
        csv=True,
    ),
    "something": DataSet(
        "Something-Else: J and F of masks against the boxes of its objects, filled.",
        ("results/ --data something_else",),
        _objects,
        "sequences missing workers",
        _MASKS,
    ),
    "ytvos": DataSet(
        "YouTube-VOS with all annotations: J and F of seen and unseen categories, and overall.",
        (
            "results/ --data YouTubeVOS --set train --sequence 003234408d",
            "results.zip --data held_out --seen train/meta.json --workers 4",
        ),
        _ytvos,
        "subset sequences seen missing workers",
        _MASKS,
        texts={"subset": "Part below the folder, such as train."},
    ),
    "ytvis": DataSet(
        "YouTube-VIS 2019, 2021: AP, AP50, AP75, AR1, AR10. `--data` may also be the annotation file.",
        (
            "results.json --data youtube_vis_2021 --set train",
            "results.zip --data annotations.json --json scores.json",
        ),
        **_TRACKS,
    ),
    "ovis": DataSet(
        "OVIS, scored as YouTube-VIS: AP, AP50, AP75, AR1, AR10.",
        ("results.json --data OVIS --set train --report scores.html",),
        **_TRACKS,
    ),
    "cdnet": DataSet(
        "CDnet2014: Re, Sp, FPR, FNR, PWC, Pr and F by video, category and overall.",
        (
            "results/ --data CDnet2014 --workers 4",
            "results/ --data CDnet2014 --sequence shadow --sequence baseline/highway",
            "results/ --data CDnet2014 --training-frames 200@train_frame_lists.json",
        ),
        options="sequences threshold training_frames missing workers",
        csv=True,
    ),
    "sbi": DataSet(
        "SBI2015 with its later foreground masks: F and the other measures of CDnet2014.",
        ("results/ --data SBI2015 --report scores.html",),
    ),
    "lasiesta": DataSet(
        "LASIESTA: F and the other measures of CDnet2014, overall with a static camera.",
        ("results/ --data LASIESTA --json scores.json",),
    ),
    "limu": DataSet(
        "LIMU: F and the other measures of CDnet2014.",
        ("results/ --data LIMU --sequence LightSwitch",),
    ),
    "isd": DataSet(
        "Clips of `segue synth isd`: F and its like, with still and with moving cameras.",
        ("results/ --data ISD --set test",),
        options="subset sequences threshold missing workers",
        defaults={"subset": "test"},
        texts={"subset": "Split: train, val or test."},
    ),
    "hofam": DataSet(
        "Composite images of HOFAM: Mean Dice, recall, precision, F, as its program counts.",
        ("results/ --data demo --report scores.html",),
    ),
    "foreground": DataSet(
        "Any videos VIDEO/input/* with labels VIDEO/groundtruth/*: F and its like.",
        ("results/ --data my_videos --report scores.html",),
    ),
}
"""Data sets by command name; :func:`data_sets` adds those of other packages."""


def data_sets() -> dict[str, DataSet]:
    """All data sets by the name of their command, segue's own first; others are imported when scored."""
    text = "of another package: J and F, AP, or F and its like, by what its labels are."
    results = "Folder or zip with masks, images, or a result file, as its labels are."
    return {**DATA_SETS} | {
        name: DataSet(f"{name}, {text}", score=_added, results=results) for name in DATASETS.added
    }
