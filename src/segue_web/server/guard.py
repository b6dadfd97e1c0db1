"""Servers for this machine alone: a secret in the address, one host, one page, and nothing else readable."""

from __future__ import annotations

import mimetypes
import re
import secrets
import threading
import webbrowser
from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import typer

from segue.utils import access
from segue.utils.access import LOOPBACK, Tries, same, sender_of, tokens_of
from segue.utils.extras import requires_extra
from segue_web.server.address import listen, proof, redirect_file
from segue_web.server.slow_clients import PatientProtocol

with requires_extra("web"):
    import uvicorn
    from fastapi import FastAPI, Request, Response
    from fastapi.responses import FileResponse
    from fastapi.staticfiles import StaticFiles
    from starlette.datastructures import Headers, MutableHeaders
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.requests import ClientDisconnect
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


STATIC = Path(__file__).parents[1] / "static"
mimetypes.add_type(
    "text/javascript", ".js"
)  # whatever the system says: browsers refuse scripts of other types

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_PROOF = re.compile(r"/proof/([0-9a-f]{32})")
"""A page asks for a proof before it connects again; see :func:`segue_web.server.address.proof`."""

Life = Callable[[FastAPI], AbstractAsyncContextManager[None]]
"""Runs before the first request and after the last one."""


class Guard:
    """Middleware: paths begin with the secret, and changes and sockets come from our own page."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with our headers on its answer, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        changes = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        answer: ASGIApp = self._app
        if (origin or changes) and origin != f"http://{headers['host']}":
            answer = Response("this page answers only itself", 403)
        elif scope["type"] == "http" and (found := _PROOF.fullmatch(scope["path"])):
            answer = Response(proof(self._token.decode(), found[1]), media_type="text/plain")
        elif not secrets.compare_digest(_first_part(scope["path"]).encode(), self._token):
            answer = Response("the address lacks its secret; take the one that the terminal shows", 403)

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await answer(scope, receive, sent)


def _first_part(path: str) -> str:
    """The first part of a path, which clients other than browsers may send without a slash."""
    return path.partition("/")[2].partition("/")[0]


def refuse_half_requests(app: FastAPI) -> None:
    """Clients that go away in the middle of a request are no defect of the server."""

    @app.exception_handler(ClientDisconnect)
    async def refuse(_: Request, __: ClientDisconnect) -> Response:
        return Response("the request is not complete", 400)


def guarded_app(token: str, page: str, life: Life) -> FastAPI:
    """An application that serves a page and its parts below ``/TOKEN/``."""
    app = FastAPI(lifespan=life, docs_url=None, redoc_url=None, openapi_url=None)
    refuse_half_requests(app)
    app.add_middleware(Guard, token=token)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK, www_redirect=False)
    app.mount(f"/{token}/static", StaticFiles(directory=STATIC))

    @app.get(f"/{token}/")
    async def index() -> Response:
        return FileResponse(STATIC / page, headers={"Cache-Control": "no-store"})

    return app


def refuse_pages(app: FastAPI, host: str, token: str | None) -> None:
    """Let programs ask, with the token if there is one, and no pages: browsers name these in each request.

    Wrong tokens are counted by address; after some of them it is refused for a while.
    """
    tries = Tries()

    def status_of(request: Request, token: str) -> int:
        """200 where a request brings the token, 401 where not, 429 after too many others."""
        sender = sender_of(request.client.host if request.client else "")
        status = 401
        for each in tokens_of(request.headers):
            outcome = tries.begin(sender, each)
            if outcome == "new":
                right = same(each, token)
                tries.end(sender, each, right=right)
                if right:
                    return 200
            elif outcome == "refused":
                status = 429
        return status

    @app.middleware("http")
    async def check(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        if "origin" in request.headers or "sec-fetch-site" in request.headers:
            return Response("only programs may ask", 403)
        status = 200 if token is None else status_of(request, token)
        if status == 429:
            return Response("too many wrong tokens; wait a minute", status)
        if status == 401:
            return Response("the token is missing", status, {"WWW-Authenticate": "Basic"})
        return await go_on(request)

    if host in LOOPBACK:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK, www_redirect=False)


def certificate(certfile: Path, keyfile: Path | None) -> dict[str, str]:
    """Settings of uvicorn for HTTPS; a certificate that cannot be used is an error now."""
    access.certificate(certfile, keyfile)
    return {"ssl_certfile": str(certfile), **({} if keyfile is None else {"ssl_keyfile": str(keyfile)})}


def quiet_server(app: FastAPI, **limits: Any) -> uvicorn.Server:
    """A server that prints warnings only; ``limits`` are settings of uvicorn."""
    settings: dict[str, Any] = {"log_level": "warning", "access_log": False, "server_header": False}
    settings |= {"http": PatientProtocol, "interface": "asgi3", "timeout_graceful_shutdown": 2} | limits
    return uvicorn.Server(uvicorn.Config(partial(_answer_at_the_end, app), **settings))


async def _answer_at_the_end(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Pass a request on; one that is still computed when the server ends is refused, which is no defect."""
    begun = False

    async def noticed(message: Message) -> None:
        nonlocal begun
        begun = True
        await send(message)

    try:
        await app(scope, receive, noticed)
    except CancelledError:
        if begun or scope["type"] != "http":
            raise
        await Response("the server ends", 503, {"Connection": "close"})(scope, receive, send)


class LocalServer:
    """Serves the application made for a secret on 127.0.0.1, and tells its address, which a folder keeps."""

    def __init__(
        self,
        make: Callable[[str], FastAPI],
        port: int,
        browser: bool,
        longest: int,
        folder: Path | None = None,
    ) -> None:
        self._listener, (number, token) = listen(port, folder)
        self._folder = folder
        self.address, self._browser = f"http://127.0.0.1:{number}/{token}/", browser
        self._server = quiet_server(make(token), ws_max_size=longest)
        self._thread = threading.Thread(target=self.run, name="segue-page", daemon=True)

    def run(self) -> None:
        """Serve until Ctrl-C."""
        typer.echo(f"Ctrl-C ends; the page is at {self.address}")
        with ExitStack() as stack:
            if self._browser:  # some browsers come back only when they are closed
                page = stack.enter_context(redirect_file(self.address, self._folder))
                address = page.absolute().as_uri()
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
            self._server.run(sockets=[self._listener])

    def start(self) -> None:
        """Serve in a thread, until :meth:`stop`."""
        self._thread.start()

    def stop(self) -> None:
        """End what :meth:`start` began."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(10)
        self._listener.close()
