"""Check jobs before the first one starts: files exist, and options fit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from pathlib import Path

from segue.errors import CheckpointError, PromptError, SegueError, SourceError
from segue.events.rules import UNKNOWN, with_groups
from segue.events.targets import check_targets
from segue.jobs.record import named_files
from segue.jobs.values import ForegroundJob, ForegroundOptions, TrackJob, VideoJob, VideoSource
from segue.prompt_types import MaskPrompt
from segue.registry import DETECTORS, FORMATS, MODELS, PROMPTERS, STAGES, NetworkTask
from segue.sessions.foreground.stages.entries import checked
from segue.utils.inputs import check_file, exists, missing_message
from segue.video.sources.addresses import check_place, is_address, is_url, public_address
from segue.video.sources.images import is_source
from segue.video.sources.span import Span, parse_duration
from segue.weights.available import check_available

NOT_READ = frozenset({"events", "snapshots", "background", "explain", "notify", "prompter"})
"""Fields of jobs with files that are written, addresses, or names."""

READ_FILES = frozenset({"roi", "scene"})
"""Fields of jobs with images or statistics that are read; folders are none."""


def check_needs(jobs: Sequence[VideoJob], *, sources: bool = True, coming: Collection[Path] = ()) -> None:
    """Raise an error unless all files of the jobs exist and their options fit; PyTorch is not imported."""
    for job in jobs:
        if job.model.weights is None or job.model.weights.parent not in coming:
            _check_model(job)
        _check_options(job)
        for name in job.outputs.formats or ():
            FORMATS.find(name)
        if not sources:
            continue
        check_source(job.source)
        place = job.source.place
        if place is not None and not is_url(place) and is_source(place):  # files and folders have an end
            refuse_live_options(job, place)
        elif place is not None:
            refuse_two_passes(job, public_address(place) if is_address(place) else f"camera {place}")
        for item in job.prompts if isinstance(job, TrackJob) else ():
            if isinstance(item, MaskPrompt) and item.path and not _exists(item.path):
                raise PromptError(f"{item.path}: no such mask file")


def check_source(source: VideoSource) -> None:
    """Raise SourceError unless the source exists."""
    place = source.place
    if place is None:
        return
    check_place(place)
    if not (is_url(place) or place.isdecimal() or is_source(place)):
        raise SourceError(missing_message(place))


def refuse_live_options(job: VideoJob, name: str) -> None:
    """Raise an error for options of live sources in a job whose source, ``name``, has an end."""
    keep = job.keep if isinstance(job, ForegroundJob) else ()
    options = {"rotate": job.outputs.rotate, "keep": keep, "append": job.outputs.append}
    for option, value in options.items():
        if value:
            raise SourceError(f"{name}: has an end; --{option} is for cameras and live streams")


def refuse_two_passes(job: VideoJob, name: str) -> None:
    """Raise an error for two passes over a source, ``name``, that can be read once."""
    if isinstance(job, ForegroundJob) and job.options.passes == 2:
        raise SourceError(f"{name}: can be read only once; two passes are for files and folders")


def _exists(place: str) -> bool:
    return is_url(place) or exists(Path(place))


def _check_model(job: VideoJob) -> None:
    """Check networks and weight files of a job."""
    task: NetworkTask = job.kind
    name, weights = job.model.name, job.model.weights
    if task == "instances" and "+" in name:  # a detector, whose weights are given, and what follows its finds
        detector, _, name = name.partition("+")
        check_detector(detector, weights)
        task, weights = "track", None
    check_available(task, name, weights)
    if isinstance(job, TrackJob) and job.finding is not None:
        check_detector(job.finding.name, job.finding.weights)


def check_detector(name: str | None, weights: Path | None) -> None:
    """Raise an error unless a detector and its weights exist."""
    entry = None if name is None else DETECTORS.find(name)
    if weights is not None and not exists(weights):
        raise CheckpointError(f"{weights}: no such file")
    if weights is None and entry is not None and entry.network is not None:
        check_available(MODELS.find(entry.network).task, entry.network)


def _check_stages(options: ForegroundOptions) -> None:
    """Raise an error for unknown stages, or for an unknown detector of the stage ``agreement``."""
    if options.without:
        checked(options.without)
    for name in options.stages:
        STAGES.find(name)
    default = type(options).model_fields["detector"].default  # known, and takes milliseconds to look up
    if isinstance(options.detector, str) and options.detector not in ("none", default):
        check_detector(options.detector, None)


def _check_messages(job: ForegroundJob) -> None:
    """Raise an error for receivers, or classes and zones of them, that no event can have."""
    targets = check_targets(job.notify)
    entry = None if job.name_events is None else DETECTORS.find(job.name_events)
    names = None if entry is None or entry.categories is None else {*entry.categories.values(), UNKNOWN}
    zones = {zone.name for zone in job.event_settings(job.outputs.formats or ()).zones}
    rules = [rule for target in targets for rule in target.rules]
    for option, labels in (("only", job.only), *(("notify", rule.only) for rule in rules)):
        if labels and entry is None:
            raise SegueError(
                f"--{option}: classes of objects are known by a detector; add --name-events nanodet"
            )
        for label in labels:
            if names is not None and names.isdisjoint(with_groups([label])):
                close = get_close_matches(label, names, 1)
                advice = f"; did you mean {close[0]}?" if close else ""
                raise SegueError(f"--{option}: {job.name_events} knows no class {label!r}{advice}")
    for zone in (zone for rule in rules for zone in rule.zone if zone not in zones):
        raise SegueError(
            f"--notify: there is no zone {zone!r}; zones are {', '.join(sorted(zones)) or 'none'}"
        )


def _check_options(job: VideoJob) -> None:
    """Check options of a job, and files that they name."""
    source = job.source
    Span.of(source.start, source.end, source.stride, source.duration)
    if job.outputs.rotate is not None:
        parse_duration(job.outputs.rotate, "--rotate")
    if isinstance(job, TrackJob):
        name = job.prompter
        if isinstance(name, str) and name not in PROMPTERS and not exists(Path(name)):
            raise PromptError(f"prompter {name!r}: neither a file nor one of {', '.join(PROMPTERS.names)}")
    if isinstance(job, ForegroundJob):
        if job.name_events is not None:
            check_detector(job.name_events, None)
        _check_stages(job.options)
        job.event_settings(job.outputs.formats or ())
        _check_messages(job)
    for name, text in named_files(job).items():
        if name not in NOT_READ and not _exists(text):
            raise SourceError(f"{text}: no such file or folder, given as --{name.replace('_', '-')}")
        if name in READ_FILES and exists(Path(text)):
            check_file(Path(text), SourceError)
