"""Names of results: relative paths that stay inside the output, and of which none contains another."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import PurePath

from segue.errors import SegueError
from segue.system import WINDOWS

SUBFOLDER = ".segue-batch"
"""Folder in the output with the ledger, the pictures of the report and what is under way."""

OWN = frozenset({"results.json"})
"""What segue writes beside the results of videos; also every name that begins with ``.segue`` is its own."""


def check_name(name: str, error: type[SegueError] = SegueError) -> None:
    """See that results may have a name."""
    parts = name.split("/")
    other = WINDOWS and PurePath(name).parts != tuple(parts)  # backslashes and drives
    if "\0" in name or other or not {"", ".", ".."}.isdisjoint(parts):
        raise error(
            f"the name {name!r} must stay inside the output: a relative path without empty parts, . and .."
        )
    if own := [part for part in parts if _is_own(part)]:
        raise error(f"the name {name!r}: {own[0]} is what segue itself writes; choose another")


def result_name(source: str) -> str:
    """A name that results may have, made of the relative path of a source without its ending.

    A part that no result may have, such as ``..`` of a film called ``...mp4``, gets ``video`` in front.
    """
    parts = [part for part in source.split("/") if part]
    return "/".join(f"video{part}" if part in (".", "..") or _is_own(part) else part for part in parts)


def key_of(name: str) -> str:
    """What a video is called where its name may not stand: 16 digits of the SHA-256 of its name."""
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


class TakenNames:
    """Names of results of which no two are equal, and none is a folder in which another one lies.

    Args:
        names: those that are taken.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names: set[str] = set()
        self._folders: set[str] = set()
        self._next: dict[str, int] = {}
        for name in names:
            self._add(name)

    def take(self, name: str) -> str:
        """Take a name, with a number behind the part that is taken already."""
        check_name(name)
        path, parts = "", name.split("/")
        for place, part in enumerate(parts, 1):
            last, whole = place == len(parts), path + part
            number = self._next.get(whole, 1) if last else 1  # lower ones are taken
            while not self._is_free(free := whole if number == 1 else f"{whole}-{number}", last=last):
                number += 1
            if last:
                self._next[whole] = number
            path = free + "/"
        self._add(path[:-1])
        return path[:-1]

    def _is_free(self, path: str, *, last: bool) -> bool:
        """Whether a folder may have a path, and as the ``last`` part of a name whether results may."""
        return path not in self._names and not (last and path in self._folders)

    def _add(self, name: str) -> None:
        self._names.add(name)
        self._folders.update(folders_of(name))


def folders_of(name: str) -> list[str]:
    """The folders in which a result lies below the output."""
    parts = name.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]


def _is_own(part: str) -> bool:
    return part.startswith(".segue") or part in OWN
