"""Hub of a page: answers the requests of its web sockets, and publishes events to them."""

from __future__ import annotations

import asyncio
import inspect
import json
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import cache, partial
from types import MethodType
from typing import Any, NamedTuple

from pydantic import validate_call

from segue.errors import SegueError
from segue.utils.extras import requires_extra
from segue_web.server import messages
from segue_web.server.conflicts import ConflictError

with requires_extra("web"):
    from starlette.websockets import WebSocket, WebSocketDisconnect


MAX_WAITING = 64 << 20
"""Characters and bytes that may wait for a page; more mean that it does not read them."""

DEFECT = "internal error in segue; see the terminal for details"
"""Message of the page for errors that are not :class:`SegueError`."""

FULL = 1013
"""Code that closes the socket of one page too many (try again later)."""


class Answer(NamedTuple):
    """Answer to a request.

    Attributes:
        values: its fields.
        data: bytes that follow as a message of their own; None for none.
        is_last: whether the socket is closed after it.
    """

    values: Mapping[str, Any]
    data: bytes | None = None
    is_last: bool = False


class Page:
    """An open page, to which messages are sent in order; one that does not read is disconnected.

    Attributes:
        channel: number of the video that it shows, of a list.
    """

    def __init__(self, socket: WebSocket, max_waiting: int) -> None:
        self.channel: int | None = None
        self._socket, self._max_waiting = socket, max_waiting
        self._queue: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._waiting = 0
        self.sending = asyncio.create_task(self._send())

    def put(self, *parts: str | bytes) -> None:
        """Queue messages that follow each other; any length is accepted if the queue is empty."""
        length = sum(map(len, parts))
        if self._waiting and self._waiting + length > self._max_waiting:
            self.sending.cancel()
        elif not self.sending.done():
            self._waiting += length
            for part in parts:
                self._queue.put_nowait(part)

    def end(self) -> None:
        """Close the socket after all queued messages."""
        self._queue.put_nowait(None)

    async def _send(self) -> None:
        while (part := await self._queue.get()) is not None:
            await (self._socket.send_text(part) if isinstance(part, str) else self._socket.send_bytes(part))
            self._waiting -= len(part)
        await self._socket.close()


class Hub:
    """Answers requests of pages by web sockets, and publishes events to all of them.

    A request is JSON with an ``id``, which its answer repeats. An answer with ``"data": true`` is followed by
    a binary message. Events have no ``id``.

    Args:
        answer: answers a request of a page; a SegueError refuses it in one line.
        on_close: called when a page has gone.
        max_pages: maximum number of open pages; None for any number.
        max_requests: maximum number of requests of a page that are answered at once; None for any number.
        max_waiting: maximum characters and bytes that wait for a page.

    Attributes:
        pages: open pages.
    """

    def __init__(
        self,
        answer: Callable[[messages.PageRequest, Page], Awaitable[Answer | Mapping[str, Any]]],
        *,
        on_close: Callable[[Page], None] = lambda _: None,
        max_pages: int | None = None,
        max_requests: int | None = None,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._answer, self._on_close = answer, on_close
        self.max_pages, self._max_requests, self._max_waiting = max_pages, max_requests, max_waiting
        self.pages = set[Page]()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters = set[asyncio.Event]()

    def publish(self, event: Mapping[str, Any]) -> None:
        """Send an event to all pages, or with ``video`` to those that show it; from any thread."""
        if self.pages:
            text = _encoded(event)
            self._in_loop(partial(self._publish, text, event.get("video")))

    def changed(self) -> None:
        """Wake requests in :meth:`wait_for`; from any thread."""
        if self._waiters:
            self._in_loop(self._wake)

    async def wait_for(self, is_met: Callable[[], object], seconds: float) -> None:
        """Wait until a condition is met, at most for some seconds; :meth:`changed` says when to look."""
        self._loop = asyncio.get_running_loop()
        event = asyncio.Event()
        self._waiters.add(event)  # before the first look, so that no change is missed
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while not is_met():
                        await event.wait()
                        event.clear()
        finally:
            self._waiters.discard(event)

    async def talk(self, socket: WebSocket) -> None:
        """Serve a page until its socket is closed."""
        if self.max_pages is not None and len(self.pages) >= self.max_pages:
            await socket.accept()  # a browser does not see the code of a socket that was never open
            await socket.close(FULL)
            return
        self._loop = asyncio.get_running_loop()
        await socket.accept()
        page = Page(socket, self._max_waiting)
        self.pages.add(page)
        listening = asyncio.create_task(self._listen(socket, page))
        try:
            await asyncio.wait({listening, page.sending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.pages.discard(page)
            self._on_close(page)
            listening.cancel()
            page.sending.cancel()
        # KeyError: a binary message, which no page of ours sends; RuntimeError: the page has gone meanwhile.
        with suppress(WebSocketDisconnect, KeyError, RuntimeError, asyncio.CancelledError):
            await asyncio.gather(listening, page.sending)

    async def _listen(self, socket: WebSocket, page: Page) -> None:
        work = set[asyncio.Task[None]]()
        while True:
            text = await socket.receive_text()
            task = asyncio.create_task(self._reply(text, page))
            work.add(task)
            task.add_done_callback(work.discard)
            while self._max_requests is not None and len(work) >= self._max_requests:
                await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)

    async def _reply(self, text: str, page: Page) -> None:
        number, answer = None, Answer({})
        try:
            request = messages.parse(text)
            number = request.id
            answer = _with_data(await self._answer(request, page))
        except ConflictError as error:
            answer = Answer({"error": str(error), "stale": True, "current": error.current})
        except SegueError as error:
            answer = Answer({"error": str(error), "stale": False})
        except Exception as error:
            traceback.print_exception(error)
            answer = Answer({"error": DEFECT})
        flag, parts = ({}, []) if answer.data is None else ({"data": True}, [answer.data])
        page.put(_encoded({"id": number, **answer.values, **flag}), *parts)
        if answer.is_last:
            page.end()

    def _publish(self, text: str, channel: int | None) -> None:
        for page in self.pages:
            if channel is None or channel == page.channel:
                page.put(text)

    def _wake(self) -> None:
        for event in self._waiters:
            event.set()

    def _in_loop(self, call: Callable[[], None]) -> None:
        """Run a call in the loop of the server: at once in its thread, so that messages keep their order."""
        loop = self._loop
        if loop is None:
            return
        try:
            is_here = asyncio.get_running_loop() is loop
        except RuntimeError:
            is_here = False
        if is_here:
            call()
        else:
            with suppress(RuntimeError):  # the server has ended
                loop.call_soon_threadsafe(call)


def _with_data(answer: Answer | Mapping[str, Any]) -> Answer:
    return answer if isinstance(answer, Answer) else Answer(answer)


def _encoded(values: Mapping[str, Any]) -> str:
    return json.dumps(values, separators=(",", ":"))


async def call(
    functions: Mapping[str, Callable[..., Any]],
    op: str,
    fields: Mapping[str, Any],
    run: Callable[[Callable[[], Any]], Awaitable[Any]] = asyncio.to_thread,
) -> Any:
    """Call the method that answers a request.

    Args:
        functions: methods by name; their annotations validate the fields.
        op: name.
        fields: arguments.
        run: runs those that are no coroutine functions; by default in a thread.

    Returns:
        The result; an empty dictionary for None.

    Raises:
        SegueError: there is no such method, or a field is invalid.
    """
    if op not in functions:
        raise SegueError(f"the request is not valid: this page has no {op!r}")
    function: Any = functions[op]
    checked = MethodType(_checked(function.__func__), function.__self__)
    with messages.checked():
        if inspect.iscoroutinefunction(function):
            return await checked(**fields) or {}
        return await run(partial(checked, **fields)) or {}


@cache
def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Validate a function's arguments by its annotations; cached, as pydantic takes milliseconds."""
    return validate_call(function)
