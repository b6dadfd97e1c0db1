"""What was used last of what is costly to make."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


def lru_get(cache: MutableMapping[Key, Value], key: Key, make: Callable[[], Value], max_items: int) -> Value:
    """The value of a key, made where it is not known; the ``max_items`` that were used last are kept."""
    value = cache.pop(key, None)
    if value is None:
        while len(cache) >= max_items:
            del cache[next(iter(cache))]
        value = make()
    cache[key] = value
    return value
