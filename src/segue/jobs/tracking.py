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
from segue.jobs.opened import Inputs, OpenJob, first_frame, open_video
from segue.jobs.options import SettingValue, TrackOptions
from segue.jobs.parts import Finding
from segue.jobs.prompting import DEFAULT_NOTICE, make_detector, make_prompter, plan_prompts
from segue.jobs.values import TrackJob, check_prompts
from segue.models.base import FramePrompts, Schedule, TrackNetwork
from segue.models.detection.released import SAM3_VIDEO, licence_of
from segue.prompts import MakePrompter, prompter_of
from segue.prompts.motion import with_motion
from segue.prompts.phrases import parse_phrases
from segue.prompts.proposals import Detector
from segue.prompts.selection import Rules
from segue.sessions import TrackSession
from segue.sessions.auto import AutoSession
from segue.sessions.concepts import ConceptSession
from segue.sessions.detected import DetectionOptions, DetectionSession
from segue.sessions.detecting import ask, choose_for_text, concept_session
from segue.sessions.networks import track_network
from segue.sessions.reverse import ReversePass
from segue.sessions.review import ReviewList
from segue.types import ATTENTION_BELOW, Frame, Prompt, Segmentation
from segue.video import Source

EVERY = 5  # frames from one look for a text to the next
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
    return schedule


def checked_settings(published: Schedule, given: Mapping[str, SettingValue]) -> dict[str, Any]:
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
    """Possible values of a schedule's type."""
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


def open_track(job: TrackJob, inputs: Inputs) -> OpenJob:
    """Open the source and load the network of a job; see :func:`segue.jobs.running.open_job`."""
    own_source = "source" not in inputs
    if own_source:
        check_prompts(job)
    required = inputs.get("required")
    if job.required is not None:
        required = frozenset(job.required)
    if job.options.reverse and (job.finding or required is not None):
        raise ArgumentError("reverse follows given objects, on all frames: leave out auto and required")
    source: Source = inputs.get("source") or open_video(job.source)
    if job.options.reverse and source.once:
        raise SourceError(
            f"{source.name}: can be read only once, and nothing is followed backwards; leave out reverse"
        )
    network = track_network(inputs.get("model", job.model.name), job.model.weights)
    make: MakePrompter | None = inputs.get("prompter")
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
    if make is None and "model" not in inputs:
        tracker.prompter = prompter_of(job.model.name, device=tracker.device)
    if job.finding is not None:
        return _open_finding(job, job.finding, inputs, tracker, source)
    ahead = Ahead(source)
    # Two passes read the frames anew, and a prompter of a program may know clicks alone.
    if "prompter" not in inputs and not job.options.reverse:
        tracker.prompter = with_motion(tracker.prompter, ahead.picture)
    plan: dict[int, list[Prompt] | FramePrompts] = {}
    pending = set(job.required or () if own_source else ())
    review = ReviewList()

    def planned(first: Frame) -> dict[int, list[Prompt] | FramePrompts]:
        if not plan:
            size = source.original_size or first.size
            plan.update(plan_prompts(job.prompts, first, size, job.source.stride, fit=job.fit))
            if first.index in plan:
                plan[first.index] = tracker.resolve(first, plan[first.index])
            pending.update(plan)
        return plan

    def prompts(frame: Frame) -> list[Prompt] | FramePrompts | None:
        given = planned(frame).get(frame.index)
        pending.discard(frame.index)
        return given

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

    passes = ReversePass(tracker, source, planned) if job.options.reverse else None
    if passes is not None and own_source:
        with source:  # wrong prompts show before anything is written
            planned(first_frame(source.name, source)[0])
    return OpenJob(
        job,
        tracker,
        source,
        passes or ahead,
        note,
        prompts,
        required,
        begin=planned,
        total=None if job.required is None else len(job.required),
        complete=None if passes is None else passes.complete,
        inputs=inputs,
        summary=lambda: review_notice(review),
        finish=check_reached,
    )


def _open_finding(
    job: TrackJob, finding: Finding, inputs: Inputs, tracker: TrackSession, source: Source
) -> OpenJob:
    """A job with objects from a detector: for a text as instances, otherwise as they appear."""
    pending = set(finding.frames or ())
    given = inputs.get("detector")
    names: Mapping[int, str] = {}
    finder: AutoSession | ConceptSession | DetectionSession
    if finding.text is None:
        if finding.frames is not None:
            raise ArgumentError("frames say where to look for a text: give text")
        notice = "" if finding.name or given else DEFAULT_NOTICE
        finder = AutoSession(tracker, given or make_detector(finding, job.device), finding.every)
    elif finding.name == SAM3_VIDEO.name and given is None:
        for option in ("frames", "every", "classes", "features", "refine", "tiles"):
            if getattr(finding, option) is not None:
                raise ArgumentError(f"{finding.name} tracks all that the text names: leave out {option}")
        finder = concept_session(
            finding.text,
            weights=finding.weights,
            score=finding.score,
            max_objects=finding.max_objects,
            device=job.device,
            fast=job.fast,
        )
        names, wanted = finder.names, ", ".join(finder.names.values())
        notice = f"looking for {wanted} ({finding.name}{licence_of(finding.name)})"
    else:
        phrases, notice = parse_phrases(finding.text), ""
        if given is not None:
            find: Detector = ask(given, phrases)
        else:
            name = finding.name or choose_for_text(phrases)
            find = make_detector(finding.model_copy(update={"name": name}), job.device)
            notice = f"looking for {', '.join(phrase.text for phrase in phrases)} ({name}{licence_of(name)})"
        rules, names = getattr(find, "rules", None) or Rules(), find.names
        score = rules.score if finding.score is None else finding.score
        looks = DetectionOptions(finding.every or EVERY, score, rules.max_objects, finding.frames)
        finder = DetectionSession(tracker, find, looks)

    def note(result: Segmentation) -> str:
        pending.difference_update([index for index in pending if index <= result.index])
        return visible(result)

    def check_found() -> dict[str, Path]:
        if pending:
            raise PromptError(f"text is asked for on frame {min(pending)}, but the source has no such frame")
        if finder.found == 0:
            raise PromptError(
                "no object was found in any frame; choose another detector or a lower --score, or give a box"
            )
        return {}

    # A program that gave the source sees in the results that nothing was found.
    finish = dict if "source" in inputs else check_found
    return OpenJob(
        job, finder, source, source, note, names=names, notice=notice, inputs=inputs, finish=finish
    )


def review_notice(review: ReviewList) -> str:
    """Frames of a track to review, in words."""
    frames = dict.fromkeys(doubt.index for doubt in review.worst(most=NAMED))
    if not frames:
        return ""
    return f"look at frame {', '.join(map(str, frames))}: scores below {ATTENTION_BELOW}, the lowest first"


def visible(result: Segmentation) -> str:
    """Number of visible objects, in words."""
    return f"{sum(item.area > 0 for item in result.objects)} of {len(result.objects)} visible"
