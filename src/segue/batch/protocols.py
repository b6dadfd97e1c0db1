"""Data sets as lists of jobs: by the protocol of each, what is given of every video."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from segue.batch.names import SUBFOLDER
from segue.batch.plan import Task
from segue.datasets.files import PICTURES, files_by_stem
from segue.datasets.foreground_sets import read_flow, read_frame
from segue.datasets.isd import IsdClip
from segue.datasets.ytvis import YTVISDataset
from segue.errors import DatasetError
from segue.jobs.parts import Model
from segue.jobs.plan import check_needs
from segue.jobs.values import ForegroundJob, InstancesJob, TrackJob, VideoJob, to_json
from segue.masks import write_index_mask
from segue.metrics.data_sets import (
    Kind,
    Request,
    kind_of_data,
    open_films,
    open_masks,
    open_ytvis,
    open_ytvos,
)
from segue.metrics.davis import VOID
from segue.naming import first_few
from segue.registry import DATASETS
from segue.types import IndexMask, MaskPrompt
from segue.video.images import list_images, write_picture
from segue.video.mask_folder import frame_number
from segue.video.partial import replacing

CLIPS = ("ytvis", "ovis")
"""Data sets whose videos are one clip each, and whose results are one file."""

SCORED: Mapping[str, tuple[str, ...]] = {
    "track": ("--format", "png"),
    "foreground": ("--format", "cdnet"),
    "instances": ("--whole",),
}
"""Options with which a command writes what ``segue eval`` reads."""


OWN_DEPTH = "own"
"""Asks as ``--depth`` for the depth maps that a data set brings."""


@dataclass(frozen=True, slots=True)
class DatasetVideo:
    """One video of a data set, with what its protocol gives.

    Attributes:
        name: of its results.
        source: folder of its images.
        prompts: masks that are given.
        roi: mask of where to look.
        flow: folder of its flow files.
        depth: folder of its depth maps, which a job has that asks for :data:`OWN_DEPTH`.
        apart: its images are no video: frames are not aligned, and rain is not removed.
        weights: its own weight file; None takes the job's.
        required: indices of the frames whose results are wanted; None is all of them.
    """

    name: str
    source: Path
    prompts: tuple[MaskPrompt, ...] = ()
    roi: Path | None = None
    flow: Path | None = None
    depth: Path | None = None
    apart: bool = False
    weights: Path | None = None
    required: tuple[int, ...] | None = None

    def job(self, template: VideoJob) -> VideoJob:
        """The job that runs the video."""
        changes: dict[str, Any] = {
            "source": template.source.model_copy(update={"place": str(self.source.absolute())})
        }
        if self.weights is not None:
            changes["model"] = template.model.model_copy(update={"weights": self.weights.absolute()})
        if isinstance(template, TrackJob):
            changes |= {"prompts": self.prompts, "required": self.required}
        if isinstance(template, ForegroundJob):
            if self.roi is not None:
                changes["roi"] = str(self.roi.absolute())
            if self.flow is not None:
                changes["flow"] = str(self.flow.absolute())
            if template.depth == OWN_DEPTH:
                if self.depth is None:
                    raise DatasetError(f"{self.name} brings no depth maps for --depth {OWN_DEPTH}")
                changes["depth"] = str(self.depth.absolute())
            # Published figures are those of one pass, which knows at each frame only what came before.
            options: dict[str, Any] = {"passes": template.options.passes or 1}
            if self.apart:
                options["without"] = ("align", "rain")
            changes["options"] = template.options.model_copy(update=options)
        return template.model_copy(update=changes)

    def task(self, template: VideoJob) -> Task:
        """The video as one of a batch."""
        return Task(self.name, str(self.source.absolute()), job=to_json(self.job(template)))


@dataclass(frozen=True, slots=True)
class DatasetProtocol:
    """Command and default model for a data set.

    ``videos`` gives its videos; what must be written for them (regions, links) goes into the folder.
    """

    command: str
    videos: Callable[[Request, Path], Iterator[DatasetVideo]]
    model: str | None = None


def dataset_videos(request: Request, output: Path) -> Iterator[DatasetVideo]:
    """The videos of a request; what must be written for them lies in the output."""
    return protocol_of(request.dataset).videos(request, output / SUBFOLDER / "prompts")


def tasks_of(request: Request, videos: Iterable[DatasetVideo], template: VideoJob) -> list[Task]:
    """The videos of a data set as tasks of a batch, checked before the first one starts."""
    if isinstance(template, InstancesJob):
        check_classes(request, template.model)
    found = list(videos)
    check_needs([video.job(template) for video in found])
    return [video.task(template) for video in found]


def check_classes(request: Request, model: Model) -> None:
    """See that class numbers of a network mean the classes of the data set: results hold numbers alone.

    Those of YouTube-VIS 2019 and 2021 are as many, in another order.
    """
    dataset = _open_ytvis(request)
    from segue.weights.loading import load_for  # imports PyTorch

    names: Mapping[int, str] = load_for("instances", model.name, model.weights).class_names
    wrong = [
        f"{number} is {names[number]}, not {name}"
        for number, name in dataset.categories.items()
        if number in names and _plain(names[number]) != _plain(name)
    ]
    if wrong:
        raise DatasetError(
            f"{model.name} has other classes than {dataset.path}: {first_few(wrong)}; give weights that were "
            "trained on its classes"
        )


def _plain(name: str) -> str:
    return name.lower().replace("_", " ").replace("-", " ")


def scored_here(request: Request) -> bool:
    """Whether there are annotations other than those that are given; of some parts a server keeps them."""
    if is_clips(request.dataset):
        return _open_ytvis(request).annotated
    if request.dataset == "ytvos":
        videos = open_ytvos(request)
        return any(set(video.annotations) - {item.given for item in video.objects} for video in videos)
    return True


def results_of(request: Request, output: Path) -> Path:
    """The part of the output to score: a folder of masks, or one written file for instances."""
    return all_clips(request, output) if is_clips(request.dataset) else output


def protocol_of(name: str) -> DatasetProtocol:
    """The protocol of a data set."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    if name in DATASETS.names and name in DATASETS:
        return BY_KIND[kind_of_data(name)]
    known = ", ".join((*PROTOCOLS, *DATASETS.added))
    raise DatasetError(f"no protocol of {name!r} is known; choose from {known}")


def is_clips(name: str) -> bool:
    """Whether the videos of a data set are one clip each, and its results one file."""
    return name in CLIPS or (name not in PROTOCOLS and kind_of_data(name) == "instances")


def _masks(request: Request, folder: Path) -> Iterator[DatasetVideo]:
    """The first annotated frame is given; where objects are known by their boxes, whole boxes."""
    for video in open_masks(request):
        if not video.annotations:
            raise DatasetError(f"sequence {video.name} has no annotated frame")
        first = min(video.annotations)
        source = video.frames[first].parent
        place = list(files_by_stem(source, PICTURES)).index(video.frames[first].stem)
        mask = video.read_mask(first)
        mask = np.where(mask == VOID, 0, mask)
        if request.year != "2017":
            mask = (mask > 0).astype(np.uint8)
        yield DatasetVideo(video.name, source, tuple(MaskPrompt.each(mask, place)))


def _ytvos(request: Request, folder: Path) -> Iterator[DatasetVideo]:
    """Every object is given in the frame in which the description says that it appears.

    Results are of the frames that are asked for; those between are seen, and count for the memory.
    """
    for video in open_ytvos(request):
        names = list(video.frames)
        prompts: tuple[MaskPrompt, ...] = ()
        for frame in sorted({item.given for item in video.objects}, key=names.index):
            mask = video.read_mask(frame)
            coming = np.isin(mask, [item.id for item in video.objects if item.given == frame])
            prompts += tuple(MaskPrompt.each(np.where(coming, mask, 0), names.index(frame)))
        required = {names.index(frame) for frame in video.required}
        wanted = tuple(sorted(required)) if len(required) < len(names) else None
        yield DatasetVideo(video.name, video.frames[names[0]].parent, prompts, required=wanted)


def _foreground(request: Request, folder: Path) -> Iterator[DatasetVideo]:
    """Every video from its first image on; outside its region of interest there is no foreground."""
    for video in open_films(request):
        names = [path.stem for path in video.frames]
        if [frame_number(name, i) for i, name in enumerate(names)] != list(video.numbers):
            names = [f"in{number:06d}" for number in video.numbers]
        source = _alone(video.frames, names, folder / "frames" / video.key)
        roi = None
        if video.roi is not None:
            region = video.read_roi().astype(np.uint8)
            roi = _written(folder / f"{video.key}.png", region)
        yield DatasetVideo(video.key, source, roi=roi)


def _isd(request: Request, folder: Path) -> Iterator[DatasetVideo]:
    """As :func:`_foreground`, with depth maps where clips have some."""
    clips = {film.key: IsdClip.of(film) for film in open_films(request)}
    for video in _foreground(request, folder):
        clip = clips[video.name]
        yield replace(video, depth=clip.folder / "depth" if clip.has_depth else None)


def _alone(paths: Sequence[Path], names: Sequence[str], folder: Path) -> Path:
    """Where images lie alone, by these names in this order: their own folder, or links in ``folder``."""
    own = paths[0].parent
    there = list_images(own) if own.is_dir() else []
    if there == list(paths) and [path.stem for path in paths] == list(names):
        return own
    folder.mkdir(parents=True, exist_ok=True)
    for path, name in zip(paths, names, strict=True):
        link = folder / f"{name}{path.suffix}"
        if not link.is_symlink():
            link.symlink_to(path.resolve())
    return folder


def _hofam(request: Request, folder: Path) -> Iterator[DatasetVideo]:
    """Every composite by itself: its frame, and its flow as it is."""
    for video in open_films(request):
        for name, read in (("frames", read_frame), ("flow", read_flow)):
            for number, path in zip(video.numbers, video.frames, strict=True):
                target = folder / video.key / name / f"in{number:06d}.png"
                write_picture(target, read(path))
                # Written once more when the run goes on, it is the same source unless the composite changed.
                time = path.stat().st_mtime_ns
                os.utime(target, ns=(time, time))
        place = folder / video.key
        yield DatasetVideo(video.key, place / "frames", flow=place / "flow", apart=True)


def _ytvis(request: Request, folder: Path) -> Iterator[DatasetVideo]:
    """Every video as one clip of its images."""
    dataset = _open_ytvis(request)
    if dataset.images is None:
        raise DatasetError(f"{request.data}: no folder of images beside {dataset.path}")
    for video in dataset:
        paths = [dataset.images / name for name in video.file_names]
        names = [path.stem for path in paths]
        yield DatasetVideo(video.name, _alone(paths, names, folder / "frames" / video.name))


def all_clips(request: Request, output: Path) -> Path:
    """One file with the results of all videos, in which they have the numbers of the data set."""
    dataset, path = _open_ytvis(request), output / "results.json"
    with replacing(path) as partial, partial.open("w", encoding="ascii") as stream:
        separator = "[\n"
        for video in dataset:
            found = output / video.name / "ytvis.json"
            for record in json.loads(found.read_bytes()) if found.is_file() else ():
                stream.write(separator + json.dumps({**record, "video_id": video.id}))
                separator = ",\n"
        stream.write("[]\n" if separator[0] == "[" else "\n]\n")
    return path


def _open_ytvis(request: Request) -> YTVISDataset:
    dataset = open_ytvis(request)
    if request.sequences:
        raise DatasetError("--sequence: AP is of a whole split; leave it out")
    return dataset


def _written(path: Path, mask: IndexMask) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_index_mask(path, mask)
    return path


PROTOCOLS: Mapping[str, DatasetProtocol] = {
    **dict.fromkeys(("davis", "folder", "something"), DatasetProtocol("track", _masks)),
    "ytvos": DatasetProtocol("track", _ytvos),
    **dict.fromkeys(
        ("cdnet", "sbi", "lasiesta", "limu", "foreground"), DatasetProtocol("foreground", _foreground)
    ),
    "isd": DatasetProtocol("foreground", _isd),
    "hofam": DatasetProtocol("foreground", _hofam, "hofam"),
    **dict.fromkeys(CLIPS, DatasetProtocol("instances", _ytvis)),
}
"""By the name that ``segue eval`` has for the data set."""

BY_KIND: Mapping[Kind, DatasetProtocol] = {
    "masks": DatasetProtocol("track", _masks),
    "instances": DatasetProtocol("instances", _ytvis),
    "films": DatasetProtocol("foreground", _foreground),
}
"""For data sets of other packages, by what their videos are labelled with."""
