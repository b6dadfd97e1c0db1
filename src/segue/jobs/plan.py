"""Check a plan of several jobs before the start: conflicts and missing parts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import get_args

from segue.errors import (
    CheckpointError,
    DatasetError,
    FlowError,
    PromptError,
    SegueError,
    SinkError,
    SourceError,
)
from segue.inputs import exists
from segue.jobs.record import named_files
from segue.jobs.values import (
    ForegroundJob,
    InstancesJob,
    TrackJob,
    VideoJob,
    VideoSource,
)
from segue.registry import DETECTORS, MODELS, PROMPTERS, SINKS, NetworkTask
from segue.types import FlowName, MaskPrompt
from segue.video.addresses import is_url
from segue.video.images import match_images
from segue.video.outputs import output_paths
from segue.video.span import Span
from segue.video.zones import Zone
from segue.weights.available import check_available

WRITTEN = frozenset({"events", "snapshots", "background", "explain"})
"""Fields of jobs with places that are written, beside the outputs."""


def check_plan(jobs: Sequence[VideoJob]) -> None:
    """See that jobs can all be carried out: that none replaces what another one writes or reads.

    Args:
        jobs: in the order in which they will run, or side by side.

    Raises:
        SinkError: two jobs write to one place, one writes into what another one reads, or something is there
            that may not be replaced.
    """
    written: dict[Path, int] = {}
    inside: dict[Path, int] = {}  # folders that hold outputs, so that no other job writes them as a whole
    for number, job in enumerate(jobs, 1):
        for path in outputs_of(job):
            place = path.absolute()
            others = [written.get(place), inside.get(place), *(written.get(item) for item in place.parents)]
            clash = next((other for other in others if other not in (None, number)), None)
            if clash is not None:
                raise SinkError(
                    f"{path}: jobs {clash} and {number} of the plan both write there; give each an output of "
                    "its own"
                )
            if path.exists() and not (job.outputs.overwrite or job.outputs.resume):
                raise SinkError(f"{path}: exists already; give --overwrite or --resume, or another output")
            written[place] = number
            inside.update(dict.fromkeys(place.parents, number))
    for number, job in enumerate(jobs, 1):  # what an earlier job has made may be read
        for path in inputs_of(job):
            place = path.absolute()
            found = [written[item] for item in (place, *place.parents) if item in written]
            if any(other >= number for other in found):
                raise SinkError(
                    f"{path}: job {found[0]} of the plan writes there, and job {number} reads it; choose "
                    "another output"
                )


def outputs_of(job: VideoJob) -> Iterator[Path]:
    """Files and folders that a job writes."""
    folder = job.outputs.folder or Path("segue-out") / Path(job.source.place or "array").stem
    yield from output_paths(folder, job.outputs.formats).values()
    yield from (Path(place) for name, place in named_files(job).items() if name in WRITTEN)


def inputs_of(job: VideoJob) -> Iterator[Path]:
    """Files and folders that a job reads, as far as its fields name them."""
    places = [*named_files(job.source).values(), *named_files(job.model).values()]
    places += [place for name, place in named_files(job).items() if name not in WRITTEN]
    if isinstance(job, TrackJob):
        places += [] if job.finding is None else named_files(job.finding).values()
        places += [item.path for item in job.prompts if isinstance(item, MaskPrompt) and item.path]
    yield from (Path(place) for place in places if not is_url(place) and not place.isdecimal())


def check_needs(jobs: Sequence[VideoJob], *, sources: bool = True, coming: Collection[Path] = ()) -> None:
    """See that everything is there that jobs name, and that their options fit; PyTorch is not imported."""
    for job in jobs:
        if job.model.weights is None or job.model.weights.parent not in coming:
            _check_model(job)
        _check_options(job)
        for name in job.outputs.formats:
            SINKS.find(name)
    if not sources:
        return
    check_sources([job.source for job in jobs])
    prompts = [item for job in jobs if isinstance(job, TrackJob) for item in job.prompts]
    files = dict.fromkeys(item.path for item in prompts if isinstance(item, MaskPrompt) and item.path)
    lost = [path for path in files if not is_url(path) and not exists(Path(path))]
    if lost:
        raise PromptError(_counted("no such mask file", lost))


def check_sources(sources: Iterable[VideoSource]) -> None:
    """See that what sources name is there."""
    missing = [source.place for source in sources if source.place and not _is_there(source.place)]
    if missing:
        raise SourceError(_counted("no such file or folder", missing))


def _counted(what: str, places: Sequence[str]) -> str:
    more = f", and {len(places) - 1} more of the plan" if len(places) > 1 else ""
    return f"{places[0]}: {what}{more}"


def _is_there(place: str) -> bool:
    return is_url(place) or exists(Path(place)) or place.isdecimal() or bool(match_images(place))


def _check_model(job: VideoJob) -> None:
    """The networks and weight files of a job."""
    task: NetworkTask = job.kind
    name, weights = job.model.name, job.model.weights
    if any(item.argument == "model" for item in job.given):
        return
    if task == "instances" and "+" in name:  # a detector, whose weights are given, and what follows its finds
        found, _, name = name.partition("+")
        check_detector(found, weights)
        task, weights = "track", None
    check_available(task, name, weights)
    if isinstance(job, TrackJob) and job.finding is not None:
        check_detector(job.finding.name, job.finding.weights)


def check_detector(name: str | None, weights: Path | None) -> None:
    """See that a detector and its weights are there."""
    entry = None if name is None else DETECTORS.find(name)
    if weights is not None and not exists(weights):
        raise CheckpointError(f"{weights}: no such file")
    if weights is None and entry is not None and entry.network is not None:
        check_available(MODELS.find(entry.network).task, entry.network)


def _check_options(job: VideoJob) -> None:
    """Options of a job, and the files that they name."""
    source = job.source
    Span.of(source.start, source.end, source.stride, source.duration)
    if isinstance(job, TrackJob):
        name = job.prompter
        files = [] if name is None or name in PROMPTERS else name.split(",")
        if not all(exists(Path(file)) for file in files):
            raise PromptError(f"prompter {name!r}: neither a file nor one of {', '.join(PROMPTERS.names)}")
    if isinstance(job, ForegroundJob):
        if job.name_events is not None:
            check_detector(job.name_events, None)
        zones_of(job)
        needed: list[tuple[object, type[SegueError], str]] = [
            (job.flow_weights, FlowError, "no such weight file of the flow"),
            (job.roi, SourceError, "no such region of interest"),
            (job.depth, SourceError, "no such folder of depth maps"),
            (None if job.flow in get_args(FlowName) else job.flow, FlowError, "no such folder of flow files"),
            (
                None if job.scene == "median" else job.scene,
                SourceError,
                "no such image; the scene is median, or a file",
            ),
        ]
        for path, error, what in needed:
            if path is not None and not is_url(str(path)) and not exists(Path(str(path))):
                raise error(f"{path}: {what}")
    if isinstance(job, InstancesJob) and job.names is not None:
        from segue.jobs.instances import EDITIONS  # few jobs name an edition

        if job.names not in EDITIONS and not exists(Path(job.names)):
            raise DatasetError(f"{job.names}: no such annotation file")


def zones_of(job: ForegroundJob) -> tuple[Zone, ...]:
    """The zones of a job, each with a name of its own; they need events, as do other options about these."""
    zones = tuple(Zone.parse(text) for text in job.zones)
    if len({zone.name for zone in zones}) < len(zones):
        raise SegueError("two zones have one name; give each a name of its own")
    needs_events = zones or job.notify or job.snapshots or job.name_events
    if needs_events and job.events is None and "events" not in job.outputs.formats:
        raise SegueError("zones, messages, names and snapshots need events; add --events FILE")
    return zones
