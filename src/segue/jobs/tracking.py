"""Jobs that follow objects: the session that a job asks for."""

from __future__ import annotations

import itertools
import json
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import cast

from pydantic import TypeAdapter, ValidationError

from segue.errors import ArgumentError, PromptError, SourceError
from segue.jobs.ahead import check_frames, plan_prompts
from segue.jobs.opened import OpenJob, first_frame
from segue.jobs.values import (
    DetectorConfig,
    TrackJob,
    TrackOptions,
    check_prompts,
    error_text,
)
from segue.models.base import FramePrompts, Schedule, TrackNetwork
from segue.models.detection.released import licence_of
from segue.options import RuntimeObject, unwrap
from segue.prompts import MakePrompter, MotionPrompter, find_prompter
from segue.prompts.catalogue import DEFAULT
from segue.prompts.phrases import parse_phrases
from segue.prompts.proposals import Detector, Rules
from segue.sessions import TrackSession
from segue.sessions.auto import AutoSession
from segue.sessions.detected import DetectionOptions, DetectionSession
from segue.sessions.detecting import choose_for_text, detector, restrict_to_phrases
from segue.sessions.networks import track_network
from segue.sessions.reverse import ReversePass
from segue.sessions.review import ReviewList
from segue.types import ATTENTION_BELOW, Frame, Image, Prompt, Segmentation
from segue.utils.naming import first_few
from segue.video import Source

EVERY = 5  # frames from one look for a text to the next
NAMED = 5  # frames to look at that a run names at its end

DEFAULT_NOTICE = f"looking for what moves (detector {DEFAULT}; --with chooses another)"
"""Notice where no detector was named."""


def make_schedule(network: TrackNetwork, options: TrackOptions) -> Schedule:
    """The published schedule of a network with what options ask for; None is as published."""
    published = network.schedule
    changes = options.model_dump(exclude={"top_k", "settings", "reverse"}, exclude_none=True)
    for name in {"max_jump", "short_side"} & changes.keys():
        changes[name] = changes[name] or None  # 0 never does
    if options.top_k != "published":
        changes["top_k"] = options.top_k
    known = [item.name for item in fields(published) if item.name not in TrackOptions.model_fields]
    for name in options.settings:
        if name not in known:
            raise ArgumentError(f"setting {name}: this network has none; it has {', '.join(known)}")
    try:
        values = {**asdict(published), **changes, **options.settings}
        return TypeAdapter(type(published)).validate_json(json.dumps(values), strict=True)
    except ValidationError as errors:
        raise ArgumentError(f"setting {error_text(errors)}") from None


def make_detector(finding: DetectorConfig, device: str | None, fast: bool = False) -> Detector:
    """The detector of a job."""
    wanted = finding.model_dump(exclude={"every", "frames", "name", "detector"})
    return detector(finding.name, **wanted, device=device, fast=fast)


class PeekableFrames:
    """The frames of a source, once, and the image of the next one where a click asks for it."""

    def __init__(self, source: Source) -> None:
        self._frames = itertools.chain.from_iterable([source])  # opened with the first one
        self._next: Frame | None = None
        # A program that gives its images once may fill one array again and again.
        self._sees = not (source.request.place is None and source.once)

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        frame, self._next = self._next, None
        return next(self._frames) if frame is None else frame

    def image(self) -> Image | None:
        """The image of the frame after the one that was taken last. Returns RGB (H, W, 3), uint8."""
        if self._sees and self._next is None:
            self._next = next(self._frames, None)
        return None if self._next is None else self._next.image


def step_required(
    session: TrackSession,
    frame: Frame,
    prompts: Sequence[Prompt] | FramePrompts | None,
    required: Container[int],
) -> Segmentation | None:
    """Take a frame into the session; only a required one has a result, as in YouTube-VOS."""
    if frame.index in required:
        return session.step(frame, prompts)
    if session.requires_update:
        session.step(frame, prompts)
    elif prompts is not None:
        session.step(frame, prompts, predict=False)
    else:
        session.skip(frame)
    return None


def open_track(job: TrackJob, source: Source | None = None, *, strict: bool = False) -> OpenJob:
    """Open the source and load the network of a job; see :func:`segue.jobs.running.open_job`."""
    return (OpenTrack if job.finding is None else OpenFinding)(job, source, strict=strict)


class _OpenTracker(OpenJob):
    """A job with a session that tracks."""

    job: TrackJob

    def __init__(self, job: TrackJob, source: Source | None = None, *, strict: bool = False) -> None:
        if strict:
            check_prompts(job)
        if job.finding is None and job.required is not None:
            self.required = frozenset(job.required)
        self._pending: dict[int, str] = {}  # frames that have to come, and why
        if job.options.reverse and (job.finding or self.required is not None):
            raise ArgumentError("reverse follows given objects, on all frames: leave out auto and required")
        super().__init__(job, source, strict=strict)
        if strict:  # else a program has the results before it hears of it
            check_frames(job, self.source)
        if job.options.reverse and self.source.once:
            raise SourceError(
                f"{self.source.name}: can be read only once, and nothing is followed backwards; "
                "leave out reverse"
            )
        network = track_network(job.model.choice, job.model.weights, device=job.device, fast=job.fast)
        prompter: MakePrompter | None = unwrap(job.prompter)
        if isinstance(job.prompter, str):
            prompter = find_prompter(job.prompter, device=job.device, fast=job.fast)
        self.tracker = TrackSession(
            network,
            make_schedule(network.network, job.options),
            fit=job.fit,
            prompter=prompter,
            frames=self.source.frame_count,
        )

    def note(self, result: Segmentation) -> str:
        # Of a run that goes on the first results come once more, not the frames between that have none.
        due = self.required or ()
        for index in [i for i in self._pending if i == result.index or (i < result.index and i not in due)]:
            del self._pending[index]
        return f"{sum(item.area > 0 for item in result.objects)} of {len(result.objects)} visible"

    def finish(self) -> dict[str, Path]:
        if self._pending:
            frame = min(self._pending)
            raise PromptError(f"{self._pending[frame]} frame {frame} is not in the source")
        return {}


class OpenTrack(_OpenTracker):
    """A job with objects that are given."""

    session: TrackSession

    def __init__(self, job: TrackJob, source: Source | None = None, *, strict: bool = False) -> None:
        super().__init__(job, source, strict=strict)
        self.session, self._plan = self.tracker, dict[int, list[Prompt] | FramePrompts]()
        if strict:
            self._pending |= dict.fromkeys(job.required or (), "required")
        named = sorted({prompt.frame for prompt in job.prompts if prompt.frame is not None})
        apart = [index for index in named if self.source.frame_label(index) != str(index)]
        files = [f"frame {index} is {self.source.files[index].name}" for index in apart]
        if files:
            self.notice = f"frames count from 0 in the order of their names: {first_few(files)}"
        self._review = ReviewList()
        self._backwards: ReversePass | None = None
        if job.options.reverse:
            self.frames = self._backwards = ReversePass(self.session, self.source, self.plan)
            if strict:
                with self.source:  # wrong prompts show before anything is written
                    self.plan(first_frame(self.source.name, self.source)[0])
            return
        self.frames = ahead = PeekableFrames(self.source)
        if not isinstance(job.prompter, RuntimeObject):  # that of a program may know clicks alone
            make = self.session.prompter
            self.session.prompter = lambda image: MotionPrompter(make(image), image, ahead.image)

    @property
    def total(self) -> int | None:
        return super().total if self.job.required is None else len(self.job.required)

    def plan(self, first: Frame) -> Mapping[int, list[Prompt] | FramePrompts]:
        if not self._plan:
            self._plan.update(self._planned(first))
            if first.index in self._plan:
                self._plan[first.index] = self.session.resolve(first, self._plan[first.index])
            self._pending |= dict.fromkeys(self._plan, "prompted")
        return self._plan

    def _planned(self, first: Frame) -> dict[int, list[Prompt]]:
        return plan_prompts(self.job, first, self.source.original_size or first.size, self.source)

    def step(self, frame: Frame) -> Segmentation | None:
        prompts = self.plan(frame).get(frame.index)
        self._pending.pop(frame.index, None)
        if self.required is not None:
            return step_required(self.session, frame, prompts, self.required)
        result = self.session.step(frame, prompts)
        return result if self._backwards is None else self._backwards.complete(result)

    def note(self, result: Segmentation) -> str:
        self._review.add(result)
        return super().note(result)

    def summary(self) -> str:
        frames = dict.fromkeys(
            self.source.frame_label(doubt.index) for doubt in self._review.worst(most=NAMED)
        )
        shown = f"look at frame {', '.join(frames)}: scores below {ATTENTION_BELOW}, the lowest first"
        return shown if frames else ""


class OpenFinding(_OpenTracker):
    """A job with objects from a detector: for a text as instances, otherwise as they appear."""

    session: DetectionSession

    def __init__(self, job: TrackJob, source: Source | None = None, *, strict: bool = False) -> None:
        super().__init__(job, source, strict=strict)
        finding = cast(DetectorConfig, job.finding)
        given = unwrap(finding.detector)
        if strict:  # else a program sees in the results that nothing was found
            self._pending |= dict.fromkeys(finding.frames or (), "text")
        if finding.text is None:
            if finding.frames is not None:
                raise ArgumentError("frames say where to look for a text: give text")
            self.notice = "" if finding.name or given else DEFAULT_NOTICE
            self.session = AutoSession(
                self.tracker, given or make_detector(finding, job.device, job.fast), finding.every
            )
            return
        phrases = parse_phrases(finding.text)
        if given is not None:
            find: Detector = restrict_to_phrases(given, phrases)
        else:
            name = finding.name or choose_for_text(phrases)
            find = make_detector(finding.model_copy(update={"name": name}), job.device, job.fast)
            texts = ", ".join(phrase.text for phrase in phrases)
            self.notice = f"looking for {texts} ({name}{licence_of(name)})"
        rules = getattr(find, "rules", None) or Rules()
        score = rules.score if finding.score is None else finding.score
        looks = DetectionOptions(finding.every or EVERY, score, rules.max_objects, finding.frames)
        self.session, self.names = DetectionSession(self.tracker, find, looks), find.names

    def finish(self) -> dict[str, Path]:
        if self.strict and not self._pending and self.session.found == 0:
            raise PromptError(
                "no object was found in any frame; choose another detector or a lower --score, or give a box"
            )
        return super().finish()
