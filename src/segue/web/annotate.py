"""What stands behind the page of ``segue annotate``: requests become computations and saved changes."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from segue.errors import DatasetError, PromptError, SegueError
from segue.masks import Rle, encode_objects, encode_rle, rle_box
from segue.masks.rle import check_runs
from segue.registry import DETECTORS, MODELS
from segue.web import messages
from segue.web.exports import SUFFIX, Snapshot, export_job
from segue.web.film import Film
from segue.web.labels import Labels, read_labels
from segue.web.project import Changed, Mark, Project, StaleError
from segue.web.server import Send
from segue.web.tracking import Corrected
from segue.web.worker import Click, Find, Prepare, Worker, track_job
from segue.weights.download import cached

SHOWN_AHEAD = 24
"""Corrected frames that a tracking is shown before it starts; those nearest to its way."""

T = TypeVar("T")


def say_nothing(_: dict[str, Any]) -> None:
    """Stands for the pages before there are any."""


Proposal = tuple[npt.NDArray[np.bool_], str | None, float]
"""Mask, label and score of what a detector found."""

KEPT_LOOKS = 16
"""Answers of detectors that objects can still be made of; several windows may look at once."""


class AnnotateDesk:
    """A project that is worked on.

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

    async def handle(self, message: messages.AnyMessage) -> dict[str, Any]:
        """Answer a request.

        Raises:
            SegueError: one line for the page.
        """
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

    # Requests

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

    async def _prepare(self, message: messages.Prepare) -> dict[str, Any]:
        if self._job is None:
            await self._worker.ask(Prepare(message.frame))
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
        plane = await self._worker.ask(
            Click(
                message.frame,
                tuple((x, y) for x, y, on in points if on),
                tuple((x, y) for x, y, on in points if not on),
                box,
                previous,
            )
        )
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
        """See that the edit was made on the frame as it is, and that its object may change.

        Raises:
            SegueError: it was not, or may not.
        """
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

    async def _find(self, message: messages.Find) -> dict[str, Any]:
        proposed: list[Proposal] = await self._worker.ask(Find(message.frame, message.detector))
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

    async def _settings(self, message: messages.Settings) -> dict[str, Any]:
        await self._saved(lambda: self.project.set_settings(message.values))
        return {}

    async def _score(self, _: messages.Score) -> dict[str, Any]:
        raise SegueError("there is nothing to compare with here; use `segue view`")

    # What comes back from the process that computes

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

    # Within

    def _refuse_while_tracking(self, what: str) -> None:
        if self._job is not None:
            raise SegueError(f"cannot {what} while something is computed; stop it first (Escape)")

    async def _changed(self, label: str, change: Callable[[], None]) -> dict[str, Any]:
        def run() -> dict[str, Any]:
            with self.project.change(label) as changed:
                change()
            self._tell(changed)
            return {}

        return await self._saved(run)

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

    def _plane(self, counts: str) -> npt.NDArray[np.bool_]:
        """A mask from run lengths that a page sent.

        Raises:
            SegueError: they are damaged.
        """
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

    def is_here(network: str | None) -> bool:
        if network is None:
            return True
        entry = MODELS.find(network)
        return entry.bundled is not None or cached(entry).exists()

    return [entry.name for entry in DETECTORS if is_here(entry.network)]


def _plain(name: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "-_" else "_" for sign in name)[:60] or "film"


def _free(folder: Path, stem: str, suffix: str) -> Path:
    """A path that is not there yet."""
    taken = {path.name for path in folder.iterdir()}
    names = (f"{stem}{'' if number == 1 else f'-{number}'}{suffix}" for number in range(1, 10**6))
    return folder / next(name for name in names if name not in taken)
