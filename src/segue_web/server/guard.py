"""Access control of all servers: foreign origins, foreign host names, missing permission."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path

from segue.utils.extras import requires_extra
from segue_web.access.addresses import LOOPBACK, sender_of, trusted_networks
from segue_web.access.authentication import (
    LINK_SECONDS,
    SESSION,
    Authenticator,
    Credential,
    TooManyTriesError,
    Visit,
    cookie_of,
    credentials_of,
    session_cookie,
)
from segue_web.server.address import proof

with requires_extra("web"):
    from anyio import CapacityLimiter
    from anyio.to_thread import run_sync
    from starlette.datastructures import MutableHeaders
    from starlette.requests import HTTPConnection, Request
    from starlette.responses import FileResponse, Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
    from starlette.websockets import WebSocketDisconnect
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_CHALLENGE = {"WWW-Authenticate": 'Basic realm="segue", charset="UTF-8"'}

_PROOF = re.compile(r"/proof/([0-9a-f]{32})")
"""A page asks for a proof before it connects again; see :func:`segue_web.server.address.proof`."""

CHECK_SECONDS = 10.0
"""Seconds after which the credentials of an open web socket are checked again."""

FORBIDDEN = 1008
"""Code that closes a socket whose credentials no longer hold."""

READING = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing."""

_LOGIN, _LOGOUT = "/login", "/logout"
_LOGIN_FILES = {_LOGIN: "login.html", "/login.js": "login.js", "/login.css": "login.css"}
"""Files of the page to sign in, which everybody may load."""

_STATIC = Path(__file__).parent.parent / "static"
_MAX_LOGIN_BYTES = 10_000


class Guard:
    """Middleware that passes on permitted requests with security headers, and refuses others.

    What it knows of the sender is ``visit`` of the state of the request.

    Args:
        app: the application.
        authenticator: identifies visitors.
        secret: whether paths begin with the token, which is for one person on this machine.
        programs: whether only programs may ask: browsers name pages in each request.
        health: path that is passed on whoever asks, to tell whether all is well.
        publishes: whether requests by web sockets only read, so that those who may look may open one.
    """

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        *,
        secret: bool = False,
        programs: bool = False,
        health: str = "",
        publishes: bool = False,
    ) -> None:
        self._app, self._authenticator = app, authenticator
        self._has_secret, self._programs, self._health = secret, programs, health
        self._publishes = publishes
        self._hashing = CapacityLimiter(1)  # a password takes a core

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        if "x-forwarded-for" in connection.headers:
            self._authenticator.warn_of_proxy(_host(connection))
        networks = trusted_networks(self._authenticator.access.proxies)
        await ProxyHeadersMiddleware(self._answer, networks)(scope, receive, send)  # type: ignore[arg-type]

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request whose client and scheme are as trusted proxies report them."""
        connection = HTTPConnection(scope)
        visit = Visit(None)
        answer: ASGIApp | None = self._foreign(connection) or self._proof(connection)
        if answer is None and not self._has_secret:
            answer, visit = await self._account(connection, receive)
        if answer is None:
            try:
                visit = await self._visit(connection)
            except TooManyTriesError:
                answer = Response("too many wrong passwords or tokens; wait a minute", 429)
            else:
                answer = self._refusal(connection, visit)
        cookie = self._cookie(connection, visit)
        checked_at = time.monotonic()

        async def sent(message: Message) -> None:
            nonlocal checked_at
            if message["type"] == "websocket.send" and time.monotonic() > checked_at + CHECK_SECONDS:
                if not await self._is_permitted(connection):
                    await send({"type": "websocket.close", "code": FORBIDDEN})
                    raise WebSocketDisconnect(FORBIDDEN)
                checked_at = time.monotonic()
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
                if cookie:
                    headers.append("Set-Cookie", cookie)
            await send(message)

        if answer is None:
            answer, scope = self._app, {**scope, "state": {**scope.get("state", {}), "visit": visit}}
            if self._has_secret:
                scope["path"] = "/" + scope["path"].partition("/")[2].partition("/")[2]
        await answer(scope, receive, sent)

    def _foreign(self, connection: HTTPConnection) -> Response | None:
        """Refuse foreign origins and host names."""
        headers = connection.headers
        host, origin, site = (headers.get(name) for name in ("host", "origin", "sec-fetch-site"))
        is_local = self._has_secret or self._authenticator.access.is_open
        if is_local and (host or "").partition(":")[0] not in LOOPBACK:
            return Response("this server is for this machine", 403)
        if self._programs:
            refused = origin is not None or site is not None
            return Response("only programs may ask", 403) if refused else None
        if origin is not None:
            foreign = origin.partition("://")[2] != host
        elif site not in (None, "same-origin", "none"):
            # Links lead to a page; what else a foreign page loads would only count as tries.
            foreign = headers.get("sec-fetch-mode") != "navigate"
        else:
            foreign = False
        if not foreign and origin is None and _changes(connection):
            # No form of another page sends JSON; a socket is always opened by a page.
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            foreign = connection.scope["type"] == "websocket" or kind != "application/json"
        return Response("this page answers only itself", 403) if foreign else None

    def _proof(self, connection: HTTPConnection) -> Response | None:
        """Proof that we know the page's secret, if requested."""
        match = _PROOF.fullmatch(connection.scope["path"]) if self._has_secret else None
        if match is None or connection.scope["type"] != "http":
            return None
        return Response(proof(self._authenticator.access.token, match[1]), media_type="text/plain")

    async def _account(self, connection: HTTPConnection, receive: Receive) -> tuple[Response | None, Visit]:
        """Response to signing in or out, with its cookie."""
        path, nobody = connection.scope["path"], Visit(None)
        if connection.scope["type"] != "http" or path not in (*_LOGIN_FILES, _LOGOUT):
            return None, nobody
        if path in _LOGIN_FILES and connection.scope["method"] in ("GET", "HEAD"):
            return FileResponse(_STATIC / _LOGIN_FILES[path]), nobody
        if path == _LOGOUT and connection.scope["method"] == "POST":
            answer = Response(status_code=204)
            for name in self._cookie_names(connection):
                answer.delete_cookie(name, httponly=True, samesite="lax")
            return answer, nobody
        if path != _LOGIN or connection.scope["method"] != "POST":
            return Response("sign in by a POST to login, and out by one to logout", 405), nobody
        credential = await _sent_credential(Request(connection.scope, receive))
        if credential is None:
            return Response('give {"user": ..., "password": ...} as JSON', 400), nobody
        try:
            visit = await self._visit_of(connection, [credential], "")
        except TooManyTriesError:
            return Response("too many wrong passwords; wait a minute", 429), nobody
        if visit.permission is None:
            return Response("user or password is wrong", 401), nobody
        return Response(status_code=204), visit

    def _cookie_names(self, connection: HTTPConnection) -> tuple[str, str]:
        """Cookie names of this server, and of earlier versions."""
        server = connection.scope.get("server")
        return session_cookie(server[1] if server else None), SESSION

    async def _visit(self, connection: HTTPConnection) -> Visit:
        cookies, names = connection.headers.get("cookie", ""), self._cookie_names(connection)
        session = "" if self._has_secret else cookie_of(cookies, names)
        return await self._visit_of(connection, self._credentials(connection), session)

    async def _visit_of(
        self, connection: HTTPConnection, credentials: Sequence[Credential], session: str
    ) -> Visit:
        sender = sender_of(_host(connection))
        if self._authenticator.takes_long(credentials, session):
            visit = self._authenticator.visit
            return await run_sync(visit, credentials, session, sender, limiter=self._hashing)
        return self._authenticator.visit(credentials, session, sender)

    def _credentials(self, connection: HTTPConnection) -> list[Credential]:
        if self._has_secret:
            secret = connection.scope["path"].partition("/")[2].partition("/")[0]
            return [Credential("", secret)] if secret else []
        headers, question = connection.headers, connection.scope["query_string"].decode("latin-1")
        return credentials_of(headers.get("authorization", ""), headers.get("token", ""), question)

    async def _is_permitted(self, connection: HTTPConnection) -> bool:
        """Whether the credentials of an open socket still hold."""
        try:
            return self._refusal(connection, await self._visit(connection)) is None
        except TooManyTriesError:
            return False

    def _refusal(self, connection: HTTPConnection, visit: Visit) -> Response | None:
        """Response to a request without permission."""
        is_reading = self._publishes and connection.scope["type"] == "websocket"
        if visit.permission == "look" and _changes(connection) and not is_reading:
            return Response("this link is for looking", 403)
        if visit.permission is not None or (self._health and connection.scope["path"] == self._health):
            return None
        if self._has_secret:
            return Response("the address lacks its secret; take the one that the terminal shows", 403)
        return Response("give a user and password, or a token", 401, _CHALLENGE)

    def _cookie(self, connection: HTTPConnection, visit: Visit) -> str:
        """Cookie header of a session; empty without one."""
        if not visit.session or self._has_secret:
            return ""
        name, _ = self._cookie_names(connection)
        answer, is_encrypted = Response(), connection.scope.get("scheme") in ("https", "wss")
        max_age = LINK_SECONDS if visit.lasts else None
        answer.set_cookie(name, visit.session, max_age, httponly=True, samesite="lax", secure=is_encrypted)
        return answer.headers["set-cookie"]


async def _sent_credential(request: Request) -> Credential | None:
    """Credential in the body of a request; None without one."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MAX_LOGIN_BYTES:
            return None
    try:
        values = json.loads(body)
        user, password = values["user"], values["password"]
    except (ValueError, TypeError, KeyError):
        return None
    return Credential(user, password) if isinstance(user, str) and isinstance(password, str) else None


def _host(connection: HTTPConnection) -> str:
    """Address of a client; empty where it is unknown."""
    return "" if connection.client is None else connection.client.host


def _changes(connection: HTTPConnection) -> bool:
    """Whether a request may change state."""
    return connection.scope["type"] == "websocket" or connection.scope["method"] not in READING
