"""What stands behind the page of ``segue annotate``: requests become computations and saved changes.

Trackings, exports and detectors are at work in a process of their own, one tracking or export at a time.
"""

from __future__ import annotations

import asyncio
import inspect
import time
import traceback
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

import numpy as np

from segue.arrays import BoolArray
from segue.errors import PromptError, SegueError
from segue.masks import encode_objects, encode_rle, measure, rle_box
from segue.prompts import Prompts
from segue.registry import DETECTORS, MODELS
from segue.types import Box
from segue.weights.download import is_available
from segue_web import messages
from segue_web.exports import export_job, free_path, remove_unfinished, snapshot, steps
from segue_web.exports.matting import need_matting
from segue_web.film import Film
from segue_web.labels import Labels, read_complete_labels
from segue_web.project import Mark, MarkedMask, Project
from segue_web.server import Backend
from segue_web.store import UPLOAD, Changed
from segue_web.tracking import Corrected, corrected_frames, planned, resumed, steps_of, track_job
from segue_web.worker import Suggestion, Worker

UPLOADS = (".png", ".zip", ".json", ".xml")

KEPT_LOOKS = 16
"""Answers of detectors that objects can still be made of; several windows may look at once."""

Click = tuple[float, float, bool]
"""A point of the film, and whether it lies on the object."""

T = TypeVar("T")


@dataclass
class _Job:
    """What is computed, in ``total`` steps.

    Attributes:
        what: direction of a tracking, or ``export``.
        row: number of a tracking in the project; 0 for an export.
        entry: the last entry of a tracking in the history.
        target: file or folder of an export.
    """

    what: str
    total: int
    done: int = 0
    row: int = 0
    entry: int | None = None
    target: Path | None = None
    since: float = field(default_factory=time.monotonic)

    @property
    def progress(self) -> dict[str, Any]:
        return {"what": self.what, "done": self.done, "total": self.total}


class AnnotateBackend(Backend):
    """A project that is worked on, and the process that computes for it.

    A request is answered by the method of its name: those that are no coroutines run in the one thread that
    uses the project. ``weights`` is the file of the network that tracks, if it is to be another one than it
    has by itself; ``prompter`` makes masks of clicks, see :func:`segue.prompts.find_prompter`. Raises
    SegueError as :class:`segue_web.project.Project` does.
    """

    def __init__(
        self,
        film: Film,
        folder: Path,
        *,
        model: str = "stcn-lite",
        weights: Path | None = None,
        prompter: str = "segue-prompt",
        device: str | None = None,
        classes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(film)
        self.project = Project(folder, film.describe(), film.size)
        self.exports = folder / "exports"
        self._classes = classes
        remove_unfinished(self.exports)
        self._worker = Worker(film.path, (model, weights), prompter, device, self._on_step)
        self._store = ThreadPoolExecutor(1, thread_name_prefix="segue-project")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._job: _Job | None = None
        self._begins = False  # whether a request to compute is between its check and its job
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._looks = 0
        self._found: dict[int, tuple[int, list[Suggestion]]] = {}

    def open(self) -> None:
        self._worker.start()

    def close(self) -> None:
        """End the process and close the project; a tracking that runs can be resumed."""
        self._closed = True
        self._worker.close()
        self._store.shutdown(wait=True)
        self.project.close()
        super().close()

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
            return await method(message) or {}
        return await self._saved(partial(method, message)) or {}

    async def import_file(self, name: str, path: Path) -> str:
        # Not in the thread of the project, which all pages wait for.
        labels = await asyncio.to_thread(read_complete_labels, path, self.film, name)
        count = await self._saved(lambda: self.import_labels(labels))
        return f"{len(labels.names)} objects on {count} frames"

    def upload_path(self, name: str) -> Path:
        """Where an uploaded file waits; its own name is used for its ending only."""
        suffix = Path(name).suffix.lower()
        return self.project.folder / f"{UPLOAD}{token_hex(8)}{suffix if suffix in UPLOADS else '.bin'}"

    def export_file(self, name: str) -> Path | None:
        known = {path.name: path for path in self.exports.iterdir()} if self.exports.is_dir() else {}
        return known.get(name)

    def import_labels(self, labels: Labels) -> int:
        """Add objects and masks that another program made, as one change; returns the number of frames."""
        count = 0
        with self._change("import"):
            ids = {number: self.project.add_object(name) for number, name in labels.names.items()}
            for index, mask in labels.frames():
                found = {
                    ids[number]: (np.asarray(mask == number), Mark("imported", labels.score(index, number)))
                    for number in measure(mask)
                    if number in ids
                }
                self.project.put(index, found)
                count += bool(found)
        return count

    def _hello(self, _: messages.Hello) -> dict[str, Any]:
        job, interrupted = self._job, self.project.interrupted()
        if interrupted is not None:
            interrupted = {"done": interrupted["done"], "total": interrupted["total"], **interrupted["spec"]}
        # Detectors that need no weights, or whose weights are here.
        ready = [
            entry for entry in DETECTORS if not entry.network or is_available(MODELS.find(entry.network))
        ]
        return {
            "mode": "annotate",
            "film": self.film.describe(),
            "objects": self.project.objects(),
            "timeline": self.project.timeline(),
            "history": self.project.history(),
            "settings": self.project.settings(),
            "detectors": [entry.name for entry in ready],
            "running": job and job.progress,
            "interrupted": None if job else interrupted,
            "folder": str(self.project.folder),
            "classes": self._classes,
        }

    async def _look(self, message: messages.Look) -> dict[str, Any]:
        frames = [index for index in message.frames if index < self.film.count]
        # One by one, so that what is to be saved need not wait for all.
        return {"frames": [await self._saved(partial(self._frame, index)) for index in frames]}

    async def _prepare(self, message: messages.Prepare) -> None:
        if self._job is None:
            await self._worker.ask("prepare", message.frame)

    async def _clickedit(self, message: messages.ClickEdit) -> dict[str, Any]:
        points, box = message.within(*self.film.size)
        previous, added = await self._saved(lambda: self._corrected_by(message, points, box))
        on, off = ([(x, y) for x, y, inside in points if inside is wanted] for wanted in (True, False))
        prompts = Prompts(box, on, off, mask=previous, extent=message.extent)
        bound = None if any(inside for _, _, inside in added) else previous
        clicked = await self._worker.ask("click", message.frame, prompts, bound)
        shown = {"extent": clicked.extent, "extents": clicked.extents}
        data = {"points": points, "box": box, **shown}

        def give() -> dict[str, Any]:
            return self._give(message, "click", lambda _: clicked.plane, data, clicked.iou)

        return await self._saved(give) | shown

    def _corrected_by(
        self, message: messages.ClickEdit, points: list[Click], box: Box | None
    ) -> tuple[BoolArray | None, list[Click]]:
        """The mask that further clicks correct, and those clicks.

        None for what is asked for anew: a new box, or another extent of the same clicks.
        """
        self.project.check_edit(message.frame, message.seen, message.object)
        number, frame = message.object, message.frame
        if number is None or number not in self.project.marks(frame):
            return None, points
        before = self.project.prompts(frame).get(number, {"points": [], "box": None})
        known = [tuple(point) for point in before["points"]]
        added = points[len(known) :]
        if points[: len(known)] != known or not added or before["box"] != (box and list(box)):
            return None, points
        return np.asarray(self.project.mask(frame) == number), added

    def _strokeedit(self, message: messages.StrokeEdit) -> dict[str, Any]:
        stroke = message.plane(*self.film.size)
        if message.object is None and not message.add:
            raise PromptError("choose an object before you erase")
        if message.add:
            return self._give(message, "brush", lambda plane: plane | stroke)
        return self._give(message, "eraser", lambda plane: plane & ~stroke)

    def _forgetedit(self, message: messages.ForgetEdit) -> None:
        self.project.check_edit(message.frame, message.seen, message.object)
        frame, number = message.frame, message.object
        with self._change("hide" if message.hidden else "clear"):
            mask = np.array(self.project.mask(frame))
            mask[mask == number] = 0
            self.project.write(frame, mask, {number: Mark("given") if message.hidden else None})
            self.project.set_prompt(frame, number, None)

    def _give(
        self,
        message: messages.Edit,
        label: str,
        change: Callable[[BoolArray], BoolArray],
        prompt: dict[str, Any] | None = None,
        score: float = 1.0,
    ) -> dict[str, Any]:
        """Save what a person said of an object on a frame, and the IoU to be expected of its mask."""
        self.project.check_edit(message.frame, message.seen, message.object)
        with self._change(label):
            number = message.object or self.project.add_object()
            plane = change(np.asarray(self.project.mask(message.frame) == number))
            self.project.put(message.frame, {number: (plane, Mark("given", score))})
            self.project.set_prompt(message.frame, number, prompt)
        return {"object": number}

    def _objectedit(self, message: messages.ObjectEdit) -> None:
        fields = {"name", "category", "colour", "visible", "locked"}
        values = message.model_dump(include=fields, exclude_none=True)
        if self._classes and message.category and message.category not in self._classes:
            raise SegueError(f"{message.category} is none of the classes: {', '.join(self._classes)}")
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

    async def _track(self, message: messages.Track) -> dict[str, Any]:
        def plan() -> tuple[_Job, dict[str, Any], dict[int, Corrected]]:
            spec = resumed(self.project) if message.resume else planned(self.project, self.film, message)
            total = steps_of(spec)
            corrected = corrected_frames(self.project, spec)
            return _Job(spec["direction"], total, row=self.project.begin_job(spec, total)), spec, corrected

        with self._beginning("track"):
            job, spec, corrected = await self._saved(plan)
            start, stop = spec["start"], spec["stop"]
            join = spec["direction"] == "between"
            kept = range(spec.get("first", 0), spec.get("last", self.film.count - 1) + 1)
            self._begin(job, track_job, corrected, start, stop, spec["objects"], join, kept)
        return {"start": start, "stop": stop}

    async def _stop(self, _: messages.Stop) -> None:
        self._worker.stop()
        await self._end(self._job, "stopped")

    async def _export(self, message: messages.Export) -> dict[str, Any]:
        with self._beginning("export"):
            if message.soft:
                need_matting()
            wanted = message.model_dump(include={"objects", "all_frames", "first", "last", "soft"})
            taken = await self._saved(partial(snapshot, self.project, **wanted))
            self.exports.mkdir(exist_ok=True)
            target = free_path(self.exports, self.film.name, message.format)
            job = _Job("export", steps(self.film, taken, message.format), target=target)
            self._begin(job, export_job, taken, message.format, target)
        return {"name": target.name, "path": str(target)}

    async def _find(self, message: messages.Find) -> dict[str, Any]:
        proposed = await self._worker.ask("find", message.frame, message.detector)
        self._looks += 1
        self._found[self._looks] = message.frame, proposed
        self._found.pop(self._looks - KEPT_LOOKS, None)
        found = []
        for item in proposed:
            rle = encode_rle(item.plane)
            about = {"label": item.label, "score": item.score, "box": rle_box(rle)}
            found.append({"counts": rle["counts"], **about})
        return {"found": found, "look": self._looks}

    def _adopt(self, message: messages.Adopt) -> None:
        frame, proposed = self._found.get(message.look, (0, []))
        chosen = [proposed[i] for i in message.chosen if i < len(proposed)]
        if not chosen:
            raise PromptError("choose at least one of the suggestions; look again if that was long ago")
        with self._change("add suggestions"):
            for item in chosen:
                mark = Mark("given", 1.0 if item.score is None else item.score)
                self.project.put(frame, {self.project.add_object(item.label): (item.plane, mark)})

    @contextmanager
    def _beginning(self, what: str) -> Iterator[None]:
        """Let no other computation begin until this one has a job, or has failed."""
        self._refuse_while_tracking(what)
        self._begins = True
        try:
            yield
        finally:
            self._begins = False

    def _begin(self, job: _Job, make: Callable[..., Iterator[Any]], *arguments: Any) -> None:
        self._job = job
        try:
            self._worker.begin(make, *arguments)
        except BaseException:
            self._job = None
            raise
        self._progress()

    def _on_step(self, value: Any, error: str | None) -> None:
        job = self._job
        if job is None:
            return
        if value is None:
            self._spawn(self._finish(job, error))
        elif not job.row:
            job.done = value
            self._progress()
        else:
            job.done += 1
            self._spawn(self._keep(job, *value))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that nobody waits for; if it fails, the job ends and all pages are notified."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._look_at)

    def _look_at(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() or self._closed else task.exception()
        if error is None:
            return
        traceback.print_exception(error)
        self._worker.stop()
        self._job = None
        reason = f"this failed inside segue ({type(error).__name__}); the terminal has the details"
        self.send({"event": "ended", "state": "stopped", "error": reason, "interrupted": None})

    async def _keep(self, job: _Job, index: int, tracked: dict[int, MarkedMask]) -> None:
        """Save a tracked frame, in the tracking's own step of the history while that is the last."""
        done = job.done

        def keep() -> None:
            if self._job is not job:
                return
            alive = {i: tracked[i] for i in self.project.unlocked(tracked)}
            with self._change("track", job.entry if job.entry == self.project.last_entry else None):
                self.project.put(index, alive)
            job.entry = self.project.last_entry
            self.project.note_job(job.row, done=done, at=index)

        try:
            await self._saved(keep)
        except SegueError as error:
            self._worker.stop()
            await self._finish(job, str(error))
        self._progress()

    async def _finish(self, job: _Job, error: str | None) -> None:
        await self._saved(lambda: None)  # the frames before are saved first
        if self._job is not job:  # somebody stopped it meanwhile
            return
        await self._end(job, "stopped" if error else "done", error)
        if job.target is not None and error is not None:
            remove_unfinished(self.exports, job.target)
        elif job.target is not None:
            self.send({"event": "exported", "name": job.target.name, "path": str(job.target)})

    async def _end(self, job: _Job | None, state: str, error: str | None = None) -> None:
        self._job = None
        interrupted = None
        if job is not None and job.row:
            try:
                await self._saved(partial(self.project.note_job, job.row, state=state))
            except SegueError as failed:
                error = error or str(failed)
            if state == "stopped":
                interrupted = {"done": job.done, "total": job.total, "direction": job.what}
        self.send({"event": "ended", "state": state, "error": error, "interrupted": interrupted})

    def _progress(self) -> None:
        job = self._job
        if job is not None:
            rate = job.done / max(time.monotonic() - job.since, 1e-3)
            self.send({"event": "progress", **job.progress, "rate": round(rate, 2)})

    def _refuse_while_tracking(self, what: str) -> None:
        if self._job is not None or self._begins:
            raise SegueError(f"cannot {what} while something is computed; stop it first (Escape)")

    async def _saved(self, call: Callable[[], T]) -> T:
        """Run in the one thread that uses the project."""
        self._loop = asyncio.get_running_loop()
        return await self._loop.run_in_executor(self._store, call)

    @contextmanager
    def _change(self, label: str, entry: int | None = None) -> Iterator[None]:
        """A change of the project, which is sent to all pages; in the project's thread."""
        with self.project.change(label, entry=entry) as changed:
            yield
        self._tell(changed)

    def _tell(self, changed: Changed) -> None:
        event: dict[str, Any] = {"event": "changed", "history": self.project.history()}
        if changed.objects:
            event["objects"] = self.project.objects()
        if len(changed.frames) == 1:
            event["frames"] = [self._frame(index) for index in changed.frames]
        elif changed.frames:
            event["timeline"] = self.project.timeline()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.send, event)

    def _frame(self, index: int) -> dict[str, Any]:
        mask, marks = self.project.mask(index), self.project.marks(index)
        lengths = encode_objects(mask, [i for i, mark in marks.items() if mark.area])
        return {
            "frame": index,
            "revision": self.project.frame_revision(index),
            "masks": {i: rle["counts"] for i, rle in lengths.items()},
            "prompts": self.project.prompts(index),
            "marks": {i: astuple(mark) for i, mark in marks.items()},
        }
