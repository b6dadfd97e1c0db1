"""Tracking jobs: sessions for prompts, detectors and texts."""

from __future__ import annotations

import json
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from segue.errors import ArgumentError, PromptError, SourceError
from segue.jobs.ahead import Plan, check_frames, plan_prompts
from segue.jobs.opened import Run, first_frame, open_video
from segue.jobs.values import (
    DetectorConfig,
    TrackJob,
    TrackOptions,
    error_text,
)
from segue.models.base import FramePrompts, Schedule, TrackNetwork
from segue.models.detection.released import licence_of
from segue.options import RuntimeObject, unwrap
from segue.prompt_types import Prompt
from segue.prompts import MakePrompter, MotionPrompter, find_prompter
from segue.prompts.catalogue import DEFAULT
from segue.prompts.phrases import parse_phrases
from segue.prompts.proposals import Detector, Rules
from segue.sessions import TrackSession
from segue.sessions.auto import AutoSession
from segue.sessions.detected import DetectionOptions, DetectionSession
from segue.sessions.detecting import choose_for_text, detector, restrict_to_phrases
from segue.sessions.networks import track_network
from segue.sessions.review import AbsenceList, ReviewList
from segue.sessions.videos.reverse import ReversePass
from segue.types import ATTENTION_BELOW, Frame, Image, Segmentation
from segue.utils.naming import first_few
from segue.video import Source

EVERY = 5  # frames from one look for a text to the next
MAX_LISTED = 5  # frames to look at that a run names at its end

DEFAULT_NOTICE = f"looking for what moves (detector {DEFAULT}; --with chooses another)"
"""Notice if no detector was named."""


def make_schedule(network: TrackNetwork, options: TrackOptions) -> Schedule:
    """Published schedule of a network with the options of a job; None means published."""
    published = network.schedule
    changes = options.model_dump(exclude={"top_k", "settings", "reverse"}, exclude_none=True)
    for name in {"max_jump", "short_side"} & changes.keys():
        changes[name] = changes[name] or None  # 0 never does
    if options.top_k != "published":
        changes["top_k"] = options.top_k
    published_names = [item.name for item in fields(published) if item.name not in TrackOptions.model_fields]
    for name in options.settings:
        if name not in published_names:
            raise ArgumentError(f"setting {name}: this network has none; it has {', '.join(published_names)}")
    try:
        values = {**asdict(published), **changes, **options.settings}
        return TypeAdapter(type(published)).validate_json(json.dumps(values), strict=True)
    except ValidationError as errors:
        raise ArgumentError(f"setting {error_text(errors)}") from None


def make_detector(finding: DetectorConfig, device: str | None, fast: bool = False) -> Detector:
    """Make the detector of a job."""
    options = finding.model_dump(exclude={"every", "frames", "name", "detector"})
    return detector(finding.name, **options, device=device, fast=fast)


def step_required(
    session: TrackSession,
    frame: Frame,
    prompts: Sequence[Prompt] | FramePrompts | None,
    required: Container[int],
) -> Segmentation | None:
    """Process a frame; return a result only for required frames, as in YouTube-VOS."""
    if frame.index in required:
        return session.step(frame, prompts)
    if session.requires_update:
        session.step(frame, prompts)
    elif prompts is not None:
        session.step(frame, prompts, predict=False)
    else:
        session.skip(frame)
    return None


def open_track(job: TrackJob, source: Source | None = None, plan: Plan | None = None) -> Run:
    """Open the source and load the network of a job; see :func:`segue.jobs.running.open_job`."""
    required = None if job.finding is not None or job.required is None else frozenset(job.required)
    if job.options.reverse and (job.finding or required is not None):
        raise ArgumentError("reverse follows given objects, on all frames: leave out auto and required")
    source = source or open_video(job.source)
    if plan is not None and plan.prompts is None:  # a program has results before it hears of it
        check_frames(job, source)
    if job.options.reverse and source.once:
        raise SourceError(
            f"{source.name}: can be read only once, and nothing is followed backwards; leave out reverse"
        )
    network = track_network(job.model.choice, job.model.weights, device=job.device, fast=job.fast)
    prompter: MakePrompter | None = unwrap(job.prompter)
    if isinstance(job.prompter, str):
        prompter = find_prompter(job.prompter, device=job.device, fast=job.fast)
    tracker = TrackSession(
        network,
        make_schedule(network.network, job.options),
        fit=job.fit,
        prompter=prompter,
        frames=source.frame_count,
    )
    if job.finding is None:
        return TrackRun(job, source, tracker, required, plan)
    return _open_finding(job, source, tracker, job.finding, strict=plan is not None)


def _num_visible(result: Segmentation) -> str:
    return f"{sum(item.area > 0 for item in result.objects)} of {len(result.objects)} visible"


class TrackRun(Run):
    """Tracks the objects of a job from their prompts on.

    Attributes:
        backwards: tracks them backwards first, if requested.
    """

    def __init__(
        self,
        job: TrackJob,
        source: Source,
        session: TrackSession,
        required: Collection[int] | None,
        plan: Plan | None = None,
    ) -> None:
        self.backwards = ReversePass(session, source, self.plan) if job.options.reverse else None
        total = None if job.required is None else len(job.required)
        super().__init__(
            job,
            source,
            session,
            input_frames=self.backwards,
            total=total,
            required=required,
            notice=_numbering_notice(job, source),
        )
        self._track_job, self._track_session = job, session
        self._prompts = dict[int, list[Prompt] | FramePrompts]()
        self._review, self._absences = ReviewList(), AbsenceList()
        if not isinstance(job.prompter, RuntimeObject):  # that of a program may know clicks alone
            make = session.prompter
            session.prompter = lambda image: MotionPrompter(make(image), image, self._next_image)
        self._planned = None if plan is None else plan.prompts
        if plan is not None:
            self.expected |= dict.fromkeys(job.required or (), "required")
        if self.backwards is not None and plan is not None:
            with source:  # wrong prompts show before anything is written
                self.plan(first_frame(source.name, source)[0])

    def _next_image(self) -> Image | None:
        """Image after the frame whose prompts are read."""
        backwards = self.backwards
        return (
            self.frames.next_image()
            if backwards is None or backwards.index is None
            else backwards.next_image()
        )

    def plan(self, first: Frame) -> Mapping[int, list[Prompt] | FramePrompts]:
        """Prompts by frame, read with the first frame."""
        if not self._prompts:
            if self.backwards is not None:
                self.backwards.index = first.index
            planned = self._planned
            if planned is None:
                size = self.source.original_size or first.size
                planned = plan_prompts(self._track_job, first, size, self.source)
            self._prompts.update(planned)
            if first.index in planned:
                self._prompts[first.index] = self._track_session.resolve(first, planned[first.index])
            self.expected |= dict.fromkeys(self._prompts, "prompted")
        return self._prompts

    def step(self, frame: Frame) -> Segmentation | None:
        """Process a frame with its prompts."""
        prompts = self._prompts.get(frame.index)
        self.expected.pop(frame.index, None)
        if self.required is not None:
            return step_required(self._track_session, frame, prompts, self.required)
        result = self._track_session.step(frame, prompts)
        return result if self.backwards is None else self.backwards.complete(result)

    def note(self, result: Segmentation) -> str:
        """Number of visible objects; the result also counts for the summary."""
        self._review.add(result)
        self._absences.add(result)
        return _num_visible(result)

    def summary(self) -> str:
        """Frames to review, and gaps of objects; empty if there are none."""
        frames = dict.fromkeys(
            self.source.frame_label(doubt.index) for doubt in self._review.worst(most=MAX_LISTED)
        )
        review_note = f"look at frame {', '.join(frames)}: scores below {ATTENTION_BELOW}, the lowest first"
        lines = [review_note if frames else "", self._absences.describe(self.source.frame_label)]
        return "\n".join(filter(None, lines))


def _numbering_notice(job: TrackJob, source: Source) -> str:
    """Notice of prompted image files whose numbers differ from their frames; empty without any."""
    prompted = sorted({prompt.frame for prompt in job.prompts if prompt.frame is not None})
    renumbered = [index for index in prompted if source.frame_label(index) != str(index)]
    files = [f"frame {index} is {source.files[index].name}" for index in renumbered]
    return f"frames count from 0 in the order of their names: {first_few(files)}" if files else ""


class DetectionRun(Run):
    """Tracks the objects of a detector."""

    def __init__(
        self,
        job: TrackJob,
        source: Source,
        session: DetectionSession,
        finding: DetectorConfig,
        *,
        names: Mapping[int, str] | None = None,
        notice: str = "",
        strict: bool,
    ) -> None:
        super().__init__(job, source, session, names=names, notice=notice)
        self._detection_session, self.strict = session, strict
        if strict:
            self.expected |= dict.fromkeys(finding.frames or (), "text")

    def note(self, result: Segmentation) -> str:
        """Number of visible objects."""
        return _num_visible(result)

    def at_end(self) -> dict[str, Path]:
        """Raise an error if nothing was found, except for programs, which see the results."""
        if self.strict and self._detection_session.num_found == 0:
            raise PromptError(
                "no object was found in any frame; choose another detector or a lower --score, or give a box"
            )
        return {}


def _open_finding(
    job: TrackJob, source: Source, tracker: TrackSession, finding: DetectorConfig, *, strict: bool
) -> DetectionRun:
    """Open a run with a detector: instances for a text, otherwise objects as they appear."""
    custom = unwrap(finding.detector)
    session: DetectionSession
    if finding.text is None:
        if finding.frames is not None:
            raise ArgumentError("frames say where to look for a text: give text")
        find = custom or make_detector(finding, job.device, job.fast)
        session, names = AutoSession(tracker, find, finding.every), None
        notice = "" if finding.name or custom else DEFAULT_NOTICE
    else:
        phrases, notice = parse_phrases(finding.text), ""
        if custom is not None:
            find = restrict_to_phrases(custom, phrases)
        else:
            name = finding.name or choose_for_text(phrases)
            find = make_detector(finding.model_copy(update={"name": name}), job.device, job.fast)
            texts = ", ".join(phrase.text for phrase in phrases)
            notice = f"looking for {texts} ({name}{licence_of(name)})"
        rules = getattr(find, "rules", None) or Rules()
        score = rules.score if finding.score is None else finding.score
        detection_options = DetectionOptions(finding.every or EVERY, score, rules.max_objects, finding.frames)
        session = DetectionSession(tracker, find, detection_options)
        names = find.names
    return DetectionRun(job, source, session, finding, names=names, notice=notice, strict=strict)
