"""What a command says beside its results: lines on the standard error, which ``--quiet`` leaves out."""

from __future__ import annotations

import sys
from contextvars import ContextVar

from segue.inputs import printable

_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)


def notice(text: str) -> None:
    """Say something that the person at the terminal may want to know; not what is wrong, nor a result."""
    if not _QUIET.get():
        print(printable(text), file=sys.stderr)


def be_quiet() -> None:
    """Leave out notices and progress from now on, in this context (see :mod:`contextvars`)."""
    _QUIET.set(True)


def is_quiet() -> bool:
    """Whether notices and progress are left out."""
    return _QUIET.get()
