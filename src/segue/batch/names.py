"""Names of results: relative paths inside the output that do not contain each other."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePath

from segue.errors import SegueError
from segue.naming import first_few
from segue.system import WINDOWS

SUBFOLDER = ".segue-batch"
"""Folder in the output with the ledger, the images of the report and what is under way."""

REPORT = "report.html"
"""The page of a batch, in the output."""

OWN = frozenset({"results.json", REPORT})
"""Files beside the results of videos; names that begin with ``.segue`` are reserved too."""


def check_name(name: str, error: type[SegueError] = SegueError) -> None:
    """See that results may have a name."""
    parts = name.split("/")
    other = WINDOWS and PurePath(name).parts != tuple(parts)  # backslashes and drives
    if "\0" in name or other or not {"", ".", ".."}.isdisjoint(parts):
        raise error(
            f"the name {name!r} must stay inside the output: a relative path without empty parts, . and .."
        )
    if own := [part for part in parts if part.startswith(".segue") or part in OWN]:
        raise error(f"the name {name!r}: {own[0]} is what segue itself writes; choose another")


def check_names(names: Iterable[str]) -> None:
    """See that results may have these names, and that none is equal to another or a folder of it."""
    counts = Counter(names)
    folders: set[str] = set()
    for name in counts:
        check_name(name)
        while (name := os.path.dirname(name)) and name not in folders:  # noqa: PTH120 - of very many names
            folders.add(name)
    if shared := [repr(name) for name, count in counts.items() if count > 1 or name in folders]:
        raise SegueError(
            f"several videos would write to {first_few(shared)}; list them in a table, with other names in "
            "its column `name`"
        )


def key_of(name: str) -> str:
    """Replacement for an unusable name: 16 digits of its SHA-256."""
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
