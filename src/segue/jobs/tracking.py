"""Jobs that follow objects: the session that a job asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch
from pydantic import TypeAdapter, ValidationError

from segue.errors import ArgumentError, PromptError, SourceError
from segue.jobs.ahead import Ahead
from segue.jobs.options import Setting, TrackOptions
from segue.jobs.prepared import Objects, Prepared, first_frame, nothing, open_video
from segue.jobs.prompting import DEFAULT_NOTICE, make_detector, make_prompter, plan_prompts, settled
from segue.jobs.values import TrackJob
from segue.models.base import Schedule, TrackNetwork
from segue.prompts import MakePrompter, prompter_of
from segue.prompts.given import PromptPlan
from segue.prompts.motion import with_motion
from segue.sessions import TrackSession
from segue.sessions.auto import AutoSession
from segue.sessions.networks import track_network
from segue.sessions.reverse import ReversePass
from segue.sessions.review import ReviewList
from segue.types import ATTENTION_BELOW, Frame, Prompt, Segmentation
from segue.video import Source

NAMED = 5  # frames to look at that a run names at its end


def make_schedule(published: Schedule, options: TrackOptions) -> Schedule:
    """The published schedule of a network with what options ask for; None is as published."""
    asked = options.model_dump(exclude={"top_k", "settings", "reverse"})
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
    """Settings of a network, of the types that its schedule declares."""
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
    if schedule.uncertainty_penalty < 0:
        raise ArgumentError(f"uncertainty_penalty is {schedule.uncertainty_penalty}, but must be at least 0")
    if schedule.uncertainty_penalty and not getattr(network.tracker, "weighs_uncertainty", False):
        raise ArgumentError("uncertainty_penalty: this network does not use it; STCN, STM and stcn-lite do")
    return TrackSession(
        network, schedule, device=device, fast=fast, fit=fit, prompter=prompter, frames=frames
    )


def prepare_track(job: TrackJob, objects: Objects) -> Prepared:
    """Open the source, load the network and read the prompts; see :func:`segue.jobs.running.prepare`."""
    if objects.prompts is None:
        check_prompts(job)
    if job.options.reverse and (job.finding or job.required is not None or objects.required is not None):
        raise ArgumentError("reverse follows given objects, on all frames: leave out auto and required")
    source = objects.source or open_video(job.source)
    if job.options.reverse and source.once:
        raise SourceError(
            f"{source.name}: can be read only once, and nothing is followed backwards; leave out reverse"
        )
    model = job.model.name if objects.model is None else objects.model
    network = track_network(model, job.model.weights)
    make = objects.prompter
    if make is None and not job.finding:
        make = make_prompter(job.refine, job.prompter, job.model.name, job.device)
    tracker = track_session(
        network,
        job.options,
        device=job.device,
        fast=job.fast,
        fit=job.fit,
        prompter=make,
        frames=source.frame_count,
    )
    if make is None and objects.model is None:
        tracker.prompter = prompter_of(job.model.name, device=tracker.device)
    if job.finding is not None:
        find = objects.detector or make_detector(job.finding, job.device)
        finder = AutoSession(tracker, find, job.finding.every)

        def check_found() -> dict[str, Path]:
            if finder.found == 0:
                raise PromptError("no object was found in any frame; choose another detector, or give a box")
            return {}

        notice = "" if job.finding.name or objects.detector else DEFAULT_NOTICE
        # A program that gave the source sees in the results that nothing was found.
        finish = check_found if objects.source is None else nothing
        return Prepared(finder, source, source, visible, notice=notice, finish=finish)
    ahead = Ahead(source)
    # Two passes read the frames anew, and a prompter of a program may know clicks alone.
    if objects.prompter is None and not job.options.reverse:
        tracker.prompter = with_motion(tracker.prompter, ahead.picture)
    if objects.prompts is not None:
        return _prepare_given(job, objects, objects.prompts, tracker, source, ahead)
    with_first = False
    try:
        first, frames = first_frame(source.name, ahead)
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
    review = ReviewList()

    def prompts(frame: Frame) -> list[Prompt] | None:
        pending.discard(frame.index)
        return plan.get(frame.index)

    def note(result: Segmentation) -> str:
        # Of a run that goes on the first results come once more, not the frames between that have none.
        pending.difference_update([index for index in plan if index <= result.index])
        pending.discard(result.index)
        review.add(result)
        return visible(result)

    def check_reached() -> dict[str, Path]:
        if pending:
            what = "is a prompt for" if min(pending) in plan else "should be a result of"
            raise PromptError(f"there {what} frame {min(pending)}, but the source has no such frame")
        return {}

    if job.options.reverse:
        source.close()
        passes = ReversePass(tracker, source, lambda _: plan)
        return Prepared(
            tracker,
            source,
            passes,
            note,
            prompts,
            complete=passes.complete,
            summary=lambda: review_notice(review),
            finish=check_reached,
        )
    return Prepared(
        tracker,
        source,
        frames,
        note,
        prompts,
        required,
        total=None if required is None else len(required),
        summary=lambda: review_notice(review),
        finish=check_reached,
    )


def _prepare_given(
    job: TrackJob, objects: Objects, plan: PromptPlan, tracker: TrackSession, source: Source, ahead: Ahead
) -> Prepared:
    """A job whose prompts a program gave: frames are read when results are asked for."""
    required = objects.required if job.required is None else frozenset(job.required)

    def note(result: Segmentation) -> str:
        plan.pass_over(result.index)
        return visible(result)

    def check_reached() -> dict[str, Path]:
        plan.check_reached()
        return {}

    passes = ReversePass(tracker, source, plan.by_frame) if job.options.reverse else None
    return Prepared(
        tracker,
        source,
        passes or ahead,
        note,
        plan,
        required,
        begin=lambda first: plan.begin(first.index),
        saves=required is None,
        complete=None if passes is None else passes.complete,
        finish=check_reached,
    )


def check_prompts(job: TrackJob) -> None:
    """See that a job says what to follow: objects are either given or found."""
    if job.finding is not None and (job.prompts or job.prompter is not None):
        raise PromptError(
            "--auto finds the objects: leave out --mask, --box, --point, --remove and --prompter"
        )
    if job.finding is None and not any(value.kind != "remove" for value in job.prompts):
        raise PromptError("say what to follow: give --mask, --box or --point, or --auto to have it found")


def review_notice(review: ReviewList) -> str:
    """Which frames of a track to look at, in words."""
    frames = dict.fromkeys(doubt.index for doubt in review.worst(most=NAMED))
    if not frames:
        return ""
    return f"look at frame {', '.join(map(str, frames))}: scores below {ATTENTION_BELOW}, the lowest first"


def visible(result: Segmentation) -> str:
    """How many of the objects are visible, in words."""
    return f"{sum(item.area > 0 for item in result.objects)} of {len(result.objects)} visible"
