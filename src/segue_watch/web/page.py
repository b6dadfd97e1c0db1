"""Page of the cameras, and their health and metrics for programs."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from ssl import SSLContext
from typing import Annotated, Any
from urllib.parse import parse_qs

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segue.errors import SegueError
from segue.events.images.outlines import read_outlines
from segue.events.store.importing import unread_parts
from segue.events.store.store import EventStore, Mark
from segue.sinks.rotation import PART
from segue.utils.extras import requires_extra
from segue.utils.inputs import parse_json
from segue_watch.camera import Camera
from segue_watch.drawn import Change, DrawnOption
from segue_watch.log import CameraWarning
from segue_watch.web.history import Answer, choices_of, counts_of, events_of, visits_of
from segue_watch.web.metrics import metrics, process_state, states_of
from segue_watch.web.query import Query, edges_of
from segue_web.access.addresses import page_host
from segue_web.access.authentication import Authenticator, Visit, token_of
from segue_web.access.table import Access
from segue_web.server.conflicts import ConflictError

with requires_extra("web"):
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import (
        HTMLResponse,
        JSONResponse,
        PlainTextResponse,
        RedirectResponse,
        Response,
    )

    from segue_watch.web.live import NEXT_SECONDS, LiveCameras
    from segue_web.server.address import listening
    from segue_web.server.kit import (
        PARTS,
        STATIC,
        Routes,
        SentFile,
        ServerThread,
        application,
        question_of,
        read_body,
    )

MAX_BYTES = 1 << 16
"""Maximum size in bytes of a change from the page."""

MAX_CONNECTIONS = 40
"""Maximum number of clients; each takes a file descriptor, which cameras need, too."""

MAX_MARKS = 1000
"""Maximum number of visits marked at once."""

_PART = re.compile(PART)

_OPTION_OF_PATH: Mapping[str, DrawnOption] = {"zones": "zone", "ignored": "ignore", "heights": "min-height"}
"""Options that the page changes, by path of the request."""

Save = Callable[[str, Change], None]
"""Saves a change of a camera's drawings; raises SegueError if it is invalid or late."""


class MarkChange(BaseModel):
    """One mark of visits to set; other marks stay.

    Attributes:
        visits: numbers of the visits.
        mark: which mark.
        value: whether it is set.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    visits: list[Annotated[int, Field(gt=0, lt=1 << 60)]] = Field(min_length=1, max_length=MAX_MARKS)
    mark: Mark
    value: bool


class CameraRoutes:
    """Handlers of the page of cameras.

    Args:
        cameras: shown cameras; each iteration gives the current ones.
        save: saves drawings of a camera; None refuses them.
        live: answers the web sockets of pages.
    """

    def __init__(self, cameras: Iterable[Camera], save: Save | None, live: LiveCameras) -> None:
        self._cameras, self._save = cameras, save
        self._live = live

    def table(self) -> Routes:
        """Handlers by request."""
        return {
            "GET /": self._index,
            "GET /health": self._health,
            "GET /states": lambda _: JSONResponse(states_of(self._cameras)),
            "GET /metrics": self._metrics,
            "GET /process": lambda _: JSONResponse(process_state()),
            "GET /events": self._answer(events_of, "events"),
            "GET /visits": self._answer(visits_of, "visits"),
            "GET /counts": self._counts,
            "GET /image/{camera}.jpg": self._image,
            "WS /ws": self._live.hub.talk,
            "GET /files/{camera}/{file}": self._file,
            "GET /files/{camera}/{part}/{file}": self._file,
            "GET /outlines/{camera}/{file}": self._outlines,
            "GET /outlines/{camera}/{part}/{file}": self._outlines,
            "POST /marks/{camera}": self._change(self._set_mark),
            "POST /scene/{camera}": self._change(self._reject),
            "POST /armed/{camera}": self._change(self._arm),
            **{
                f"POST /{path}/{{camera}}": self._change(self._draw(option))
                for path, option in _OPTION_OF_PATH.items()
            },
            **PARTS,
        }

    def _index(self, request: Request) -> Response:
        if token_of(question_of(request)):  # a link; the address loses it
            return RedirectResponse("./", 303)
        page = (STATIC / "watch.html").read_text("utf-8")
        if _visit(request).permission == "look":
            page = page.replace('data-mode="watch"', 'data-mode="watch" data-look')
        return HTMLResponse(page)

    def _health(self, request: Request) -> Response:
        if _visit(request).permission is None:  # programs that watch this one learn no more than that
            return Response(status_code=200 if all(camera.healthy for camera in self._cameras) else 503)
        states = states_of(self._cameras)
        return JSONResponse(states, 200 if all(state["healthy"] for state in states.values()) else 503)

    def _metrics(self, _: Request) -> Response:
        return PlainTextResponse(metrics(states_of(self._cameras)), media_type="text/plain; version=0.0.4")

    def _answer(
        self, find: Callable[[Mapping[str, EventStore], Query], Answer], name: str
    ) -> Callable[[Request], Response]:
        """Create the handler of a query for events or visits."""

        def answer(request: Request) -> Response:
            query = Query.parse(question_of(request))
            stores, problems = self._stores()
            page = find(stores, query)
            choices = choices_of(stores) if query.cursor is None else {}
            values = {name: page.events, "next": page.next, "problems": [*problems, *page.problems]}
            return JSONResponse(values | {"choices": choices})

        return answer

    def _counts(self, request: Request) -> Response:
        question = question_of(request)
        edges, query = edges_of(question), Query.parse(question)
        stores, problems = self._stores()
        counts, query_problems = counts_of(stores, query, edges)
        return JSONResponse({"counts": counts, "problems": [*problems, *query_problems]})

    async def _image(self, request: Request) -> Response:
        """Send the newest image of a camera; with ``?after=NUMBER`` wait for the next one."""
        camera = self._camera(request)
        after = parse_qs(question_of(request), max_num_fields=10).get("after", ["-1"])[0]
        await self._live.hub.wait_for(lambda: after != str(camera.num_frames), NEXT_SECONDS)
        number, image = await run_in_threadpool(camera.numbered_image)
        headers = {"Frame": str(number)}
        return Response(image, 200 if image else 404, headers, media_type="image/jpeg")

    def _file(self, request: Request) -> Response:
        """Send an image or clip of an event, or the requested range of it."""
        path = self._path(request)
        return SentFile(path, media_type="video/mp4" if path.suffix == ".mp4" else "image/jpeg")

    def _outlines(self, request: Request) -> Response:
        """Send the outlines of a clip; status 204 if they are in its images, or missing."""
        try:
            track = read_outlines(self._path(request))
        except OSError:
            raise HTTPException(404) from None
        return Response(track, 204 if track is None else 200, media_type="application/json")

    def _path(self, request: Request) -> Path:
        """Path of the image or clip that a request names; status 404 for invalid names."""
        names = request.path_params
        part, archive = names.get("part", ""), self._camera(request).archive
        if archive is None or (part and not _PART.fullmatch(part)):
            raise HTTPException(404)
        path = archive.part(part).file(names["file"])
        if path is None:
            raise HTTPException(404)
        return path

    def _change(self, save: Callable[[Camera, Any, Visit], Response]) -> Callable[[Request], Any]:
        """Create the handler that changes a camera by the JSON of a request."""

        async def change(request: Request) -> Response:
            camera = self._camera(request)
            body = await read_body(request, MAX_BYTES)
            try:
                values = parse_json(body.decode())
                answer = await run_in_threadpool(save, camera, values, _visit(request))
            except ValueError as error:
                raise SegueError(str(error)) from None
            await self._live.publish_states()
            return answer

        return change

    def _draw(self, option: DrawnOption) -> Callable[[Camera, Any, Visit], Response]:
        def save(camera: Camera, values: Any, _: Visit) -> Response:
            if self._save is None:
                raise SegueError("zones cannot be saved here")
            self._save(camera.name, Change.parse(option, values))
            return Response(status_code=204)

        return save

    def _reject(self, camera: Camera, values: Any, _: Visit) -> Response:
        """Reject a place as scene, so that its objects count again."""
        number = values.get("number") if isinstance(values, dict) else None
        if not isinstance(number, int) or not camera.memory.scenery.reject(number):
            raise SegueError("scene: there is no such place")
        return Response(status_code=204)

    def _arm(self, camera: Camera, values: Any, _: Visit) -> Response:
        """Turn the alerts of a camera on or off."""
        if not isinstance(values, dict) or not isinstance(values.get("armed"), bool) or len(values) > 1:
            raise SegueError('armed: give {"armed": true} or {"armed": false}')
        camera.arm(values["armed"])
        return Response(status_code=204)

    def _set_mark(self, camera: Camera, values: Any, visit: Visit) -> Response:
        """Set one mark of visits; returns all their marks."""
        try:
            change = MarkChange.model_validate(values)
        except ValidationError:
            raise SegueError("marks: give numbers of visits, mark and value") from None
        store = camera.store
        if store is None:
            raise SegueError("marks: there is no such visit")
        if unread := unread_parts(store):
            raise SegueError(
                f"marks: marks.json of {camera.name} {unread[0]} cannot be read; mend or remove it"
            )
        marks = store.mark(change.visits, change.mark, change.value, visit.user)
        if not marks:
            raise SegueError("marks: there is no such visit")
        names = {number: {"reviewed": each.reviewed, "kept": each.kept, "by": each.reviewer}
                 for number, each in marks.items()}  # fmt: skip
        return JSONResponse(names)

    def _camera(self, request: Request) -> Camera:
        """Camera that a request names; status 404 if there is none."""
        name = request.path_params["camera"]
        camera = next((camera for camera in self._cameras if camera.name == name), None)
        if camera is None:
            raise HTTPException(404)
        return camera

    def _stores(self) -> tuple[dict[str, EventStore], list[str]]:
        """Stores of cameras by name, and errors of the other cameras."""
        stores, problems = {}, []
        for camera in self._cameras:
            try:
                store = camera.store
            except SegueError as error:
                problems.append(str(error))
                continue
            if store is not None:
                stores[camera.name] = store
        return stores, problems


def _visit(request: Request) -> Visit:
    visit: Visit = request.state.visit
    return visit


def _refuse(_: Request, error: SegueError) -> Response:
    if isinstance(error, ConflictError):
        return JSONResponse({"error": str(error), "current": error.current}, 409)
    return PlainTextResponse(str(error), 400)


def _warn(text: str) -> None:
    warnings.warn(text, CameraWarning, stacklevel=2)


class CameraPage(AbstractContextManager["CameraPage"]):
    """Serves ``/`` for people, ``/health`` (200 or 503) and ``/metrics`` for programs.

    Args:
        cameras: shown cameras; each iteration gives the current ones.
        port: 0 takes a free one.
        save: saves drawings of a camera; None refuses them.
        host: address to listen on; by default only for this machine.
        access: permitted users; without a table everybody on this machine.
        encryption: TLS settings; None uses HTTP.

    Attributes:
        authenticator: identifies visitors; its ``access`` may change.
        changed: to be called when a camera has a new frame, from any thread.

    Raises:
        SegueError: the port is taken.
    """

    def __init__(
        self,
        cameras: Iterable[Camera],
        port: int,
        save: Save | None = None,
        *,
        host: str = "127.0.0.1",
        access: Access = Access(),  # noqa: B008  it cannot be changed
        encryption: SSLContext | None = None,
    ) -> None:
        self.authenticator = Authenticator(access, warn=_warn)
        self._host, self._scheme = host, "http" if encryption is None else "https"
        live = LiveCameras(cameras)
        self.changed = live.hub.changed
        app = application(
            CameraRoutes(cameras, save, live).table(),
            self.authenticator,
            errors={SegueError: _refuse},
            life=live.life,
            health="/health",
            publishes=True,
        )
        listener = listening(host, port)
        self._server = ServerThread(
            app, listener, encryption, limit_concurrency=MAX_CONNECTIONS, ws_max_size=MAX_BYTES
        )
        self._server.start()

    @property
    def address(self) -> str:
        """Address of the page."""
        return f"{self._scheme}://{page_host(self._host)}:{self._server.port}/"

    def __exit__(self, *_: object) -> None:
        self._server.stop()
