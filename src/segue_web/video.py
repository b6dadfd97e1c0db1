"""The video of a page: its frames by their index, in any order, as images and as JPEG."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from segue.errors import SourceError
from segue.sinks.base import frame_name
from segue.types import Frame, Image
from segue.utils.notices import notice
from segue.video.decoding.damage import DamageError
from segue.video.decoding.readers import DEFAULT_FPS, SourceImage
from segue.video.sources.source import letterboxed, open_reader
from segue.video.sources.span import chunks_reversed

if TYPE_CHECKING:
    from segue.video.decoding.frame_index import FrameIndex

CHUNK_BYTES = 256 << 20
"""Decoded frames that :meth:`Video.walk` holds when it runs backwards."""

QUALITY = 88

KEPT_BYTES = 48 << 20
"""Decoded frames that are kept to be shown again, with 12 bits a pixel, as most films have."""


class Video:
    """A video file, an animation or a folder of images whose frames can be asked for by index."""

    def __init__(self, path: Path, index: FrameIndex | None = None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._decoded: dict[int, SourceImage] = {}  # the last frames that were decoded
        self._warned_sizes: set[tuple[int, int]] = set()  # sizes that differ from the first one
        self._reader = open_reader(path, index=index)
        self.name, self.names = self._reader.name, self._reader.names
        self.index = self._reader.index
        self.count, self.fps = self._reader.count, self._reader.fps or DEFAULT_FPS
        self.pixel_aspect = self._reader.pixel_aspect
        self._times = self._reader.times()
        self.size: tuple[int, int] = self._reader.size or self._image(0).shape[:2]

    def frame_name(self, index: int) -> str:
        """Stem of the files of a frame: as its image, else its number."""
        return frame_name(self.names, index)

    def file_name(self, index: int) -> str:
        """The file name of a frame, or the name it gets when it is taken out of a video file."""
        files = self._reader.files
        return files[index].name if len(files) == self.count > 1 else f"{self.frame_name(index)}.jpg"

    def time(self, index: int) -> float:
        """Seconds from the first frame."""
        return self._times[index]

    def frame(self, index: int) -> Frame:
        """A frame by its number."""
        with self._lock:
            return Frame(index, self.time(self._checked(index)), self._image(index))

    def jpeg(self, index: int, *, near: bool = False) -> bytes:
        """A frame as JPEG, or with ``near`` the key frame before it, which is there sooner."""
        with self._lock:
            self._checked(index)
            image = self._image(self._reader.key_of(index) if near else index)
        coded = cv2.imencode(
            ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, QUALITY)
        )
        return coded[1].tobytes()

    def walk(self, start: int, stop: int) -> Iterator[Frame]:
        """Frames from ``start`` to ``stop``, both included, forwards or backwards."""
        if start <= stop:
            for index in range(start, stop + 1):
                yield self.frame(index)
            return
        chunk = max(8, CHUNK_BYTES // (3 * self.size[0] * self.size[1]))
        for low, high in chunks_reversed(start, stop, chunk):
            yield from reversed([self.frame(i) for i in range(low, high + 1)])

    def describe(self) -> dict[str, object]:
        """Video information for the page."""
        return {
            "name": self.name,
            "width": self.size[1],
            "height": self.size[0],
            "frames": self.count,
            "fps": self.fps,
        }

    def display(self) -> dict[str, object]:
        """How the page shows it: the shape of its pixels, and its times where their distance varies."""
        even = all(abs(time - index / self.fps) <= 0.1 / self.fps for index, time in enumerate(self._times))
        times = None if even else [round(time, 4) for time in self._times]
        return {**self.describe(), "pixel_aspect": float(self.pixel_aspect), "times": times}

    def close(self) -> None:
        with self._lock:
            self._reader.close()

    def _checked(self, index: int) -> int:
        if not 0 <= index < self.count:
            raise SourceError(f"{self.path.name}: has no frame {index}; the last one is {self.count - 1}")
        return index

    def _image(self, index: int) -> Image:
        try:
            image = self._loaded(index).load()
        except DamageError as error:
            raise SourceError(str(error)) from error
        if not hasattr(self, "size") or image.shape[:2] == self.size:
            return image
        if self.names:
            raise SourceError(f"{self._reader.files[index].name}: has another size than the first image")
        height, width = image.shape[:2]
        if (height, width) not in self._warned_sizes:
            self._warned_sizes.add((height, width))
            first = f"{self.size[1]}x{self.size[0]}"
            notice(f"{self.path}: frame {index} is {width}x{height}, the first one {first}; it is scaled")
        return letterboxed(image, self.size)

    def _loaded(self, index: int) -> SourceImage:
        """A decoded frame; those before it, which are decoded on the way to it, are kept as well."""
        if index not in self._decoded:
            height, width = getattr(self, "size", (1, KEPT_BYTES))  # unknown before the first one
            count = min(64, max(1, KEPT_BYTES * 2 // (3 * height * width)))
            first = max(self._reader.key_of(index), index - count + 1)
            for place in range(index if index - 1 in self._decoded else first, index + 1):
                self._decoded[place] = self._reader.load(place)
            for place in [*self._decoded][:-count]:
                del self._decoded[place]
        return self._decoded[index]
