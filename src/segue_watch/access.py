"""Who may look at the page of cameras, and who may change anything there."""

from __future__ import annotations

import hashlib
import secrets
import threading
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from email.message import Message
from hmac import compare_digest
from http.cookies import CookieError, SimpleCookie
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs

from segue.errors import SegueError
from segue.utils.access import (
    LOOPBACK,
    Tries,
    check_hash,
    check_network,
    check_token,
    client_address,
    is_password,
    own_token,
    same,
    sender_of,
    user_and_password,
)
from segue_watch.log import CameraWarning

May = Literal["change", "look"]
"""What a visitor may do: ``change`` includes ``look``."""

_RANK: Mapping[May | None, int] = {None: 0, "look": 1, "change": 2}

COOKIE = "segue"
"""Cookie with the token of a link."""

SESSION = "segue-session"
"""Cookie that proves that a browser has sent a right token or password before."""


@dataclass(frozen=True, slots=True)
class Access:
    """Table ``[page]`` of the file of cameras: users, tokens and proxies.

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
    def parse(cls, given: Mapping[str, Any]) -> Access:
        """Read the table.

        Raises:
            SegueError: it means nothing.
        """
        names = ("user", "password", "token", "look")
        texts = {name: value for name, value in given.items() if name != "proxies"}
        if odd := [name for name, value in texts.items() if name not in names or not isinstance(value, str)]:
            raise SegueError(f"[page]: {odd[0]}: give {', '.join(names)} as texts, proxies, and nothing else")
        if bool(given.get("user")) != bool(given.get("password")):
            raise SegueError("[page]: user and password belong together")
        proxies = given.get("proxies", [])
        if not isinstance(proxies, list) or not all(isinstance(each, str) for each in proxies):
            raise SegueError('[page]: proxies: give a list of addresses, such as ["127.0.0.1"]')
        try:
            if given.get("password"):
                check_hash(given["password"])
            for name in ("token", "look"):
                if given.get(name):
                    check_token(name, given[name])
            for each in proxies:
                check_network(each)
        except SegueError as error:
            raise SegueError(f"[page]: {error}") from None
        return cls(**texts, proxies=tuple(proxies))

    @property
    def is_open(self) -> bool:
        """Whether nobody needs to say who they are."""
        return not (self.password or self.token or self.look)

    def beyond(self, host: str, printed: str = "") -> tuple[Access, str]:
        """Access where a server listens, and the token that was or is to be printed; empty for none.

        A page that others reach has a password or a token: that of SEGUE_TOKEN, the one that was ``printed``
        before, or a new one.
        """
        if host in LOOPBACK or self.password or self.token:
            return self, ""
        token, is_new = own_token()
        if is_new and printed:
            token = printed
        return Access(self.user, self.password, token, self.look, self.proxies), token if is_new else ""

    def changes(self, previous: Access) -> str:
        """What is new since a table before, such as ``look removed, token changed``; empty for nothing."""
        words = []
        for name in (field.name for field in fields(self)):
            previous_value, value = getattr(previous, name), getattr(self, name)
            if previous_value != value:
                change = "changed" if previous_value and value else "added" if value else "removed"
                words.append(f"{name} {change}")
        return ", ".join(words)

    def by_token(self, token: str) -> May | None:
        """What somebody may do who brings a token."""
        if self.token and same(token, self.token):
            return "change"
        return "look" if self.look and same(token, self.look) else None


class TooManyTriesError(Exception):
    """Somebody has sent too many wrong passwords or tokens."""


class Visit(NamedTuple):
    """What the sender of a request may do, and what its browser is to keep.

    Attributes:
        may: None where it says nothing, or the wrong thing, of who sends it.
        keep: whether the token of the link gives more than what the browser has.
        session: new value of the cookie :data:`SESSION`; empty for none.
    """

    may: May | None
    keep: bool = False
    session: str = ""


class _Credential(NamedTuple):
    """A token, or a user with a password."""

    user: str
    secret: str


class Visitors:
    """Tells by its headers who sends a request; wrong passwords and tokens are counted by address.

    A browser that has sent a right one gets a cookie that proves it: what it has sent then is never refused
    because of the tries of others, and its own wrong ones are counted apart.

    Args:
        access: who may come.

    Attributes:
        tries: counts what was wrong.
    """

    def __init__(self, access: Access) -> None:
        self.access = access
        self.tries = Tries()
        self._hashing = threading.Lock()  # one password at a time: each takes a core
        self._key = secrets.token_bytes(32)
        self._right: tuple[Access, bytes] | None = None  # the password that was right, as a keyed hash
        self._has_warned = False

    def visit(self, headers: Message, question: str, peer: str) -> Visit:
        """What the sender of a request may do.

        Args:
            headers: its head.
            question: what stands behind ``?``; a link brings a token there.
            peer: where its connection comes from.

        Raises:
            TooManyTriesError: too much was wrong from there.
        """
        access = self.access
        if access.is_open:
            return Visit("change")
        session, sender = cookie_of(headers, SESSION), self._sender(headers, peer, access)
        credentials = dict.fromkeys(_credentials(headers, question))
        proved = {each for each in credentials if same(session, self._proof(each))}
        if proved:
            sender += f" {session}"
        rights: dict[_Credential, May | None] = {}
        refused = False
        for each in credentials:
            if each in proved:
                rights[each] = self._check(access, each)
            elif (may := self._try(access, sender, each)) == "refused":
                refused = True
            else:
                rights[each] = may
        best = max(rights, key=lambda each: _RANK[rights[each]], default=None)
        may = None if best is None else rights[best]
        if may is None and refused:
            raise TooManyTriesError
        if best is None or may is None:
            return Visit(None)
        link = _Credential("", token_of(question))
        others = max((_RANK[rights[each]] for each in rights if each != link), default=0)
        return Visit(may, _RANK[rights.get(link)] > others, "" if best in proved else self._proof(best))

    def _try(self, access: Access, sender: str, credential: _Credential) -> May | Literal["refused"] | None:
        """What a credential that was not proved gives; it counts as a try until it is known to be right."""
        secret = f"{hash(access)} {credential.user}:{credential.secret}"
        outcome = self.tries.begin(sender, secret)
        if outcome != "new":
            return "refused" if outcome == "refused" else None
        may = self._check(access, credential)
        self.tries.end(sender, secret, right=may is not None)
        return may

    def _check(self, access: Access, credential: _Credential) -> May | None:
        user, secret = credential
        if may := access.by_token(secret):
            return may
        if not (user and access.password and same(user, access.user)):
            return None
        digest = self._digest(f"{user}:{secret}")
        if self._was_right(access, digest):
            return "change"
        with self._hashing:
            # Others that bring the same password have waited for what comes of it.
            if not (self._was_right(access, digest) or is_password(secret, access.password)):
                return None
            self._right = access, digest
        return "change"

    def _was_right(self, access: Access, digest: bytes) -> bool:
        right = self._right
        return right is not None and right[0] is access and compare_digest(right[1], digest)

    def _sender(self, headers: Message, peer: str, access: Access) -> str:
        forwarded = ",".join(headers.get_all("X-Forwarded-For") or [])
        if forwarded and not access.proxies and peer in ("127.0.0.1", "::1") and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f'requests come through a proxy; write proxies = ["{peer}"] into [page], so that wrong '
                "passwords are counted by the addresses of people",
                CameraWarning,
                stacklevel=2,
            )
        return sender_of(client_address(peer, forwarded, access.proxies))

    def _digest(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode(errors="replace"), key=self._key).digest()

    def _proof(self, credential: _Credential) -> str:
        """Cookie by which a browser proves that it has sent a right credential to this process before."""
        return self._digest(f"session:{credential.user}:{credential.secret}").hex()


def _credentials(headers: Message, question: str) -> Iterator[_Credential]:
    """What a request brings: the token of its link, that of its browser, and those of its headers."""
    user, password = user_and_password(headers.get("Authorization") or "")
    for token in (token_of(question), cookie_of(headers), headers.get("Token") or ""):
        if token:
            yield _Credential("", token)
    if headers.get("Authorization") is not None:
        yield _Credential(user, password)


def cookie_of(headers: Message, name: str = COOKIE) -> str:
    """A cookie that a browser keeps, by default the token of a link; empty without one."""
    cookies: SimpleCookie = SimpleCookie()
    try:
        cookies.load(headers.get("Cookie") or "")
    except CookieError:
        return ""
    return cookies[name].value if name in cookies else ""


def token_of(question: str) -> str:
    """The token of a link; empty without one."""
    try:
        return parse_qs(question, max_num_fields=100).get("token", [""])[0]
    except ValueError:
        return ""
