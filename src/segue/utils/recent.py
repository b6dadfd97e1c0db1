"""What was used last of what is costly to make."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


def lru_get(known: MutableMapping[Key, Value], key: Key, make: Callable[[], Value], most: int) -> Value:
    """The value of a key, made where it is not known; the ``most`` that were used last are kept."""
    found = known.pop(key, None)
    if found is None:
        while len(known) >= most:
            del known[next(iter(known))]
        found = make()
    known[key] = found
    return found
