"""Application of a service: body limits, errors in the tool's format, worker threads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, NamedTuple, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segue.errors import SegueError
from segue.formats.text import first_problem
from segue.utils.extras import requires_extra
from segue_web.server.kit import refuse_half

with requires_extra("web"):
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import JSONResponse, Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


MAX_PARTS = 100_000
"""Maximum lists and objects in a body, counted before parsing, since each takes 100 times its two bytes."""

MAX_PARALLEL = 4
"""Requests that download or compute at the same time."""

Coordinate = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
Pair = tuple[Coordinate, Coordinate]

T = TypeVar("T")

B = TypeVar("B", bound="Body")


class Limits(NamedTuple):
    """Bytes of a body, and of one with all images of a folder, such as hundreds of full-HD images."""

    request: int = 64 << 20
    clip: int = 512 << 20


class Body(BaseModel):
    """A request, or a part of it; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True)


class LimitedBody:
    """Middleware: refuses large bodies while they arrive."""

    def __init__(self, app: ASGIApp, clips: str | None, limits: Limits) -> None:
        self._app, self._clips, self._limits = app, clips, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count the bytes read of its body."""
        size = parts = 0
        is_clip = self._clips is not None and scope.get("path") == self._clips
        max_bytes = self._limits.clip if is_clip else self._limits.request

        async def counted() -> Message:
            nonlocal size, parts
            message = await receive()
            body = message.get("body", b"")
            size += len(body)
            parts += body.count(b"{") + body.count(b"[")
            if size > max_bytes:
                raise HTTPException(413, f"the request has more than {max_bytes >> 20} MiB")
            if parts > MAX_PARTS:
                raise HTTPException(413, "the request has too many tasks, objects or numbers")
            return message

        await self._app(scope, counted, send)


class Service(Starlette):
    """An application that answers a tool; ``error_body`` is the answer of the tool's protocol to an error.

    ``clips`` is the path of requests that bring all images of a folder.
    """

    def __init__(
        self,
        error_body: Callable[[str], dict[str, Any]],
        clips: str | None = None,
        limits: Limits = Limits(),  # noqa: B008  it cannot be changed
    ) -> None:
        handlers: Any = dict.fromkeys((SegueError, ValidationError, HTTPException), self._refuse)
        super().__init__(
            middleware=[Middleware(LimitedBody, clips=clips, limits=limits)],
            exception_handlers=handlers | {ClientDisconnect: refuse_half},
        )
        self._error_body = error_body
        self._limiter = CapacityLimiter(MAX_PARALLEL)

    def says(self, paths: Sequence[str], say: Callable[[], dict[str, Any]]) -> None:
        """Answer requests to paths immediately, without a thread, as tools wait one second."""

        async def answer(_: Request) -> Response:
            return JSONResponse(say())

        for path in paths:
            self.add_route(path, answer, methods=["GET"])

    def answers(
        self, path: str, kind: type[B], call: Callable[[B], Awaitable[Response | dict[str, Any]]]
    ) -> None:
        """Answer requests to a path with bodies of a type."""

        async def answer(request: Request) -> Response:
            reply = await call(kind.model_validate_json(await request.body()))
            return reply if isinstance(reply, Response) else JSONResponse(reply)

        self.add_route(path, answer, methods=["POST"])

    async def _refuse(self, _: Request, error: Exception) -> JSONResponse:
        status, text = 400, str(error).splitlines()[0]
        if isinstance(error, HTTPException):
            status, text = error.status_code, error.detail
        elif isinstance(error, ValidationError):
            text = first_problem(error.errors())
        return JSONResponse(self._error_body(text), status)

    async def run(self, call: Callable[..., T], *arguments: Any) -> T:
        """Run a call in a thread that blocks neither other requests nor shutdown."""
        return await run_sync(call, *arguments, abandon_on_cancel=True, limiter=self._limiter)
