"""Changes of several people: each names what its sender saw, and replaces nothing else."""

from __future__ import annotations

from typing import Any, NamedTuple

from segue.errors import SegueError


class ConflictError(SegueError):
    """A change was made of something as it no longer is; nothing was changed.

    Attributes:
        current: the value now, as JSON has it; None where it is gone or large, and the page asks for it.
    """

    def __init__(self, text: str, current: Any = None) -> None:
        super().__init__(text)
        self.current = current


class LastChange(NamedTuple):
    """The version of something: the revision of its last change, and who made it."""

    revision: int = 0
    user: str = ""

    @property
    def who(self) -> str:
        """Who made it, as a message says it."""
        return f"by {self.user}" if self.user else "in another window"

    def check(self, revision: int, what: str, current: Any = None) -> None:
        """Refuse a change of what was changed after a revision that its sender has seen.

        Args:
            revision: what its sender has seen.
            what: what has happened, as a message says it.
            current: its value now.

        Raises:
            ConflictError: it was changed meanwhile.
        """
        if self.revision > revision:
            raise ConflictError(f"{what} {self.who} in the meantime; check and try again", current)


def check_value(seen: Any, current: Any, what: str) -> None:
    """Refuse a change of a value that is another one than its sender has seen.

    Args:
        seen: the value as the sender has seen it.
        current: the value now.
        what: what happened to it, as a message says it.

    Raises:
        ConflictError: it is another one.
    """
    if seen != current:
        raise ConflictError(f"{what}; check and try again", current)
