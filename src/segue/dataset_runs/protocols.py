"""Protocols of data sets: prompts of each video, its job, and the score."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Literal, TypeAlias, TypedDict, TypeVar, Unpack, overload

import numpy as np

from segue.batch.places import SUBFOLDER
from segue.batch.plan import Task, jobs_of
from segue.batch.run import BatchObserver, run_tasks
from segue.batch.work import JobConfig
from segue.datasets.catalogue import completed
from segue.datasets.foreground.folder import ForegroundSequence
from segue.datasets.foreground.isd import IsdClip
from segue.datasets.foreground.sets import read_flow, read_frame
from segue.datasets.ytvis import YTVISDataset
from segue.datasets.ytvos import YtvosFolder
from segue.entries.datasets import DatasetJob
from segue.errors import ArgumentError, DatasetError
from segue.formats.cdnet import frame_number
from segue.jobs.plan import check_needs
from segue.jobs.values import (
    ForegroundJob,
    InstancesJob,
    Model,
    TrackJob,
    VideoJob,
    VideoSource,
    checked,
)
from segue.masks import write_index_mask
from segue.metrics.data_sets import (
    Request,
    Year,
    data_sets,
    open_isd_clips,
    open_videos,
    open_ytvos,
)
from segue.metrics.davis import VOID
from segue.metrics.evaluation import Evaluation, Progress
from segue.prompt_types import MaskPrompt
from segue.registry import DATASETS
from segue.utils.files import write_complete
from segue.utils.inputs import kind_of, user_path
from segue.utils.keywords import suggests_names
from segue.utils.naming import first_few
from segue.video.sources.images import list_images, write_image
from segue.weights.default import default_model

OWN_DEPTH = "own"
"""Asks as ``--depth`` for the depth maps that a data set brings."""


_JOBS: Mapping[str, type[VideoJob]] = {
    "track": TrackJob,
    "foreground": ForegroundJob,
    "instances": InstancesJob,
}


Scores = TypeVar("Scores", bound=Evaluation | None, covariant=True)
"""Scores of a data set; None where a server may keep its annotations."""

ScoredName: TypeAlias = Literal[
    "davis",
    "folder",
    "labelled",
    "something",
    "cdnet",
    "sbi",
    "lasiesta",
    "limu",
    "hofam",
    "isd",
    "foreground",
]
"""Data sets whose annotations are all there."""


@dataclass(frozen=True, slots=True)
class DatasetRun(Generic[Scores]):
    """Result of running a model over a data set.

    Attributes:
        results: scored results: a folder of masks, or for instances one file.
        evaluation: the scores; None where a server keeps the annotations.
        failed: number of videos that failed; their frames count as empty masks.
    """

    results: Path
    evaluation: Scores
    failed: int


class RunArguments(TypedDict, total=False):
    """Optional arguments of :func:`run`."""

    model: str | None
    weights: str | Path | None
    subset: str | None
    sequences: Sequence[str]
    year: Year
    options: Mapping[str, Any] | None
    workers: int | None
    resume: bool
    device: str | None
    fast: bool
    observer: BatchObserver | None


@overload
def run(
    dataset: ScoredName, data: str | Path, *, output: str | Path, **arguments: Unpack[RunArguments]
) -> DatasetRun[Evaluation]: ...


@overload
def run(
    dataset: str, data: str | Path, *, output: str | Path, **arguments: Unpack[RunArguments]
) -> DatasetRun[Evaluation | None]: ...


@suggests_names
def run(
    dataset: str,
    data: str | Path,
    *,
    output: str | Path,
    model: str | None = None,
    weights: str | Path | None = None,
    subset: str | None = None,
    sequences: Sequence[str] = (),
    year: Year = "2017",
    options: Mapping[str, Any] | None = None,
    workers: int | None = None,
    resume: bool = False,
    device: str | None = None,
    fast: bool = False,
    observer: BatchObserver | None = None,
) -> DatasetRun[Evaluation | None]:
    """Run a model over a data set by its protocol, and score it, as `segue run` does.

    First masks, late objects and regions of interest are those of the data set. Missing files are found
    before the first video starts; a video that fails later costs one line, and the others are scored. Several
    workers are processes: a script calls this below ``if __name__ == "__main__":``. One video, or
    ``workers=1``, runs in the process of the script.

    Args:
        dataset: ``davis``, ``folder``, ``something``, ``ytvos``, ``ytvis``, ``ovis``, ``cdnet``, ``sbi``,
            ``lasiesta``, ``limu``, ``hofam``, ``isd``, ``foreground``, or a data set of another package.
        data: its folder.
        output: folder of the results.
        model: name of the network; None is the one that the job has without a name.
        weights: weight file; None is the network's own.
        subset: part of the data set, such as ``val``; None takes the protocol's.
        sequences: only these sequences, videos or categories; empty is all.
        year: edition of DAVIS, ``2016`` or ``2017``.
        options: options of :func:`segue.track`, :func:`segue.foreground` or :func:`segue.instances` by name.
        workers: number of worker processes; None is one for each GPU, without GPUs one for each core.
        resume: continue an interrupted run.
        device: device of networks; None selects a GPU if there is one.
        fast: half precision or 8-bit integers if they are faster on the device.
        observer: receives the progress.

    Returns:
        The scores, and where the results are.

    Raises:
        DatasetError: the data set is unknown or not there, or an argument means nothing for it.
        CheckpointError: the model is unknown or made for something else, or its weights are missing.
        ArgumentError: an option has the wrong type or range.
        SegueError: results are there already, or cannot be resumed.
        KeyboardInterrupt: it was interrupted; ``resume=True`` continues.

    Example:
        >>> done = segue.run("davis", "DAVIS", output="results", model="stcn-lite")  # doctest: +SKIP
        >>> done.evaluation.overall["J&F-Mean"]  # doctest: +SKIP
    """
    if model is not None and not isinstance(model, str):
        raise ArgumentError(
            f"model: {kind_of(model)}; workers are other processes: give a name, and weights if it needs some"
        )
    request = Request(
        data=user_path(data), dataset=dataset, subset=subset, sequences=list(sequences) or None, year=year
    )
    template = template_for(request, model, weights, options or {})
    template = template.model_copy(update={"device": device, "fast": fast})
    folder = str(user_path(output))
    how = JobConfig(
        command=protocol_of(dataset).command,
        output=folder,
        workers=workers,
        resume=resume,
        own_process=True,
    )
    videos = tasks_of(request, Path(folder), template)
    failed = run_tasks(videos, how, observer or BatchObserver())
    evaluation = score_run(request, how, failed) if scored_here(request) else None
    return DatasetRun(results_of(request, Path(folder)), evaluation, failed)


def template_for(
    request: Request, model: str | None, weights: str | Path | None, options: Mapping[str, Any]
) -> VideoJob:
    """Job of every video of a data set, without its source."""
    protocol, path = protocol_of(request.dataset), None if weights is None else user_path(weights)
    name = model or protocol.model or default_model(path, detectors=False)
    values = {"source": VideoSource(place=None), "model": Model(name=name, weights=path), "options": options}
    return to_be_scored(checked(_JOBS[protocol.command], values), protocol)


def to_be_scored(job: VideoJob, protocol: DatasetJob) -> VideoJob:
    """Change a job to the outputs that the protocol scores: files of a format, or whole clips."""
    if protocol.format is None:
        return job.model_copy(update={"whole": True})
    formats = tuple(dict.fromkeys((*(job.outputs.formats or ()), protocol.format)))
    return job.model_copy(update={"outputs": job.outputs.model_copy(update={"formats": formats})})


def score_run(request: Request, how: JobConfig, failed: int, report: Progress | None = None) -> Evaluation:
    """Score the results of a data set; frames of videos that failed count as empty."""
    results = results_of(request, Path(how.output))
    if not is_clips(request.dataset):
        missing = "empty" if failed else "error"
        request = request.model_copy(update={"missing": missing, "workers": how.workers or 1})
    return request.score(results, report or (lambda done, total, name: None))


def tasks_of(
    request: Request,
    output: Path,
    template: VideoJob,
    adapt: Callable[[Iterator[Task]], Iterable[Task]] = iter,
) -> list[Task]:
    """Batch tasks of a data set, changed by ``adapt`` and checked before the first one starts.

    Files that they need are written to the output.
    """
    request.check()
    if isinstance(template, InstancesJob):
        check_classes(request, template.model)
    videos = protocol_of(request.dataset).videos(request, output / SUBFOLDER / "prompts", template)
    tasks = list(adapt(videos))
    check_needs(jobs_of(tasks))
    return tasks


def with_job(task: Task, **changes: Any) -> Task:
    """Copy a video's task with changed fields of its job."""
    assert task.job is not None
    return replace(task, job=task.job.model_copy(update=changes))


def check_classes(request: Request, model: Model) -> None:
    """Raise an error unless network and data set have the same class numbers."""
    # Results hold numbers alone. Those of YouTube-VIS 2019 and 2021 are as many, in another order.
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
    """Whether the annotations for scoring are local; some test sets keep them on a server."""
    if is_clips(request.dataset):
        return _open_ytvis(request).annotated
    if not request.entry.served:
        return True
    videos: YtvosFolder = request.open()
    return any(set(video.annotations) - {item.given for item in video.objects} for video in videos)


def results_of(request: Request, output: Path) -> Path:
    """Output to score: a folder of masks, or one file for instances."""
    return all_clips(request, output) if is_clips(request.dataset) else output


def protocol_of(name: str) -> DatasetJob:
    """Protocol of the videos of a data set."""
    if name not in data_sets():
        raise DatasetError(f"no protocol of {name!r} is known; choose from {', '.join(data_sets())}")
    job = completed(DATASETS.find(name)).job
    assert job is not None
    return job


def is_clips(name: str) -> bool:
    """Whether each video is one clip, and all results one file."""
    return protocol_of(name).command == "instances"


def _video(template: VideoJob, name: str, source: Path, **values: Any) -> Task:
    """Task of a video with its folder of images and its prompts."""
    place = str(source.absolute())
    task = Task(name, place, job=template)
    return with_job(task, source=template.source.model_copy(update={"place": place}), **values)


def mask_videos(request: Request, folder: Path, template: TrackJob) -> Iterator[Task]:
    """Semi-supervised protocol: prompts are the first annotated frame, or boxes without masks."""
    for video in request.open():
        if not video.annotations:
            raise DatasetError(f"sequence {video.name} has no annotated frame")
        first = min(video.annotations)
        names = [path.stem for path in video.frames]
        if len({*names}) < len(names):
            raise DatasetError(f"sequence {video.name}: two of its frames have one name")
        source = _alone(video.frames, names, folder / "frames" / video.name)
        mask = video.read_mask(first)
        mask = np.where(mask == VOID, 0, mask)
        if request.year != "2017":
            mask = (mask > 0).astype(np.uint8)
        yield _video(template, video.name, source, prompts=tuple(MaskPrompt.each(mask, first)))


def ytvos_videos(request: Request, folder: Path, template: TrackJob) -> Iterator[Task]:
    """YouTube-VOS: each object is given on its first frame; some frames need results."""
    for video in open_ytvos(request):
        names = list(video.frames)
        prompts: tuple[MaskPrompt, ...] = ()
        for frame in sorted({item.given for item in video.objects}, key=names.index):
            mask = video.read_mask(frame)
            coming = np.isin(mask, [item.id for item in video.objects if item.given == frame])
            prompts += tuple(MaskPrompt.each(np.where(coming, mask, 0), names.index(frame)))
        required = {names.index(frame) for frame in video.required}
        subset = tuple(sorted(required)) if len(required) < len(names) else None
        source = video.frames[names[0]].parent
        yield _video(template, video.name, source, prompts=prompts, required=subset)


def _foreground_video(
    template: ForegroundJob, name: str, source: Path, options: dict[str, Any], **files: Path | None
) -> Task:
    """Task of a video with its region of interest, flow and depth maps."""
    if template.depth != OWN_DEPTH:
        files.pop("depth", None)
    elif files.get("depth") is None:
        raise DatasetError(f"{name} brings no depth maps for --depth {OWN_DEPTH}")
    # Published figures are those of one pass, which knows at each frame only what came before.
    options = {"passes": template.options.passes or 1, **options}
    values = {field: str(path.absolute()) for field, path in files.items() if path is not None}
    return _video(template, name, source, options=template.options.model_copy(update=options), **values)


def scene_videos(request: Request, folder: Path, template: ForegroundJob) -> Iterator[Task]:
    """Foreground scenes from the first image on, with their regions of interest."""
    for video in open_videos(request):
        yield _scene_video(video, folder, template)


def isd_videos(request: Request, folder: Path, template: ForegroundJob) -> Iterator[Task]:
    """Rendered clips with their depth maps."""
    for video in open_isd_clips(request):
        clip = IsdClip.of(video)
        yield _scene_video(video, folder, template, clip.folder / "depth" if clip.has_depth else None)


def _scene_video(
    video: ForegroundSequence, folder: Path, template: ForegroundJob, depth: Path | None = None
) -> Task:
    """Task of a video from its first image on."""
    names = [path.stem for path in video.frames]
    if [frame_number(name, i) for i, name in enumerate(names)] != list(video.numbers):
        names = [f"in{number:06d}" for number in video.numbers]
    source = _alone(video.frames, names, folder / "frames" / video.key)
    roi = None
    if video.roi is not None:
        roi = folder / f"{video.key}.png"
        roi.parent.mkdir(parents=True, exist_ok=True)
        write_index_mask(roi, video.read_roi().astype(np.uint8))
    return _foreground_video(template, video.key, source, {}, roi=roi, depth=depth)


def _alone(paths: Sequence[Path], names: Sequence[str], folder: Path) -> Path:
    """Folder with only these images in order: their own, or one of links in ``folder``."""
    folder_of_images = paths[0].parent
    images = list_images(folder_of_images) if folder_of_images.is_dir() else []
    if images == list(paths) and [path.stem for path in paths] == list(names):
        return folder_of_images
    links = {f"{name}{path.suffix}": path.resolve() for path, name in zip(paths, names, strict=True)}
    _leave_only(folder, links)
    for name, target in links.items():
        link = folder / name
        if not (link.is_symlink() and link.readlink() == target):  # the data set was moved or replaced
            link.unlink(missing_ok=True)
            link.symlink_to(target)
    return folder


def _leave_only(folder: Path, names: Collection[str]) -> None:
    """Make an output folder, and remove images of an earlier data set."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink()


def composite_videos(request: Request, folder: Path, template: ForegroundJob) -> Iterator[Task]:
    """Single composites with their frames and flow; images are not aligned."""
    for video in open_videos(request):
        for name, read in (("frames", read_frame), ("flow", read_flow)):
            names = [f"in{number:06d}.png" for number in video.numbers]
            _leave_only(folder / video.key / name, names)
            for image, path in zip(names, video.frames, strict=True):
                target = folder / video.key / name / image
                write_image(target, read(path))
                # Written once more when the run goes on, it is the same source unless the composite changed.
                time = path.stat().st_mtime_ns
                os.utime(target, ns=(time, time))
        place = folder / video.key
        options = {"without": ("align", "rain")}
        yield _foreground_video(template, video.key, place / "frames", options, flow=place / "flow")


def clip_videos(request: Request, folder: Path, template: InstancesJob) -> Iterator[Task]:
    """Videos as one clip each."""
    dataset = _open_ytvis(request)
    if dataset.images is None:
        raise DatasetError(f"{request.data}: no folder of images beside {dataset.path}")
    for video in dataset:
        paths = [dataset.images / name for name in video.file_names]
        names = [path.stem for path in paths]
        yield _video(template, video.name, _alone(paths, names, folder / "frames" / video.name))


def all_clips(request: Request, output: Path) -> Path:
    """Merge the results of all videos into one file with the numbers of the data set."""
    files = ((video.id, output / video.name / "ytvis.json") for video in _open_ytvis(request))
    records = [
        json.dumps({**record, "video_id": number})
        for number, file in files
        if file.is_file()
        for record in json.loads(file.read_bytes())
    ]
    text = "[\n" + ",\n".join(records) + "\n]\n" if records else "[]\n"
    path = output / "results.json"
    write_complete(path, text.encode("ascii"))
    return path


def _open_ytvis(request: Request) -> YTVISDataset:
    dataset: YTVISDataset = request.open()
    if request.sequences:
        raise DatasetError("--sequence: AP is of a whole split; leave it out")
    return dataset
