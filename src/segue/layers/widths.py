"""Networks that are wider or narrower than published."""

from __future__ import annotations

MULTIPLE = 8
"""Channels come in multiples of this, which processors like."""


def scaled(channels: int, width: float) -> int:
    """Channels times a factor, as the nearest multiple of 8 and at least 8; at width 1 as they are.

    Raises:
        ValueError: the factor is not above 0.
    """
    if not width > 0:
        raise ValueError(f"width is {width}; it must be above 0")
    return channels if width == 1 else max(MULTIPLE, int(width * channels / MULTIPLE + 0.5) * MULTIPLE)
