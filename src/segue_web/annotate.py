"""Backend of ``segue annotate``: requests become computations and saved changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from segue.errors import PromptError, SegueError
from segue.formats.labels import Labels, decode_mask
from segue.formats.reading import read_labels, skipped_text
from segue.formats.schema import LabelSchema
from segue.masks.edges import check_matting
from segue.registry import DETECTORS, MODELS
from segue.types import Point
from segue.weights.download import is_available
from segue_web.exports import (
    claimed_path,
    export_formats,
    export_in,
    export_job,
    find_export,
    import_endings,
    import_formats,
    remove_unfinished,
    snapshot,
    steps,
    suffix_of,
)
from segue_web.personal import PERSONAL, PLACE, choices_of, choose
from segue_web.project.edits import Edits
from segue_web.project.importing import Effect, additions, effects, store, summary
from segue_web.project.project import Project
from segue_web.project.review import Review
from segue_web.project.shapes import ShapeEdits
from segue_web.project.store import actor
from segue_web.project_requests import ProjectRequests
from segue_web.proxies import Proxy, needs_proxy
from segue_web.server import messages
from segue_web.server.job_runner import Job, JobRunner
from segue_web.server.prompters import Prompters
from segue_web.server.server import Backend
from segue_web.server.worker import ClosedError, Worker, drawn_soft
from segue_web.trackings import Trackings
from segue_web.video import Video
from segue_web.visitors import Visitors

KEPT_IMPORTS = 4
"""Maximum number of uploaded files that wait for confirmation of their effects."""

PAUSE = 2.0
"""Seconds without a request after which the network that tracks is loaded: a click would wait for it."""


@dataclass
class Upload:
    """Uploaded file, and the project revision at which its effects were listed."""

    labels: Labels
    revision: int = 0


class AnnotateBackend(Backend):
    """Backend of a project; each request calls the method of its name."""

    def __init__(
        self,
        video: Video,
        folder: Path,
        *,
        model: str = "stcn-lite",
        weights: Path | None = None,
        prompter: str = "segue-prompt",
        device: str | None = None,
        schema: LabelSchema | None = None,
        classes: Sequence[str] = (),
        worker: Worker | None = None,
        on_prompter: Callable[[str], None] = lambda _: None,
        user: str = "",
        adopt: bool = False,
        proxies: bool = True,
    ) -> None:
        self._closed = False
        self.visitors = Visitors(user)
        self.project = Project(folder, video.describe(), video.size, video.path, adopt=adopt)
        self.exports = folder / "exports"
        self._extend_schema(schema, classes)
        remove_unfinished(self.exports)
        self.project.send = lambda event: self.send(event)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="segue-project")
        self._worker = worker or Worker(video, (model, weights), prompter, device)
        # Exports have a process of their own: neither they nor a tracking waits for the other.
        self._exporter = worker or Worker(video, (model, weights), prompter, device)
        self._export_runner = JobRunner("export", lambda event: self.send(event))
        self._trackings = Trackings(
            video, self.project, self.run, self._worker, lambda event: self.send(event)
        )
        self._reviewer = Review(self.project, self.run)
        self._prompters = Prompters(prompter, self._worker, lambda event: self.send(event), on_prompter)
        edits = Edits(video, self.project, self.run, self._worker)
        # Clicks do not wait until a surface is followed.
        shapes = ShapeEdits(video, self.project, self.run, self._exporter, self._trackings.refuse_tracked)
        project_requests = ProjectRequests(video, self.project, self._trackings, shapes)
        requests: dict[str, Callable[..., Any]] = {
            "hello": self._hello,
            "look": self._frame_data,
            "soft_masks": self._soft_masks,
            "prepare": self._prepare,
            "click": edits.click,
            "candidate": edits.candidate,
            "candidates": edits.candidates,
            "scribble": edits.scribble,
            "stroke": edits.stroke,
            "forget": edits.forget,
            "clean": edits.clean,
            "outline": edits.outline,
            "reshape": edits.reshape,
            "paste": edits.paste,
            "spread": edits.spread,
            "draw_shape": shapes.draw,
            "shape_key": shapes.set_key,
            "remove_key": shapes.remove_key,
            "shape_corner": shapes.change_corner,
            "remove_shape": shapes.remove,
            "shape_of_masks": shapes.of_masks,
            "track_plane": shapes.track_plane,
            "review": self._review,
            "merge": project_requests.merge,
            "split": project_requests.split,
            "object": project_requests.change_object,
            "frame_attributes": project_requests.change_frame_attributes,
            "reviewed": project_requests.mark_reviewed,
            "judge": project_requests.judge,
            "schema": project_requests.change_schema,
            "remove": project_requests.remove,
            "layer": project_requests.change_layer,
            "undo": project_requests.undo,
            "comment": project_requests.comment,
            "resolve": project_requests.resolve,
            "people": project_requests.people,
            "track": self._trackings.track,
            "stop": self._trackings.stop,
            "move": self._trackings.move,
            "stop_export": self._stop_export,
            "use_prompter": self._use_prompter,
            "download_prompter": self._prompters.download,
            "cancel_download": self._prompters.cancel,
            "find": self._find,
            "adopt": project_requests.adopt,
            "export": self._export,
            "import": self._import,
            "settings": self._settings,
            "keys": self._keys,
        }
        super().__init__(video, requests)
        self.pause = PAUSE
        self._shows_proxy = proxies and needs_proxy(video)
        self._proxy: Proxy | None = None
        self._loading = False
        self._loads: asyncio.Task[None] | None = None
        self._goes_on: asyncio.Task[Any] | None = None
        self._pauses = False  # whether it waits until nobody asks
        self._prepares = False  # whether a frame is prepared for the first click
        self._next: tuple[int, Point | None] | None = None  # frame and place to be prepared after it
        self._uploads = 0
        self._imports: dict[int, Upload] = {}

    def _extend_schema(self, schema: LabelSchema | None, classes: Sequence[str]) -> None:
        """Add the command's definitions to the label schema, unless they were added before and not undone."""
        if schema is None and not classes:
            return
        project, added = self.project, schema or LabelSchema().with_classes(classes)
        if project.schema and project.noted("defined") == added.as_json():
            return
        # A file has details that the project may lack; names of classes have none.
        merged = (
            project.schema.with_additions(added) if schema is None else added.with_additions(project.schema)
        )
        if merged != project.schema:
            with project.change("label schema"):
                project.set_schema(merged)
        project.note("defined", added.as_json())

    def open(self) -> None:
        self._begin_to_load()
        if self._shows_proxy:
            self._proxy = Proxy(self.video)
        self._worker.on_replaced = self._begin_to_load
        self._goes_on = asyncio.create_task(self._trackings.go_on())

    def _begin_to_load(self) -> None:
        """Start loading the networks, unless that has just failed."""
        if self._pauses and self._loads is not None:
            self._loads.cancel()
        if self._pauses or self._loads is None or self._loads.done():
            self._loads = asyncio.create_task(self._load())

    async def _load(self) -> None:
        """Load the networks before they are needed, and notify pages when clicks are fast."""
        self._tell_loading(True)
        try:
            with suppress(SegueError):  # a click or a tracking says it too
                await self._worker.ask("load_prompter")
        finally:
            self._tell_loading(False)
        self._pauses = True
        try:
            await self._worker.idle(self.pause)
        finally:
            self._pauses = False
        with suppress(SegueError):
            await self._worker.ask("load_tracker")

    def _tell_loading(self, loading: bool) -> None:
        self._loading = loading
        self.send({"event": "loading", "loading": loading})

    def close(self) -> None:
        """End the processes and close the project; a running tracking resumes next time."""
        self._closed = True
        self._trackings.runner.close()
        self._export_runner.close()
        for task in (self._loads, self._goes_on):
            if task is not None:
                task.cancel()
        if self._proxy is not None:
            self._proxy.close()
        self._worker.close()
        self._exporter.close()
        self._thread.shutdown(wait=True)
        self.project.close()
        super().close()

    @property
    def busy(self) -> bool:
        """Whether a tracking or an export runs."""
        return self._trackings.runner.busy or self._export_runner.busy

    def begin_export(self, job: Job, steps: AsyncGenerator[Any, None]) -> None:
        """Start an export."""
        with self._export_runner.beginning("export"):
            self._export_runner.begin(job, steps)

    def steps(self, make: Callable[..., Any], *arguments: Any) -> AsyncGenerator[Any, None]:
        """Iterate over the steps of an export in its process."""
        return self._exporter.steps(make, *arguments)

    async def run(self, call: Callable[[], Any]) -> Any:
        """Run a call in the project's thread; ClosedError once it is closed."""
        if self._closed:
            raise ClosedError
        # The thread hears who asks.
        return await asyncio.get_running_loop().run_in_executor(self._thread, copy_context().run, call)

    async def import_file(self, name: str, path: Path, number: int | None = None) -> dict[str, Any]:
        # Not in the thread of the project, which all pages wait for.
        labels = await asyncio.to_thread(read_labels, path, self.video, name)
        self._uploads += 1
        self._imports[self._uploads] = uploaded = Upload(labels)
        self._imports.pop(self._uploads - KEPT_IMPORTS, None)
        number = self._uploads

        def preview() -> dict[str, Any]:
            added = additions(self.project, labels)
            return {**self._preview(uploaded, effects(self.project, labels)), "schema": ", ".join(added)}

        return {"upload": number, "left_out": skipped_text(labels), **await self.run(preview)}

    def _preview(self, upload: Upload, changes: list[Effect]) -> dict[str, Any]:
        """List the changes of an import, and record the revision that a person sees."""
        upload.revision = self.project.revision
        return {"objects": _listed(changes)}

    def export_file(self, name: str, place: str | None = None) -> Path | None:
        return export_in(self.exports, name, place)

    def import_all(self, labels: Labels, selected: list[Effect]) -> None:
        """Import the content of a file as one change."""
        self._trackings.refuse_tracked("import masks of an object", *(effect.target for effect in selected))
        with self.project.change("import"):
            self.store_import(labels, selected)

    def store_import(self, labels: Labels, changes: list[Effect]) -> None:
        """Import the content of a file, inside :meth:`segue_web.project.store.Store.change`."""
        store(self.project, labels, changes)

    def _import(self, upload: int, targets: messages.Targets, preview: bool = False) -> dict[str, Any]:
        """Import an upload into selected objects, or only list the changes."""
        uploaded = self._imports.get(upload)
        if uploaded is None:
            raise PromptError("the upload has expired; choose the file again")
        selected = effects(self.project, uploaded.labels, targets)
        if preview:
            return self._preview(uploaded, selected)
        self.project.check_objects([i for i in targets.values() if i is not None], uploaded.revision)
        self.import_all(uploaded.labels, selected)
        del self._imports[upload]
        return {"message": summary(selected)}

    async def _hello(self, browser: messages.ShortText = "", guest: bool = False) -> dict[str, Any]:
        """Initial data of a page; see :meth:`segue_web.visitors.Visitors.name_of`."""
        runners = self._trackings.runner, self._export_runner
        while True:
            jobs = [runner.job for runner in runners]
            state = await self.run(self._page_state)
            # Pages are sent begin and end of a job from this event loop, before or after the answer.
            if jobs == [runner.job for runner in runners]:
                break
        tracking, exporting = [job and job.progress for job in jobs]
        people = {row["user"] for row in await self.run(self.project.people)}
        name, is_guest = self.visitors.name_of(browser, guest=guest, used_names=people)
        visitor = {"user": name, "guest": is_guest}
        places = state["settings"].pop("places", {})
        state["settings"] |= places.get(actor() or name, {})
        return {**state, **visitor, "running": tracking, "exporting": exporting, "loading": self._loading}

    def _page_state(self) -> dict[str, Any]:
        """First answer to a page, without the running job; in the project's thread."""
        # Detectors that need no weights, or whose weights are here.
        ready = [
            entry
            for entry in DETECTORS
            if "text" not in entry.supported_options
            and (not entry.network or is_available(MODELS.find(entry.network)))
        ]
        return {
            "mode": "annotate",
            "revision": self.project.revision,
            "video": self.video.display(),
            "objects": self.project.objects(),
            "timeline": self.project.timeline(),
            "history": self.project.history(),
            "settings": self.project.noted("settings"),
            "detectors": [entry.name for entry in ready],
            **self._trackings.page_state(),
            "folder": str(self.project.folder),
            "schema": self.project.schema.as_json(),
            "comments": self.project.comments(),
            "shapes": self.project.shapes(),
            "prompters": self._prompters.page_state(),
            "formats": [
                {
                    "id": name,
                    "group": about.group,
                    "name": about.title,
                    "text": about.about,
                    "suffix": about.suffix,
                    "known_only": about.known_only,
                    "opacity": about.opacity,
                    "bits": about.bits,
                    "premultiplied": about.premultiplied,
                }
                for name, about in export_formats().items()
                if about.group
            ],
            "imports": import_endings(),
            "import_formats": import_formats(),
        }

    async def _frame_data(self, frames: messages.Indices) -> dict[str, Any]:
        """Masks and prompts of frames."""
        valid = [index for index in frames if index < self.video.count]
        # One by one, so that what is to be saved need not wait for all.
        return {"frames": [await self.run(partial(self.project.frame, index)) for index in valid]}

    async def _soft_masks(self, frame: messages.Index) -> dict[str, Any]:
        """Opacities of soft-edged objects of a frame; see ``drawn_soft`` of the worker."""
        masks, edges = await self.run(lambda: (self.project.masks(frame), self.project.edges()))
        edges = {number: edge for number, edge in edges.items() if number in masks}
        if not edges:
            return {"soft_masks": {}}
        planes = {number: decode_mask(mask, self.video.size) for number, mask in masks.items()}
        # What is slow is not computed here, where all pages are answered.
        if any(edge.detail for edge in edges.values()):
            soft = await self._worker.ask("soft_masks", frame, planes, edges)
        else:
            soft = await asyncio.to_thread(drawn_soft, planes, edges, None)
        return {"soft_masks": soft}

    async def _prepare(self, frame: messages.Index, at: messages.Place | None = None) -> None:
        """Precompute a first click on a frame, at the resting pointer if there is one."""
        # At most one at a time, then the newest: a click does not wait for all frames that were passed.
        self._next = frame, at
        if self._prepares:
            return
        self._prepares = True
        try:
            while self._next is not None and not self._trackings.runner.busy:
                coming, self._next = self._next, None
                await self._worker.ask("prepare", *coming)
        finally:
            self._prepares, self._next = False, None

    async def _review(self) -> dict[str, Any]:
        """Frames on which objects jump in area or position, or fall apart."""
        return {"flaws": await self._reviewer.find()}

    def _settings(self, values: messages.Settings) -> None:
        """Save page settings: personal ones for all projects, others in the project.

        Each person has a frame and a range of their own; a new person begins at those that were chosen last.
        """
        personal = {name: value for name, value in values.items() if name in PERSONAL}
        if personal:
            choose("settings", actor(), personal)
        if of_project := {name: value for name, value in values.items() if name not in personal}:
            settings = self.project.noted("settings")
            places = settings.get("places", {})
            if place := {name: value for name, value in of_project.items() if name in PLACE}:
                places = places | {actor(): places.get(actor(), {}) | place}
            self.project.note("settings", {**settings, **of_project, "places": places})

    def _keys(self, name: messages.ShortText | None = None, key: messages.ShortText = "") -> dict[str, Any]:
        """Set the key of a command or tool; returns the person's keys."""
        if name:
            choose("keys", actor(), {name: key})
        return {"keys": choices_of("keys", actor()), "settings": choices_of("settings", actor())}

    async def _export(
        self,
        format: messages.ShortText,
        objects: messages.Numbers | None = None,
        all_frames: bool = False,
        first: messages.Index = 0,
        last: messages.Index | None = None,
        soft: bool = False,
        premultiplied: bool | None = None,
        each: bool = False,
    ) -> dict[str, Any]:
        """Export masks of some frames, together or ``each`` object separately.

        ``soft`` estimates the edges of cut-outs that have none of their own; colours are ``premultiplied`` by
        the convention of the format unless it is said.
        """
        find_export(format)
        with self._export_runner.beginning("export"):
            options: dict[str, Any] = {"all_frames": all_frames, "first": first, "last": last, "soft": soft}
            options |= {"premultiplied": premultiplied, "each": each}
            annotations = await self.run(partial(snapshot, self.project, self.video, objects, **options))
            if any(annotations.edge_of(number).detail for number in annotations.names):
                check_matting()
            claim = claimed_path(self.exports, self.video.name, format, suffix_of(format, each))
            job = Job("export", steps(annotations, format), claim=claim, user=actor())
            self._export_runner.begin(job, self.steps(export_job, annotations, format, claim.path))
        return {"name": claim.path.name, "path": str(claim.path)}

    async def _stop_export(self, run: messages.ShortText | None = None) -> None:
        """Stop an export, or only that of a ``run``; its files are removed."""
        self._export_runner.check_run(run)
        await self._export_runner.stop()

    async def _use_prompter(self, name: messages.LongText) -> None:
        """Switch the network for clicks; they wait until it is loaded."""
        self._tell_loading(True)
        try:
            await self._prompters.use(name)
        finally:
            self._tell_loading(False)

    async def _find(
        self, frame: messages.Index, detector: messages.ShortText, text: messages.LongText = ""
    ) -> dict[str, Any]:
        """Propose objects of a frame, optionally by text."""
        suggestions: dict[str, Any] = await self._worker.ask("find", frame, detector, text)
        return suggestions


def _listed(listed_effects: list[Effect]) -> list[dict[str, Any]]:
    """Preview of an import for the page."""
    return [
        {"number": one.number, "name": one.name, "target": one.target, "text": one.text}
        for one in listed_effects
    ]
