"""What all servers refuse: foreign pages, foreign names of this machine, and those without permission."""

from __future__ import annotations

import re
from http.cookies import SimpleCookie

from segue.utils.extras import requires_extra
from segue_web.access.addresses import LOOPBACK
from segue_web.access.authentication import (
    LINK_SECONDS,
    SESSION,
    Authenticator,
    Credential,
    TooManyTriesError,
    Visit,
    cookie_of,
    credentials_of,
)
from segue_web.server.address import proof

with requires_extra("web"):
    from anyio import CapacityLimiter
    from anyio.to_thread import run_sync
    from starlette.datastructures import MutableHeaders
    from starlette.requests import HTTPConnection
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

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

READING = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing."""


class Guard:
    """Middleware: passes on what the sender may do, with our headers on its answer, and refuses all else.

    What it knows of the sender is ``visit`` of the state of the request.

    Args:
        app: the application.
        authenticator: tells who sends a request.
        secret: whether paths begin with the token, which is for one person on this machine.
        programs: whether only programs may ask: browsers name pages in each request.
        health: path that is passed on whoever asks, to tell whether all is well.
    """

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        *,
        secret: bool = False,
        programs: bool = False,
        health: str = "",
    ) -> None:
        self._app, self._authenticator = app, authenticator
        self._has_secret, self._programs, self._health = secret, programs, health
        self._hashing = CapacityLimiter(1)  # a password takes a core

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        visit = Visit(None)
        answer: ASGIApp | None = self._foreign(connection) or self._proof(connection)
        if answer is None:
            try:
                visit = await self._visit(connection)
            except TooManyTriesError:
                answer = Response("too many wrong passwords or tokens; wait a minute", 429)
            else:
                answer = self._refusal(connection, visit)
        cookie = self._cookie(connection, visit)

        async def sent(message: Message) -> None:
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
        """Refuse pages of others, and this machine under a name of others."""
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
        """What shows a page that we know its secret, where it asks for it."""
        match = _PROOF.fullmatch(connection.scope["path"]) if self._has_secret else None
        if match is None or connection.scope["type"] != "http":
            return None
        return Response(proof(self._authenticator.access.token, match[1]), media_type="text/plain")

    async def _visit(self, connection: HTTPConnection) -> Visit:
        headers, client = connection.headers, connection.client
        credentials = self._credentials(connection)
        session = "" if self._has_secret else cookie_of(headers.get("cookie", ""))
        peer = "" if client is None else client.host
        sender = self._authenticator.sender(peer, ",".join(headers.getlist("x-forwarded-for")))
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

    def _refusal(self, connection: HTTPConnection, visit: Visit) -> Response | None:
        """The answer to somebody who may not do what is asked for."""
        if visit.permission == "look" and _changes(connection):
            return Response("this link is for looking", 403)
        if visit.permission is not None or (self._health and connection.scope["path"] == self._health):
            return None
        if self._has_secret:
            return Response("the address lacks its secret; take the one that the terminal shows", 403)
        return Response("give a user and password, or a token", 401, _CHALLENGE)

    def _cookie(self, connection: HTTPConnection, visit: Visit) -> str:
        """What the browser is to keep of a session; empty for nothing."""
        if not visit.session or self._has_secret:
            return ""
        cookie: SimpleCookie = SimpleCookie({SESSION: visit.session})
        cookie[SESSION].update({"httponly": "1", "samesite": "Lax"})
        if visit.lasts:
            cookie[SESSION]["max-age"] = str(LINK_SECONDS)
        is_encrypted = connection.scope.get("scheme") in ("https", "wss")
        if is_encrypted or connection.headers.get("x-forwarded-proto") == "https":
            cookie[SESSION]["secure"] = "1"
        return cookie[SESSION].OutputString()


def _changes(connection: HTTPConnection) -> bool:
    """Whether a request may change something."""
    return connection.scope["type"] == "websocket" or connection.scope["method"] not in READING
