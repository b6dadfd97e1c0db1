"""``segue run``: a model over a whole data set by its protocol, and the score."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import typer

from segue.batch.names import SUBFOLDER
from segue.batch.plan import Task
from segue.batch.work import JobConfig
from segue.cli.batch import BatchCommand, do_tasks, value_of
from segue.cli.options import Options, Values, command
from segue.cli.scoring import Request, open_films, open_masks, open_ytvos
from segue.cli.tables import Files, print_evaluation, progress
from segue.datasets.files import PICTURES, files_by_stem
from segue.datasets.foreground_sets import read_flow, read_frame
from segue.datasets.ytvis import YTVISDataset
from segue.errors import DatasetError
from segue.masks import write_index_mask
from segue.metrics.davis import VOID
from segue.metrics.evaluation import Evaluation
from segue.reports import evaluation_values, write_json
from segue.types import IndexMask
from segue.video.images import list_images, write_picture
from segue.video.mask_folder import frame_number
from segue.video.partial import replacing

CLIPS = ("ytvis", "ovis")
"""Data sets whose videos are one clip each, and whose results are one file."""

SCORED = {"track": ("--format", "png"), "foreground": ("--format", "cdnet"), "instances": ("--whole",)}
"""Options with which a command writes what ``segue eval`` reads."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a data set is run: the command, and the model where nobody names another one.

    ``tasks`` gives its videos; what must be written for them (masks, regions) goes into the folder.
    """

    command: str
    tasks: Callable[[Request, Path], Iterator[Task]]
    model: str | None = None


class RunCommand(BatchCommand):
    """Keeps the options of the command that the data set is run with."""

    def handed_on(self, args: list[str]) -> str:
        """``track`` or ``foreground``, by the name of the data set."""
        name = next((word for word in args if word in PROTOCOLS), "davis")
        return _protocol(name).command


def _run(context: typer.Context, asked: Values, running: Values, written: Values) -> None:
    """Run a model over a whole data set by its protocol, and score it.

    DATASET is davis, folder (DAVIS's layout), something, ytvos, cdnet, sbi, lasiesta, limu, hofam
    (composites) or foreground. First masks, late objects and regions of interest are those of the data set.
    Options not listed here are handed to `segue track`, `segue foreground` or `segue instances`. What is
    there is run: a video that fails costs one line, and the others are scored.

    Examples:

        segue run davis DAVIS --model stcn --weights stcn.safetensors -o results

        segue run cdnet CDnet2014 --sequence shadow --model mustan-lite -o results --resume

        segue run ytvis youtube_vis_2019 --set train --model seqformer-r50 -o results --workers 2

        segue run ytvos YouTubeVOS --set valid -o results --workers 8
    """
    request, files = Request(**asked), Files(**written)
    how = JobConfig(**running, options=tuple(context.args))
    failed = run_videos(request, how)
    if not scored_here(request):
        typer.echo(f"results: {results_of(request, how)}; the official server scores them", err=True)
        raise typer.Exit(1 if failed else 0)
    evaluation = score_videos(request, how, failed)
    print_evaluation(evaluation)
    if files.json is not None:
        write_json(files.json, evaluation_values(evaluation))
    files.tell()
    if failed:
        raise typer.Exit(1)


run = command(
    _run,
    Options(
        Request,
        "dataset! data:root! subset:set sequences:sequence year",
        {"dataset": ...},
        help={"dataset": "Name of the data set."},
    ),
    Options(
        JobConfig,
        "output:output,out,o workers resume quiet:quiet,q",
        {"output": ...},
        help={
            "output": "Folder of the results.",
            "workers": "Number of workers.  [default: one a core]",
            "resume": "Go on with an interrupted run.",
        },
    ),
    Options(Files, "json"),
    kind=RunCommand,
)


def run_videos(request: Request, how: JobConfig, tasks: Iterable[Task] | None = None) -> int:
    """Run a model over the videos of a request, or over ``tasks``; gives the number of those that failed."""
    protocol = _protocol(request.dataset)
    options = (*how.options, *SCORED[protocol.command])
    if protocol.model is not None and value_of(list(options), "--model") is None:
        options = (*options, "--model", protocol.model)
    wanted = tasks_of(request, Path(how.output)) if tasks is None else tasks
    return do_tasks(list(wanted), replace(how, command=protocol.command, options=options))


def tasks_of(request: Request, output: Path) -> Iterator[Task]:
    """The videos of a request; what must be written for them lies in the output."""
    return _protocol(request.dataset).tasks(request, output / SUBFOLDER / "prompts")


def score_videos(request: Request, how: JobConfig, failed: int) -> Evaluation:
    """Score what :func:`run_videos` wrote; frames of videos that failed count as empty."""
    results = results_of(request, how)
    if request.dataset in CLIPS:
        typer.echo(f"results: {results}", err=True)
    else:
        request = replace(request, missing="empty" if failed else "error", workers=how.workers or 1)
    with progress(request.dataset) as show:
        return request.score(results, show)


def scored_here(request: Request) -> bool:
    """Whether there are annotations besides those that are given; of some parts a server keeps them."""
    if request.dataset in CLIPS:
        return _open_ytvis(request).annotated
    if request.dataset == "ytvos":
        videos = open_ytvos(request)
        return any(set(video.annotations) - {item.given for item in video.objects} for video in videos)
    return True


def results_of(request: Request, how: JobConfig) -> Path:
    """What is scored of the output: a folder of masks, or for instances one file, which is written."""
    return _all_clips(request, Path(how.output)) if request.dataset in CLIPS else Path(how.output)


def _protocol(name: str) -> Protocol:
    if name not in PROTOCOLS:
        raise DatasetError(f"no protocol of {name!r} is known; choose from {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def _masks(request: Request, folder: Path) -> Iterator[Task]:
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
        yield Task(video.name, str(source), _given(folder / video.name, place, mask))


def _ytvos(request: Request, folder: Path) -> Iterator[Task]:
    """Every object is given in the frame in which the description says that it appears."""
    for video in open_ytvos(request):
        names = list(video.frames)
        arguments: tuple[str, ...] = ()
        for frame in sorted({item.given for item in video.objects}, key=names.index):
            mask = video.read_mask(frame)
            coming = np.isin(mask, [item.id for item in video.objects if item.given == frame])
            arguments += _given(folder / video.name, names.index(frame), np.where(coming, mask, 0))
        yield Task(video.name, str(video.frames[names[0]].parent), arguments)


def _foreground(request: Request, folder: Path) -> Iterator[Task]:
    """Every video from its first picture on; outside its region of interest there is no foreground."""
    for video in open_films(request):
        names = [path.stem for path in video.frames]
        if [frame_number(name, i) for i, name in enumerate(names)] != list(video.numbers):
            names = [f"in{number:06d}" for number in video.numbers]
        source = _alone(video.frames, names, folder / "frames" / video.key)
        arguments: tuple[str, ...] = ()
        if video.roi is not None:
            region = video.read_roi().astype(np.uint8)
            arguments = ("--roi", str(_written(folder / f"{video.key}.png", region)))
        yield Task(video.key, str(source), arguments)


def _alone(paths: Sequence[Path], names: Sequence[str], folder: Path) -> Path:
    """Where pictures lie alone, by these names in this order: their own folder, or links in ``folder``."""
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


def _hofam(request: Request, folder: Path) -> Iterator[Task]:
    """Every composite by itself: its frame, and its flow as it is."""
    for video in open_films(request):
        for name, read in (("frames", read_frame), ("flow", read_flow)):
            for number, path in zip(video.numbers, video.frames, strict=True):
                target = folder / video.key / name / f"in{number:06d}.png"
                write_picture(target, read(path))
                # Written once more when the run goes on, it is the same source unless the composite changed.
                time = path.stat().st_mtime_ns
                os.utime(target, ns=(time, time))
        arguments = ("--flow", str(folder / video.key / "flow"), "--no-align")
        yield Task(video.key, str(folder / video.key / "frames"), arguments)


def _ytvis(request: Request, folder: Path) -> Iterator[Task]:
    """Every video as one clip of its pictures."""
    dataset = _open_ytvis(request)
    if dataset.images is None:
        raise DatasetError(f"{request.data}: no folder of pictures beside {dataset.path}")
    for video in dataset:
        paths = [dataset.images / name for name in video.file_names]
        names = [path.stem for path in paths]
        yield Task(video.name, str(_alone(paths, names, folder / "frames" / video.name)))


def _all_clips(request: Request, output: Path) -> Path:
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
    dataset = YTVISDataset.open(request.data, request.subset or "valid")
    if request.sequences:
        raise DatasetError("--sequence: AP is of a whole split; leave it out")
    return dataset


def _given(folder: Path, frame: int, mask: IndexMask) -> tuple[str, str]:
    return "--mask", f"{frame}@{_written(folder / f'{frame:05d}.png', mask)}"


def _written(path: Path, mask: IndexMask) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_index_mask(path, mask)
    return path


PROTOCOLS: Mapping[str, Protocol] = {
    **dict.fromkeys(("davis", "folder", "something"), Protocol("track", _masks)),
    "ytvos": Protocol("track", _ytvos),
    **dict.fromkeys(("cdnet", "sbi", "lasiesta", "limu", "foreground"), Protocol("foreground", _foreground)),
    "hofam": Protocol("foreground", _hofam, "hofam"),
    **dict.fromkeys(CLIPS, Protocol("instances", _ytvis)),
}
"""By the name that ``segue eval`` has for the data set."""
