"""Frames of a video by their index, in any order: for a page that scrubs and a tracker that runs back."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

import av
import av.container
import av.error
import cv2
import numpy as np
from av.video.stream import VideoStream

from segue.errors import SourceError
from segue.notices import notice
from segue.types import Frame, Image
from segue.video.decode import (
    Decoded,
    DisplayMatrix,
    FrameOrder,
    describe,
    display_matrix,
    open_container,
    to_rgb,
    video_stream,
)
from segue.video.images import IMAGE_SUFFIXES, list_images, read_image
from segue.video.readers import DEFAULT_FPS, DamageError
from segue.video.sinks import frame_name

LONG_BYTES = 256 << 20
"""Files without an index of their frames are read through when they open; larger ones are announced."""

CHUNK_BYTES = 256 << 20
"""Decoded frames that :meth:`Video.walk` holds when it runs backwards."""

QUALITY = 88


def number_in(name: str) -> int | None:
    """The digits of a name, as a number."""
    digits = "".join(sign for sign in name if sign.isascii() and sign.isdigit())
    return int(digits) if 0 < len(digits) < 10 else None


class Video:
    """A video file or a folder of images whose frames can be asked for by index."""

    def __init__(self, path: Path, index: FrameOrder | None = None) -> None:
        self.path, self.name = path, path.stem if path.is_file() else path.resolve().name
        self._lock = threading.Lock()
        self._container: av.container.InputContainer | None = None
        self._files: list[Path] = []
        self.names: tuple[str, ...] | None = None
        self._next = -1
        self.index = index
        if path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES:
            self._open_images(path)
        elif path.exists():
            self._open_video(path)
        else:
            raise SourceError(f"{path}: no such file or folder")

    def _open_images(self, path: Path) -> None:
        files = list_images(path) if path.is_dir() else [path]
        if not files:
            raise SourceError(f"{path}: no images here")
        self._files, self.count, self.fps = files, len(files), DEFAULT_FPS
        names = tuple(file.stem for file in files)
        self.names = names if len(set(names)) == len(names) else None
        self._times = np.arange(len(files)) / DEFAULT_FPS
        self.size: tuple[int, int] = self._image(0).shape[:2]

    @property
    def numbers(self) -> dict[int, int]:
        """Frame index by the number in the name of its image; empty for video files and names without."""
        found = [number_in(path.stem) for path in self._files]
        whole = {number: index for index, number in enumerate(found) if number is not None}
        return whole if len(whole) == len(found) else {}

    def _open_video(self, path: Path) -> None:
        self._container = open_container(f"file:{path}", str(path))
        self._stream = video_stream(self._container)
        self._stream.thread_type = "AUTO"
        base = self._stream.time_base
        if base is None:
            raise SourceError(f"{path}: does not say how its time is counted")
        self._base = float(base)
        self.fps = float(self._stream.average_rate or DEFAULT_FPS)
        self._matrix: DisplayMatrix | None = None
        self._frames: Iterator[av.VideoFrame] = iter(())
        self.index = self.index or _indexed(self._stream) or _scanned(path)
        self._pts, self._keys = np.array(self.index.stamps, np.int64), self.index.keys
        self.count = len(self._pts)
        if not self.count:
            raise SourceError(f"{path}: has no frames that can be decoded")
        self._times = (self._pts - self._pts[0]) * self._base
        self.size = self._decode(0).shape[:2]

    def frame_name(self, index: int) -> str:
        """Stem of the files of a frame: as its image, else its number."""
        return frame_name(self.names, index)

    def file_name(self, index: int) -> str:
        """The file name of a frame, or the name it gets when it is taken out of a video file."""
        return self._files[index].name if self._files else f"{self.frame_name(index)}.jpg"

    def time(self, index: int) -> float:
        """Seconds from the first frame."""
        return float(self._times[index])

    def frame(self, index: int) -> Frame:
        """A frame by its number."""
        with self._lock:
            return Frame(index, self.time(self._checked(index)), self._image(index))

    def jpeg(self, index: int, *, near: bool = False) -> bytes:
        """A frame as JPEG, or with ``near`` the key frame before it, which is there sooner."""
        with self._lock:
            self._checked(index)
            image = self._image(self._key_of(index) if near and not self._files else index)
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
        for last in range(start, stop - 1, -chunk):
            yield from reversed([self.frame(i) for i in range(max(stop, last - chunk + 1), last + 1)])

    def describe(self) -> dict[str, object]:
        """Video information for the page."""
        return {
            "name": self.name,
            "width": self.size[1],
            "height": self.size[0],
            "frames": self.count,
            "fps": self.fps,
        }

    def close(self) -> None:
        with self._lock:
            if self._container is not None:
                self._container.close()

    def _key_of(self, index: int) -> int:
        place = bisect_right(self._keys, index)
        return self._keys[place - 1] if place else 0

    def _checked(self, index: int) -> int:
        if not 0 <= index < self.count:
            raise SourceError(f"{self.path.name}: has no frame {index}; the last one is {self.count - 1}")
        return index

    def _image(self, index: int) -> Image:
        if not self._files:
            return self._decode(index)
        try:
            image = read_image(self._files[index])
        except DamageError as error:
            raise SourceError(str(error)) from error
        if hasattr(self, "size") and image.shape[:2] != self.size:
            raise SourceError(f"{self._files[index].name}: has another size than the first image")
        return image

    def _decode(self, index: int) -> Image:
        """Decode on where that is nearer than the key frame, else from the key frame on."""
        assert self._container is not None
        target, key = int(self._pts[index]), self._key_of(index)
        try:
            if not self._next <= index or self._next < key:
                self._container.seek(int(self._pts[key]), stream=self._stream, backward=True)
                self._frames = self._container.decode(self._stream)
            for frame in self._frames:
                if frame.pts is None or frame.pts < target:
                    continue
                if self._matrix is None:
                    self._matrix = display_matrix(frame)
                self._next = index + 1
                return to_rgb(Decoded(None, frame, 0.0, self._matrix), f"{self.path.name}: frame {index}")
        except (av.error.FFmpegError, OSError, DamageError) as error:
            self._next = self.count + 1
            reason = f"frame {index} cannot be decoded ({describe(error)})"
            raise SourceError(f"{self.path.name}: {reason}") from error
        self._next = self.count + 1
        raise SourceError(f"{self.path.name}: ends before frame {index}; cut off or damaged")


def _indexed(stream: VideoStream) -> FrameOrder | None:
    """From the index of the container, if it lists every frame and their distance is constant."""
    entries = stream.index_entries
    count = len(entries)
    if count == 0 or count != stream.frames:
        return None
    times = np.fromiter((entry.timestamp for entry in entries), np.int64, count)
    keys = np.flatnonzero(np.fromiter((entry.is_keyframe for entry in entries), np.bool_, count))
    gaps = np.diff(times)
    if not len(keys) or (count > 1 and (gaps != gaps[0]).any()):
        return None
    first = stream.start_time if stream.start_time is not None else int(times[0])
    return FrameOrder(tuple((times - times[0] + first).tolist()), tuple(keys.tolist()))


def _scanned(path: Path) -> FrameOrder:
    """By reading all packets."""
    if path.stat().st_size > LONG_BYTES:
        notice(f"{path}: has no index of its frames; reading it once ...")
    with open_container(f"file:{path}", str(path)) as container:
        return FrameOrder.of(container, video_stream(container))
