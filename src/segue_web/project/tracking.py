"""Plans, conditioning frames and results of trackings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import starmap
from typing import Any, Literal
from uuid import uuid4

import numpy as np

from segue.errors import PromptError
from segue.jobs.frame_loop import now_and_then
from segue.masks.unsure import to_runs
from segue.sessions import TrackSession
from segue.sessions.videos.corrections import (
    ConditioningFrame,
    Layer,
    propagate,
    select_conditioning_frames,
    show_earlier_frames,
    split_overlapping,
)
from segue.sessions.videos.provenance import Source, Sources, StoredMask, present
from segue.types import Frame, IndexMask
from segue.utils.arrays import BoolArray
from segue_web.project.annotations import FrameAnnotation, MarkedMask, Side
from segue_web.project.memory import TrackingMemory, fingerprint
from segue_web.project.project import Project
from segue_web.server.worker import Tools
from segue_web.video import Video

Direction = Literal["forward", "back", "between"]


@dataclass(frozen=True, slots=True)
class ConditioningProgress:
    """Number of corrected frames already shown to the tracker."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class TrackedFrame(Mapping[int, MarkedMask]):
    """Objects of a tracked frame, compact for transfer between processes.

    Attributes:
        masks: index masks (H, W), one of each session.
        marks: for each object the place of its mask, and what is known of it; scores are the tracker's
            (expected IoU), 0 if not visible.
        is_computed: whether the network has seen the frame; else all masks are those before.
    """

    masks: Sequence[IndexMask]
    marks: Mapping[int, tuple[int, FrameAnnotation]]
    is_computed: bool = True

    def __getitem__(self, number: int) -> MarkedMask:
        place, mark = self.marks[number]
        return np.asarray(self.masks[place] == number), mark

    def __iter__(self) -> Iterator[int]:
        return iter(self.marks)

    def __len__(self) -> int:
        return len(self.marks)


@dataclass(frozen=True, slots=True)
class TrackingPlan:
    """Objects, frames and corrected frames of a tracking.

    Attributes:
        begin: the corrected frame from which it starts.
        stop: the last frame that it gives.
        first: first frame whose masks are stored.
        last: last frame whose masks are stored.
        total: number of frames that it gives.
        earlier: by frame and object the masks before corrections that it carries on; None until it begins.
        shown: digest of the corrected frames; empty until it begins.
        passes: number of passes over each frame, since overlapping objects are tracked separately.
        sources: by object the corrected frames that it is shown, with their revisions; empty until it begins.
        changed: by object those of which it carries a change to masks before; empty until it begins.
        run: identifies it, and its memory.
    """

    direction: Direction
    begin: int
    stop: int
    first: int
    last: int
    objects: tuple[int, ...]
    total: int
    user: str = ""
    earlier: Mapping[str, Mapping[str, str]] | None = None
    shown: str = ""
    passes: int = 1
    run: str = ""
    sources: Mapping[str, Sequence[Sequence[int]]] = field(default_factory=dict)
    changed: Mapping[str, Sequence[Sequence[int]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InterruptedTracking:
    """A plan, its last result, and the number of results."""

    plan: TrackingPlan
    start: int
    done: int = 0

    @property
    def is_started(self) -> bool:
        """Whether it is running or was stopped."""
        return bool(self.plan.run) or self.done > 0  # earlier versions noted no run

    def as_json(self) -> dict[str, Any]:
        """Values to store in the project."""
        plan = asdict(self.plan) | {"objects": [*self.plan.objects]}
        return plan | {"start": self.start, "done": self.done}

    @classmethod
    def of(cls, noted: Mapping[str, Any]) -> InterruptedTracking:
        """Read stored values, also of earlier versions."""
        plan = {item.name: noted[item.name] for item in fields(TrackingPlan) if item.name in noted}
        plan |= {"begin": noted.get("begin", noted["start"]), "objects": tuple(noted["objects"])}
        return cls(TrackingPlan(**plan), noted["start"], noted["done"])


Steps = Iterator[ConditioningProgress | tuple[int, TrackedFrame]]
"""Frame index and its objects."""


def planned(
    project: Project,
    video: Video,
    direction: Direction,
    frame: int,
    first: int = 0,
    last: int | None = None,
    objects: Iterable[int] | None = None,
    due: bool = False,
) -> TrackingPlan:
    """Plan a request to track.

    With ``due``, objects that were corrected on the same frame and not tracked from there yet take part;
    without objects they alone do.
    """
    alone = due and objects is None
    selected = project.unlocked(objects)
    if alone:
        sides = _sides(direction)
        selected = [
            i for i in selected if any(set(s) & sides for s in project.untracked(i).values())
        ] or selected
    if not selected:
        raise PromptError("there is no unlocked object to track; click on one first")
    start, stop = _ends(project, video, direction, frame, selected)
    if due:
        # Objects that were corrected elsewhere have ways of their own, and are not tracked over.
        marks = project.marks(start)
        if alone:
            selected = [i for i in selected if i in marks and marks[i].kind != "tracked"]
        if any(_needs_tracking(project, i, direction, start, stop) for i in selected):
            also = [i for i in project.unlocked(marks) if i not in selected and marks[i].kind != "tracked"]
            selected = sorted(
                [*selected, *(i for i in also if _needs_tracking(project, i, direction, start, stop))]
            )
    if start == stop:
        raise PromptError("there is no frame to track in this direction")
    last = video.count - 1 if last is None else min(last, video.count - 1)
    frames = [index for index in _way(start, stop) if first <= index <= last]
    if not frames and (first, last) != (0, video.count - 1):
        raise PromptError(f"no frame from {first} to {last} lies in this direction")
    return TrackingPlan(direction, start, frames[-1], first, last, tuple(selected), len(frames))


def _ends(
    project: Project, video: Video, direction: Direction, frame: int, objects: list[int]
) -> tuple[int, int]:
    """Corrected frame at which a tracking of objects starts, and its end."""
    # A first mask that was imported is as good a start as a click, as long as nobody corrected anything.
    prompted = project.frames_of(objects) or project.frames_of(objects, "imported")
    earlier = [i for i in prompted if i <= frame]
    later = [i for i in prompted if i >= frame]
    if direction == "between":
        earlier = [i for i in earlier if i < frame] or earlier
        later = [i for i in later if i > frame]
        if not earlier or not later:
            raise PromptError(
                "there is no corrected frame on one side; go to a frame between two corrected frames"
            )
        return earlier[-1], later[0] - 1
    forward = direction == "forward"
    if not (earlier if forward else later):
        side = "up to here" if forward else "from here on"
        raise PromptError(f"no frame {side} has a corrected object to start from; click on one here first")
    return (earlier[-1], video.count - 1) if forward else (later[0], 0)


def _sides(direction: Direction) -> set[Side]:
    return {"forward", "back"} if direction == "between" else {direction}


def _needs_tracking(project: Project, number: int, direction: Direction, start: int, stop: int) -> bool:
    """Whether an object was corrected at the start of a tracking, and not tracked from there since."""
    untracked = project.untracked(number)
    if direction == "between":
        return "forward" in untracked.get(start, ()) or "back" in untracked.get(stop + 1, ())
    return direction in untracked.get(start, ())


def _way(start: int, stop: int) -> range:
    """Frames of a tracking, in its order."""
    return range(start + 1, stop + 1) if start < stop else range(start - 1, stop - 1, -1)


def interrupted(project: Project) -> InterruptedTracking | None:
    """The running tracking, or the one that ran when the program ended, as last noted."""
    noted = project.noted("tracking")
    return None if noted is None else InterruptedTracking.of(noted)


def resumed(project: Project, tracking: InterruptedTracking) -> InterruptedTracking:
    """Plan the remaining part of an interrupted tracking."""
    plan = tracking.plan
    objects = tuple(project.unlocked(plan.objects))
    if tracking.start == plan.stop or not objects:
        raise PromptError("the interrupted tracking has no frames left")
    return InterruptedTracking(
        replace(plan, objects=objects, total=plan.total - tracking.done), tracking.start
    )


def has_last_masks(project: Project, tracking: InterruptedTracking) -> bool:
    """Whether the masks of an interrupted tracking's last frame are there; an undo removes them."""
    plan = tracking.plan
    if tracking.start == plan.begin or not plan.first <= tracking.start <= plan.last:
        return True
    return not project.marks(tracking.start).keys().isdisjoint(plan.objects)


def corrected_frames(project: Project, plan: TrackingPlan) -> list[dict[int, ConditioningFrame]]:
    """Corrected frames for a tracking: its start, those on its way, and the nearest others.

    Objects that overlap in them are in different elements: each is tracked by a session of its own.
    """
    objects = plan.objects
    annotated = {*project.frames_of(objects), *project.reviewed_frames(objects)}
    frames = select_conditioning_frames(sorted(annotated), plan.begin, plan.stop)
    visible = {
        index: _visible_objects(project, index, objects, is_start=index == plan.begin) for index in frames
    }
    masks = {
        index: {i: counts for i, counts in project.masks(index).items() if i in visible[index]}
        for index in frames
    }
    layers = split_overlapping(objects, masks.values(), project.size)
    earlier = plan.earlier or {}
    return [
        {
            index: _conditioning_frame(
                project, index, visible[index] & {*layer}, masks[index], earlier.get(str(index), {})
            )
            for index in frames
        }
        for layer in layers
    ]


def _visible_objects(
    project: Project, index: int, objects: Iterable[int], *, is_start: bool
) -> frozenset[int]:
    """Objects whose mask on a frame conditions a tracking: a person drew or reviewed it.

    On its first frame others go on from masks that are made from no withdrawn correction.
    """
    marks = project.marks(index)
    return frozenset(
        i
        for i in marks.keys() & {*objects}
        if marks[i].kind == "given"
        or marks[i].reviewed
        or (is_start and project.made_from(index, i) is not None)
    )


def _earlier_masks(project: Project, plan: TrackingPlan) -> dict[str, dict[str, str]]:
    """Masks before corrections that a tracking carries on, by frame and object, as values for JSON."""
    side: Side = "forward" if plan.begin < plan.stop else "back"
    earlier: dict[str, dict[str, str]] = {}
    low, high = sorted((plan.begin, plan.stop))
    for index in project.frames_of(plan.objects):
        if not low <= index <= high:
            continue
        for number in plan.objects:
            correction = project.correction(index, number)
            if correction is not None and side in correction.untracked and side in correction.earlier:
                earlier.setdefault(str(index), {})[str(number)] = correction.earlier[side]
    return earlier


def previous_masks(project: Project, plan: TrackingPlan) -> dict[int, list[StoredMask]]:
    """Tracked and imported masks by frame that a tracking changes only near corrections.

    These are masks of the objects whose corrections it carries on; others are tracked anew.
    """
    previous: dict[int, list[StoredMask]] = {}
    for number in _carried_objects(plan):
        for index, stored in project.uncorrected_masks(number).items():
            previous.setdefault(index, []).append(stored)
    return previous


def _carried_objects(plan: TrackingPlan) -> list[int]:
    """Objects whose corrections a tracking propagates, ascending."""
    return sorted({int(number) for by_object in (plan.earlier or {}).values() for number in by_object})


def begin_plan(
    project: Project, tracking: InterruptedTracking
) -> tuple[TrackingPlan, list[dict[int, ConditioningFrame]]]:
    """Plan a tracking that starts or continues, with its :func:`corrected_frames`.

    If the corrected frames are unchanged, the tracking continues with its memory, as if nothing had
    interrupted it. Otherwise another tracking begins at its last frame.
    """
    plan = tracking.plan
    if plan.earlier is None:
        plan = replace(plan, earlier=_earlier_masks(project, plan))
    layers = corrected_frames(project, plan)
    digest = fingerprint(layers)
    if digest == plan.shown:
        return plan, layers
    if tracking.start != plan.begin:
        plan = replace(plan, begin=tracking.start, earlier=None)
        return begin_plan(project, replace(tracking, plan=plan))
    frames = {index for layer in layers for index in layer}
    sources = {str(i): [[*s] for s in project.sources(i) if s[0] in frames] for i in plan.objects}
    changed = {
        i: [[frame, revision] for frame, revision in of_object if _is_changed(project, plan, frame, i)]
        for i, of_object in sources.items()
    }
    plan = replace(plan, shown=digest, run=uuid4().hex, passes=len(layers))
    return replace(plan, sources=sources, changed=changed), layers


def _is_changed(project: Project, plan: TrackingPlan, frame: int, number: str) -> bool:
    """Whether a correction that a tracking carries has changed a mask, and not only confirmed it."""
    earlier = (plan.earlier or {}).get(str(frame), {}).get(number)
    return earlier is not None and earlier != project.masks(frame).get(int(number), "")


def made_from(project: Project, plan: TrackingPlan, index: int, number: int) -> str:
    """Sources of an object's mask on a tracked frame, as stored in the project.

    These are the nearest corrected frames on both sides or, where only what is near corrections changes,
    those of the mask before and the corrections on the way.
    """
    nearest = Sources.of(_sources(plan.sources, number), index)
    made_from = project.made_from(index, number) if number in _carried_objects(plan) else None
    if made_from is None:
        return json.dumps(present(nearest))
    on_way = range(plan.begin, index) if plan.begin < plan.stop else range(plan.begin, index, -1)
    for source in sorted(_sources(plan.changed, number), reverse=plan.begin > plan.stop):
        if source[0] in on_way:
            made_from = made_from.with_change(source, nearest)
    return json.dumps(made_from)


def store_tracked(
    project: Project, plan: TrackingPlan, index: int, tracked: Mapping[int, MarkedMask]
) -> None:
    """Save a tracked frame and the sources of its masks, inside :meth:`Project.change`."""
    with_sources = {
        i: (plane, replace(mark, made_from=made_from(project, plan, index, i)))
        for i, (plane, mark) in tracked.items()
    }
    project.put(index, with_sources)
    way: Side = "forward" if plan.begin < plan.stop else "back"
    sources = {i: _sources(plan.sources, i) for i in tracked}
    project.note_tracked(index, with_sources, sources, plan.begin, way)


def _sources(noted: Mapping[str, Sequence[Sequence[int]]], number: int) -> list[Source]:
    return [(int(frame), int(revision)) for frame, revision in noted.get(str(number), ())]


def _conditioning_frame(
    project: Project,
    index: int,
    ids: frozenset[int],
    masks: Mapping[int, str],
    earlier: Mapping[str, str],
) -> ConditioningFrame:
    marks = project.marks(index)
    expected = {i: marks[i].score for i in ids if marks[i].kind != "imported" and marks[i].score < 1}
    changed: BoolArray | None = None
    corrected = ids & {*map(int, earlier)}
    for i in corrected:
        differs = project.plane(index, i) != project.decode_mask(index, earlier[str(i)])
        changed = differs if changed is None else changed | differs
    of_layer = {i: counts for i, counts in masks.items() if i in ids}
    return ConditioningFrame.of(
        of_layer, project.size, ids, expected=expected, changed=changed, corrected=corrected
    )


def _layer(
    session: TrackSession,
    conditioning: Mapping[int, ConditioningFrame],
    previous: Mapping[int, Sequence[StoredMask]],
) -> Layer:
    """Layer of a session with the objects of its corrected frames."""
    objects = frozenset[int]().union(*(each.checked for each in conditioning.values()))
    masks = {
        index: [mask for mask in of_frame if mask.stored[0].id in objects]
        for index, of_frame in previous.items()
    }
    return Layer(session, conditioning, masks)


def track_job(
    tools: Tools,
    layers: Sequence[Mapping[int, ConditioningFrame]],
    start: int,
    stop: int,
    objects: Sequence[int],
    stored_range: range,
    previous: Mapping[int, Sequence[StoredMask]],
    memory: TrackingMemory,
    last_frame: int | None = None,
) -> Steps:
    """Job of :meth:`segue_web.server.worker.Worker.steps` that tracks, or continues after ``last_frame``."""
    last_frame = start if last_frame is None else last_frame
    sessions = [TrackSession(tools.network, device=tools.device) for _ in layers]
    pairs = [_layer(*each, previous) for each in zip(sessions, layers, strict=True)]
    last_restored = memory.restore(
        pairs, range(start, last_frame + 1) if start < stop else range(last_frame, start + 1)
    )
    if last_restored is None:
        yield from starmap(ConditioningProgress, show_earlier_frames(pairs, start, tools.video.frame))
    if last_restored == stop:
        return
    step = 1 if start < stop else -1
    begin = start if last_restored is None else last_restored + step
    times = {i: tools.video.time(i) for i in range(begin, stop + step, step)}
    index = last_read = start

    def read() -> Iterator[Frame]:
        nonlocal last_read
        for frame in tools.video.walk(begin, stop):
            last_read = frame.index
            yield frame

    save_periodically = now_and_then(lambda: memory.save(pairs, index))
    done, waits = 0, None  # steps given, and the step that must be saved before the state of it counts
    for results in propagate(pairs, read(), times, start):
        index = results[0].index
        is_stored = index in stored_range and abs(index - start) > abs(last_frame - start)
        if waits is None and save_periodically():
            waits = done + is_stored
        if not is_stored:
            continue
        marks = {
            item.id: (place, FrameAnnotation("tracked", item.score, unsure=unsure))
            for place, result in enumerate(results)
            for unsure in [to_runs(result._unsure, result.mask.shape) or ""]
            for item in result.objects
            if item.id in objects
        }
        yield index, TrackedFrame([result.mask for result in results], marks, index == last_read)
        done += 1
        if waits is not None and done > waits:  # the server has saved all steps but the last one
            memory.publish()
            waits = None
