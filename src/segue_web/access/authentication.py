"""Who sends a request to a server of segue, and what they may do: the one authenticator of all servers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from http.cookies import CookieError, SimpleCookie
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs

from segue.errors import SegueError
from segue_web.access.addresses import LOOPBACK, check_network, client_address, sender_of
from segue_web.access.passwords import check_hash, check_token, is_password, own_token, same
from segue_web.access.tries import Tries

Permission = Literal["change", "look"]
"""What somebody may do: ``change`` includes ``look``."""

_RANKS: Mapping[Permission | None, int] = {None: 0, "look": 1, "change": 2}

_PERMISSIONS: Mapping[str, Permission] = {"user": "change", "token": "change", "look": "look"}
"""What the bearer of each secret of a table may do."""

SESSION = "segue-session"
"""Cookie by which a browser proves who it is, signed with the secret that it sent."""

LINK_SECONDS = 90 * 86_400
"""Time for which the session of a link is valid."""

SESSION_SECONDS = 86_400
"""Time for which the session of a password is valid; a browser that is closed forgets it."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use a server, such as the table ``[page]`` of the file of cameras says.

    Attributes:
        user: name of the user who may change things.
        password: hash of the password, by ``segue watch --hash-password``.
        token: gives access to look and to change; empty for none.
        look: token that gives access to look; empty for none.
        proxies: addresses and networks of proxies that say where a request comes from.
    """

    user: str = ""
    password: str = ""
    token: str = ""
    look: str = ""
    proxies: tuple[str, ...] = ()

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> Access:
        """Read the table ``[page]``.

        Raises:
            SegueError: it is wrong.
        """
        names = ("user", "password", "token", "look")
        texts = {name: value for name, value in table.items() if name != "proxies"}
        if wrong := [
            name for name, value in texts.items() if name not in names or not isinstance(value, str)
        ]:
            raise SegueError(
                f"[page]: {wrong[0]}: give {', '.join(names)} as texts, proxies, and nothing else"
            )
        if bool(table.get("user")) != bool(table.get("password")):
            raise SegueError("[page]: user and password belong together")
        proxies = table.get("proxies", [])
        if not isinstance(proxies, list) or not all(isinstance(each, str) for each in proxies):
            raise SegueError('[page]: proxies: give a list of addresses, such as ["127.0.0.1"]')
        try:
            if table.get("password"):
                check_hash(table["password"])
            for name in ("token", "look"):
                if table.get(name):
                    check_token(name, table[name])
            for each in proxies:
                check_network(each)
        except SegueError as error:
            raise SegueError(f"[page]: {error}") from None
        return cls(**texts, proxies=tuple(proxies))

    @property
    def is_open(self) -> bool:
        """Whether nobody needs to say who they are."""
        return not (self.password or self.token or self.look)

    def for_host(self, host: str, printed: str = "") -> tuple[Access, str]:
        """Access where a server listens, and the token that was or is to be printed; empty for none.

        A server that others reach has a password or a token: that of SEGUE_TOKEN, the one that was
        ``printed`` before, or a new one.
        """
        if host in LOOPBACK or self.password or self.token:
            return self, ""
        token, is_new = own_token()
        if is_new and printed:
            token = printed
        return replace(self, token=token), token if is_new else ""

    def changes(self, previous: Access) -> str:
        """What is new since a table before, such as ``look removed, token changed``; empty for nothing."""
        words = []
        for name in (field.name for field in fields(self)):
            previous_value, value = getattr(previous, name), getattr(self, name)
            if previous_value != value:
                change = "changed" if previous_value and value else "added" if value else "removed"
                words.append(f"{name} {change}")
        return ", ".join(words)

    def signing_key(self, who: str) -> str:
        """What signs the sessions of a secret, which end when it changes; empty without that secret."""
        if who == "user":
            return self.password and f"{self.user}:{self.password}"
        return self.token if who == "token" else self.look


class TooManyTriesError(Exception):
    """Somebody has sent too many wrong passwords or tokens."""


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
    """What the sender of a request may do, and what its browser is to keep.

    Attributes:
        permission: None where it says nothing, or the wrong thing, of who sends it.
        session: new value of the cookie :data:`SESSION`; empty for none.
        lasts: whether the browser keeps it when it is closed.
    """

    permission: Permission | None
    session: str = ""
    lasts: bool = False


class Authenticator:
    """Tells who sends a request; wrong passwords and tokens are counted by address.

    A browser that has sent a right one gets a signed session: it is never refused because of the tries of
    others, and its own wrong ones are counted apart.

    Args:
        access: who may come.
        is_generated: whether the token is one that segue made: nobody finds it by trying, so it is right
            after any number of wrong ones, too.
        warn: hears of proxies that nobody has said to trust.

    Attributes:
        access: may change at any time.
        tries: counts what was wrong.
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
        self._right: tuple[Access, bytes] | None = None  # the password that was right, as a keyed hash
        self._has_warned = False

    def visit(self, credentials: Sequence[Credential], session: str, sender: str) -> Visit:
        """What the sender of a request may do.

        Args:
            credentials: what it says of who sends it.
            session: its cookie :data:`SESSION`; empty for none.
            sender: as :meth:`sender` gives it.

        Raises:
            TooManyTriesError: too much was wrong from there.
        """
        access = self.access
        if access.is_open:
            return Visit("change")
        proved = _permission_of(session, access)
        if proved == "change":
            return Visit(proved)
        if proved is not None:
            sender += f" {proved}"
        best, who, refused = None, "", False
        for credential in dict.fromkeys(credentials):
            match = self._try(access, sender, credential)
            refused |= match == "refused"
            if _RANKS[_PERMISSIONS.get(match)] > _RANKS[_PERMISSIONS.get(who)]:
                best, who = credential, match
        if best is None or _RANKS[_PERMISSIONS.get(who)] <= _RANKS[proved]:
            if refused and proved is None:
                raise TooManyTriesError
            return Visit(proved)
        seconds = LINK_SECONDS if best.is_link else SESSION_SECONDS
        return Visit(_PERMISSIONS.get(who), _signed(access, who, int(time.time()) + seconds), best.is_link)

    def takes_long(self, credentials: Sequence[Credential], session: str) -> bool:
        """Whether :meth:`visit` computes the hash of a password, which takes tens of milliseconds."""
        access = self.access
        return (
            any(each.user and not self._was_right(access, each) for each in credentials)
            and bool(access.password)
            and _permission_of(session, access) != "change"
        )

    def sender(self, peer: str, forwarded: str) -> str:
        """Who sends a request, whose tries are counted together.

        Args:
            peer: address of the connection.
            forwarded: headers ``X-Forwarded-For``, joined by commas.
        """
        proxies = self.access.proxies
        is_here = peer in ("127.0.0.1", "::1")
        if forwarded and not proxies and is_here and not self.access.is_open and not self._has_warned:
            self._has_warned = True
            self._warn(
                f'requests come through a proxy; write proxies = ["{peer}"] into [page], so that wrong '
                "passwords are counted by the addresses of people"
            )
        return sender_of(client_address(peer, forwarded, proxies))

    def _try(self, access: Access, sender: str, credential: Credential) -> str:
        """Whose secret a credential is, ``refused`` or empty; it counts as a try until it is right."""
        if self._is_generated and same(credential.secret, access.token):
            return "token"
        secret = f"{hash(access)} {credential.user}:{credential.secret}"
        outcome = self.tries.begin(sender, secret)
        if outcome != "new":
            return "refused" if outcome == "refused" else ""
        who = self._check(access, credential)
        self.tries.end(sender, secret, right=bool(who))
        return who

    def _check(self, access: Access, credential: Credential) -> str:
        """Whose secret a credential is: of ``token``, ``look`` or ``user``; empty where it is wrong."""
        for who, token in (("token", access.token), ("look", access.look)):
            if token and same(credential.secret, token):
                return who
        if not (credential.user and access.password and same(credential.user, access.user)):
            return ""
        if self._was_right(access, credential):
            return "user"
        with self._hashing:
            # Others that bring the same password have waited for what comes of it.
            right = self._was_right(access, credential) or is_password(credential.secret, access.password)
            if right:
                self._right = access, self._digest(credential)
        return "user" if right else ""

    def _was_right(self, access: Access, credential: Credential) -> bool:
        right = self._right
        return (
            right is not None
            and right[0] is access
            and hmac.compare_digest(right[1], self._digest(credential))
        )

    def _digest(self, credential: Credential) -> bytes:
        text = f"{credential.user}:{credential.secret}"
        return hashlib.blake2b(text.encode(errors="replace"), key=self._key).digest()


def _signed(access: Access, who: str, expiry: int) -> str:
    """The session of somebody until a time, in seconds of the epoch."""
    text = f"{who}.{expiry}"
    signature = hmac.digest(access.signing_key(who).encode(), f"segue session {text}".encode(), "sha256")
    return f"{text}.{signature.hex()}"


def _permission_of(session: str, access: Access) -> Permission | None:
    """What the bearer of a session may do; None where it is forged or over."""
    who, _, rest = session.partition(".")
    permission = _PERMISSIONS.get(who)
    expiry = rest.partition(".")[0]
    if permission is None or not access.signing_key(who) or not (expiry.isdecimal() and len(expiry) < 20):
        return None
    if int(expiry) < time.time() or not same(session, _signed(access, who, int(expiry))):
        return None
    return permission


def credentials_of(authorization: str, token: str, question: str) -> list[Credential]:
    """What a request says of who sends it.

    Args:
        authorization: header ``Authorization``: a bearer, or a user with a password.
        token: header ``Token``.
        question: what stands behind ``?``; a link has a token there.

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
    """User and password of a header ``Authorization``, of a bearer with an empty user; else empty."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return "", value
    if scheme.lower() == "basic":
        with suppress(ValueError):
            user, _, password = base64.b64decode(value).decode().partition(":")
            return user, password
    return "", ""


def cookie_of(header: str, name: str = SESSION) -> str:
    """A cookie of a header ``Cookie``; empty without one."""
    cookies: SimpleCookie = SimpleCookie()
    try:
        cookies.load(header)
    except CookieError:
        return ""
    return cookies[name].value if name in cookies else ""


def token_of(question: str) -> str:
    """The token of a link; empty without one."""
    try:
        return parse_qs(question, max_num_fields=100).get("token", [""])[0]
    except ValueError:
        return ""
