"""A list of videos in ``segue annotate``: one project each; each page shows one video."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from segue.batch.places import is_result
from segue.batch.plan import read_tasks
from segue.errors import PromptError, SegueError, SourceError
from segue.metrics.agreement import agreement
from segue.utils.naming import is_hidden, natural_key, short_name
from segue.video.sources.kinds import is_image, is_video
from segue_web.annotate import AnnotateBackend
from segue_web.exports import (
    Snapshot,
    claimed_path,
    complete_folder,
    export_in,
    find_export,
    snapshot,
    write_export,
)
from segue_web.project.project import Project
from segue_web.project.source import check_source
from segue_web.project.store import Progress, Store, actor
from segue_web.server import messages
from segue_web.server.job_runner import Job
from segue_web.server.server import Backend
from segue_web.server.worker import Tools
from segue_web.tasks import Role, State, Task, Tasks
from segue_web.video import Video
from segue_web.viewing import read_project
from segue_web.visitors import Visitors

SECOND = ".second"
"""Suffix of the projects of second annotations."""

IDLE = 5.0
"""Seconds after which a video is closed that no page shows."""

_NUMBER: TypeAdapter[int | None] = TypeAdapter(messages.Index | None)

OF_PAGE = frozenset({"videos", "open", "export_all"})
"""Requests of the list that depend on the video which the page shows."""

Make = Callable[[Path, Path], AnnotateBackend]
"""Opens a video with its project folder."""


def videos_of(place: Path) -> dict[str, Path] | None:
    """Find videos and folders of images below a folder, by name, in natural order.

    None if the place is itself a video, which may be a folder of images. If two videos have the same name,
    one keeps its extension.
    """
    if not place.is_dir():
        return None
    inside = [path for path in place.iterdir() if not is_hidden(path.name)]
    if any(map(is_image, inside)) and not any(map(is_video, inside)):
        return None
    folders = _image_folders(place)
    try:
        videos_and_paths = [(task.name, Path(task.source)) for task in read_tasks([str(place)])]
    except SourceError:
        if not folders:
            raise
        videos_and_paths = []
    videos_and_paths = [one for one in videos_and_paths if not one[1].is_dir()]
    if not videos_and_paths and not folders:
        raise SourceError(f"{place}: there are no videos, and no folders of images")
    videos_and_paths += [(path.relative_to(place.absolute()).as_posix(), path) for path in folders]
    videos: dict[str, Path] = {}
    for name, path in sorted(videos_and_paths, key=lambda one: (natural_key(one[0]), one[1].is_file())):
        unique_name = name if name not in videos else f"{name}{path.suffix}"
        videos[unique_name] = path
    return videos


def named_by_projects(videos: Mapping[str, Path], folder: Path) -> dict[str, Path]:
    """Videos by name; videos with existing projects or tasks keep the names of those.

    A new video beside it, such as ``cam1.mov`` beside ``cam1.mp4``, takes another one.
    """
    tasks = Tasks(folder).read()
    names: dict[Path, str] = {}
    for name in {**videos, **{f"{name}{path.suffix}": path for name, path in videos.items()}}:
        recorded = None
        with suppress(SegueError):  # one that is damaged is reported where it is opened
            recorded = Store.video_of(project_folder(folder, name))
        if recorded is None and name in tasks and tasks[name].video:
            recorded = Path(tasks[name].video)
        if recorded is not None:
            names.setdefault(recorded.resolve(), name)
    owned = {path: names[path.resolve()] for path in videos.values() if path.resolve() in names}
    used, paths = {*owned.values()}, dict[str, Path]()
    for name, path in videos.items():
        free = (each for each in (name, f"{name}{path.suffix}", str(path)) if each not in used)
        unique_name = owned.get(path) or next(free)
        used.add(unique_name)
        paths[unique_name] = path
    return paths


def project_folder(folder: Path, name: str, *, second: bool = False) -> Path:
    """Project folder of a video, also for very long names."""
    path = folder / name
    return path.with_name(f"{short_name(path.name)}{SECOND if second else ''}.project")


def _image_folders(place: Path) -> list[Path]:
    """Folders below a place that hold images, except results of segue."""
    folders = []
    for folder, inner, names in os.walk(place.absolute()):
        inner[:] = [name for name in inner if not is_hidden(name) and not is_result(Path(folder, name))]
        if Path(folder) != place.absolute() and any(is_image(Path(folder, name)) for name in names):
            folders.append(Path(folder))
            inner.clear()
    return folders


class VideoListBackend(Backend):
    """Backend of a list of videos: forwards requests to the video that a page shows."""

    def __init__(
        self, name: str, videos: Mapping[str, Path], folder: Path, make: Make, user: str = ""
    ) -> None:
        self._name, self._folder, self._make = name, folder, make
        videos = named_by_projects(videos, folder)
        self._names, self._paths = [*videos], [*videos.values()]
        self._tasks = Tasks(folder)
        self._visitors = Visitors(user)  # a person is the same one at each video
        self._agreements: dict[int, float] = {}  # that were asked for
        self.exports = folder / "exports"
        self._errors: dict[int, str] = {}  # of videos that could not be opened
        progress, tasks = self._progress(), self._tasks.read()

        def rank(number: int) -> tuple[bool, bool]:
            """Videos of other people last, finished ones after those to be done."""
            task, about = tasks.get(self._names[number], Task()), progress[number]
            state = task.state_of(bool(about and about.annotated))
            whose = task.reviewer if state == "review" and task.reviewer else task.person
            return bool(user and whose) and whose != user, state == "done" or _is_done(about)

        self._pages: Counter[int] = Counter()  # pages by the video that they show
        self._backends: dict[int, AnnotateBackend] = {}  # those that are open
        self._usual = self._open_first(sorted(range(len(progress)), key=rank))
        self._switching = asyncio.Lock()
        self._greeted = False
        requests: dict[str, Callable[..., Any]] = {
            "videos": self._list,
            "open": self._open,
            "export_all": self._export_all,
            "assign": self._assign,
            "set_state": self._set_state,
            "agreement": self._agreement,
        }
        super().__init__(self._backends[self._usual].video, requests)

    @property
    def current(self) -> AnnotateBackend:
        """Backend of the video shown last."""
        return self._backends[self._usual]

    def backend_of(self, number: Any) -> AnnotateBackend:
        """Backend of an open video; SourceError if it is not open."""
        backend = self._backends.get(self._usual if number is None else number)
        if backend is None:
            raise SourceError("this video is no longer open; reload this page")
        return backend

    def shown(self, number: int | None) -> Video:
        return self.backend_of(number).video

    def open(self) -> None:
        for number in self._backends:
            self._start(number)

    def _start(self, number: int) -> None:
        """Start the background work of an opened video; only its pages are notified."""
        backend = self._backends[number]
        backend.send = lambda event: self.send({**event, "video": number})
        backend.open()

    def close(self) -> None:
        for backend in self._backends.values():
            backend.close()

    def joined(self, channel: int | None) -> None:
        if channel is not None:
            self._pages[channel] += 1
            self._usual = channel

    def left(self, channel: int | None) -> None:
        if channel is not None:
            self._pages[channel] -= 1
            # A page that is loaded again comes back at once.
            asyncio.get_running_loop().call_later(IDLE, self._close_unused)

    def _close_unused(self) -> None:
        """Close videos without pages and running jobs, except the last shown one."""
        for number, backend in list(self._backends.items()):
            if number != self._usual and not self._pages[number] and not backend.busy:
                del self._backends[number]
                backend.close()

    async def import_file(self, name: str, path: Path, number: int | None = None) -> dict[str, Any]:
        return await self.backend_of(number).import_file(name, path)

    def export_file(self, name: str, place: str | None = None) -> Path | None:
        folders = (self.exports, *(backend.exports for backend in self._backends.values()))
        return next(filter(None, (export_in(folder, name, place) for folder in folders)), None)

    async def handle(self, request: messages.PageRequest) -> dict[str, Any]:
        if request.op in OF_PAGE:
            return await super().handle(request)
        fields = dict(request.model_extra or {})
        with messages.checked():
            requested = _NUMBER.validate_python(fields.pop("video", None))
        if request.op != "hello":
            passed_on = messages.PageRequest(id=request.id, op=request.op, **fields)
            if request.op in self._requests:
                return await super().handle(passed_on)
            return await self.backend_of(requested).handle(passed_on)
        number = self._usual
        if requested is not None and requested < 2 * len(self._names):
            number = requested
        try:
            await self._ensure_open([number])
        except SegueError:  # the list says why
            if number == self._usual:
                raise
            number = self._usual
        answer = await self.backend_of(number).handle(
            messages.PageRequest(id=request.id, op="hello", **fields)
        )
        answer["video"] = answer["video"] | {"number": number}
        answer |= {"videos": self._names, "greet": not self._greeted}
        answer |= {"second": number >= len(self._names)}
        self._greeted = True
        return answer

    async def _ensure_open(self, numbers: Sequence[int], leaving: int | None = None) -> int:
        """Open the first video that can be opened, unless one is open; return its number."""
        async with self._switching:
            for number in numbers:
                if number in self._backends:
                    return number
                try:
                    backend = await asyncio.to_thread(self._open_backend, number)
                except SegueError:
                    if number == numbers[-1]:
                        raise
                    continue
                earlier = self._backends.get(self._usual if leaving is None else leaving)
                if earlier is not None and not backend.project.schema and (schema := earlier.project.schema):
                    with backend.project.change("label schema"):
                        backend.project.set_schema(schema)
                self._backends[number] = backend
                self._start(number)
                return number
        raise SegueError("there is no next video")

    # From the number of videos on, numbers are of second looks: each video may have two projects.

    def _path(self, number: int) -> Path:
        return self._paths[number % len(self._paths)]

    def _project(self, number: int) -> Path:
        name, second = self._names[number % len(self._names)], number >= len(self._names)
        return project_folder(self._folder, name, second=second)

    def _open_backend(self, number: int) -> AnnotateBackend:
        """Open a video, or record why it cannot be opened."""
        try:
            backend = self._make(self._path(number), self._project(number))
        except SegueError as error:
            self._errors[number] = str(error)
            raise
        self._errors.pop(number, None)
        backend.visitors = self._visitors
        return backend

    def _open_first(self, numbers: Iterable[int]) -> int:
        """Open the first video that can be opened; return its number."""
        first: SegueError | None = None
        for number in numbers:
            try:
                self._backends[number] = self._open_backend(number)
            except SegueError as error:
                first = first or error
            else:
                return number
        raise first or SegueError("there are no videos")

    def _progress(self) -> list[Progress | None]:
        return [self._progress_of(number) for number in range(len(self._names))]

    def _progress_of(self, number: int) -> Progress | None:
        folder, video = self._project(number), self._path(number)
        try:
            progress = Store.progress(folder)
            recorded = Store.video_of(folder)
            # Content is read only where it may be another video: a list may be long.
            if recorded is not None and recorded.resolve() != video.resolve():
                check_source(folder, Store.source_of(folder), video)
            return progress
        except SegueError as error:
            self._errors[number] = str(error)
            return None

    def _list(self, video: messages.Index | None = None) -> dict[str, Any]:
        """List of videos: progress or error, assignment, and the one shown by the page."""
        videos: list[dict[str, Any]] = []
        tasks = self._tasks.read()
        for number, (name, about) in enumerate(zip(self._names, self._progress(), strict=True)):
            error = {"error": self._errors[number]} if number in self._errors else {}
            task = tasks.get(name, Task())
            person = {
                "assigned": task.person,
                "reviewer": task.reviewer,
                "by": task.by,
                "people": [] if about is None or error else Store.people_of(self._project(number)),
                "second": self._second(number),
                "agreement": self._agreements.get(number),
            }
            values = {**({} if about is None else about._asdict()), **error}
            values["state"] = task.state_of(bool(about and about.annotated))
            videos.append({"name": name, **values, **{key: value for key, value in person.items() if value}})
        return {"videos": videos, "open": self._usual if video is None else video}

    def _second(self, number: int) -> dict[str, Any] | None:
        """Progress and annotator of the second annotation of a video; None without one."""
        place = number + len(self._names)
        about = self._progress_of(place)
        return None if about is None else {**about._asdict(), "people": Store.people_of(self._project(place))}

    def _assigned(self) -> dict[str, str]:
        """Assigned person of each video."""
        return {name: task.person for name, task in self._tasks.read().items() if task.person}

    def _checked(self, number: int) -> str:
        """Name of a video by its number in the list."""
        if number >= len(self._names):
            raise PromptError(f"there is no video {number + 1}; the last one is {len(self._names)}")
        return self._names[number]

    def _assign(
        self,
        number: messages.Index,
        person: messages.ShortText = "",
        seen: messages.ShortText | None = None,
        role: Role = "person",
    ) -> None:
        """Assign a video to a person or a reviewer; an empty name removes the assignment.

        ``seen``: the person whose it was, as the page shows it; None does not matter.
        """
        name = self._checked(number)
        self._tasks.assign(name, person.strip(), role, seen, video=self._paths[number])

    def _set_state(
        self,
        number: messages.Index,
        state: State,
        seen: State | None = None,
    ) -> None:
        """Set the state of a video; ``seen`` is the state shown by the page."""
        name, about = self._checked(number), self._progress_of(number)
        annotated = bool(about and about.annotated)
        self._tasks.set_state(name, state, annotated, seen, video=self._paths[number])

    def _agreement(self, number: messages.Index) -> dict[str, Any]:
        """Agreement of the two annotations of a video, in the mean and by object."""
        name, places = self._checked(number), (number, number + len(self._names))
        for place, whose in zip(places, ("", " in the second annotation"), strict=True):
            if not (about := self._progress_of(place)) or not about.annotated:
                raise PromptError(f"{name} has no masks{whose} yet")
        with closing(Video(self._paths[number])) as video:
            first, second = (read_project(self._project(place), video) for place in places)
        rows = agreement(first, second)
        if not rows:
            raise PromptError(f"no frame of {name} is annotated in both projects")
        mean = sum(row.iou for row in rows) / len(rows)
        self._agreements[number] = mean
        return {"mean": mean, "objects": [asdict(row) for row in rows]}

    async def _open(
        self,
        number: messages.Index,
        onward: bool = False,
        second: bool = False,
        video: messages.Index | None = None,
    ) -> dict[str, Any]:
        """Open another video, or the ``second`` annotation of one, for a page.

        ``onward`` takes the next one that can be opened, and says how many were left out. ``video`` is the
        one that the page shows; its label schema is that of a new project.
        """
        self._checked(number)
        if second:
            number += len(self._names)
        numbers = range(number, len(self._names) if onward and not second else number + 1)
        self._usual = opened = await self._ensure_open(numbers, video)
        return {"number": opened, "skipped": opened - number}

    async def _export_all(
        self, format: messages.ShortText, video: messages.Index | None = None
    ) -> dict[str, Any]:
        """Export all videos with masks, one export each, into one folder."""
        entry = find_export(format)
        annotated = [
            (number, about) for number, about in enumerate(self._progress()) if about and about.annotated
        ]
        if not annotated:
            raise SegueError("there are no masks to export yet")
        backend = self.backend_of(video)
        claim = claimed_path(self.exports, self._name, format, "")
        total = sum(about.annotated if entry.known_only else about.frames for _, about in annotated)
        steps = self._exported(backend, [number for number, _ in annotated], format, claim.path)
        try:
            backend.begin_export(Job("export", total, claim=claim, user=actor()), steps)
        except BaseException:
            claim.release()
            raise
        return {"name": claim.path.name, "path": str(claim.path)}

    async def _exported(
        self, backend: AnnotateBackend, numbers: list[int], format: str, target: Path
    ) -> AsyncGenerator[int, None]:
        """Iterate over the frames of all exports, video by video."""
        with complete_folder(target) as folder:
            for number in numbers:
                owner = self._backends.get(number)
                annotations = await (owner or backend).run(partial(self._snapshot, owner, number))
                path = self._paths[number]
                with claimed_path(folder, self._names[number], format) as end:
                    async with aclosing(backend.steps(export_of, path, annotations, format, end)) as steps:
                        async for index in steps:
                            yield index

    def _snapshot(self, owner: AnnotateBackend | None, number: int) -> Snapshot:
        """Objects of a video; a closed project is opened briefly."""
        if owner is not None:
            return snapshot(owner.project, owner.video)
        video = Video(self._paths[number])
        try:
            project = Project(self._project(number), video.describe(), video.size, video.path)
            try:
                return snapshot(project, video)
            finally:
                project.close()
        finally:
            video.close()


def export_of(
    tools: Tools, path: Path, annotations: Snapshot, export_format: str, target: Path
) -> Iterator[int]:
    """Export job for a video given by its path; see :meth:`segue_web.server.worker.Worker.steps`."""
    video = Video(path)
    try:
        yield from write_export(video, annotations, export_format, target)
    finally:
        with suppress(SegueError):
            video.close()


def _is_done(about: Progress | None) -> bool:
    return about is not None and about.annotated > 0 and about.reviewed == about.annotated
