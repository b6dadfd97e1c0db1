"""Who may look at the page of cameras, and who may change anything there."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http.cookies import CookieError, SimpleCookie
from typing import Any, Literal
from urllib.parse import parse_qs

from segue.errors import SegueError
from segue.utils.access import (
    LOOPBACK,
    brings_token,
    check_hash,
    is_password,
    own_token,
    same,
    user_and_password,
)

May = Literal["change", "look"]
"""What a visitor may do: ``change`` includes ``look``."""

COOKIE = "segue"

LEAST_TOKEN = 16
"""Characters of the shortest token that is taken; shorter ones can be guessed."""

TRIES, TRY_SECONDS = 10, 60.0
"""Wrong passwords and tokens that an address may send in so many seconds."""

MOST_ADDRESSES = 1000
"""Addresses whose wrong passwords are counted."""


@dataclass(frozen=True, slots=True)
class Access:
    """Table ``[page]`` of the file of cameras: users and tokens.

    Attributes:
        user: name of the user who may change things.
        password: hash of the password, by ``segue watch --hash-password``.
        token: gives access to look and to change; empty for none.
        look: token that gives access to look; empty for none.
    """

    user: str = ""
    password: str = ""
    token: str = ""
    look: str = ""

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Access:
        """Read the table.

        Raises:
            SegueError: it means nothing.
        """
        names = ("user", "password", "token", "look")
        if odd := [name for name, value in given.items() if name not in names or not isinstance(value, str)]:
            raise SegueError(f"[page]: {odd[0]}: give {', '.join(names)} as texts, and nothing else")
        if bool(given.get("user")) != bool(given.get("password")):
            raise SegueError("[page]: user and password belong together")
        if given.get("password"):
            try:
                check_hash(given["password"])
            except SegueError as error:
                raise SegueError(f"[page]: {error}") from None
        for name in ("token", "look"):
            if 0 < len(given.get(name, "")) < LEAST_TOKEN:
                raise SegueError(f"[page]: {name} is too short; give at least {LEAST_TOKEN} characters")
        return cls(**given)

    @property
    def is_open(self) -> bool:
        """Whether nobody needs to say who they are."""
        return self == Access()

    def beyond(self, host: str) -> tuple[Access, str]:
        """Access where a server listens, and a new token to be printed; empty for none.

        A page that others reach has a password or a token: that of SEGUE_TOKEN, or a new one.
        """
        if host in LOOPBACK or self.password or self.token:
            return self, ""
        token, is_new = own_token()
        if len(token) < LEAST_TOKEN:
            raise SegueError(f"SEGUE_TOKEN is too short; give at least {LEAST_TOKEN} characters")
        return Access(self.user, self.password, token, self.look), token if is_new else ""


class TooManyTriesError(Exception):
    """Somebody has sent too many wrong passwords or tokens."""


class Visitors:
    """Tells by its headers who sends a request; wrong passwords are counted by address.

    Args:
        access: who may come.
    """

    def __init__(self, access: Access) -> None:
        self.access = access
        self._lock = threading.Lock()
        self._hashing = threading.Lock()  # one password at a time: each takes a core
        self._key = secrets.token_bytes(32)
        self._known: tuple[Access, bytes] | None = None  # the password that was right, as a keyed hash
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    def may(self, headers: Message, question: str, address: str) -> May | None:
        """What the sender of a request may do.

        Args:
            headers: its head.
            question: what stands behind ``?``; a link brings a token there.
            address: where it comes from.

        Returns:
            None where it says nothing, or the wrong thing, of who sends it.

        Raises:
            TooManyTriesError: too much was wrong from there.
        """
        access = self.access
        if access.is_open:
            return "change"
        tokens = [token for token in (cookie_of(headers), token_of(question)) if token]
        told = headers.get("Authorization") is not None or headers.get("Token") is not None
        if any(access.token and same(token, access.token) for token in tokens) or (
            access.token and told and brings_token(_as_mapping(headers), access.token)
        ):
            return "change"
        if any(access.look and same(token, access.look) for token in tokens) or (
            access.look and told and brings_token(_as_mapping(headers), access.look)
        ):
            return "look"
        user, password = user_and_password(headers.get("Authorization") or "")
        if access.password and user and self._is_known(access, user, password):
            return "change"
        if not (tokens or told):
            return None
        self._check_tries(address)
        if access.password and same(user, access.user):
            with self._hashing:
                right = is_password(password, access.password)
            if right:
                self._known = access, self._digest(user, password)
                return "change"
        self._count(address)
        return None

    def _digest(self, user: str, password: str) -> bytes:
        return hashlib.blake2b(f"{user}:{password}".encode(errors="replace"), key=self._key).digest()

    def _is_known(self, access: Access, user: str, password: str) -> bool:
        known = self._known
        return known is not None and known[0] is access and known[1] == self._digest(user, password)

    def _check_tries(self, address: str) -> None:
        since = time.monotonic() - TRY_SECONDS
        with self._lock:
            if sum(moment > since for moment in self._wrong.get(address, [])) >= TRIES:
                raise TooManyTriesError

    def _count(self, address: str) -> None:
        with self._lock:
            self._wrong[address] = [*self._wrong.get(address, [])[1 - TRIES :], time.monotonic()]
            self._wrong.move_to_end(address)
            while len(self._wrong) > MOST_ADDRESSES:
                self._wrong.popitem(last=False)


def cookie_of(headers: Message) -> str:
    """The token that a browser keeps; empty without one."""
    cookies: SimpleCookie = SimpleCookie()
    try:
        cookies.load(headers.get("Cookie") or "")
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def token_of(question: str) -> str:
    """The token of a link; empty without one."""
    try:
        return parse_qs(question, max_num_fields=100).get("token", [""])[0]
    except ValueError:
        return ""


def _as_mapping(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
