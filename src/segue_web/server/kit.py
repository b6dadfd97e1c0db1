"""Application and server of all pages and services: a route table behind a guard."""

from __future__ import annotations

import mimetypes
import os
import re
import ssl
import threading
import webbrowser
from asyncio import CancelledError, create_task
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any

import typer

from segue.errors import SegueError
from segue.utils.cancel import CancelToken
from segue.utils.extras import requires_extra
from segue.utils.inputs import whole_number
from segue_web.access.authentication import Authenticator
from segue_web.access.table import Access
from segue_web.server.address import listen, redirect_file

with requires_extra("web"):
    import uvicorn
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import FileResponse, PlainTextResponse, Response
    from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
    from starlette.staticfiles import StaticFiles
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from segue_web.server.guard import Guard
    from segue_web.server.slow_clients import EncryptedConfig, PatientProtocol

STATIC = Path(__file__).parents[1] / "static"
mimetypes.add_type(
    "text/javascript", ".js"
)  # whatever the system says: browsers refuse scripts of other types

Routes = Mapping[str, Callable[..., Any]]
"""Functions by the method and path that they answer, such as ``GET /states``; ``WS`` is a web socket, and
``MOUNT`` an application. Those that are no coroutines run in a thread."""

_PART = re.compile(r"[a-z_]+\.(?:css|js|svg)")

Life = Callable[[Starlette], AbstractAsyncContextManager[None]]
"""Runs before the first request and after the last one."""

Refuse = Callable[[Request, Any], Response | Awaitable[Response]]
"""Makes an answer of an error."""


def application(
    routes: Routes,
    authenticator: Authenticator,
    *,
    errors: Mapping[type[Exception], Refuse] | None = None,
    life: Life | None = None,
    within: Sequence[Middleware] = (),
    **guard: Any,
) -> Starlette:
    """Make an application behind a :class:`segue_web.server.guard.Guard`.

    Args:
        routes: handlers by request.
        authenticator: identifies visitors.
        errors: answers to errors of the functions.
        life: runs before the first request and after the last one.
        within: middleware behind the guard.
        **guard: further arguments of the guard.

    Returns:
        The application.
    """
    handlers: Any = {HTTPException: _refuse, ClientDisconnect: refuse_half, **(errors or {})}
    app = Starlette(
        routes=[_route(name, call) for name, call in routes.items()],
        exception_handlers=handlers,
        middleware=[Middleware(Guard, authenticator=authenticator, **guard), *within],
        lifespan=life,
    )
    app.router.redirect_slashes = False
    return app


def local_application(
    token: str,
    page: str,
    routes: Routes,
    life: Life,
    errors: Mapping[type[Exception], Refuse] | None = None,
) -> Starlette:
    """Make an application for one person on this machine; all routes are below ``/TOKEN/``."""
    authenticator = Authenticator(Access(token=token), is_generated=True)
    routes = {"GET /": lambda _: FileResponse(STATIC / page), **PARTS, **routes}
    return application(routes, authenticator, errors=errors, life=life, secret=True)


def _route(name: str, call: Callable[..., Any]) -> BaseRoute:
    method, path = name.split(" ")
    if method == "MOUNT":
        return Mount(path, call)
    return WebSocketRoute(path, call) if method == "WS" else Route(path, call, methods=[method])


async def _refuse(_: Request, error: HTTPException) -> Response:
    return PlainTextResponse(error.detail, error.status_code, error.headers)


async def refuse_half(_: Request, __: ClientDisconnect) -> Response:
    """Ignore disconnects in the middle of a request."""
    return PlainTextResponse("the request is not complete", 400)


class _Parts(StaticFiles):
    """Static files that browsers revalidate before use."""

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        return super().lookup_path(path) if _PART.fullmatch(path) else ("", None)

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        answer = super().file_response(*arguments, **options)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


class SentFile(FileResponse):
    """Response with a file or ranges of it; the file may be deleted meanwhile."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or status 404 if it was removed."""
        pending: Message | None = None
        has_started = False

        async def sent(message: Message) -> None:
            nonlocal pending, has_started
            if message["type"] == "http.response.start":
                pending = message
                return
            has_started = True
            if pending is not None:
                await send(pending)
            pending = None
            await send(message)

        try:
            await super().__call__(scope, receive, sent)
        except (OSError, RuntimeError):
            if has_started or Path(self.path).is_file():
                raise
            await PlainTextResponse("there is no such file", 404)(scope, receive, send)


def question_of(request: Request) -> str:
    """Query string of a request."""
    query: bytes = request.scope["query_string"]
    return query.decode("latin-1")


@asynccontextmanager
async def cancelled_with(request: Request) -> AsyncIterator[CancelToken]:
    """Token that is cancelled when the client of a request without body disconnects."""
    token = CancelToken()

    async def listen() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        token.cancel()

    listening = create_task(listen())
    try:
        yield token
    finally:
        listening.cancel()


async def read_body(request: Request, limit: int) -> bytes:
    """Read the body of a request; raise SegueError as soon as it exceeds a number of bytes."""
    error = SegueError(f"the request is longer than {limit} bytes")
    if (whole_number(request.headers.get("content-length", "0")) or 0) > limit:
        raise error
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise error
    return bytes(body)


PARTS: Routes = {"MOUNT /static": _Parts(directory=STATIC)}
"""Scripts, styles and icons of all pages."""


class ServerThread:
    """Serves an application at a socket, in this thread or another one.

    Args:
        app: application.
        listener: the socket.
        encryption: TLS settings; None uses HTTP.
        settings: settings of uvicorn.
    """

    def __init__(
        self, app: ASGIApp, listener: socket, encryption: ssl.SSLContext | None = None, **settings: Any
    ) -> None:
        self._listener = listener
        self.server = quiet_server(app, encryption, **settings)
        self._thread = threading.Thread(target=self.run, name="segue-page", daemon=True)

    @property
    def port(self) -> int:
        """Port of the socket."""
        port: int = self._listener.getsockname()[1]
        return port

    def run(self) -> None:
        """Serve until Ctrl-C."""
        self.server.run(sockets=[self._listener])

    def start(self) -> None:
        """Serve in a thread, until :meth:`stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self.server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(10)
        self._listener.close()


def quiet_server(app: ASGIApp, encryption: ssl.SSLContext | None = None, **settings: Any) -> uvicorn.Server:
    """Make a uvicorn server that prints only errors; ``settings`` are uvicorn's."""
    defaults: dict[str, Any] = {"log_level": "error", "access_log": False, "server_header": False}
    defaults |= {"http": PatientProtocol, "interface": "asgi3", "timeout_graceful_shutdown": 2}
    defaults |= {"proxy_headers": False}  # the guard knows which proxies are trusted
    defaults |= {"ws_per_message_deflate": False}  # JPEG does not become smaller
    config = EncryptedConfig(partial(_answer_at_the_end, app), **(defaults | settings))
    config.encryption = encryption
    return uvicorn.Server(config)


async def _answer_at_the_end(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Pass a request on; refuse it quietly if the server ends meanwhile."""
    has_started = False

    async def noticed(message: Message) -> None:
        nonlocal has_started
        has_started = True
        await send(message)

    try:
        await app(scope, receive, noticed)
    except CancelledError:
        if has_started or scope["type"] != "http":
            raise
        await Response("the server ends", 503, {"Connection": "close"})(scope, receive, send)


def for_programs(app: ASGIApp, token: str | None) -> Guard:
    """Make an application for programs, with a token unless on this machine, and without pages."""
    return Guard(app, Authenticator(Access(token=token or "")), programs=True)


class LocalServer(ServerThread):
    """Serves an application on 127.0.0.1 at a persistent address, which it prints."""

    def __init__(
        self,
        make: Callable[[str], ASGIApp],
        port: int,
        browser: bool,
        longest: int,
        folder: Path | None = None,
    ) -> None:
        listener, (number, token) = listen(port, folder)
        super().__init__(make(token), listener, ws_max_size=longest)
        self._folder, self._browser = folder, browser
        self.address = f"http://127.0.0.1:{number}/{token}/"

    def run(self) -> None:
        """Serve until Ctrl-C."""
        typer.echo(f"Ctrl-C ends; the page is at {self.address}")
        with ExitStack() as stack:
            if self._browser:  # some browsers come back only when they are closed
                page = stack.enter_context(redirect_file(self.address, self._folder))
                address = page.absolute().as_uri()
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
            super().run()
