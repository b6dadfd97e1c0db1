"""What stands behind the page of ``segue annotate``: requests become computations and saved changes."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segue.errors import DatasetError, PromptError, SegueError
from segue.masks import Rle, decode_rle
from segue.masks.rle import check_runs
from segue.prompts import Prompts
from segue.registry import DETECTORS, MODELS
from segue.types import Box
from segue.weights.download import at_hand
from segue_web import messages
from segue_web.film import Plane
from segue_web.jobs import JobDesk
from segue_web.labels import Labels, read_labels
from segue_web.project import Mark
from segue_web.store import StaleError

UPLOADS = (".png", ".zip", ".json", ".xml")


class AnnotateDesk(JobDesk):
    """A project that is worked on; see :class:`JobDesk`.

    A request is answered by the method of its name: those that are no coroutines run in the project's thread.
    """

    async def handle(self, message: messages.AnyMessage) -> dict[str, Any]:
        frame = getattr(message, "frame", 0)
        if frame >= self.film.count:
            raise SegueError(f"there is no frame {frame}; the last one is {self.film.count - 1}")
        if not self.film.exact and not isinstance(
            message, messages.Hello | messages.Look | messages.Settings
        ):
            raise SegueError(
                f"the film is still being read through ({self.film.progress:.0%}); look around meanwhile"
            )
        method = getattr(self, f"_{type(message).__name__.lower()}")
        if inspect.iscoroutinefunction(method):
            answer = await method(message)
        else:
            answer = await self._saved(partial(method, message))
        return answer or {}

    async def take_in(self, name: str, path: Path) -> str:
        labels = await asyncio.to_thread(read_labels, path, self.film, name)
        count = await self._saved(lambda: self.import_labels(labels))
        return f"{len(labels.names)} objects on {count} frames"

    def upload_path(self, name: str) -> Path:
        """Where an uploaded file waits; its own name is used for its ending only."""
        suffix = Path(name).suffix.lower()
        return self.project.folder / f"upload{suffix if suffix in UPLOADS else '.bin'}"

    def export_file(self, name: str) -> Path | None:
        known = {path.name: path for path in self.exports.iterdir()} if self.exports.is_dir() else {}
        return known.get(name)

    def import_labels(self, labels: Labels) -> int:
        """Add objects and masks that another program made, as one change; returns the number of frames."""
        count = 0
        with self._change("import"):
            ids = {number: self.project.add_object(name) for number, name in labels.names.items()}
            for index, mask in labels.frames():
                planes = {ids[number]: np.asarray(mask == number) for number in ids if (mask == number).any()}
                marks = {i: Mark("imported", labels.score(index, n)) for n, i in ids.items() if i in planes}
                self.project.put(index, planes, marks)
                count += bool(planes)
        return count

    def _hello(self, _: messages.Hello) -> dict[str, Any]:
        job, interrupted = self._job, self.project.interrupted()
        if interrupted is not None:
            interrupted = {"done": interrupted["done"], "total": interrupted["total"], **interrupted["spec"]}
        return {
            "mode": "annotate",
            "film": self.film.describe(),
            "objects": self.project.objects(),
            "timeline": self.project.timeline(),
            "prompted": self.project.prompted(),
            "history": self.project.history(),
            "settings": self.project.settings(),
            "detectors": _detectors(),
            "running": job and job.progress,
            "interrupted": None if job else interrupted,
            "folder": str(self.project.folder),
            "revision": self.project.revision,
        }

    async def _look(self, message: messages.Look) -> dict[str, Any]:
        frames = [index for index in message.frames if index < self.film.count]
        # One by one, so that what is to be saved need not wait for all.
        return {"frames": [await self._saved(partial(self._frame, index)) for index in frames]}

    async def _prepare(self, message: messages.Prepare) -> None:
        if self._job is None:
            await self._worker.ask("prepare", message.frame)

    async def _clickedit(self, message: messages.ClickEdit) -> dict[str, Any]:
        previous = await self._saved(lambda: self._corrected_by(message))
        if not message.points and message.box is None:
            raise PromptError("give a point or a box")
        height, width = self.film.size
        points = [(min(max(x, 0), width - 1), min(max(y, 0), height - 1), on) for x, y, on in message.points]
        box = message.box and _clipped(message.box, self.film.size)
        on, off = ([(x, y) for x, y, inside in points if inside is wanted] for wanted in (True, False))
        plane = await self._worker.ask("click", message.frame, Prompts(box, on, off, mask=previous))
        data = {"points": points, "box": box}
        return await self._saved(lambda: self._give(message, "click", lambda _: plane, data))

    def _corrected_by(self, message: messages.ClickEdit) -> Plane | None:
        """What clicks correct: a mask that was painted or tracked. One of clicks alone is asked for anew."""
        self._check(message)
        number, frame = message.object, message.frame
        if number not in self.project.marks(frame) or number in self.project.prompts(frame):
            return None
        return np.asarray(self.project.mask(frame) == number)

    def _strokeedit(self, message: messages.StrokeEdit) -> dict[str, Any]:
        stroke = self._plane(message.counts)
        if message.object is None and not message.add:
            raise PromptError("choose an object before you erase")
        if message.add:
            return self._give(message, "brush", lambda plane: plane | stroke)
        return self._give(message, "eraser", lambda plane: plane & ~stroke)

    def _forgetedit(self, message: messages.ForgetEdit) -> None:
        self._check(message)
        frame, number = message.frame, message.object
        with self._change("hide" if message.hidden else "clear"):
            mask = np.array(self.project.mask(frame))
            mask[mask == number] = 0
            self.project.write(frame, mask, {number: Mark("given") if message.hidden else None})
            self.project.set_prompt(frame, number, None)

    def _check(self, message: messages.Edit) -> None:
        """See that the edit was made on the frame as it is, and that its object may change."""
        self.project.check_fresh(message.frame, message.seen)
        if message.object is not None:
            known = {row["id"]: row for row in self.project.objects()}
            if message.object not in known:
                raise StaleError(f"there is no object {message.object} any more")
            if known[message.object]["locked"]:
                raise PromptError(f"{known[message.object]['name']} is locked; unlock it first")

    def _give(
        self,
        message: messages.Edit,
        label: str,
        change: Callable[[Plane], Plane],
        prompt: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Save what a person said of an object on a frame."""
        self._check(message)
        with self._change(label):
            number = message.object or self.project.add_object()
            plane = change(np.asarray(self.project.mask(message.frame) == number))
            self.project.put(message.frame, {number: plane}, {number: Mark("given")})
            self.project.set_prompt(message.frame, number, prompt)
        return {"object": number}

    def _objectedit(self, message: messages.ObjectEdit) -> None:
        values = message.model_dump(include={"name", "colour", "visible", "locked"}, exclude_none=True)
        values = {key: int(value) if isinstance(value, bool) else value for key, value in values.items()}
        with self._change(", ".join(values)):
            self.project.set_object(message.object, **values)

    def _remove(self, message: messages.Remove) -> None:
        self._refuse_while_tracking("remove an object")
        with self._change("remove"):
            self.project.remove_object(message.object)

    def _undo(self, message: messages.Undo) -> dict[str, Any]:
        self._refuse_while_tracking(message.op)
        done = self.project.undo(redo=message.op == "redo")
        if done is None:
            raise SegueError(f"there is nothing to {message.op}")
        label, changed = done
        self._tell(changed)
        return {"label": label, "frames": sorted(changed.frames)[:2]}

    def _settings(self, message: messages.Settings) -> None:
        self.project.set_settings(message.values)

    def _score(self, _: messages.Score) -> None:
        raise SegueError("there is nothing to compare with here; use `segue view`")

    def _plane(self, counts: str) -> Plane:
        """A mask from run lengths that a page sent."""
        height, width = self.film.size
        try:
            check_runs([counts.encode("utf-8", "surrogatepass")], height * width)
        except DatasetError as error:
            raise SegueError(f"the stroke is damaged: {error}") from None
        return decode_rle(Rle(size=[height, width], counts=counts))


def _clipped(box: Box, size: tuple[int, int]) -> Box:
    height, width = size
    x0, x1 = sorted(min(max(x, 0.0), float(width)) for x in (box[0], box[2]))
    y0, y1 = sorted(min(max(y, 0.0), float(height)) for y in (box[1], box[3]))
    if x1 - x0 < 2 or y1 - y0 < 2:
        raise PromptError("the box is smaller than two pixels")
    return x0, y0, x1, y1


def _detectors() -> list[str]:
    """Detectors that need no weights, or whose weights are here."""
    return [entry.name for entry in DETECTORS if entry.network is None or at_hand(MODELS.find(entry.network))]
