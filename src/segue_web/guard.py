"""Servers for this machine alone: a secret in the address, one host, one page, and nothing else readable."""

from __future__ import annotations

import base64
import secrets
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response, WebSocket
from fastapi.responses import FileResponse

from segue.errors import SegueError

STATIC = Path(__file__).parent / "static"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}

Life = Callable[[FastAPI], AbstractAsyncContextManager[None]]
"""What is done before the first request and after the last one."""


class Guard:
    """Knows who may ask: requests name this host, and the address holds the secret.

    So no foreign name that points here reaches the server (DNS rebinding); what changes something or opens a
    socket must come from this page as well.
    """

    def __init__(self, token: str, port: int) -> None:
        self._token = token.encode()
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    def is_foreign(self, headers: Any, *, needs_origin: bool) -> bool:
        """Whether a request names another host, or comes from another page."""
        origin, host = headers.get("origin"), headers.get("host", "")
        return host not in self._hosts or (bool(origin or needs_origin) and origin != f"http://{host}")

    def is_secret(self, path: str) -> bool:
        """Whether a path begins with the secret."""
        return secrets.compare_digest(path.split("/")[1].encode(), self._token)

    def lets_in(self, page: WebSocket) -> bool:
        """Whether a socket may be opened."""
        return not self.is_foreign(page.headers, needs_origin=True) and self.is_secret(page.url.path)


def guarded_app(guard: Guard, page: str, life: Life) -> FastAPI:
    """An application that serves a page and its parts below ``/TOKEN/``, to those whom the guard lets in."""
    app = FastAPI(lifespan=life, docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def check(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        if guard.is_foreign(request.headers, needs_origin=request.method not in ("GET", "HEAD")):
            return Response("this page answers only itself", 403)
        if not guard.is_secret(request.url.path):
            return Response("the address lacks its secret; take the one that the terminal shows", 403)
        response = await go_on(request)
        response.headers.update(HEADERS)
        return response

    @app.get("/{_}/")
    async def index(_: str) -> Response:
        return FileResponse(STATIC / page, headers={"Cache-Control": "no-store"})

    @app.get("/{_}/static/{name}")
    async def static(_: str, name: str) -> Response:
        known = {path.name: path for path in STATIC.iterdir()}
        if name not in known:
            raise HTTPException(404)
        kind = _TYPES.get(known[name].suffix, "application/octet-stream")
        return FileResponse(known[name], media_type=kind, headers={"Cache-Control": "no-cache"})

    return app


LOOPBACK = ("127.0.0.1", "localhost")


def brings_token(headers: Any, token: str) -> bool:
    """Whether a request has the token: in ``Token``, as a bearer, or as a password of any user."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        with suppress(ValueError):
            value = base64.b64decode(value).decode().partition(":")[2]
    given = (headers.get("token", ""), value)
    return any(secrets.compare_digest(each.encode(), token.encode()) for each in given)


def refuse_pages(app: FastAPI, host: str, port: int, token: str | None) -> None:
    """Let programs ask, with the token if there is one, and no web pages, which could come from anywhere.

    Browsers name the page with every request that it makes to another server; annotation tools do not. On an
    address of this machine requests must name it, too (DNS rebinding).
    """
    own = {f"{name}:{port}" for name in LOOPBACK}

    @app.middleware("http")
    async def check(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        from_page = "origin" in request.headers or "sec-fetch-site" in request.headers
        foreign = host in LOOPBACK and request.headers.get("host") not in own
        if from_page or foreign:
            return Response("only programs may ask", 403)
        if token is not None and not brings_token(request.headers, token):
            return Response("the token is missing", 401, {"WWW-Authenticate": "Basic"})
        return await go_on(request)


def listening(host: str, port: int) -> socket.socket:
    """A socket that is bound to an address."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SegueError(f"port {port} cannot be used ({error.strerror}); give another with --port") from None
    return listener


class ReportingServer(uvicorn.Server):
    """A quiet server that says when it answers.

    Args:
        app: what it serves.
        ready: called once it answers.
        longest: most bytes of a message of a page.
    """

    def __init__(self, app: FastAPI, ready: Callable[[], None], *, longest: int = 1 << 20) -> None:
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            ws_max_size=longest,
            timeout_graceful_shutdown=2,
        )
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: Any = None) -> None:
        """Start as uvicorn does, then call ``ready``."""
        await super().startup(sockets=sockets)
        if self.started:
            self._ready()


class LocalServer:
    """Serves an application on 127.0.0.1, at an address with a new secret.

    Args:
        make: makes the application of the secret and the port.
        port: 0 takes a free one.
        announce: gets the address once it answers.
        longest: most bytes of a message of a page.

    Raises:
        SegueError: the port cannot be used.
    """

    def __init__(
        self, make: Callable[[str, int], FastAPI], port: int, announce: Callable[[str], None], *, longest: int
    ) -> None:
        self._listener = listening("127.0.0.1", port)
        number, token = self._listener.getsockname()[1], secrets.token_urlsafe(24)
        self._thread: threading.Thread | None = None
        address = f"http://127.0.0.1:{number}/{token}/"
        self._server = ReportingServer(make(token, number), lambda: announce(address), longest=longest)

    def run(self) -> None:
        """Serve until Ctrl-C."""
        self._server.run(sockets=[self._listener])

    def start(self) -> None:
        """Serve in a thread, until :meth:`stop`."""
        self._thread = threading.Thread(target=self.run, name="segue-page", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End what :meth:`start` began."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(10)
        self._listener.close()
