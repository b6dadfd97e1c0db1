"""Server of the page of a project or results; :mod:`segue_web.server.guard` controls access."""

from __future__ import annotations

import asyncio
import re
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from secrets import token_hex
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import TypeAdapter

from segue.errors import SegueError, SinkError, SourceError
from segue.utils.extras import requires_extra
from segue.utils.files import PartialFile, claim, replacing, writing
from segue.utils.inputs import whole_number
from segue.video.decoding.readers import LoadCancelledError
from segue_web.project.project import Send
from segue_web.project.store import acting
from segue_web.server import messages
from segue_web.server.hub import MAX_WAITING, Hub, Page, call
from segue_web.server.kit import LocalServer, Routes, cancelled_with, local_application, refuse_half
from segue_web.video import Video

with requires_extra("web"):
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import FileResponse, JSONResponse, Response


_ENDING = re.compile(r"\.[a-z0-9]{1,12}")
"""Endings of uploaded files, which tell formats."""

MAX_UPLOAD = 1 << 30
"""Largest file that may be imported."""

MAX_DECODED_FRAMES = 8
"""Maximum number of simultaneous requests for frames; others wait, and are dropped without a client."""

_USER: TypeAdapter[str] = TypeAdapter(messages.ShortText)

Run = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a call in the thread of the project."""


class Backend:
    """Base of page backends, without imports and exports; ``send`` reaches all pages.

    ``requests`` are the methods that answer requests, by name; plain functions run in :meth:`run`.
    """

    def __init__(self, video: Video, requests: Mapping[str, Callable[..., Any]]) -> None:
        self.video = video
        self.send: Send = lambda _: None
        self._requests = requests

    def open(self) -> None:
        """Called in the running event loop before the first request."""

    def close(self) -> None:
        """Save and close."""
        self.video.close()

    async def run(self, call: Callable[[], Any]) -> Any:
        """Run a slow call in a thread."""
        return await asyncio.to_thread(call)

    async def handle(self, request: messages.PageRequest) -> dict[str, Any]:
        """Answer a request of a ``user``; raises SegueError with one line for the page."""
        fields = dict(request.model_extra or {})
        with messages.checked():
            user = _USER.validate_python(fields.pop("user", ""))
        if request.op == "hello":
            fields.pop("video", None)  # of a list; there may no longer be one
        with acting(user.strip()):
            return await self._answer(request, fields)

    async def _answer(self, request: messages.PageRequest, fields: dict[str, Any]) -> dict[str, Any]:
        frame = fields.get("frame", 0)
        if isinstance(frame, int) and frame >= self.video.count:
            raise SegueError(f"there is no frame {frame}; the last one is {self.video.count - 1}")
        answer: dict[str, Any] = await call(self._requests, request.op, fields, self.run)
        return answer

    async def import_file(self, name: str, path: Path, number: int | None = None) -> dict[str, Any]:
        """Read an uploaded file for a video of a list; returns what importing it would change."""
        raise SegueError("this page cannot import files")

    def shown(self, number: int | None) -> Video:
        """Video shown by a page, by its number in a list."""
        return self.video

    def joined(self, channel: int | None) -> None:
        """Called when a page shows a video of a list; None without a list."""

    def left(self, channel: int | None) -> None:
        """Called when a page no longer shows it."""

    def export_file(self, name: str, place: str | None = None) -> Path | None:
        """File or folder of an export by name, or by path if several have the name."""


def make_app(
    backend: Backend, token: str, *, max_upload: int = MAX_UPLOAD, most_waiting: int = MAX_WAITING
) -> Starlette:
    """Make the application of a backend; all routes are below ``/TOKEN/``."""

    def show(page: Page, video: int | None) -> None:
        """Note which video of a list a page shows."""
        previous, page.channel = page.channel, video
        if video != previous:
            backend.joined(video)
            backend.left(previous)

    async def answer(request: messages.PageRequest, page: Page) -> dict[str, Any]:
        values = await backend.handle(request)
        if request.op == "hello" and page in hub.pages:  # else it has gone meanwhile, and leaves nothing
            show(page, values["video"].get("number"))
        return values

    hub = Hub(answer, on_close=partial(show, video=None), max_waiting=most_waiting)

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        backend.send = hub.publish
        backend.open()
        yield
        backend.close()

    decoding = asyncio.Semaphore(MAX_DECODED_FRAMES)

    async def frame(request: Request) -> Response:
        index = whole_number(request.path_params["index"])
        if index is None:
            raise SourceError("there is no such frame")
        near = request.query_params.get("near") == "true"
        number, width = map(request.query_params.get, ("video", "width"))
        video = backend.shown(None if number is None else whole_number(number))
        max_width = width and whole_number(width)
        # A page that goes through the film gives up what it has passed: the newest place counts.
        async with cancelled_with(request) as cancel, decoding:
            if cancel.cancelled:
                raise ClientDisconnect
            image = await run_in_threadpool(
                video.jpeg, index, near=near, max_width=max_width or None, cancel=cancel
            )
        cache = "no-store" if near else "private, max-age=3600"
        return Response(image, media_type="image/jpeg", headers={"Cache-Control": cache})

    def export(request: Request) -> Response:
        path = backend.export_file(request.path_params["name"], request.query_params.get("path"))
        if path is None:
            raise SourceError("there is no such export")
        if path.is_file():
            return FileResponse(path, filename=path.name)
        with ExitStack() as stack:
            file = _zipped(path, stack)
            # The archive is for this download alone; the folder stays.
            cleanup = BackgroundTask(stack.pop_all().close)
        return FileResponse(file, filename=file.name, background=cleanup)

    async def import_file(request: Request) -> Response:
        name = request.path_params["name"]
        suffix, size = Path(name).suffix.lower(), 0
        with TemporaryDirectory(prefix="segue-upload-") as folder:
            path = Path(folder, f"upload{suffix if _ENDING.fullmatch(suffix) else ''}")
            with writing(path), path.open("wb") as file:
                async for part in request.stream():
                    size += len(part)
                    if size > max_upload:
                        error = f"the file is larger than {max_upload >> 20} MiB"
                        return JSONResponse({"error": error}, 413)
                    await asyncio.to_thread(file.write, part)
            number = request.query_params.get("video")
            return JSONResponse(
                await backend.import_file(name, path, None if number is None else whole_number(number))
            )

    routes: Routes = {
        "GET /frame/{index}.jpg": frame,
        "GET /exports/{name}": export,
        "POST /import/{name}": import_file,
        "WS /ws": hub.talk,
    }
    return local_application(
        token, "index.html", routes, life, {SegueError: _refuse, LoadCancelledError: refuse_half}
    )


def _refuse(_: Request, error: SegueError) -> Response:
    status = {SinkError: 507, SourceError: 404}.get(type(error), 400)
    return JSONResponse({"error": str(error)}, status)


def _zipped(folder: Path, stack: ExitStack) -> Path:
    """Zip an export folder into a hidden temporary folder, removed when ``stack`` closes.

    The file is claimed while it is being sent; leftovers of a killed process are removed with those of
    exports.
    """
    claimed = None
    while claimed is None:  # the next token
        claimed = claim(folder.with_name(f"{folder.name}.{token_hex(4)}"))
    stack.callback(claimed.release)
    place = PartialFile(claimed.path).path
    path = place / f"{folder.name}.zip"
    stack.callback(rmtree, place, ignore_errors=True)
    with writing(path):
        place.mkdir()
    with replacing(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder.parent))
    return path


def serve(backend: Backend, port: int, browser: bool, folder: Path | None = None) -> None:
    """Serve a page until Ctrl-C, at an address that is printed and, if wanted, opened in the browser."""
    LocalServer(partial(make_app, backend), port, browser, messages.MAX_BYTES, folder).run()
