"""Arrays, tensors and iterators of them as a source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from functools import partial
from typing import Any

from segue.errors import SourceError
from segue.video.readers import DEFAULT_FPS, Picture, as_rgb


class ArrayReader:
    """Pictures that are in memory, or that an iterator makes one after the other.

    Args:
        values: sequence or iterator of pictures, or one array or tensor (T, H, W, 3).
        fps: pictures a second.
    """

    def __init__(self, values: Iterable[Any], fps: float | None) -> None:
        shape = getattr(values, "shape", None)
        if shape is not None and len(shape) != 4:
            raise SourceError(
                f"array of shape {tuple(shape)}: a video is (T, H, W, 3); put one picture in a list"
            )
        self._values = values
        self.name = "array"
        self.where = "array"
        self.total = len(values) if isinstance(values, Sized) else None
        self.fps: float | None = fps or DEFAULT_FPS
        self.size: tuple[int, int] | None = None
        self.names: tuple[str, ...] | None = None
        self.once = isinstance(values, Iterator)
        # The caller's iterator may be bound to the caller's thread, and arrays need no decoding.
        self.works_ahead = False
        if self.total == 0:
            raise SourceError("array: has no frames")
        if self.total is not None and hasattr(values, "__getitem__"):
            self.size = as_rgb(values[0], "array, frame 0").shape[:2]

    def pictures(self) -> Iterator[Picture]:
        """All pictures in order."""
        rate = self.fps or DEFAULT_FPS
        for index, value in enumerate(self._values):
            yield Picture(index, index / rate, partial(as_rgb, value, f"{self.where}, frame {index}"))

    def interrupt(self) -> None:
        """Nothing blocks here."""
