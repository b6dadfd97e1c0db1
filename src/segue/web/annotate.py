"""What stands behind the page of ``segue annotate``: requests become computations and saved changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segue.errors import DatasetError, PromptError, SegueError
from segue.masks import Rle, encode_rle, rle_box
from segue.masks.rle import check_runs
from segue.prompts import Prompts
from segue.registry import DETECTORS, MODELS
from segue.web import messages
from segue.web.jobs import KEPT_LOOKS, JobDesk, Proposal
from segue.web.labels import Labels, read_labels
from segue.web.project import Mark
from segue.web.store import StaleError
from segue.weights.download import at_hand


class AnnotateDesk(JobDesk):
    """A project that is worked on; see :class:`JobDesk`."""

    async def handle(self, message: messages.AnyMessage) -> dict[str, Any]:
        """Answer a request."""
        frame = getattr(message, "frame", 0)
        if frame >= self.film.count:
            raise SegueError(f"there is no frame {frame}; the last one is {self.film.count - 1}")
        if not self.film.exact and not isinstance(
            message, messages.Hello | messages.Look | messages.Settings
        ):
            raise SegueError(
                f"the film is still being read through ({self.film.progress:.0%}); look around meanwhile"
            )
        answer: dict[str, Any] = await getattr(self, f"_{type(message).__name__.lower()}")(message)
        return answer

    async def take_in(self, name: str, path: Path) -> str:
        """Import labels from a file."""
        film = self.film
        labels = await asyncio.to_thread(read_labels, path, film.size, film.count, name, film.numbers)
        count = await self._saved(lambda: self.import_labels(labels))
        return f"{len(labels.names)} objects on {count} frames"

    def upload_path(self, name: str) -> Path:
        """Where an uploaded file waits; its own name is used for its ending only."""
        suffix = Path(name).suffix.lower()
        return (
            self.project.folder / f"upload{suffix if suffix in ('.png', '.zip', '.json', '.xml') else '.bin'}"
        )

    def export_file(self, name: str) -> Path | None:
        """File or folder of an export."""
        known = {path.name: path for path in self.exports.iterdir()} if self.exports.is_dir() else {}
        return known.get(name)

    def import_labels(self, labels: Labels) -> int:
        """Add objects and masks that another program made, as one change.

        Returns:
            Number of frames.
        """
        count = 0
        with self.project.change("import") as changed:
            ids = {number: self.project.add_object(name) for number, name in labels.names.items()}
            for index, mask in labels.frames():
                planes = {ids[number]: np.asarray(mask == number) for number in ids if (mask == number).any()}
                marks = {i: Mark("imported", labels.score(index, n)) for n, i in ids.items() if i in planes}
                self.project.put(index, planes, marks)
                count += bool(planes)
        self._tell(changed)
        return count

    async def _hello(self, _: messages.Hello) -> dict[str, Any]:
        return await self._saved(self._everything)

    def _everything(self) -> dict[str, Any]:
        job = self.project.interrupted()
        return {
            "mode": "annotate",
            "film": self.film.describe(),
            "objects": self.project.objects(),
            "timeline": self.project.timeline(),
            "prompted": self.project.prompted(),
            "history": self.project.history(),
            "settings": self.project.settings(),
            "detectors": _detectors(),
            "running": self._job and {key: self._job[key] for key in ("what", "done", "total")},
            "interrupted": None
            if self._job or job is None
            else {"done": job["done"], "total": job["total"], **job["spec"]},
            "folder": str(self.project.folder),
            "revision": self.project.revision,
        }

    async def _look(self, message: messages.Look) -> dict[str, Any]:
        frames = [index for index in message.frames if index < self.film.count]
        return {"frames": [await self._saved(partial(self._frame, index)) for index in frames]}

    async def _prepare(self, message: messages.Prepare) -> dict[str, Any]:
        if self._job is None:
            await self._worker.ask("prepare", message.frame)
        return {}

    async def _clickedit(self, message: messages.ClickEdit) -> dict[str, Any]:
        await self._saved(lambda: self._check(message))
        previous = None
        if message.object is not None:
            mask, marks, prompts = await self._saved(
                lambda: (
                    self.project.mask(message.frame),
                    self.project.marks(message.frame),
                    self.project.prompts(message.frame),
                )
            )
            # What was painted or tracked is corrected; what came from clicks alone is asked for anew.
            if message.object in marks and message.object not in prompts:
                previous = np.asarray(mask == message.object)
        if not message.points and message.box is None:
            raise PromptError("give a point or a box")
        height, width = self.film.size
        points = [(min(max(x, 0), width - 1), min(max(y, 0), height - 1), on) for x, y, on in message.points]
        box = message.box and _clipped(message.box, self.film.size)
        on, off = ([(x, y) for x, y, inside in points if inside is wanted] for wanted in (True, False))
        said = Prompts(box, on, off, mask=previous)
        plane = await self._worker.ask("click", message.frame, said)
        data = {"points": points, "box": box}
        return await self._saved(lambda: self._give(message, "click", lambda _: plane, data))

    async def _strokeedit(self, message: messages.StrokeEdit) -> dict[str, Any]:
        stroke = self._plane(message.counts)
        if message.object is None and not message.add:
            raise PromptError("choose an object before you erase")

        def painted(plane: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
            return plane | stroke if message.add else plane & ~stroke

        return await self._saved(
            lambda: self._give(message, "brush" if message.add else "eraser", painted, None)
        )

    async def _forgetedit(self, message: messages.ForgetEdit) -> dict[str, Any]:
        def forget() -> dict[str, Any]:
            self._check(message)
            number = message.object
            with self.project.change("hide" if message.hidden else "clear") as changed:
                mask = np.array(self.project.mask(message.frame))
                mask[mask == number] = 0
                self.project.write(message.frame, mask, {number: Mark("given") if message.hidden else None})
                self.project.set_prompt(message.frame, number, None)
            self._tell(changed)
            return {}

        return await self._saved(forget)

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
        change: Callable[[npt.NDArray[np.bool_]], npt.NDArray[np.bool_]],
        prompt: dict[str, Any] | None,
    ) -> dict[str, Any]:
        """Save what a person said of an object on a frame."""
        self._check(message)
        with self.project.change(label) as changed:
            number = message.object or self.project.add_object()
            plane = change(np.asarray(self.project.mask(message.frame) == number))
            self.project.put(message.frame, {number: plane}, {number: Mark("given")})
            self.project.set_prompt(message.frame, number, prompt)
        self._tell(changed)
        return {"object": number}

    async def _objectedit(self, message: messages.ObjectEdit) -> dict[str, Any]:
        values = message.model_dump(include={"name", "colour", "visible", "locked"}, exclude_none=True)
        values = {key: int(value) if isinstance(value, bool) else value for key, value in values.items()}
        return await self._changed(
            ", ".join(values), lambda: self.project.set_object(message.object, **values)
        )

    async def _remove(self, message: messages.Remove) -> dict[str, Any]:
        self._refuse_while_tracking("remove an object")
        return await self._changed("remove", lambda: self.project.remove_object(message.object))

    async def _undo(self, message: messages.Undo) -> dict[str, Any]:
        self._refuse_while_tracking(message.op)

        def undo() -> dict[str, Any]:
            done = self.project.undo(redo=message.op == "redo")
            if done is None:
                raise SegueError(f"there is nothing to {message.op}")
            self._tell(done[1])
            return {"label": done[0], "frames": sorted(done[1].frames)[:2]}

        return await self._saved(undo)

    async def _find(self, message: messages.Find) -> dict[str, Any]:
        proposed: list[Proposal] = await self._worker.ask("find", message.frame, message.detector)
        self._looks += 1
        self._found[self._looks] = message.frame, proposed
        while len(self._found) > KEPT_LOOKS:
            self._found.popitem(last=False)
        found = []
        for plane, label, score in proposed:
            lengths = encode_rle(plane)
            found.append(
                {"counts": lengths["counts"], "label": label, "score": score, "box": rle_box(lengths)}
            )
        return {"found": found, "look": self._looks}

    async def _adopt(self, message: messages.Adopt) -> dict[str, Any]:
        frame, proposed = self._found.get(message.look, (0, []))
        chosen = [proposed[i] for i in message.chosen if i < len(proposed)]
        if not chosen:
            raise PromptError("choose at least one of what was found; look again if that was long ago")

        def adopt() -> None:
            for plane, label, _ in chosen:
                number = self.project.add_object(label)
                self.project.put(frame, {number: plane}, {number: Mark("given")})

        return await self._changed("add what was found", adopt)

    async def _settings(self, message: messages.Settings) -> dict[str, Any]:
        await self._saved(lambda: self.project.set_settings(message.values))
        return {}

    async def _score(self, _: messages.Score) -> dict[str, Any]:
        raise SegueError("there is nothing to compare with here; use `segue view`")

    async def _changed(self, label: str, change: Callable[[], None]) -> dict[str, Any]:
        def run() -> dict[str, Any]:
            with self.project.change(label) as changed:
                change()
            self._tell(changed)
            return {}

        return await self._saved(run)

    def _plane(self, counts: str) -> npt.NDArray[np.bool_]:
        """A mask from run lengths that a page sent."""
        from segue.masks import decode_rle

        height, width = self.film.size
        try:
            check_runs([counts.encode("utf-8", "surrogatepass")], height * width)
        except DatasetError as error:
            raise SegueError(f"the stroke is damaged: {error}") from None
        return decode_rle(Rle(size=[height, width], counts=counts))


def _clipped(
    box: tuple[float, float, float, float], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    height, width = size
    x0, x1 = sorted(min(max(x, 0.0), float(width)) for x in (box[0], box[2]))
    y0, y1 = sorted(min(max(y, 0.0), float(height)) for y in (box[1], box[3]))
    if x1 - x0 < 2 or y1 - y0 < 2:
        raise PromptError("the box is smaller than two pixels")
    return x0, y0, x1, y1


def _detectors() -> list[str]:
    """Detectors that need no weights, or whose weights are here."""
    return [entry.name for entry in DETECTORS if entry.network is None or at_hand(MODELS.find(entry.network))]
