"""What a person says of an object on a frame: clicks and boxes, strokes, and that it is not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from segue.arrays import BoolArray
from segue.errors import PromptError
from segue.prompts import Prompts
from segue.types import Box
from segue_web import messages
from segue_web.film import Film
from segue_web.project import Mark
from segue_web.shared import SharedProject
from segue_web.worker import Worker

Click = tuple[float, float, bool]
"""A point of the film, and whether it lies on the object."""


class Edits:
    """Saves what a person says; the worker makes masks of clicks."""

    def __init__(self, film: Film, shared: SharedProject, worker: Worker) -> None:
        self._film, self._shared, self._worker = film, shared, worker
        self._project = shared.project

    async def click(self, message: messages.ClickEdit) -> dict[str, Any]:
        points, box = message.within(*self._film.size)
        previous, added = await self._shared.run(lambda: self._corrected_by(message, points, box))
        on, off = ([(x, y) for x, y, inside in points if inside is wanted] for wanted in (True, False))
        prompts = Prompts(box, on, off, mask=previous, extent=message.extent)
        bound = None if any(inside for _, _, inside in added) else previous
        clicked = await self._worker.ask("click", message.frame, prompts, bound)
        shown = {"extent": clicked.extent, "extents": clicked.extents}
        data = {"points": points, "box": box, **shown}

        def give() -> dict[str, Any]:
            return self._give(message, "click", lambda _: clicked.plane, data, clicked.iou)

        return await self._shared.run(give) | shown

    def _corrected_by(
        self, message: messages.ClickEdit, points: list[Click], box: Box | None
    ) -> tuple[BoolArray | None, list[Click]]:
        """The mask that further clicks correct, and those clicks.

        None for what is asked for anew: a new box, or another extent of the same clicks.
        """
        self._project.check_edit(message.frame, message.seen, message.object)
        number, frame = message.object, message.frame
        if number is None or number not in self._project.marks(frame):
            return None, points
        before = self._project.prompts(frame).get(number, {"points": [], "box": None})
        known = [tuple(point) for point in before["points"]]
        added = points[len(known) :]
        if points[: len(known)] != known or not added or before["box"] != (box and list(box)):
            return None, points
        return np.asarray(self._project.mask(frame) == number), added

    def stroke(self, message: messages.StrokeEdit) -> dict[str, Any]:
        stroke = message.plane(*self._film.size)
        if message.object is None and not message.add:
            raise PromptError("choose an object before you erase")
        if message.add:
            return self._give(message, "brush", lambda plane: plane | stroke)
        return self._give(message, "eraser", lambda plane: plane & ~stroke)

    def forget(self, message: messages.ForgetEdit) -> None:
        self._project.check_edit(message.frame, message.seen, message.object)
        frame, number = message.frame, message.object
        with self._shared.change("hide" if message.hidden else "clear"):
            mask = np.array(self._project.mask(frame))
            mask[mask == number] = 0
            self._project.write(frame, mask, {number: Mark("given") if message.hidden else None})
            self._project.set_prompt(frame, number, None)

    def _give(
        self,
        message: messages.Edit,
        label: str,
        change: Callable[[BoolArray], BoolArray],
        prompt: dict[str, Any] | None = None,
        score: float = 1.0,
    ) -> dict[str, Any]:
        """Save what a person said of an object on a frame, and the IoU to be expected of its mask."""
        self._project.check_edit(message.frame, message.seen, message.object)
        with self._shared.change(label):
            number = message.object or self._project.add_object()
            plane = change(np.asarray(self._project.mask(message.frame) == number))
            self._project.put(message.frame, {number: (plane, Mark("given", score))})
            self._project.set_prompt(message.frame, number, prompt)
        return {"object": number}
