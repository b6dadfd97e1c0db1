"""The names of browsers: the one of the command is that of one browser, not of all."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count


class Visitors:
    """The browsers of a page: the first one has the name that the program was started with."""

    def __init__(self, user: str) -> None:
        self._user = user
        self._host: str | None = None
        self._guests: dict[str, str] = {}

    def name_of(self, browser: str, *, guest: bool, taken: Collection[str] = ()) -> tuple[str, bool]:
        """The name of a browser to begin with, and whether it is a guest; one that was a guest stays one.

        A browser that does not say which one it is has the name of the program. A new guest has none of the
        names that are ``taken``.
        """
        if not browser:
            return self._user, False
        if not guest and self._host in (None, browser):
            self._host = browser
            return self._user, False
        if browser not in self._guests:
            used = {self._user, *self._guests.values(), *taken}
            names = (f"Person {number}" for number in count(2))
            self._guests[browser] = next(name for name in names if name not in used)
        return self._guests[browser], True
