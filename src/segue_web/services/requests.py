"""Shared parts of the services: request bodies, limits, and threads that do not delay Ctrl-C."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segue.errors import SegueError
from segue_web.services.assistant import RequestError

LARGEST_REQUEST = 64 << 20
"""Bytes of a body."""

MOST_PARTS = 100_000
"""Lists and objects of a body; counted before it is parsed, since a part takes 100 times its two bytes."""

MOST_VALUES = 4_500_000
"""Values of a body, numbers of brushes and masks included."""

AT_ONCE = 4
"""Requests that download or compute at the same time."""

MOST_WAITING = 32
"""Requests that wait for these; further ones are refused."""

Coordinate = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
Pair = tuple[Coordinate, Coordinate]


class Body(BaseModel):
    """A request, or a part of it; what segue does not use is ignored."""

    model_config = ConfigDict(frozen=True)


class TooLargeError(RequestError):
    """A body beyond a limit."""

    status = 413


class BusyError(RequestError):
    """Too many requests wait."""

    status = 503


B = TypeVar("B", bound=Body)
T = TypeVar("T")


def parse(kind: type[B], body: object) -> B:
    """A request of a kind, from JSON or from values that were parsed already."""
    try:
        if not isinstance(body, str | bytes):
            return kind.model_validate(body)
        data = body.encode() if isinstance(body, str) else body
        if len(data) > LARGEST_REQUEST:
            raise TooLargeError(f"the request has more than {LARGEST_REQUEST >> 20} MiB")
        if data.count(b"{") + data.count(b"[") > MOST_PARTS or data.count(b",") > MOST_VALUES:
            raise TooLargeError("the request has too many tasks, objects or numbers")
        return kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RequestError(f"{place or 'request'}: {first['msg']}") from None


async def body_of(request: Request) -> bytes:
    """The body of a request, unless it is too large."""
    length = request.headers.get("content-length", "0")
    body = bytearray()
    if length.isdecimal() and int(length) <= LARGEST_REQUEST:
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_REQUEST:
                break
        else:
            return bytes(body)
    raise TooLargeError(f"the request has more than {LARGEST_REQUEST >> 20} MiB")


def service(said: Callable[[str], dict[str, Any]]) -> FastAPI:
    """An application that answers errors in the words of a tool."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(SegueError)
    async def refuse(_: Request, error: Exception) -> JSONResponse:
        status = error.status if isinstance(error, RequestError) else 400
        return JSONResponse(said(str(error).splitlines()[0]), status)

    return app


class Threads:
    """Runs a few requests at once, in threads that neither other requests nor the end of segue wait for."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def run(self, call: Callable[[], T]) -> T:
        """Run a call in a thread of its own, and return its result."""
        if self._waiting >= MOST_WAITING:
            raise BusyError("too many requests wait; try again later")
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(act: Callable[[Any], None], value: Any) -> None:
            self._free.release()
            if not future.done():
                act(value)

        def work() -> None:
            try:
                done = future.set_result, call()
            except Exception as error:
                done = future.set_exception, error  # type: ignore[assignment]
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, *done)

        threading.Thread(target=work, name="segue-service", daemon=True).start()
        return await future
