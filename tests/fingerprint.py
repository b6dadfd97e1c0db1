"""A few numbers that tell whether a value is what it was in an earlier version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


def fingerprint(value: Any) -> list[float]:
    """How many numbers a value holds, their sum, and two sums in which each counts differently."""
    found = np.fromiter(_numbers(value), np.float64)
    at = np.arange(len(found))
    return [len(found), *(float(found @ np.cos(step * at)) for step in (0.0, 0.7, 2.9))]


def _numbers(value: Any) -> Iterator[float]:
    """All numbers of a value, in their order; of a text those of its letters."""
    if is_dataclass(value):
        for item in fields(value):
            if not item.name.startswith("_"):
                yield from _numbers(getattr(value, item.name))
    elif isinstance(value, str):
        yield from value.encode()
    elif isinstance(value, Mapping):
        yield from _numbers([*value.items()])
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _numbers(item)
    elif value is not None:
        yield from np.asarray(value, np.float64).ravel().tolist()
