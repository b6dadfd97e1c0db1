"""What a page waits for: trackings and exports, which the process that computes does step by step."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from segue.errors import PromptError, SegueError
from segue.masks import encode_objects
from segue.web import messages
from segue.web.exports import SUFFIX, Snapshot, export_job
from segue.web.film import Film
from segue.web.project import Mark, Project
from segue.web.server import Send
from segue.web.store import Changed
from segue.web.tracking import Corrected
from segue.web.worker import Worker, track_job

SHOWN_AHEAD = 24
"""Corrected frames that a tracking is shown before it starts; those nearest to its way."""

Proposal = tuple[npt.NDArray[np.bool_], str | None, float]
"""Mask, label and score of what a detector found."""

KEPT_LOOKS = 16
"""Answers of detectors that objects can still be made of; several windows may look at once."""

T = TypeVar("T")


def say_nothing(_: dict[str, Any]) -> None:
    """Stands for the pages before there are any."""


class JobDesk:
    """A project, the process that computes, and what is computed for it: one tracking or export at a time.

    Args:
        film: the film.
        folder: the project.
        model: name of the network that tracks.
        weights: its weight file, if it is to be another one than it has by itself.
        device: where networks run; None takes a GPU if there is one.

    Raises:
        SegueError: as for :class:`segue.web.project.Project`.
    """

    def __init__(
        self,
        film: Film,
        folder: Path,
        *,
        model: str = "stcn-lite",
        weights: Path | None = None,
        device: str | None = None,
    ) -> None:
        self.film = film
        self.send: Send = say_nothing
        self.project = Project(folder, film.describe(), film.size)
        self.exports = folder / "exports"
        self._worker = Worker(film.path, (model, weights), device, self._on_step)
        self._store = ThreadPoolExecutor(1, thread_name_prefix="segue-project")
        self._looks = 0
        self._found: OrderedDict[int, tuple[int, list[Proposal]]] = OrderedDict()
        self._job: dict[str, Any] | None = None

    def open(self) -> None:
        """Start the process that computes."""
        self._worker.start()

    def close(self) -> None:
        """End it, and close the project; a tracking that runs can be gone on with."""
        self._worker.close()
        self._store.shutdown(wait=True)
        self.project.close()
        self.film.close()

    async def _track(self, message: messages.Track) -> dict[str, Any]:
        self._refuse_while_tracking("track")

        def plan() -> tuple[int, dict[str, Any], tuple[Any, ...]]:
            spec = self._resumed() if message.resume else self._planned(message)
            arguments = self._arguments(spec)
            total = abs(spec["stop"] - spec["start"]) * (2 if spec["join"] else 1) - (
                2 if spec["join"] else 0
            )
            return self.project.begin_job(spec, total), {**spec, "total": total}, arguments

        row, spec, arguments = await self._saved(plan)
        self._job = {"what": spec["direction"], "row": row, "done": 0, "total": spec["total"], "entry": None,
                     "since": time.monotonic(), "way": (spec["start"], spec["stop"])}  # fmt: skip
        self._worker.begin(track_job, *arguments)
        self._progress()
        return {"start": spec["start"], "stop": spec["stop"]}

    def _planned(self, message: messages.Track) -> dict[str, Any]:
        objects = [row["id"] for row in self.project.objects() if not row["locked"]]
        if message.objects is not None:
            objects = [i for i in message.objects if i in objects]
        if not objects:
            raise PromptError("there is no unlocked object to track; click one first")
        # A first mask that was imported is as good a start as a click, as long as nobody corrected anything.
        given = self.project.frames_of(objects) or self.project.frames_of(objects, "imported")
        before = [i for i in given if i <= message.frame]
        after = [i for i in given if i >= message.frame]
        join = message.direction == "between"
        if join:
            before, after = (
                [i for i in given if i < message.frame] or before[-1:],
                [i for i in after if i > message.frame],
            )
            if not before or not after:
                raise PromptError("go to a frame between two corrected ones; there is none on one side")
            start, stop = before[-1], after[0]
        elif message.direction == "forward":
            if not before:
                raise PromptError(
                    "no frame up to here has a corrected object to start from; click one here first"
                )
            start, stop = before[-1], self.film.count - 1 if message.stop is None else message.stop
        else:
            if not after:
                raise PromptError(
                    "no frame from here on has a corrected object to start from; click one here first"
                )
            start, stop = after[0], message.stop or 0
        stop = min(stop, self.film.count - 1)
        if start == stop or (not join and (start < stop) != (message.direction == "forward")):
            raise PromptError("there is no frame to track in this direction")
        return {
            "direction": message.direction,
            "start": start,
            "stop": stop,
            "objects": objects,
            "join": join,
        }

    def _resumed(self) -> dict[str, Any]:
        job = self.project.interrupted()
        if job is None:
            raise PromptError("there is no interrupted tracking to go on with")
        spec = dict(job["spec"])
        # Two directions are joined from the beginning: what the first one said is not kept.
        if not spec["join"] and job["at"] is not None:
            spec["start"] = job["at"]
        alive = {row["id"] for row in self.project.objects() if not row["locked"]}
        spec["objects"] = [i for i in spec["objects"] if i in alive]
        if spec["start"] == spec["stop"] or not spec["objects"]:
            raise PromptError("nothing of the interrupted tracking is left to do")
        return spec

    def _arguments(self, spec: dict[str, Any]) -> tuple[Any, ...]:
        """Arguments of :func:`track_job`."""
        objects, start, stop = spec["objects"], spec["start"], spec["stop"]
        low, high = min(start, stop), max(start, stop)
        given = self.project.frames_of(objects)
        nearest = sorted(given, key=lambda i: max(low - i, i - high, 0))
        on_way = {i for i in given if low <= i <= high}
        corrected = {}
        for index in {*nearest[:SHOWN_AHEAD], *on_way, start}:
            mask, known = self.project.mask(index), frozenset(self.project.marks(index)) & frozenset(objects)
            corrected[index] = Corrected(np.where(np.isin(mask, sorted(known)), mask, 0), known)
        return corrected, start, stop, objects, spec["join"]

    async def _stop(self, _: messages.Stop) -> dict[str, Any]:
        self._worker.stop()
        self._end("stopped")
        return {}

    async def _export(self, message: messages.Export) -> dict[str, Any]:
        self._refuse_while_tracking("export")

        def snapshot() -> Snapshot:
            chosen = {row["id"]: row for row in self.project.objects()}
            if message.objects is not None:
                chosen = {i: row for i, row in chosen.items() if i in message.objects}
            files = {i: self.project.mask_file(i) for i in self.project.masked_frames()}
            if not files or not chosen:
                raise SegueError("there are no masks to export yet")
            scores = {(row[0], row[1]): row[3] for row in self.project.timeline()}
            names = {i: (row["name"], row["colour"]) for i, row in chosen.items()}
            return Snapshot({i: path for i, path in files.items() if path}, names, scores)

        taken = await self._saved(snapshot)
        self.exports.mkdir(exist_ok=True)
        target = _free(self.exports, f"{_plain(self.film.name)}-{message.format}", SUFFIX[message.format])
        self._job = {
            "what": "export",
            "row": None,
            "done": 0,
            "total": self.film.count,
            "since": time.monotonic(),
            "name": target.name,
        }
        self._worker.begin(export_job, taken, message.format, target)
        self._progress()
        return {"name": target.name, "path": str(target)}

    def _on_step(self, _: int, ended: bool, value: Any, error: str | None) -> None:
        job = self._job
        if job is None:
            return
        if ended:
            asyncio.get_running_loop().create_task(self._finish(error))
        elif job["row"] is None:
            job["done"] = value
            self._progress()
        else:
            job["done"] += 1
            asyncio.get_running_loop().create_task(self._keep(job, *value))

    async def _keep(self, job: dict[str, Any], index: int, tracked: dict[int, Any]) -> None:
        """Save a tracked frame, in the tracking's own step of the history while that is the last."""
        done = job["done"]

        def keep() -> None:
            if self._job is not job:
                return
            entry = job["entry"] if job["entry"] == self.project.last_entry else None
            alive = {row["id"] for row in self.project.objects() if not row["locked"]}
            with self.project.change("track", entry=entry) as changed:
                self.project.put(
                    index,
                    {i: item.plane for i, item in tracked.items() if i in alive},
                    {
                        i: Mark("tracked", item.score, 0, item.weight, item.agreement)
                        for i, item in tracked.items()
                    },
                )
            job["entry"] = self.project.last_entry
            self.project.note_job(job["row"], done=done, at=index)
            self._tell(changed)

        try:
            await self._saved(keep)
        except SegueError as error:
            self._worker.stop()
            await self._finish(str(error))
        self._progress()

    async def _finish(self, error: str | None) -> None:
        await self._saved(lambda: None)  # the frames before are saved first
        job = self._job
        self._end("stopped" if error else "done", error)
        if job is not None and job["row"] is None and error is None:
            self.send({"event": "exported", "name": job["name"], "path": str(self.exports / job["name"])})

    def _end(self, state: str, error: str | None = None) -> None:
        job, self._job = self._job, None
        if job is not None and job["row"] is not None:
            self._store.submit(self.project.note_job, job["row"], state=state)
        interrupted = None
        if job is not None and job["row"] is not None and state == "stopped":
            interrupted = {"done": job["done"], "total": job["total"], "direction": job["what"]}
        self.send({"event": "ended", "state": state, "error": error, "interrupted": interrupted})

    def _progress(self) -> None:
        job = self._job
        if job is not None:
            rate = job["done"] / max(time.monotonic() - job["since"], 1e-3)
            keys = {key: job[key] for key in ("what", "done", "total")}
            self.send({"event": "progress", **keys, "rate": round(rate, 2)})

    def _refuse_while_tracking(self, what: str) -> None:
        if self._job is not None:
            raise SegueError(f"cannot {what} while something is computed; stop it first (Escape)")

    async def _saved(self, call: Callable[[], T]) -> T:
        """Run in the one thread that uses the project."""
        loop = self._loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._store, call)

    def _tell(self, changed: Changed) -> None:
        """Tell all pages what a change has touched; called in the project's thread."""
        event: dict[str, Any] = {
            "event": "changed",
            "revision": self.project.revision,
            "history": self.project.history(),
        }
        if changed.objects:
            event["objects"] = self.project.objects()
        if len(changed.frames) == 1:
            event["frames"] = [self._frame(index) for index in changed.frames]
        elif changed.frames:
            event["timeline"] = self.project.timeline()
            event["prompted"] = self.project.prompted()
        loop = getattr(self, "_loop", None)
        if loop is not None:
            loop.call_soon_threadsafe(self.send, event)

    def _frame(self, index: int) -> dict[str, Any]:
        mask, marks = self.project.mask(index), self.project.marks(index)
        lengths = encode_objects(mask, [i for i, mark in marks.items() if mark.area])
        return {
            "frame": index,
            "revision": self.project.frame_revision(index),
            "masks": {i: rle["counts"] for i, rle in lengths.items()},
            "prompts": self.project.prompts(index),
            "marks": {i: [m.kind, m.score, m.area, m.weight, m.agreement] for i, m in marks.items()},
        }


def _plain(name: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "-_" else "_" for sign in name)[:60] or "film"


def _free(folder: Path, stem: str, suffix: str) -> Path:
    """A path that is not there yet."""
    taken = {path.name for path in folder.iterdir()}
    names = (f"{stem}{'' if number == 1 else f'-{number}'}{suffix}" for number in range(1, 10**6))
    return folder / next(name for name in names if name not in taken)
