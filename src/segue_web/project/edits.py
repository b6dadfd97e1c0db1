"""Edits of an object on a frame: clicks, boxes, scribbles, brush strokes, "not visible"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from segue.errors import PromptError
from segue.masks.measure import iou
from segue.masks.outlines import parts_of
from segue.masks.pieces import Pieces
from segue.masks.tracks import RleTrack
from segue.prompts import ImagePrompts
from segue.prompts.correction import ClickHistory, clicked_regions
from segue.sessions.videos.corrections import split_overlapping
from segue.types import Box, IndexMask
from segue.utils.arrays import BoolArray
from segue_web.project.annotations import Correction, FrameAnnotation, TakenPixels, runs_of
from segue_web.project.project import Project
from segue_web.server.messages import (
    BoxCorners,
    Click,
    Clicks,
    Index,
    Number,
    Path,
    Revision,
    Width,
    clicks_within,
)
from segue_web.server.server import Run
from segue_web.server.worker import Worker
from segue_web.video import Video

FRACTION = 4
"""Bits behind the point of places of a brush."""

CLICK_REACH_SHARE = 30
"""A click on paint of the opposite kind changes it within this part of the shorter side of the frame."""

SMOOTH = 240
"""A polygon is as near to the outline of a mask as the shorter side of the frame divided by this."""

SPECK = 0.05
"""Parts of a mask below this share of its largest one are specks."""

Flaw = Literal["holes", "specks"]

Change = Callable[[BoolArray, "Paint"], tuple[BoolArray, "Paint"]]
"""Changes the mask of an object, (H, W), and its paint."""

NEAREST = 4.0
"""Pixels within which it changes paint in a small frame."""


class Edits:
    """Saves edits of people; the worker computes masks."""

    def __init__(self, video: Video, project: Project, run: Run, worker: Worker) -> None:
        self._video, self._project, self._run, self._worker = video, project, run, worker
        self._last_readings: tuple[tuple[object, ...], list[tuple[BoolArray, float]]] | None = (
            None  # of what was asked for last: frame, object and all that a person said of it
        )

    async def click(
        self,
        frame: Index,
        object: Number | None,
        seen: Revision,
        points: Clicks = (),
        box: BoxCorners | None = None,
        whole: bool = False,
        alone: bool = False,
    ) -> dict[str, Any]:
        """Segment all clicks and the box of an object, None for a new one, and save the mask.

        Clicks on a tracked, imported or suggested mask change the regions under them alone, unless ``whole``
        asks for the whole object anew. Where such a mask is replaced, the answer says so: its pixels
        ``before`` and ``after``. Where the page shows the object ``alone``, others keep their pixels. What
        earlier clicks took from others goes back to them if the object is segmented from scratch.
        """
        if not points and box is None:
            raise PromptError("give a point or a box")
        clicks = clicks_within(points, *self._video.size)
        previous, added, retained = await self._run(
            lambda: self._corrected_by(frame, object, seen, clicks, box)
        )
        mends = retained and previous is not None and box is None and not whole
        has_mask = previous is not None and previous.any()
        if box is None and not has_mask and not any(inside for _, _, inside in clicks):
            raise PromptError(
                "there is no mask here to correct; click on the object first, then right-click on areas "
                "outside it"
            )
        adds = previous is None or any(inside for _, _, inside in added)
        if mends:
            answer, score = await self._worker.ask("correct", frame, previous, clicks, len(added))
        else:
            on, off = (
                [(x, y) for x, y, inside in clicks if inside is is_positive] for is_positive in (True, False)
            )
            prompts = ImagePrompts(box, on, off, mask=previous)
            history = None if previous is None else ClickHistory(tuple(clicks[: -len(added)]), box)
            answer, score = await self._worker.ask("click", frame, prompts, history, added)
        areas: dict[str, int] = {}

        def over(current: BoolArray, paint: Paint) -> tuple[BoolArray, Paint]:
            painted = paint.without(added, answer)
            if not answer.any() and (adds or not painted.on.any()):
                raise PromptError("no object was found there; add a click, draw a box or paint the object")
            changed = painted.over(answer)
            if retained and not mends:
                areas.update(before=int(current.sum()), after=int(changed.sum()))
            return changed, painted

        all_prompts = tuple(clicks), box, mends
        keeps_score = previous is not None and not whole
        reply: dict[str, Any] = await self._run(
            lambda: self._give(
                frame,
                object,
                seen,
                "click",
                over,
                all_prompts,
                score,
                keeps_score=keeps_score,
                clicks=added if retained and previous is not None and box is None and not alone else (),
                gives_back=previous is None,
            )
        )
        return reply | ({"replaced": areas} if areas else {})

    async def candidate(self, frame: Index, object: Number | None, seen: Revision) -> dict[str, Any]:
        """Switch an object to the next candidate mask of its clicks, cyclically.

        Returns its ``place`` from 0 on, and the IoU to be expected of all of them: ``scores``.
        """
        if object is None:
            raise PromptError("click on an object first")
        correction, candidates = await self._readings(frame, object, seen)
        scores = [score for _, score in candidates]
        if len(candidates) < 2:
            return {"object": object, "place": 0, "scores": scores}

        def give() -> dict[str, Any]:
            visible_mask = self._project.plane(frame, object)
            paint = self._paint(frame, correction)
            shared = [iou(visible_mask, paint.over(plane)) for plane, _ in candidates]
            place = (int(np.argmax(shared)) + 1) % len(candidates)
            plane, score = candidates[place]
            prompts = correction.points, correction.box, correction.mends
            reply = self._give(
                frame,
                object,
                seen,
                "alternative mask",
                lambda _, paint: (paint.over(plane), paint),
                prompts,
                score,
                clicks=correction.points,
                gives_back=True,
            )
            return reply | {"place": place, "scores": scores}

        reply: dict[str, Any] = await self._run(give)
        return reply

    async def candidates(self, frame: Index, object: Number, seen: Revision) -> dict[str, Any]:
        """Candidate masks of an object's clicks, unsaved, the best first."""
        _, candidates = await self._readings(frame, object, seen)
        return {
            "masks": [runs_of(plane) for plane, _ in candidates],
            "scores": [score for _, score in candidates],
        }

    async def _readings(
        self, frame: int, number: int, revision: int
    ) -> tuple[Correction, list[tuple[BoolArray, float]]]:
        """Prompts of an object, and candidate masks with expected IoUs.

        One click on a new object has candidates. A corrected mask has what its clicks mean of the whole
        object; its readings stay the same while another one of them is shown.
        """

        def read() -> tuple[Correction, BoolArray, float]:
            self._project.check_edit(frame, revision, number)
            correction = self._project.correction(frame, number) or Correction()
            if not correction.points:
                raise PromptError("only a mask with clicks has alternatives; click on the object first")
            return correction, self._project.plane(frame, number), self._project.marks(frame)[number].score

        correction, plane, score = await self._run(read)
        on, off = (
            [(x, y) for x, y, inside in correction.points if inside is is_inside]
            for is_inside in (True, False)
        )
        if len(on) == 1 and not off and correction.box is None and not correction.mends:
            candidates = await self._worker.ask("candidates", frame, ImagePrompts(points=on))
            return correction, candidates
        cached = self._last_readings
        about = frame, number, correction.points, correction.box, correction.on, correction.off
        if cached is None or cached[0] != about:
            prompts = ImagePrompts(correction.box, on, off)
            answers = await self._worker.ask("readings", frame, plane, prompts)
            readings = [(mask, score if each is None else each) for mask, each in answers]
            self._last_readings = cached = about, readings
        return correction, cached[1]

    def _corrected_by(
        self, frame: int, number: int | None, revision: int, points: list[Click], box: Box | None
    ) -> tuple[BoolArray | None, list[Click], bool]:
        """Mask to correct by further clicks, or None to segment from scratch, and those clicks.

        Also whether a mask is there that no clicks and no box have made, so that clicks leave the rest of it
        as it is.
        """
        self._project.check_edit(frame, revision, number)
        marks = self._project.marks(frame)
        if number is None or number not in marks:
            return None, points, False
        correction = self._project.correction(frame, number) or Correction()
        previous_points = list(correction.points)
        added = points[len(previous_points) :]
        plane = self._project.plane(frame, number)
        is_retained = correction.mends or _is_detected(marks[number], correction)
        retained = bool((plane.any() or correction.lost) and is_retained)
        if points[: len(previous_points)] != previous_points or not added or correction.box != box:
            return None, [point for point in points if point not in previous_points], retained
        return plane, added, retained

    async def scribble(
        self, frame: Index, object: Number | None, seen: Revision, path: Path, alone: bool = False
    ) -> dict[str, Any]:
        """Segment a stroke on an object, None for a new one, or correct its mask; see :meth:`click`."""
        inside = clicks_within([(x, y, True) for x, y in path], *self._video.size)
        marks = ImagePrompts(scribble=[[(x, y) for x, y, _ in inside]])

        def present() -> tuple[BoolArray | None, Correction, bool]:
            self._project.check_edit(frame, seen, object)
            marks = self._project.marks(frame)
            if object is None or object not in marks:
                return None, Correction(), False
            plane = self._project.plane(frame, object)
            correction = self._project.correction(frame, object) or Correction()
            mends = correction.mends or _is_detected(marks[object], correction)
            return plane if plane.any() else None, correction, mends

        previous, correction, mends = await self._run(present)
        if previous is None:
            answer, score = await self._worker.ask("click", frame, marks)
        else:
            clicks = marks.clicks
            answer, score = await self._worker.ask("correct", frame, previous, clicks, len(clicks))

        def over(_: BoolArray, paint: Paint) -> tuple[BoolArray, Paint]:
            if not answer.any():
                raise PromptError("no object was found under the stroke; draw it again or paint the object")
            painted = paint.without(marks.clicks, answer)
            return painted.over(answer), painted

        prompts = correction.points, correction.box, previous is not None
        reply: dict[str, Any] = await self._run(
            lambda: self._give(
                frame,
                object,
                seen,
                "scribble",
                over,
                prompts,
                score,
                clicks=marks.clicks if mends and not alone else (),
            )
        )
        return reply

    def stroke(
        self,
        frame: Index,
        object: Number | None,
        seen: Revision,
        add: bool,
        path: Path,
        width: Width | None,
    ) -> dict[str, Any]:
        """Add or erase a brush stroke; without a width, the area enclosed by the path."""
        if object is None and not add:
            raise PromptError("select an object before you erase")
        corners = np.array(path)
        if width is None:
            label, stroke = "polygon", filled(corners, self._video.size)
        else:
            label, stroke = "brush stroke", brushed(corners, width, self._video.size)
        if not stroke.any():
            raise PromptError(f"the {label} covers no pixel of the video; draw it again")
        if add:
            return self._give(
                frame, object, seen, label, lambda plane, paint: (plane | stroke, paint.add(stroke))
            )
        return self._give(
            frame, object, seen, "eraser stroke", lambda plane, paint: (plane & ~stroke, paint.erase(stroke))
        )

    def forget(self, frame: Index, object: Number, seen: Revision, hidden: bool) -> None:
        """Mark an object as not visible on a frame, or remove its mask there."""
        self._project.check_edit(frame, seen, object)
        with self._project.change("“Not visible”" if hidden else "“Clear mask”"):
            self._project.give_back(frame, object)
            if not hidden:
                self._project.clear(frame, object)
            else:  # what neighbours agree with stays known
                plane = np.zeros(self._video.size, np.bool_)
                self._project.put(frame, {object: (plane, FrameAnnotation("given"))})
                self._project.correct(frame, object, Correction())

    def outline(self, frame: Index, object: Number) -> dict[str, Any]:
        """Outlines of a mask as simplified polygons in pixels of the video."""
        plane = self._project.plane(frame, object)
        reach = max(1.0, min(plane.shape) / SMOOTH)
        polygons = []
        for part in parts_of(plane):
            for place, corners in enumerate(part):
                few = cv2.approxPolyDP(corners[:, None], reach, closed=True)[:, 0]
                if len(few) > 2:
                    polygons.append({"points": (few + 0.5).tolist(), "hole": place > 0})
        return {"polygons": polygons}

    def reshape(
        self, frame: Index, object: Number, seen: Revision, before: Path, after: Path, hole: bool = False
    ) -> dict[str, Any]:
        """Apply the change of an outline to a mask, as if painted or erased."""
        old, new = (filled(np.array(corners), self._video.size) for corners in (before, after))
        gained, removed = (old & ~new, new & ~old) if hole else (new & ~old, old & ~new)
        if not gained.any() and not removed.any():
            raise PromptError("the outline covers the same pixels; move the corner further")
        return self._give(
            frame,
            object,
            seen,
            "outline",
            lambda plane, paint: ((plane | gained) & ~removed, paint.add(gained).erase(removed)),
        )

    def clean(self, frame: Index, object: Number, seen: Revision, what: Flaw) -> None:
        """Fill holes or remove specks of a mask, as if painted or erased."""
        plane = self._project.plane(frame, object)
        flaws = holes(plane) if what == "holes" else specks(plane)
        if not flaws.any():
            raise PromptError(f"the mask has no {what}")
        if what == "holes":
            self._give(
                frame, object, seen, "filled holes", lambda plane, paint: (plane | flaws, paint.add(flaws))
            )
        else:
            self._give(
                frame,
                object,
                seen,
                "removed specks",
                lambda plane, paint: (plane & ~flaws, paint.erase(flaws)),
            )

    def paste(
        self, frame: Index, object: Number | None, seen: Revision, of_frame: Index, of_object: Number
    ) -> dict[str, Any]:
        """Paste a mask of the same or another object and frame."""
        copied = self._copied(of_frame, of_object)
        nothing = np.zeros_like(copied)
        pasted = copied, Paint(copied, nothing, nothing)
        return self._give(
            frame, object, seen, "paste", lambda _, __: pasted, ((), None, True), gives_back=True
        )

    def spread(
        self, frame: Index, object: Number, seen: Revision, first: Index, last: Index
    ) -> dict[str, Any]:
        """Copy the mask of a frame to other frames, except those corrected or reviewed by a person."""
        project, span = self._project, range(first, min(last, self._video.count - 1) + 1)
        project.check_edit(frame, seen, object)
        project.check_objects([object], seen, span)
        copied = self._copied(frame, object)
        annotated = {*project.frames_of([object]), *project.reviewed_frames([object])}
        frames = [i for i in span if i not in annotated]
        if not frames:
            raise PromptError(f"all frames from {first} to {last} are already corrected or reviewed")
        with project.change("copied mask"):
            for index in frames:
                project.put(index, {object: (copied, FrameAnnotation("given"))})
                project.correct(index, object, Correction(on=runs_of(copied), mends=True))
        return {"frames": len(frames)}

    def _copied(self, frame: int, number: int) -> BoolArray:
        copied = self._project.plane(frame, number)
        if not copied.any():
            raise PromptError(f"there is no mask to copy on frame {frame}")
        return copied

    def _give(
        self,
        frame: int,
        requested: int | None,
        revision: int,
        label: str,
        change: Change,
        prompts: tuple[tuple[Click, ...], Box | None, bool] | None = None,
        score: float = 1.0,
        *,
        keeps_score: bool = False,
        clicks: Sequence[Click] = (),
        gives_back: bool = False,
    ) -> dict[str, Any]:
        """Save a person's edit of an object on a frame, with the expected IoU of its mask.

        With ``keeps_score`` that of a mask that stays as it was does not change. Other objects lose the
        regions that ``clicks`` corrected on them. With ``gives_back`` they first get back what earlier clicks
        took, and the others lose nothing.
        """
        project = self._project
        project.check_edit(frame, revision, requested)
        with project.change(label):
            number = requested or project.add_object()
            given_back = project.give_back(frame, number) if gives_back else []
            hidden = {number} if gives_back else set()  # its mask before counts no more
            rows = project.objects() if clicks else []
            visible = [row["id"] for row in rows if row["visible"] and row["id"] not in hidden]
            visible_mask = project.mask(frame, visible) if clicks else None
            self._put(frame, number, change, prompts, score, keeps_score=keeps_score)
            if visible_mask is not None:
                losing = {*(given_back if gives_back else visible)} - {number}
                self._take_pixels(frame, number, visible_mask, clicks, losing)
        return {"object": number}

    def _take_pixels(
        self, frame: int, number: int, visible_mask: IndexMask, clicks: Sequence[Click], losing: set[int]
    ) -> None:
        """Take from other unlocked objects the regions of an object that was clicked on them.

        Objects that overlap on another annotated frame may share pixels. ``visible_mask`` is the index mask
        before the clicks; only objects of ``losing`` lose pixels. If clicks on such an object took a part of
        the region from a further one, that one does not get it back from either alone.
        """
        project = self._project
        regions = clicked_regions(project.plane(frame, number), visible_mask, clicks)
        for other in project.unlocked(sorted(regions.keys() & losing)):
            if self._overlap(frame, number, other):
                continue
            for owner, part in project.earlier_owners(frame, other, regions[other]):
                if owner != number and not self._overlap(frame, number, owner):
                    project.take_later(frame, owner, number, part)
            score = project.marks(frame)[other].score
            correction = project.correction(frame, other) or Correction()
            prompts = correction.points, correction.box, True  # clicks alone have not made it
            taken = project.taken_pixels(frame, other, number, regions[other])
            self._put(frame, other, partial(_loses, regions[other]), prompts, score, taken=taken)

    def _overlap(self, frame: int, one: int, other: int) -> bool:
        """Whether two objects overlap on another annotated frame."""
        project = self._project
        frames = ({*project.frames_of([one])} & {*project.frames_of([other])}) - {frame}
        return len(split_overlapping([one, other], map(project.masks, frames), project.size)) > 1

    def _put(
        self,
        frame: int,
        number: int,
        change: Change,
        prompts: tuple[tuple[Click, ...], Box | None, bool] | None,
        score: float,
        *,
        keeps_score: bool = False,
        taken: TakenPixels | None = None,
    ) -> None:
        """Change the mask of an object on a frame, inside :meth:`Project.change`."""
        project = self._project
        correction = project.correction(frame, number) or Correction()
        previous = project.marks(frame).get(number)
        is_detected = previous is not None and previous.area > 0 and _is_detected(previous, correction)
        current = project.plane(frame, number)
        plane, paint = change(current, self._paint(frame, correction))
        if keeps_score and previous is not None and np.array_equal(plane, current):
            score = previous.score
        project.put(frame, {number: (plane, FrameAnnotation("given", score))})
        points, box, mends = prompts or (correction.points, correction.box, correction.mends or is_detected)
        on, off, lost = map(runs_of, (paint.on, paint.off, paint.lost))
        project.correct(frame, number, Correction(points, box, on, off, mends=mends, taken=taken, lost=lost))

    def _paint(self, frame: int, correction: Correction) -> Paint:
        """Paint of an object on a frame."""
        planes = (correction.on, correction.off, correction.lost)
        return Paint(*(self._project.decode_mask(frame, counts) for counts in planes))


@dataclass(frozen=True, slots=True)
class Paint:
    """Painted and erased pixels, (H, W) each, over the masks of a prompter.

    Attributes:
        on: painted pixels.
        off: erased pixels.
        lost: those that clicks on other objects erased.
    """

    on: BoolArray
    off: BoolArray
    lost: BoolArray

    def add(self, stroke: BoolArray) -> Paint:
        """Add painted pixels."""
        return Paint(self.on | stroke, self.off & ~stroke, self.lost & ~stroke)

    def erase(self, stroke: BoolArray) -> Paint:
        """Add erased pixels."""
        return Paint(self.on & ~stroke, self.off | stroke, self.lost & ~stroke)

    def lose(self, region: BoolArray) -> Paint:
        """Add pixels that clicks on another object take."""
        return Paint(self.on & ~region, self.off | region, self.lost | region)

    def over(self, answer: BoolArray) -> BoolArray:
        """Apply the paint to a mask."""
        return (answer | self.on) & ~self.off

    def without(self, clicks: Sequence[Click], answer: BoolArray) -> Paint:
        """Remove paint near contradicting clicks, and the whole region that another object took under one."""
        on, off = self.on.copy(), self.off.copy()
        reach = max(NEAREST, min(answer.shape) / CLICK_REACH_SHARE)
        for x, y, inside in clicks:
            paint, denied = (off, answer) if inside else (on, ~answer)
            if paint[int(y), int(x)]:
                rows, columns = np.ogrid[: paint.shape[0], : paint.shape[1]]
                near = np.hypot(rows + 0.5 - y, columns + 0.5 - x) <= reach
                if inside and self.lost[int(y), int(x)]:
                    near |= piece_at(self.lost, (x, y))
                paint &= ~(denied & near)
        return Paint(on, off, self.lost & off)


def _loses(region: BoolArray, mask: BoolArray, paint: Paint) -> tuple[BoolArray, Paint]:
    """A mask and its paint without a region."""
    return mask & ~region, paint.lose(region)


def _is_detected(mark: FrameAnnotation, correction: Correction) -> bool:
    """Whether a mask was tracked, imported or suggested, and not edited since."""
    untouched = not (correction.box or correction.on or correction.off)
    return not correction.points and (mark.kind != "given" or untouched)


def piece_at(plane: BoolArray, place: tuple[float, float]) -> BoolArray:
    """Component of a mask, (H, W), at a point (x, y)."""
    clicked = np.zeros_like(plane)
    clicked[int(place[1]), int(place[0])] = True
    pieces = Pieces.of(plane)
    return pieces.where(pieces.count(clicked) > 0)


def holes(plane: BoolArray) -> BoolArray:
    """Holes of a mask, (H, W)."""
    outside = np.pad(~plane, 1, constant_values=True).view(np.uint8)
    labels = cv2.connectedComponents(outside, connectivity=4)[1]
    return np.asarray(~plane & (labels[1:-1, 1:-1] != labels[0, 0]))


def specks(plane: BoolArray) -> BoolArray:
    """Components of a mask that are small compared with its largest one, (H, W)."""
    pieces = Pieces.of(plane)
    return pieces.where(pieces.areas < SPECK * pieces.areas.max())


def filled(corners: npt.NDArray[np.float64], size: tuple[int, int]) -> BoolArray:
    """Rasterise a polygon, (N, 2), x before y, in pixels of the video, as COCO does."""
    return RleTrack.parse([[corners.ravel().tolist()]], size).decode(0)


def brushed(path: npt.NDArray[np.float64], width: float, size: tuple[int, int]) -> BoolArray:
    """Mask of a round brush moved along a path, (N, 2)."""
    plane = np.zeros(size, np.uint8)
    # OpenCV takes whole numbers with bits behind the point, from the centres of the pixels on.
    points = np.round((path - 0.5) * (1 << FRACTION)).astype(np.int32)
    cv2.polylines(plane, [np.concatenate([points, points[-1:]])], False, 1, round(width), shift=FRACTION)
    return plane > 0
