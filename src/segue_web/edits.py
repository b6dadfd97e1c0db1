"""Edits of an object on a frame: clicks, boxes, strokes, polygons, and "not visible"."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from segue.arrays import BoolArray
from segue.errors import PromptError
from segue.prompts import Granularity, Prompts
from segue.types import Box
from segue_web.interpolation import brushed, filled, interpolated, neighbours
from segue_web.messages import (
    BoxCorners,
    Click,
    Clicks,
    Corners,
    Index,
    Number,
    Path,
    Revision,
    Width,
    box_within,
    clicks_within,
)
from segue_web.project import FrameAnnotation, Project
from segue_web.server import Run
from segue_web.video import Video
from segue_web.worker import Worker

MOST_INTERPOLATED = 300
"""Frames that a polygon may change; all pages wait while they are saved."""


class Edits:
    """Saves what a person says; the worker makes masks of clicks, and polygons are interpolated here."""

    def __init__(self, video: Video, project: Project, run: Run, worker: Worker) -> None:
        self._video, self._project, self._run, self._worker = video, project, run, worker

    async def click(
        self,
        frame: Index,
        object: Number | None,
        seen: Revision,
        points: Clicks = (),
        box: BoxCorners | None = None,
        granularity: Granularity = "whole",
    ) -> dict[str, Any]:
        """Make a mask of all clicks and the box of an object, None for a new one, and save it."""
        if not points and box is None:
            raise PromptError("give a point or a box")
        clicks = clicks_within(points, *self._video.size)
        box = None if box is None else box_within(box, *self._video.size)
        previous, added = await self._run(lambda: self._corrected_by(frame, object, seen, clicks, box))
        on, off = ([(x, y) for x, y, inside in clicks if inside is wanted] for wanted in (True, False))
        prompts = Prompts(box, on, off, mask=previous, granularity=granularity)
        bound = None if any(inside for _, _, inside in added) else previous
        clicked = await self._worker.ask("click", frame, prompts, bound)
        shown = {"granularity": clicked.granularity, "granularities": clicked.granularities}
        data = {"points": clicks, "box": box, **shown}

        def give() -> dict[str, Any]:
            score = 1.0 if clicked.iou is None else clicked.iou
            return self._give(frame, object, seen, "click", lambda _: clicked.plane, data, score)

        given: dict[str, Any] = await self._run(give)
        return given | shown

    def _corrected_by(
        self, frame: int, number: int | None, seen: int, points: list[Click], box: Box | None
    ) -> tuple[BoolArray | None, list[Click]]:
        """The mask that further clicks correct, None where it is asked for anew, and those clicks."""
        self._project.check_edit(frame, seen, number)
        if number is None or number not in self._project.marks(frame):
            return None, points
        before = self._project.prompts(frame).get(number, {"points": [], "box": None})
        known = [tuple(point) for point in before["points"]]
        added = points[len(known) :]
        if points[: len(known)] != known or not added or before["box"] != (box and list(box)):
            return None, points
        return self._project.plane(frame, number), added

    def stroke(
        self,
        frame: Index,
        object: Number | None,
        seen: Revision,
        add: bool,
        path: Path,
        width: Width | None,
    ) -> dict[str, Any]:
        """Add what a brush covers to an object or take it away; without a width, what the path encloses."""
        if object is None and not add:
            raise PromptError("choose an object before you erase")
        corners = np.array(path)
        if width is None:
            label, stroke = "polygon", filled(corners, self._video.size)
        else:
            label, stroke = "brush stroke", brushed(corners, width, self._video.size)
        if not stroke.any():
            raise PromptError(f"the {label} holds no pixel of the video; draw it anew")
        if add:
            return self._give(frame, object, seen, label, lambda plane: plane | stroke)
        return self._give(frame, object, seen, "eraser stroke", lambda plane: plane & ~stroke)

    def polygon(
        self, frame: Index, object: Number | None, seen: Revision, corners: Corners
    ) -> dict[str, Any]:
        """Save a polygon, and the interpolated masks between it and the neighbouring polygons."""
        project = self._project
        project.check_edit(frame, seen, object)
        height, width = self._video.size
        polygon = np.clip(np.array(corners, np.float64), 0, (width, height))
        plane = filled(polygon, self._video.size)
        if not plane.any():
            raise PromptError("the polygon holds no pixel of the video; draw it anew")
        with self._project.change("polygon"):
            number = object or project.add_object()
            project.put(frame, {number: (plane, FrameAnnotation("given"))})
            project.set_prompt(frame, number, {"points": [], "box": None, "polygon": polygon.tolist()})
            count = self._interpolate(number, frame, refuses=True)
        return {"object": number, "frames": count}

    def _interpolate(self, number: int, frame: int, *, refuses: bool = False) -> int:
        """Interpolate an object's polygons again on both sides of a frame; returns the number of frames."""
        project = self._project
        keys = project.polygons().get(number, {})
        before, after = neighbours(keys, frame)
        ends = sorted({i for i in (before, frame if frame in keys else None, after) if i is not None})
        given = project.frames_of([number])
        hidden = [i for i in given if i not in keys and not project.marks(i)[number].area]
        pairs = [(first, last) for first, last in pairwise(ends) if not any(first < i < last for i in hidden)]
        inside = {i for first, last in pairs for i in range(first + 1, last)} - set(given)
        if refuses and len(inside) > MOST_INTERPOLATED:
            raise PromptError(
                f"{len(inside)} frames are more than {MOST_INTERPOLATED} to interpolate; "
                "draw a polygon on one in between first"
            )
        if len(inside) > MOST_INTERPOLATED:
            pairs, inside = [], set()
        for index in project.frames_of([number], "interpolated"):
            near = (before is None or index > before) and (after is None or index < after)
            if near and index not in inside:
                project.clear(index, number)
        for first, last in pairs:
            for index in sorted(inside & set(range(first + 1, last))):
                share = (index - first) / (last - first)
                plane = filled(interpolated(keys[first], keys[last], share), self._video.size)
                project.put(index, {number: (plane, FrameAnnotation("interpolated"))})
                project.set_prompt(index, number, None)
        return len(inside)

    def forget(self, frame: Index, object: Number, seen: Revision, hidden: bool) -> None:
        """Save that an object is not on a frame, or that nothing is known of it there."""
        self._project.check_edit(frame, seen, object)
        with self._project.change("“Not visible”" if hidden else "“Clear mask”"):
            self._project.clear(frame, object)
            if hidden:
                plane = np.zeros(self._video.size, np.bool_)
                self._project.put(frame, {object: (plane, FrameAnnotation("given"))})
            self._interpolate(object, frame)

    def _give(
        self,
        frame: int,
        wanted: int | None,
        seen: int,
        label: str,
        change: Callable[[BoolArray], BoolArray],
        prompt: dict[str, Any] | None = None,
        score: float = 1.0,
    ) -> dict[str, Any]:
        """Save what a person said of an object on a frame, and the IoU to be expected of its mask."""
        project = self._project
        project.check_edit(frame, seen, wanted)
        with self._project.change(label):
            number = wanted or project.add_object()
            plane = change(project.plane(frame, number))
            project.put(frame, {number: (plane, FrameAnnotation("given", score))})
            # A polygon stays what is interpolated, whatever is painted over it here.
            polygon = project.prompts(frame).get(number, {}).get("polygon")
            if polygon is not None:
                prompt = {"points": [], "box": None, **(prompt or {}), "polygon": polygon}
            project.set_prompt(frame, number, prompt)
        return {"object": number}
