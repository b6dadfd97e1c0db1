"""What a page waits for: trackings, exports and detectors, which are at work in a process of their own."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from segue.errors import PromptError, SegueError
from segue.masks import encode_objects, encode_rle, rle_box
from segue_web import messages
from segue_web.exports import FORMATS, Snapshot, export_job
from segue_web.film import Film, Plane
from segue_web.project import Mark, Project
from segue_web.server import Desk
from segue_web.store import Changed
from segue_web.tracking import Corrected, Tracked, track_job
from segue_web.worker import Worker

SHOWN_AHEAD = 24
"""Corrected frames that a tracking is shown before it starts; those nearest to its way."""

KEPT_LOOKS = 16
"""Answers of detectors that objects can still be made of; several windows may look at once."""

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


class JobDesk(Desk):
    """A project, the process that computes, and what is computed for it: one tracking or export at a time.

    ``weights`` is the file of the network that tracks, if it is to be another one than it has by itself.
    Raises SegueError as :class:`segue_web.project.Project` does.
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
        super().__init__(film)
        self.project = Project(folder, film.describe(), film.size)
        self.exports = folder / "exports"
        self._worker = Worker(film.path, (model, weights), device, self._on_step)
        self._store = ThreadPoolExecutor(1, thread_name_prefix="segue-project")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._job: _Job | None = None
        self._looks = 0
        self._found: OrderedDict[int, tuple[int, list[tuple[Plane, str | None, float]]]] = OrderedDict()

    def open(self) -> None:
        """Start the process that computes."""
        self._worker.start()

    def close(self) -> None:
        """End it, and close the project; a tracking that runs can be gone on with."""
        self._worker.close()
        self._store.shutdown(wait=True)
        self.project.close()
        super().close()

    async def _track(self, message: messages.Track) -> dict[str, Any]:
        self._refuse_while_tracking("track")

        def plan() -> tuple[_Job, dict[str, Any], dict[int, Corrected]]:
            spec = self._resumed() if message.resume else self._planned(message)
            frames = abs(spec["stop"] - spec["start"])
            total = 2 * frames - 2 if spec["join"] else frames
            corrected = self._corrected(spec)
            return _Job(spec["direction"], total, row=self.project.begin_job(spec, total)), spec, corrected

        self._job, spec, corrected = await self._saved(plan)
        start, stop = spec["start"], spec["stop"]
        self._worker.begin(track_job, corrected, start, stop, spec["objects"], spec["join"])
        self._progress()
        return {"start": start, "stop": stop}

    def _planned(self, message: messages.Track) -> dict[str, Any]:
        objects = self._unlocked(message.objects)
        if not objects:
            raise PromptError("there is no unlocked object to track; click one first")
        # A first mask that was imported is as good a start as a click, as long as nobody corrected anything.
        given = self.project.frames_of(objects) or self.project.frames_of(objects, "imported")
        before = [i for i in given if i <= message.frame]
        after = [i for i in given if i >= message.frame]
        last, join = self.film.count - 1, message.direction == "between"
        if join:
            before = [i for i in before if i < message.frame] or before
            after = [i for i in after if i > message.frame]
            if not before or not after:
                raise PromptError("go to a frame between two corrected ones; there is none on one side")
            start, stop = before[-1], after[0]
        else:
            forward = message.direction == "forward"
            if not (before if forward else after):
                side = "up to here" if forward else "from here on"
                raise PromptError(
                    f"no frame {side} has a corrected object to start from; click one here first"
                )
            start = before[-1] if forward else after[0]
            stop = (last if forward else 0) if message.stop is None else min(message.stop, last)
            if start == stop or (start < stop) != forward:
                raise PromptError("there is no frame to track in this direction")
        way = {"direction": message.direction, "start": start, "stop": stop}
        return {**way, "objects": objects, "join": join}

    def _resumed(self) -> dict[str, Any]:
        job = self.project.interrupted()
        if job is None:
            raise PromptError("there is no interrupted tracking to go on with")
        spec = dict(job["spec"])
        # Two directions are joined from the beginning: what the first one said is not kept.
        if not spec["join"] and job["at"] is not None:
            spec["start"] = job["at"]
        spec["objects"] = self._unlocked(spec["objects"])
        if spec["start"] == spec["stop"] or not spec["objects"]:
            raise PromptError("nothing of the interrupted tracking is left to do")
        return spec

    def _unlocked(self, wanted: list[int] | None = None) -> list[int]:
        """Those of the wanted objects that are there and may change; None wants all."""
        unlocked = [row["id"] for row in self.project.objects() if not row["locked"]]
        return unlocked if wanted is None else [i for i in wanted if i in unlocked]

    def _corrected(self, spec: dict[str, Any]) -> dict[int, Corrected]:
        """The frames that a tracking is shown: its start, those on its way, and the nearest of the others."""
        objects, start = spec["objects"], spec["start"]
        low, high = sorted((start, spec["stop"]))
        given = self.project.frames_of(objects)
        nearest = sorted(given, key=lambda i: max(low - i, i - high, 0))
        corrected = {}
        for index in {*nearest[:SHOWN_AHEAD], *(i for i in given if low <= i <= high), start}:
            mask, known = self.project.mask(index), frozenset(self.project.marks(index)) & frozenset(objects)
            corrected[index] = Corrected(np.where(np.isin(mask, sorted(known)), mask, 0), known)
        return corrected

    async def _stop(self, _: messages.Stop) -> dict[str, Any]:
        self._worker.stop()
        self._end("stopped")
        return {}

    async def _export(self, message: messages.Export) -> dict[str, Any]:
        self._refuse_while_tracking("export")
        taken = await self._saved(lambda: self._snapshot(message.objects))
        self.exports.mkdir(exist_ok=True)
        stem, suffix = f"{_plain(self.film.name)}-{message.format}", FORMATS[message.format].suffix
        target = _free(self.exports, stem, suffix)
        self._job = _Job("export", self.film.count, target=target)
        self._worker.begin(export_job, taken, message.format, target)
        self._progress()
        return {"name": target.name, "path": str(target)}

    def _snapshot(self, objects: list[int] | None) -> Snapshot:
        rows = [row for row in self.project.objects() if objects is None or row["id"] in objects]
        files = {i: path for i in self.project.masked_frames() if (path := self.project.mask_file(i))}
        if not files or not rows:
            raise SegueError("there are no masks to export yet")
        names = {row["id"]: (row["name"], row["colour"]) for row in rows}
        return Snapshot(files, names, {(row[0], row[1]): row[3] for row in self.project.timeline()})

    async def _find(self, message: messages.Find) -> dict[str, Any]:
        proposed = await self._worker.ask("find", message.frame, message.detector)
        self._looks += 1
        self._found[self._looks] = message.frame, proposed
        while len(self._found) > KEPT_LOOKS:
            self._found.popitem(last=False)
        found = []
        for plane, label, score in proposed:
            rle = encode_rle(plane)
            found.append({"counts": rle["counts"], "label": label, "score": score, "box": rle_box(rle)})
        return {"found": found, "look": self._looks}

    def _adopt(self, message: messages.Adopt) -> None:
        frame, proposed = self._found.get(message.look, (0, []))
        chosen = [proposed[i] for i in message.chosen if i < len(proposed)]
        if not chosen:
            raise PromptError("choose at least one of what was found; look again if that was long ago")
        with self._change("add what was found"):
            for plane, label, _ in chosen:
                number = self.project.add_object(label)
                self.project.put(frame, {number: plane}, {number: Mark("given")})

    def _on_step(self, value: Any, error: str | None) -> None:
        job = self._job
        if job is None:
            return
        if value is None:
            asyncio.get_running_loop().create_task(self._finish(error))
        elif not job.row:
            job.done = value
            self._progress()
        else:
            job.done += 1
            asyncio.get_running_loop().create_task(self._keep(job, *value))

    async def _keep(self, job: _Job, index: int, tracked: dict[int, Tracked]) -> None:
        """Save a tracked frame, in the tracking's own step of the history while that is the last."""
        done = job.done

        def keep() -> None:
            if self._job is not job:
                return
            alive = self._unlocked()
            with self._change("track", job.entry if job.entry == self.project.last_entry else None):
                planes = {i: item.plane for i, item in tracked.items() if i in alive}
                marks = {
                    i: Mark("tracked", item.score, 0, item.weight, item.agreement)
                    for i, item in tracked.items()
                }
                self.project.put(index, planes, marks)
            job.entry = self.project.last_entry
            self.project.note_job(job.row, done=done, at=index)

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
        if job is not None and job.target is not None and error is None:
            self.send({"event": "exported", "name": job.target.name, "path": str(job.target)})

    def _end(self, state: str, error: str | None = None) -> None:
        job, self._job = self._job, None
        interrupted = None
        if job is not None and job.row:
            self._store.submit(self.project.note_job, job.row, state=state)
            if state == "stopped":
                interrupted = {"done": job.done, "total": job.total, "direction": job.what}
        self.send({"event": "ended", "state": state, "error": error, "interrupted": interrupted})

    def _progress(self) -> None:
        job = self._job
        if job is not None:
            rate = job.done / max(time.monotonic() - job.since, 1e-3)
            self.send({"event": "progress", **job.progress, "rate": round(rate, 2)})

    def _refuse_while_tracking(self, what: str) -> None:
        if self._job is not None:
            raise SegueError(f"cannot {what} while something is computed; stop it first (Escape)")

    async def _saved(self, call: Callable[[], T]) -> T:
        """Run in the one thread that uses the project."""
        self._loop = asyncio.get_running_loop()
        return await self._loop.run_in_executor(self._store, call)

    @contextmanager
    def _change(self, label: str, entry: int | None = None) -> Iterator[None]:
        """A change of the project, of which all pages are told; in the project's thread."""
        with self.project.change(label, entry=entry) as changed:
            yield
        self._tell(changed)

    def _tell(self, changed: Changed) -> None:
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
            "marks": {i: [m.kind, m.score, m.area, m.weight, m.agreement] for i, m in marks.items()},
        }


def _plain(name: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "-_" else "_" for sign in name)[:60] or "film"


def _free(folder: Path, stem: str, suffix: str) -> Path:
    """A path that is not there yet."""
    taken = {path.name for path in folder.iterdir()}
    names = (f"{stem}{'' if number == 1 else f'-{number}'}{suffix}" for number in count(1))
    return folder / next(name for name in names if name not in taken)
