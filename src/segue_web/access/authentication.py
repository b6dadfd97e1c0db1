"""Authentication of all servers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import parse_qs, quote, unquote

from segue.utils.extras import requires_extra
from segue_web.access.passwords import is_password, is_same_secret
from segue_web.access.table import USER, Access, Permission
from segue_web.access.tries import Tries

_RANKS: Mapping[Permission | None, int] = {None: 0, "look": 1, "change": 2}

SESSION = "segue-session"
"""Prefix of the session cookie, which is signed with the secret that the browser sent."""

LINK_SECONDS = 90 * 86_400
"""Time for which the session of a link is valid."""

SESSION_SECONDS = 86_400
"""Time for which the session of a password is valid; a browser that is closed forgets it."""


class TooManyTriesError(Exception):
    """A client sent too many wrong passwords or tokens."""


class Credential(NamedTuple):
    """A token, or a user with a password.

    Attributes:
        user: empty for a token.
        secret: the token or password.
        is_link: whether a link has it, which a browser does not send again.
    """

    user: str
    secret: str
    is_link: bool = False


class Visit(NamedTuple):
    """Permissions of a request, and the cookie for its browser.

    Attributes:
        permission: None where it says nothing, or the wrong thing, of who sends it.
        session: new value of the cookie :data:`SESSION`; empty for none.
        lasts: whether the browser keeps it when it is closed.
        user: name of who has given a password; empty for a token.
    """

    permission: Permission | None
    session: str = ""
    lasts: bool = False
    user: str = ""


class Authenticator:
    """Authenticates requests and limits wrong credentials by client.

    A browser that has sent a right one gets a signed session: it is never refused because of the tries of
    others, and its own wrong ones are counted apart.

    Args:
        access: permitted users.
        is_generated: whether the token is one that segue made: nobody finds it by trying, so it is right
            after any number of wrong ones, too.
        warn: receives warnings about untrusted proxies.

    Attributes:
        access: may change at any time.
        tries: counts wrong credentials.
    """

    def __init__(
        self,
        access: Access,
        *,
        is_generated: bool = False,
        warn: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.access = access
        self.tries = Tries()
        self._is_generated, self._warn = is_generated, warn
        self._hashing = threading.Lock()  # one password at a time: each takes a core
        self._key = secrets.token_bytes(32)
        # The passwords that were right, as keyed hashes by their users, and of which table.
        self._right: tuple[Access, dict[str, bytes]] = access, {}
        self._has_warned = False

    def visit(self, credentials: Sequence[Credential], session: str, sender: str) -> Visit:
        """Authenticate a request.

        Args:
            credentials: sent credentials.
            session: its cookie :data:`SESSION`; empty for none.
            sender: identity of the client (:func:`segue_web.access.addresses.sender_of`).

        Raises:
            TooManyTriesError: too much was wrong from there.
        """
        access = self.access
        if access.is_open:
            return Visit("change")
        bearer = _bearer_of(session, access)
        proved = access.permission(bearer)
        user = access.user(bearer)
        visit = Visit(proved, user="" if user is None else user.name)
        if proved == "change":
            return visit
        if proved is not None:
            sender += f" {bearer}"
        best, bearer, refused = None, "", False
        for credential in dict.fromkeys(credentials):
            match = self._try(access, sender, credential)
            refused |= match == "refused"
            if _RANKS[access.permission(match)] > _RANKS[access.permission(bearer)]:
                best, bearer = credential, match
        if best is None or _RANKS[access.permission(bearer)] <= _RANKS[proved]:
            if refused and proved is None:
                raise TooManyTriesError
            return visit
        seconds = LINK_SECONDS if best.is_link else SESSION_SECONDS
        signed = _signed(access, bearer, int(time.time()) + seconds)
        user = access.user(bearer)
        return Visit(access.permission(bearer), signed, best.is_link, "" if user is None else user.name)

    def takes_long(self, credentials: Sequence[Credential], session: str) -> bool:
        """Whether :meth:`visit` hashes a password, which takes tens of milliseconds."""
        access = self.access
        return (
            any(each.user and not self._was_right(access, each) for each in credentials)
            and bool(access.users)
            and access.permission(_bearer_of(session, access)) != "change"
        )

    def warn_of_proxy(self, peer: str) -> None:
        """Warn once of a proxy on this machine that reports addresses while none is trusted."""
        is_here = peer in ("127.0.0.1", "::1")
        if is_here and not self.access.proxies and not self.access.is_open and not self._has_warned:
            self._has_warned = True
            self._warn(
                f'requests come through a proxy; write proxies = ["{peer}"] into [page], so that wrong '
                "passwords are counted by the addresses of people"
            )

    def _try(self, access: Access, sender: str, credential: Credential) -> str:
        """Check a credential within the rate limit: its bearer, ``refused``, or empty."""
        if self._is_generated and is_same_secret(credential.secret, access.token):
            return "token"
        secret = f"{hash(access)} {credential.user}:{credential.secret}"
        outcome = self.tries.begin(sender, secret)
        if outcome != "new":
            return "refused" if outcome == "refused" else ""
        who = self._check(access, credential)
        self.tries.end(sender, secret, right=bool(who))
        return who

    def _check(self, access: Access, credential: Credential) -> str:
        """Bearer of a credential: ``token``, ``look`` or ``user:NAME``; empty if it is wrong."""
        for bearer, token in (("token", access.token), ("look", access.look)):
            if token and is_same_secret(credential.secret, token):
                return bearer
        if not (credential.user and access.users):
            return ""
        bearer = f"{USER}{credential.user}"
        if self._was_right(access, credential):
            return bearer
        user = access.user(bearer)
        with self._hashing:
            # Others that bring the same password have waited for what comes of it.
            if not self._was_right(access, credential):
                if not is_password(credential.secret, None if user is None else user.password):
                    return ""
                right = self._right[1] if self._right[0] is access else {}
                self._right = access, right | {credential.user: self._digest(credential)}
        return bearer

    def _was_right(self, access: Access, credential: Credential) -> bool:
        table, right = self._right
        return table is access and hmac.compare_digest(
            right.get(credential.user, b""), self._digest(credential)
        )

    def _digest(self, credential: Credential) -> bytes:
        text = f"{credential.user}:{credential.secret}"
        return hashlib.blake2b(text.encode(errors="replace"), key=self._key).digest()


def _signed(access: Access, bearer: str, expiry: int) -> str:
    """Sign a session that ends at a time, in seconds of the epoch."""
    text = f"{quote(bearer, safe='')}.{expiry}"
    signature = hmac.digest(access.signing_key(bearer).encode(), f"segue session {text}".encode(), "sha256")
    return f"{text}.{signature.hex()}"


def _bearer_of(session: str, access: Access) -> str:
    """Bearer of a session; empty if it is forged or expired."""
    name, _, expiry = session.rpartition(".")[0].rpartition(".")
    bearer = unquote(name)
    if not access.signing_key(bearer) or not (expiry.isdecimal() and len(expiry) < 20):
        return ""
    if int(expiry) < time.time() or not is_same_secret(session, _signed(access, bearer, int(expiry))):
        return ""
    return bearer


def credentials_of(authorization: str, token: str, question: str) -> list[Credential]:
    """Credentials of a request.

    Args:
        authorization: header ``Authorization``: a bearer, or a user with a password.
        token: header ``Token``.
        question: query after ``?``, such as the token of a link.

    Returns:
        Tokens, and users with passwords.
    """
    credentials = [
        Credential("", token_of(question), is_link=True),
        Credential("", token),
        Credential(*user_and_password(authorization)),
    ]
    return [each for each in credentials if each.user or each.secret]


def user_and_password(header: str) -> tuple[str, str]:
    """User and password of an ``Authorization`` header; bearers have an empty user."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return "", value
    if scheme.lower() == "basic":
        with suppress(ValueError):
            user, _, password = base64.b64decode(value).decode().partition(":")
            return user, password
    return "", ""


def session_cookie(port: int | None) -> str:
    """Cookie name of a server; it includes the port, as browsers share cookies between ports."""
    return SESSION if port is None else f"{SESSION}-{port}"


def cookie_of(header: str, names: Sequence[str] = (SESSION,)) -> str:
    """First cookie of some names in a ``Cookie`` header; otherwise empty."""
    with requires_extra("web"):
        from starlette.requests import cookie_parser
    cookies = cookie_parser(header)
    return next((cookies[name] for name in names if name in cookies), "")


def token_of(question: str) -> str:
    """Token in the query of a link; empty without one."""
    try:
        return parse_qs(question, max_num_fields=100).get("token", [""])[0]
    except ValueError:
        return ""
