"""Least-recently-used caches."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


def lru_get(cache: MutableMapping[Key, Value], key: Key, make: Callable[[], Value], max_items: int) -> Value:
    """Get a cached value or make it; the ``max_items`` used last are kept."""
    value = cache.pop(key, None)
    if value is None:
        while len(cache) >= max_items:
            del cache[next(iter(cache))]
        value = make()
    cache[key] = value
    return value
