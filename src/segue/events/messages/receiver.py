"""Where messages go: the interface of receivers."""

from __future__ import annotations

from collections.abc import Sequence


class RefusedError(OSError):
    """A receiver that works does not want this message."""


class Receiver:
    """Where messages go.

    Attributes:
        topic: that of a broker; None elsewhere.
    """

    topic: str | None = None

    def deliver(self, body: bytes, timeout: float) -> None:
        """Return when a message has arrived; raises OSError, ValueError or HTTPException otherwise."""
        raise NotImplementedError

    def announce(self, online: bool) -> None:
        """Say whether the camera gives frames, where there is a place for it."""

    def keep(self, topic: str, body: bytes) -> None:
        """Have a broker keep the newest message of a topic for whoever asks."""

    def keep_no_other(self, filters: Sequence[str]) -> None:
        """Have a broker forget what it keeps of topics (+ is any part) that :meth:`keep` was not given."""

    def close(self) -> None:
        """End the connection."""
