"""Video of a page: random access to frames as images and JPEG."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from segue.errors import SourceError
from segue.formats.frames import frame_name
from segue.types import Frame, Image
from segue.utils.arrays import UInt16Array
from segue.utils.cancel import CancelToken
from segue.utils.notices import notice
from segue.video.decoding.damage import DamageError
from segue.video.decoding.levels import LevelKind
from segue.video.decoding.readers import DEFAULT_FPS, SourceImage
from segue.video.sources.opening import open_reader
from segue.video.sources.source import letterboxed
from segue.video.sources.span import chunks_reversed

if TYPE_CHECKING:
    from segue.video.decoding.frame_index import FrameIndex

CHUNK_BYTES = 256 << 20
"""Decoded frames that :meth:`Video.walk` holds when it runs backwards."""

QUALITY = 88

KEPT_BYTES = 128 << 20
"""Decoded frames that are kept to be shown again, with 12 bits a pixel, as most films have."""

MAX_CACHED = 64
"""Decoded frames that are kept at most."""

BACKWARD_SHARE = 0.25
"""Share of these that are decoded before a frame that is sought, for steps back."""


class Video:
    """A video file, animation or folder of images with random access to frames.

    Attributes:
        files: the files that its frames come from.
        reduced: returns a frame as JPEG with a minimum width, if available without decoding; else None.
    """

    def __init__(self, path: Path, index: FrameIndex | None = None, *, kept_bytes: int | None = None) -> None:
        self.path = path
        self._changed = threading.Condition()  # of what is decoded and what is being decoded
        self._decoded: dict[int, SourceImage] = {}  # the last frames that were decoded
        self._decoding: set[int] = set()
        self._last = -1  # frame that was asked for last
        self._is_closed = False
        self._converting = threading.Lock()
        self._kept_bytes = KEPT_BYTES if kept_bytes is None else kept_bytes
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="segue-frames")
        self._warned_sizes: set[tuple[int, int]] = set()  # sizes that differ from the first one
        self._reader = open_reader(path, index=index)
        self._reader.max_cursors = 2  # one goes on while another one goes back
        self.name, self.names = self._reader.name, self._reader.names
        self.index = self._reader.index
        self.count, self.fps = self._reader.count, self._reader.fps or DEFAULT_FPS
        self.pixel_aspect, self.sound = self._reader.pixel_aspect, self._reader.sound
        self.bits, self.files = self._reader.bits, self._reader.files
        self.reduced: Callable[[int, int], bytes | None] = lambda index, width: None
        self._times = self._reader.times()
        self.size: tuple[int, int] = self._reader.size or self._image(0).shape[:2]

    def frame_name(self, index: int) -> str:
        """File stem for a frame: stem of its image, or its number."""
        return frame_name(self.names, index)

    def file_name(self, index: int) -> str:
        """File name of a frame, or its name when extracted from a video."""
        files = self._reader.files
        return files[index].name if len(files) == self.count > 1 else f"{self.frame_name(index)}.jpg"

    def time(self, index: int) -> float:
        """Seconds from the first frame."""
        return self._times[index]

    def frame(self, index: int) -> Frame:
        """A frame by its number."""
        deep = partial(self._deep, index) if self.bits > 8 else None
        return Frame(index, self.time(self._checked(index)), self._image(index), deep=deep)

    def jpeg(
        self,
        index: int,
        *,
        near: bool = False,
        max_width: int | None = None,
        cancel: CancelToken | None = None,
    ) -> bytes:
        """A frame as JPEG.

        Args:
            index: frame index.
            near: accept an earlier frame that is available sooner.
            max_width: columns of the image that are needed; None is all.
            cancel: cancels decoding, unless another call needs the frames.

        Returns:
            The file.

        Raises:
            SourceError: there is no such frame, or it cannot be read.
            LoadCancelledError: it was given up.
        """
        self._checked(index)
        if max_width is not None and (reduced := self.reduced(index, max_width)) is not None:
            return reduced
        image = self._image(self._cached_neighbour(index) if near else index, cancel)
        options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
        height, width = image.shape[:2]
        if max_width is not None and max_width < width:
            size = max_width, max(1, round(height * max_width / width))
            # Above half the width no pixel is left out, and this is four times as fast.
            how = cv2.INTER_AREA if 2 * max_width <= width else cv2.INTER_LINEAR
            image = np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)
            # Each pixel is one of the screen, and keeps its colour.
            options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()

    def _cached_neighbour(self, index: int) -> int:
        """Last cached frame up to this one, or the key frame."""
        key = self._reader.key_of(index)
        with self._changed:
            return max((place for place in self._decoded if key <= place <= index), default=key)

    def walk(self, start: int, stop: int) -> Iterator[Frame]:
        """Iterate over frames from ``start`` to ``stop``, both included, in either direction."""
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
        """Display properties: pixel aspect, and frame times if irregular."""
        even = all(abs(time - index / self.fps) <= 0.1 / self.fps for index, time in enumerate(self._times))
        times = None if even else [round(time, 4) for time in self._times]
        about = {"pixel_aspect": float(self.pixel_aspect), "times": times, "bits": self.bits}
        return {**self.describe(), **about, "version": self.version}

    @cached_property
    def version(self) -> str:
        """Digest of the path, and of sizes and times of the files; tells videos and changes apart."""
        return self._version()

    @property
    def is_unchanged(self) -> bool:
        """Whether the files have not changed since :attr:`version` was computed."""
        return self._version() == self.version

    def _version(self) -> str:
        stats = [(file.name, file.stat()) for file in self.files if file.exists()]
        about = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
        return hashlib.sha256(json.dumps([str(self.path.resolve()), about]).encode()).hexdigest()[:16]

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
        self._ahead.shutdown(cancel_futures=True)
        self._reader.close()

    def _checked(self, index: int) -> int:
        if not 0 <= index < self.count:
            raise SourceError(f"{self.path.name}: has no frame {index}; the last one is {self.count - 1}")
        return index

    def _image(self, index: int, cancel: CancelToken | None = None) -> Image:
        return self._in_first_size(index, self._converted(index, lambda loaded: loaded.load(), cancel))

    def _deep(self, index: int) -> UInt16Array:
        """Decode a frame in full bit depth, RGB, (H, W, 3), uint16."""

        def convert(loaded: SourceImage) -> UInt16Array:
            assert loaded.deep is not None  # as of all images of a source of more than 8 bits
            return loaded.deep()

        return self._in_first_size(index, self._converted(index, convert))

    def _converted(
        self,
        index: int,
        convert: Callable[[SourceImage], npt.NDArray[LevelKind]],
        cancel: CancelToken | None = None,
    ) -> npt.NDArray[LevelKind]:
        try:
            loaded = self._loaded(index, cancel)
            with self._converting:
                return convert(loaded)
        except DamageError as error:
            raise SourceError(str(error)) from error

    def _in_first_size(self, index: int, image: npt.NDArray[LevelKind]) -> npt.NDArray[LevelKind]:
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

    def _loaded(self, index: int, cancel: CancelToken | None) -> SourceImage:
        """Decode a frame; some frames before it are cached on the way."""
        with self._changed:
            is_backwards, self._last = index == self._last - 1, index
            while index in self._decoding:  # where it is given up there, it is decoded on here
                self._changed.wait()
            image = self._decoded.get(index)
            if image is None:
                earliest = index - max(1, round(BACKWARD_SHARE * self._max_cached)) + 1
                first = max(self._reader.key_of(index), earliest)
                run = self._claim(index if self._is_coming(index - 1) else first, index)
        if image is None:
            image = self._decode(run, cancel)
        if is_backwards:
            self._decode_backwards(index)
        return image

    def _decode_backwards(self, index: int) -> None:
        """Decode frames before a place in another thread, if few of them are cached."""
        with self._changed:
            span = self._max_cached // 2
            low = index
            while low > index - span // 2 and self._is_coming(low - 1):
                low -= 1
            if low in (0, index - span // 2) or self._is_closed:
                return
            run = self._claim(max(0, low - span), low - 1)
            self._ahead.submit(self._decode, run)

    @property
    def _max_cached(self) -> int:
        height, width = getattr(self, "size", (1, self._kept_bytes))  # unknown before the first one
        return min(MAX_CACHED, max(1, self._kept_bytes * 2 // (3 * height * width)))

    def _is_coming(self, index: int) -> bool:
        return index in self._decoded or index in self._decoding

    def _claim(self, first: int, last: int) -> list[int]:
        """Claim the frames of a range that no thread has decoded or claimed."""
        run = [place for place in range(first, last + 1) if not self._is_coming(place)]
        self._decoding.update(run)
        return run

    def _decode(self, run: Sequence[int], cancel: CancelToken | None = None) -> SourceImage:
        """Decode claimed frames in order, after those claimed by others; return the last."""
        pending = set(run)
        try:
            for place in run:
                with self._changed:
                    self._changed.wait_for(lambda: place - 1 not in self._decoding - pending)  # noqa: B023
                image = self._reader.load(place, cancel)
                with self._changed:
                    self._decoded[place] = image
                    for oldest in [*self._decoded][: -self._max_cached]:
                        del self._decoded[oldest]
                    self._decoding.discard(place)
                    self._changed.notify_all()
                pending.discard(place)
            return image
        finally:
            with self._changed:
                self._decoding -= pending
                self._changed.notify_all()
