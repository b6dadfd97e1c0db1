"""Names of browsers: only one browser has the name given to the command."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count


class Visitors:
    """Browsers of a page; the first one has the name given to the program."""

    def __init__(self, user: str) -> None:
        self._user = user
        self._host: str | None = None
        self._guests: dict[str, str] = {}

    def name_of(self, browser: str, *, guest: bool, used_names: Collection[str] = ()) -> tuple[str, bool]:
        """Initial name of a browser, and whether it is a guest; guests stay guests.

        A browser without an identifier has the name of the program. A new guest gets none of ``used_names``.
        """
        if not browser:
            return self._user, False
        if not guest and self._host in (None, browser):
            self._host = browser
            return self._user, False
        if browser not in self._guests:
            used = {self._user, *self._guests.values(), *used_names}
            names = (f"Person {number}" for number in count(2))
            self._guests[browser] = next(name for name in names if name not in used)
        return self._guests[browser], True
