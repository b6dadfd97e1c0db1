"""Share computations on one image between the trackers of several sessions."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

Output = TypeVar("Output")


@dataclass(slots=True)
class OneImage:
    """An image that several trackers process.

    Attributes:
        takers: number of trackers.
        cache: outputs by network and name.
    """

    takers: int
    cache: dict[tuple[int, Hashable], Any] = field(default_factory=dict)

    def cached(self, network: object, what: Hashable, make: Callable[[], Output]) -> Output:
        """Compute a network's output for the image, or reuse it; callers must not change it."""
        key = id(network), what
        if key not in self.cache:
            self.cache[key] = make()
        output: Output = self.cache[key]
        return output


_IMAGE: ContextVar[OneImage | None] = ContextVar("segue_one_image", default=None)


@contextmanager
def one_image(takers: int) -> Iterator[None]:
    """Context in which several sessions process the same image, in turn on this thread.

    Args:
        takers: number of sessions.

    Yields:
        Nothing; trackers find the image by :func:`shared_image`.
    """
    token = _IMAGE.set(OneImage(takers) if takers > 1 else None)
    try:
        yield
    finally:
        _IMAGE.reset(token)


def shared_image() -> OneImage | None:
    """Image of the current :func:`one_image` block.

    Returns:
        The shared image; None with a single session.
    """
    return _IMAGE.get()
