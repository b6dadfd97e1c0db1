"""Iterator over frames with a look-ahead of one."""

from __future__ import annotations

from collections.abc import Iterator

from segue.types import Frame, Image
from segue.video import Source


class Ahead:
    """The frames of a source, once, and the image of the next one where a click asks for it.

    Args:
        source: where the frames come from; nothing is read before the first one is taken.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._frames: Iterator[Frame] | None = None
        self._next: Frame | None = None
        # A program that gives its images once may fill one array again and again.
        self._sees = not (source.request.place is None and source.once)

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        if self._frames is None:
            self._frames = iter(self._source)
        frame, self._next = self._next, None
        return next(self._frames) if frame is None else frame

    def picture(self, _: Image) -> Image | None:
        """The image of the frame after the one that was taken last. Returns RGB (H, W, 3), uint8."""
        if not self._sees or self._frames is None:
            return None
        if self._next is None:
            self._next = next(self._frames, None)
        return None if self._next is None else self._next.image
