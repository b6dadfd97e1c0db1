"""Access rights of a server: users with passwords, and tokens, from the table ``[page]``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args
from urllib.parse import urlsplit

from segue.errors import SegueError
from segue_web.access.addresses import LOOPBACK, check_network
from segue_web.access.passwords import check_hash, check_token, own_token

Permission = Literal["change", "look"]
"""Permission of a user; ``change`` includes ``look``."""

_NAME = re.compile(r"[^:\x00-\x1f]{1,64}")
"""Valid names of users, which a colon ends in a header."""

USER = "user:"
"""Begins the bearer of a password, before the name of the user."""

_TOKENS: Mapping[str, Permission] = {"token": "change", "look": "look"}
"""Permission of each kind of token in a table."""


@dataclass(frozen=True, slots=True)
class User:
    """A named user with a password.

    Attributes:
        name: name to sign in with.
        password: hash of the password, by ``segue watch --hash-password``.
        permission: permission of the user.
    """

    name: str
    password: str
    permission: Permission = "change"

    @classmethod
    def parse(cls, name: str, values: Any) -> User:
        """Parse an entry of ``[page.users]``: a password hash, or a table; raises SegueError."""
        table = {"password": values} if isinstance(values, str) else values
        if not isinstance(table, dict) or not {"password"} <= {*table} <= {"password", "may"}:
            raise SegueError(f"user {name}: give a password, and may = {' or '.join(get_args(Permission))}")
        permission = table.get("may", "change")
        if permission not in get_args(Permission):
            raise SegueError(f"user {name}: may is {' or '.join(get_args(Permission))}")
        if not _NAME.fullmatch(name):
            raise SegueError(f"user {name!r}: a name has 1 to 64 characters and no colon")
        if not isinstance(table["password"], str):
            raise SegueError(f"user {name}: password: give a text")
        check_hash(table["password"])
        return cls(name, table["password"], cast(Permission, permission))


@dataclass(frozen=True, slots=True)
class Access:
    """Access rights of a server, such as the table ``[page]`` of the cameras' file.

    Attributes:
        users: users with a password.
        token: token with permission to change; empty for none.
        look: token that gives access to look; empty for none.
        proxies: addresses and networks of proxies that say where a request comes from.
        address: public address of the page, for links in messages; empty for no links.
    """

    users: tuple[User, ...] = ()
    token: str = ""
    look: str = ""
    proxies: tuple[str, ...] = ()
    address: str = ""

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> Access:
        """Parse the table ``[page]``.

        Raises:
            SegueError: it is wrong.
        """
        names = ("user", "password", "token", "look", "address")
        texts = {name: value for name, value in table.items() if name not in ("proxies", "users")}
        if wrong := [
            name for name, value in texts.items() if name not in names or not isinstance(value, str)
        ]:
            raise SegueError(
                f"[page]: {wrong[0]}: give {', '.join(names)} as texts, users, proxies, and nothing else"
            )
        proxies = table.get("proxies", [])
        if not isinstance(proxies, list) or not all(isinstance(each, str) for each in proxies):
            raise SegueError('[page]: proxies: give a list of addresses, such as ["127.0.0.1"]')
        try:
            users = _users_of(table)
            for name in _TOKENS:
                if texts.get(name):
                    check_token(name, texts[name])
            for each in proxies:
                check_network(each)
            if texts.get("address"):
                _check_address(texts["address"])
        except SegueError as error:
            raise SegueError(f"[page]: {error}") from None
        return cls(
            users, texts.get("token", ""), texts.get("look", ""), tuple(proxies), texts.get("address", "")
        )

    @property
    def is_open(self) -> bool:
        """Whether no authentication is needed."""
        return not (self.users or self.token or self.look)

    def for_host(self, host: str, printed: str = "") -> tuple[Access, str]:
        """Access rights for a host, and the token to print; empty for none.

        A server that other machines reach has a user or a token: SEGUE_TOKEN, the token that was ``printed``
        before, or a new one.
        """
        if host in LOOPBACK or self.users or self.token:
            return self, ""
        token, is_new = own_token()
        if is_new and printed:
            token = printed
        return replace(self, token=token), token if is_new else ""

    def changes(self, previous: Access) -> str:
        """Differences from an earlier table, such as ``look removed, token changed``; empty for none."""
        previous_values, now = previous._values(), self._values()
        words = []
        for name in dict.fromkeys([*now, *previous_values]):
            if previous_values.get(name) != now.get(name):
                change = (
                    "added" if not previous_values.get(name) else "changed" if now.get(name) else "removed"
                )
                words.append(f"{name} {change}")
        return ", ".join(words)

    def _values(self) -> dict[str, object]:
        users: dict[str, object] = {f"user {user.name}": user for user in self.users}
        return users | {
            "token": self.token,
            "look": self.look,
            "proxies": self.proxies,
            "address": self.address,
        }

    def permission(self, bearer: str) -> Permission | None:
        """Permission of the bearer ``token``, ``look`` or ``user:NAME``; None without one."""
        if not self.signing_key(bearer):
            return None
        user = self.user(bearer)
        return _TOKENS[bearer] if user is None else user.permission

    def signing_key(self, bearer: str) -> str:
        """Key for the sessions of a secret, which end when it changes; empty without the secret."""
        user = self.user(bearer)
        if user is not None:
            return f"{user.name}:{user.password}"
        return {"token": self.token, "look": self.look}.get(bearer, "")

    def user(self, bearer: str) -> User | None:
        """User of a bearer; None for a token."""
        matching = (user for user in self.users if f"{USER}{user.name}" == bearer)
        return next(matching, None)


def _check_address(text: str) -> None:
    """Raise SegueError for a page address that cannot start a link."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise SegueError("address: give where people reach the page, such as https://cameras.example.org/")


def _users_of(table: Mapping[str, Any]) -> tuple[User, ...]:
    """Users of a table: ``user`` with ``password``, and ``users``."""
    if bool(table.get("user")) != bool(table.get("password")):
        raise SegueError("user and password belong together")
    listed = table.get("users", {})
    if not isinstance(listed, dict):
        raise SegueError("users: give a table of names, each with a password")
    if table.get("user") in listed:
        raise SegueError(f"user {table['user']} is there twice")
    first = {table["user"]: table["password"]} if table.get("user") else {}
    return tuple(User.parse(name, values) for name, values in (first | listed).items())
