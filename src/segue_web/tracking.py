"""Follow objects through a part of a video, from corrected frames, in either direction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from segue.errors import PromptError
from segue.jobs.running import FrameLoop
from segue.models.base import MemoryNetwork
from segue.sessions import TrackSession
from segue.types import Frame, IndexMask, MaskPrompt, Segmentation
from segue_web.project import FrameAnnotation, MarkedMask, Project
from segue_web.video import Video
from segue_web.worker import Tools

Direction = Literal["forward", "back", "between"]

SHOWN_AHEAD = 24
"""Corrected frames that a tracking is shown before it starts; those nearest to its way."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """A corrected frame; known objects without a pixel are not visible there."""

    mask: IndexMask  # (H, W); known objects without a pixel are not visible
    known: frozenset[int]  # objects that were checked
    expected: Mapping[int, float] = field(default_factory=dict)  # IoU of masks that no person drew


Steps = Iterator[tuple[int, dict[int, MarkedMask]]]
"""Frame index and its objects; scores are the tracker's (expected IoU), 0 if not visible."""


def planned(
    project: Project,
    video: Video,
    direction: Direction,
    frame: int,
    first: int = 0,
    last: int | None = None,
    objects: Iterable[int] | None = None,
) -> dict[str, Any]:
    """Start, end, direction, objects, range and number of frames of a request to track."""
    objects = project.unlocked(objects)
    if not objects:
        raise PromptError("there is no unlocked object to track; click one first")
    # A first mask that was imported is as good a start as a click, as long as nobody corrected anything.
    given = project.frames_of(objects) or project.frames_of(objects, "imported")
    before = [i for i in given if i <= frame]
    after = [i for i in given if i >= frame]
    if direction == "between":
        before = [i for i in before if i < frame] or before
        after = [i for i in after if i > frame]
        if not before or not after:
            raise PromptError("go to a frame between two corrected ones; there is none on one side")
        start, stop = before[-1], after[0] - 1
    else:
        forward = direction == "forward"
        if not (before if forward else after):
            side = "up to here" if forward else "from here on"
            raise PromptError(f"no frame {side} has a corrected object to start from; click one here first")
        start = before[-1] if forward else after[0]
        stop = video.count - 1 if forward else 0
    if start == stop:
        raise PromptError("there is no frame to track in this direction")
    last = video.count - 1 if last is None else min(last, video.count - 1)
    found = [index for index in _way(start, stop) if first <= index <= last]
    if not found and (first, last) != (0, video.count - 1):
        raise PromptError(f"none of the frames from {first} to {last} lies on this way")
    wanted = {"objects": objects, "first": first, "last": last, "done": 0, "total": len(found)}
    return {"direction": direction, "start": start, "stop": found[-1], **wanted}


def _way(start: int, stop: int) -> range:
    """The frames that a tracking gives, in its order."""
    return range(start + 1, stop + 1) if start < stop else range(start - 1, stop - 1, -1)


def resumed(project: Project) -> dict[str, Any]:
    """The remaining part of the interrupted tracking."""
    spec: dict[str, Any] | None = project.noted("tracking")
    if spec is None:
        raise PromptError("there is no interrupted tracking to resume")
    spec["objects"] = project.unlocked(spec["objects"])
    if spec["start"] == spec["stop"] or not spec["objects"]:
        raise PromptError("the interrupted tracking has no frames left")
    return spec | {"done": 0, "total": spec["total"] - spec["done"]}


def corrected_frames(project: Project, spec: dict[str, Any]) -> dict[int, Corrected]:
    """The frames that a tracking is shown: its start, those on its way, and the nearest of the others."""
    objects, start = spec["objects"], spec["start"]
    low, high = sorted((start, spec["stop"]))
    given = project.frames_of(objects)
    nearest = sorted(given, key=lambda i: max(low - i, i - high, 0))
    corrected = {}
    for index in {*nearest[:SHOWN_AHEAD], *(i for i in given if low <= i <= high), start}:
        marks = project.marks(index)
        known = frozenset(marks) & frozenset(objects)
        expected = {i: marks[i].score for i in known if marks[i].kind != "imported" and marks[i].score < 1}
        corrected[index] = Corrected(project.mask(index, known), known, expected)
    return corrected


def track_job(
    tools: Tools,
    corrected: Mapping[int, Corrected],
    start: int,
    stop: int,
    objects: list[int],
    kept: range,
) -> Steps:
    """Job of :meth:`segue_web.worker.Worker.steps` that tracks."""
    results = follow(tools.network, tools.video, corrected, start, stop, device=tools.device)
    for result in results:
        if result.index in kept:
            scores = {item.id: item.score for item in result.objects if item.id in objects}
            found = {
                i: (np.asarray(result.mask == i), FrameAnnotation("tracked", score))
                for i, score in scores.items()
            }
            yield result.index, found


def follow(
    network: MemoryNetwork,
    video: Video,
    corrected: Mapping[int, Corrected],
    start: int,
    stop: int,
    *,
    device: str | None = None,
) -> Iterator[Segmentation]:
    """Results after ``start`` up to ``stop``; all corrected frames are memory from the beginning."""
    if start not in corrected:
        raise PromptError(f"frame {start} has no corrected object to start from; click one there first")
    session = TrackSession(network, device=device)
    others = sorted((i for i in corrected if i != start), key=lambda i: (len(corrected[i].known), i))
    for index in others:
        if corrected[index].mask.any():
            _show(session, video.frame(index), corrected[index])

    def step(frame: Frame) -> Segmentation:
        given = corrected.get(frame.index)
        if given is not None and given.mask.any():
            return _show(session, frame, given)
        if not session.ids:
            raise PromptError(f"frame {start} shows no pixel of the objects; start where one is visible")
        return session.step(frame)

    for frame, result in FrameLoop(session, step).over(video.walk(start, stop)):
        if frame.index != start:
            yield result


def _show(session: TrackSession, frame: Frame, given: Corrected) -> Segmentation:
    ids = [int(i) for i in np.unique(given.mask) if i]
    prompts = [MaskPrompt(i, given.mask == i, given.expected.get(i)) for i in ids]
    return session.step(frame, prompts, predict=bool(set(session.ids) - given.known))
