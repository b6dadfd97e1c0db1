"""Jobs that follow objects: the session that a job asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch
from pydantic import TypeAdapter, ValidationError

from segue.errors import ArgumentError, PromptError
from segue.jobs.options import Setting, TrackOptions
from segue.jobs.prepared import Prepared, first_frame, open_video
from segue.jobs.prompting import DEFAULT_NOTICE, make_detector, make_prompter, plan_prompts, settled
from segue.jobs.values import TrackJob
from segue.models.base import Schedule, TrackNetwork
from segue.prompts import MakePrompter
from segue.sessions import TrackSession
from segue.sessions.auto import AutoSession
from segue.sessions.networks import track_network
from segue.types import Frame, Prompt, Segmentation


def make_schedule(published: Schedule, options: TrackOptions) -> Schedule:
    """The published schedule of a network with what options ask for; None is as published.

    Raises:
        ArgumentError: a number is out of range.
    """
    asked = options.model_dump(exclude={"top_k", "settings"})
    changes = {name: value for name, value in asked.items() if value is not None}
    for name in {"max_jump", "short_side"} & changes.keys():
        changes[name] = changes[name] or None  # 0 never does
    if options.top_k != "published":
        changes["top_k"] = options.top_k
    try:
        schedule = replace(published, **changes, **checked_settings(published, options.settings))
    except ValueError as error:  # what the schedule itself refuses
        raise ArgumentError(str(error)) from None
    for name in ("mem_every", "memory_frames", "top_k", "short_side"):
        value = getattr(schedule, name)
        if value is not None and value < 1:
            raise ArgumentError(f"{name} is {value}, but must be at least 1")
    if schedule.max_jump is not None and not 0 < schedule.max_jump < 1:
        raise ArgumentError(
            f"max_jump is {schedule.max_jump}, but must be a part of the diagonal, from 0 to 1"
        )
    return schedule


def checked_settings(published: Schedule, given: Mapping[str, Setting]) -> dict[str, Any]:
    """Settings of a network, of the types that its schedule declares.

    Raises:
        ArgumentError: it has no such setting, or a value has another type.
    """
    types = get_type_hints(type(published))
    found = {}
    for name, value in given.items():
        if name in TrackOptions.model_fields:
            raise ArgumentError(f"setting {name}: there is an option of that name; give that one")
        if name not in types:
            known = ", ".join(known for known in types if known not in TrackOptions.model_fields)
            raise ArgumentError(f"setting {name}: this network has none of that name; it has {known}")
        try:
            found[name] = TypeAdapter(types[name]).validate_python(value, strict=True)
        except ValidationError:
            raise ArgumentError(f"setting {name} is {value!r}, but must be {in_words(types[name])}") from None
    return found


def in_words(kind: Any) -> str:
    """What values a type of a schedule has."""
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    words = {bool: "true or false", int: "a whole number", float: "a number", type(None): "none"}
    return " or ".join(words[part] for part in get_args(kind) or (kind,))


def track_session(
    network: TrackNetwork,
    options: TrackOptions,
    *,
    device: str | torch.device | None = None,
    fast: bool = False,
    fit: bool = False,
    prompter: MakePrompter | None = None,
    frames: int | None = None,
) -> TrackSession:
    """A session that follows objects as options ask for; see :class:`segue.TrackSession`."""
    schedule = make_schedule(network.schedule, options)
    return TrackSession(
        network, schedule, device=device, fast=fast, fit=fit, prompter=prompter, frames=frames
    )


def prepare_track(job: TrackJob) -> Prepared:
    """Open the source, load the network and read the prompts of a job.

    Raises:
        PromptError: prompts do not fit the source, or there are none and nothing is to be found.
        SourceError, CheckpointError: as described there.
    """
    check_prompts(job)
    source = open_video(job.source)
    network = track_network(job.model.name, job.model.weights)
    make = None if job.finding else make_prompter(job.refine, job.prompter, job.device)
    tracker = track_session(
        network,
        job.options,
        device=job.device,
        fast=job.fast,
        fit=job.fit,
        prompter=make,
        frames=source.frame_count,
    )
    if job.finding is not None:
        finder = AutoSession(tracker, make_detector(job.finding, job.device), job.finding.every)

        def check_found() -> dict[str, Path]:
            if finder.found == 0:
                raise PromptError("no object was found in any frame; choose another detector, or give a box")
            return {}

        notice = "" if job.finding.name else DEFAULT_NOTICE
        return Prepared(finder, source, source, visible, notice=notice, finish=check_found)
    with_first = False
    try:
        first, frames = first_frame(source.name, source)
        size = source.original_size or first.size
        plan = plan_prompts(job.prompts, first, size, job.source.stride, fit=job.fit)
        if first.index in plan:
            plan[first.index] = settled(first, plan[first.index], tracker.prompter, tracker.native)
        with_first = True
    finally:
        if not with_first:
            source.close()
    required = None if job.required is None else frozenset(job.required)
    pending = {*plan, *(required or ())}

    def prompts(frame: Frame) -> list[Prompt] | None:
        pending.discard(frame.index)
        return plan.get(frame.index)

    def note(result: Segmentation) -> str:
        pending.discard(result.index)  # also of a run that goes on: its first results come once more
        return visible(result)

    def check_reached() -> dict[str, Path]:
        if pending:
            what = "is a prompt for" if min(pending) in plan else "should be a result of"
            raise PromptError(f"there {what} frame {min(pending)}, but the source has no such frame")
        return {}

    total = None if required is None else len(required)
    return Prepared(tracker, source, frames, note, prompts, required, total, finish=check_reached)


def check_prompts(job: TrackJob) -> None:
    """See that a job says what to follow: objects are either given or found.

    Raises:
        PromptError: it says neither, or both.
    """
    if job.finding is not None and (job.prompts or job.prompter is not None):
        raise PromptError(
            "--auto finds the objects: leave out --mask, --box, --point, --remove and --prompter"
        )
    if job.finding is None and not any(value.kind != "remove" for value in job.prompts):
        raise PromptError("say what to follow: give --mask, --box or --point, or --auto to have it found")


def visible(result: Segmentation) -> str:
    """How many of the objects are visible, in words."""
    return f"{sum(item.area > 0 for item in result.objects)} of {len(result.objects)} visible"
