"""The application of a service: bodies and limits of requests, and threads that do not delay Ctrl-C."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from segue.errors import SegueError
from segue_web.services.assistant import RequestError
from segue_web.text import first_problem

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


def parse(kind: type[B], data: bytes) -> B:
    """A request of a kind."""
    if data.count(b"{") + data.count(b"[") > MOST_PARTS or data.count(b",") > MOST_VALUES:
        raise TooLargeError("the request has too many tasks, objects or numbers")
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        raise RequestError(first_problem(error, "request: ")) from None


async def body_of(request: Request) -> bytes:
    """The body of a request, unless it is too large."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_REQUEST:
            raise TooLargeError(f"the request has more than {LARGEST_REQUEST >> 20} MiB")
    return bytes(body)


class Service(FastAPI):
    """An application that answers a tool, and says errors in its words."""

    def __init__(self, said: Callable[[str], dict[str, Any]]) -> None:
        super().__init__(docs_url=None, redoc_url=None, openapi_url=None)
        self._said = said
        self._free = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self.add_exception_handler(SegueError, self._refuse)

    async def _refuse(self, _: Request, error: Exception) -> JSONResponse:
        status = error.status if isinstance(error, RequestError) else 400
        return JSONResponse(self._said(str(error).splitlines()[0]), status)

    def answer(self, path: str, kind: type[B], call: Callable[[B], dict[str, Any]]) -> None:
        """Have requests to a path answered by a call."""

        @self.post(path)
        async def answered(request: Request) -> dict[str, Any]:
            body = await body_of(request)
            return await self.run(lambda: call(parse(kind, body)))

    async def run(self, call: Callable[[], T]) -> T:
        """Run a call in a thread that neither other requests nor the end of segue wait for."""
        if self._waiting >= MOST_WAITING:
            raise BusyError("too many requests wait; try again later")
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        done: Future[T] = Future()

        def work() -> None:
            try:
                done.set_result(call())
            except Exception as error:
                done.set_exception(error)

        threading.Thread(target=work, name="segue-service", daemon=True).start()
        try:
            return await asyncio.wrap_future(done)
        finally:
            self._free.release()
