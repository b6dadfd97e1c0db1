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
        """Publish a retained message of a topic, where the receiver is a broker."""

    def keep_no_other(self, filters: Sequence[str]) -> None:
        """Clear retained messages of topics (+ is any part) that :meth:`keep` was not given."""

    def close(self) -> None:
        """End the connection."""
