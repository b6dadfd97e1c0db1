"""Notices about the images and clips of cameras, each shown once."""

from __future__ import annotations

import threading

from segue.utils.notices import warn_caller

_lock = threading.Lock()
_warned: dict[str, str] = {}


class RetentionWarning(UserWarning):
    """Images and clips of events cannot be deleted as configured, or the disk has no room for new ones."""


def warn_on_change(topic: str, text: str) -> None:
    """Warn of a topic unless the last warning was the same; an empty text resets it."""
    with _lock:
        previous = _warned.pop(topic, "")
        if text:
            _warned[topic] = text
    if text and text != previous:
        warn_caller(text, RetentionWarning)
