"""What the trackers of several sessions compute of one image alike is computed once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

Output = TypeVar("Output")


@dataclass(slots=True)
class OneImage:
    """An image that several trackers are given.

    Attributes:
        takers: how many trackers these are.
        cache: what was made of it, by network and what it is.
    """

    takers: int
    cache: dict[tuple[int, Hashable], Any] = field(default_factory=dict)

    def cached(self, network: object, what: Hashable, make: Callable[[], Output]) -> Output:
        """What a network makes of the image; nobody may change it."""
        key = id(network), what
        if key not in self.cache:
            self.cache[key] = make()
        output: Output = self.cache[key]
        return output


_IMAGE: ContextVar[OneImage | None] = ContextVar("segue_one_image", default=None)


@contextmanager
def one_image(takers: int) -> Iterator[None]:
    """Inside, several sessions take the same image, one after the other on this thread.

    Args:
        takers: how many sessions these are.

    Yields:
        Nothing; trackers find the image by :func:`shared_image`.
    """
    token = _IMAGE.set(OneImage(takers) if takers > 1 else None)
    try:
        yield
    finally:
        _IMAGE.reset(token)


def shared_image() -> OneImage | None:
    """What the trackers of the sessions inside :func:`one_image` share.

    Returns:
        The image that other sessions take too; None where this one is alone.
    """
    return _IMAGE.get()
