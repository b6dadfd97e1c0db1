"""Optimistic locking of changes by several people."""

from __future__ import annotations

from typing import Any, NamedTuple

from segue.errors import SegueError


class ConflictError(SegueError):
    """The changed value is no longer what the sender saw; nothing was changed.

    Attributes:
        current: the value now, as JSON has it; None where it is gone or large, and the page asks for it.
    """

    def __init__(self, text: str, current: Any = None) -> None:
        super().__init__(text)
        self.current = current


class LastChange(NamedTuple):
    """Version of a value: revision and author of its last change."""

    revision: int = 0
    user: str = ""

    @property
    def who(self) -> str:
        """Author of the change, for messages."""
        return f"by {self.user}" if self.user else "in another window"

    def check(self, revision: int, what: str, current: Any = None) -> None:
        """Raise ConflictError if the value changed after a revision seen by the sender.

        Args:
            revision: revision seen by the sender.
            what: change, for the message.
            current: its value now.

        Raises:
            ConflictError: it was changed meanwhile.
        """
        if self.revision > revision:
            raise ConflictError(f"{what} {self.who} in the meantime; check and try again", current)


def check_value(expected: Any, current: Any, what: str) -> None:
    """Raise ConflictError if a value differs from the one expected by the sender.

    Args:
        expected: the value as the sender has seen it.
        current: the value now.
        what: change, for the message.

    Raises:
        ConflictError: it is another one.
    """
    if expected != current:
        raise ConflictError(f"{what}; check and try again", current)
