"""Interface of the readers of :class:`segue.video.Source`, and shared parts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import numpy as np
from PIL import Image as PillowImage

from segue.errors import SourceError
from segue.masks.files import MAX_PIXELS, check_pixels
from segue.types import Frame, Image, SupportsArray
from segue.utils.arrays import UInt16Array, as_array
from segue.utils.cancel import CancelToken
from segue.utils.inputs import check_choice, kind_of
from segue.utils.notices import warn_caller
from segue.video.decoding.frame_index import FrameIndex
from segue.video.decoding.packets import PacketBuffer
from segue.video.decoding.sound import Sound

DEFAULT_FPS = 25.0
"""Frames a second of images that have no clock: image folders and arrays."""


@dataclass(frozen=True, slots=True)
class SourceImage:
    """One image of a source, not decoded yet."""

    index: int  # position in the source, from 0
    time: float  # seconds from the start of the source
    load: Callable[[], Image]  # RGB, (H, W, 3), uint8, or DamageError; valid until the next image
    deep: Callable[[], UInt16Array] | None = None  # the same with all bits of its colours, at any time


class FrameIndexWarning(UserWarning):
    """Frames of a list or iterator have indices that differ from their positions."""


class LoadCancelledError(Exception):
    """:meth:`Reader.load` was cancelled before the image was decoded."""


@dataclass(frozen=True, slots=True)
class ConnectionChange:
    """A camera or stream was lost, or gives frames again.

    Attributes:
        where: the source, without passwords.
        online: whether it gives frames again.
        frame: index of the last frame before, -1 if there was none, or of the first one after.
        time: when, in seconds of the source.
        seconds: time that it was away.
        reason: why it was lost; empty where it is back.
        retry: when it is tried again, in words.
        was_lost: whether it has been lost before, and is for another reason now.
    """

    where: str
    online: bool
    frame: int
    time: float
    seconds: float = 0.0
    reason: str = ""
    retry: str = "it is tried again"
    was_lost: bool = False

    def __str__(self) -> str:
        if self.online:
            return f"{self.where}: camera back after {max(1, round(self.seconds))} s"
        what = "no frame yet" if self.frame < 0 else "camera still lost" if self.was_lost else "camera lost"
        return f"{self.where}: {what} ({self.reason}); {self.retry}"


class Reader:
    """Reader of a kind of source.

    Attributes:
        name: short name for files and titles.
        where: file, folder or address, for messages.
        total: number of images, if known; only a promise of the file's header.
        fps: mean number of images a second, if known.
        size: height and width, if known before reading.
        names: a name for every image, where images are files with different names.
        files: the files that the images come from; none for arrays, cameras and addresses.
        once: whether the images can be iterated only once.
        works_ahead: whether reading in a thread pays and is allowed.
        pixel_aspect: width of a pixel by its height; images are stored, and masks made, without regard to it.
        sound: the sound of a video file, None without.
        begin: time of the first image; None where only that image tells.
        bits: bits of the colours of images that are loaded with all of them.
        turns: quarter turns, counterclockwise, that metadata of the source add to its images.
        polls: requests per second to an address of single images; None requests one image.
        needed: frames a second that are taken of a stream; None takes all.
        is_camera: whether it is tried for ever, also before its first frame, and a stream that tells a
            length, as of a recorder, is one without an end all the same.
        packets: last packets of a stream, if they are needed; else None.
        keeps: object kept alive while reading, such as a temporary file.
        max_cursors: places of a video file at which it decodes on, where :meth:`load` is called.
        on_change: called in the reading thread when a live source is lost or back.
    """

    name: str
    where: str
    total: int | None = None
    fps: float | None = None
    size: tuple[int, int] | None = None
    names: tuple[str, ...] | None = None
    files: tuple[Path, ...] = ()
    once: bool = False
    works_ahead: bool = True
    pixel_aspect: Fraction = Fraction(1)
    sound: Sound | None = None
    bits: int = 8
    turns: int = 0
    begin: float | None = 0.0
    polls: float | None = None
    needed: float | None = None
    is_camera: bool = False
    packets: PacketBuffer | None = None
    keeps: object = None
    max_cursors: int = 1
    on_change: Callable[[ConnectionChange], None]

    @property
    def endless(self) -> bool:
        """Whether the source has no end, like a camera."""
        return False

    def images(self, start: int | float = 0) -> Iterator[SourceImage]:
        """Read images in order; each is decoded when it is loaded.

        Args:
            start: index, or time in seconds as a float; images before it may be left out.

        Yields:
            Index, time and image of each frame.
        """
        raise NotImplementedError

    @property
    def index(self) -> FrameIndex | None:
        """Frame index of a video file, for another reader of it."""
        return None

    @property
    def count(self) -> int:
        """Number of images that :meth:`load` knows, exact where ``total`` is a promise."""
        raise SourceError(f"{self.where}: images come in order only")

    def load(self, index: int, cancel: CancelToken | None = None) -> SourceImage:
        """Decode the image of an index, in any order.

        Args:
            index: index of the image.
            cancel: cancels while earlier frames are decoded.

        Raises:
            SourceError: there is no such image, or images come in order only.
            LoadCancelledError: it was given up.
        """
        raise SourceError(f"{self.where}: images come in order only")

    def times(self) -> list[float]:
        """List the times of all images.

        Returns:
            Seconds, in the order of :meth:`images`.
        """
        return [index / (self.fps or DEFAULT_FPS) for index in range(self.count)]

    def key_of(self, index: int) -> int:
        """Find the image at or before an index that is loaded fastest, such as a keyframe.

        Args:
            index: index of an image.

        Returns:
            Index of that image.
        """
        return index

    def close(self) -> None:
        """Close the files of :meth:`load`, which opens them again."""

    def _check(self, index: int) -> None:
        if not 0 <= index < self.count:
            raise SourceError(f"{self.where}: has no frame {index}; the last one is {self.count - 1}")

    def delay(self, time: float) -> float | None:
        """Seconds since an image could be read.

        Args:
            time: time of the image in seconds.

        Returns:
            Seconds; None for sources that are not live.
        """

    def interrupt(self) -> None:
        """Unblock :meth:`images` in another thread; files do not block for long."""


def as_rgb(
    value: Any, where: str, *, bgr: bool = False, channels_first: bool = False, has_layout: bool = False
) -> Image:
    """Convert an array, tensor or PIL image to RGB (H, W, 3), uint8, also from grey or alpha."""
    if isinstance(value, PillowImage.Image):
        if value.mode.startswith(("I", "F")):
            raise SourceError(
                f"{where}: expected 8 bits a channel, not a {kind_of(value)}; convert it to RGB"
            )
        value, bgr, channels_first = np.asarray(value.convert("RGB")), False, False
    value = as_array(value)
    if not isinstance(value, np.ndarray):
        hint = ""
        if isinstance(value, (list, tuple)) and value and not isinstance(value[0], (int, float)):
            hint = "; a list holds the images of one video: give each video by itself"
        raise SourceError(
            f"{where}: expected an image (array or tensor (H, W, 3) of uint8, or PIL), not "
            f"{kind_of(value)}{hint}"
        )
    if value.dtype != np.uint8:
        raise SourceError(f"{where}: expected uint8, not {value.dtype}; scale to 0..255 and convert")
    if value.ndim == 2:
        value = value[..., None]
    elif value.ndim == 3 and channels_first:
        value = np.moveaxis(value, 0, -1)
    if value.ndim != 3 or value.shape[2] not in (1, 3, 4):
        first = value.ndim == 3 and value.shape[0] in (1, 3, 4)
        # Only some callers could have given another layout.
        way = 'give layout="tchw"' if has_layout else "move the channels last: image.transpose(1, 2, 0)"
        hint = f"; {way}" if first else ""
        if value.ndim == 4:
            hint = "; a list holds the images of one video: give each video by itself"
        raise SourceError(f"{where}: expected an image of (H, W, 3), not {value.shape}{hint}")
    check_pixels(value.shape[0], value.shape[1], where)
    if value.shape[2] == 1:
        return np.repeat(value, 3, axis=2)
    return np.ascontiguousarray(value[..., 2::-1] if bgr else value[..., :3])


Colour = Literal["rgb", "bgr"]
"""Channel order of a program's images."""

FrameLike: TypeAlias = Frame | SupportsArray | PillowImage.Image
"""A :class:`Frame`, or an image: array or tensor (H, W, 3) of uint8, or a PIL image."""


def as_frame(
    value: FrameLike, index: int = 0, size: tuple[int, int] | None = None, *, colour: Colour = "rgb"
) -> Frame:
    """Return a frame, or make an image the frame ``index`` of a video at 25 frames/s.

    Args:
        value: the frame or image.
        index: index of an image.
        size: height and width of the frames before it, which it must have, too; None is any.
        colour: order of the channels of an image; that of a frame is always RGB.

    Returns:
        The frame, whose image is RGB (H, W, 3), uint8.

    Raises:
        SourceError: it is no image, or has another size; or ``bgr`` is said of a frame.
    """
    if colour != "rgb":
        check_choice("colour", colour, Colour, SourceError)
    if isinstance(value, Frame):
        if colour == "bgr":
            raise SourceError(
                f"colour: the image of a Frame is RGB; give the image itself, frame {value.index}"
            )
        frame = value
        if not (type(value.index) is int and isinstance(value.time, float | int)):  # numbers of numpy
            frame = replace(value, index=int(value.index), time=float(value.time))
    else:
        frame = Frame(index, index / DEFAULT_FPS, as_rgb(value, "frame", bgr=colour == "bgr"))
    image = frame.image  # of a program: it may be anything
    is_rgb = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.shape[2:] == (3,)
    if not (is_rgb and 0 < image.size <= 3 * MAX_PIXELS):
        frame = replace(frame, image=as_rgb(image, f"frame {frame.index}"), deep=None)
    if size is not None and frame.image.shape[:2] != size:
        (height, width), (rows, columns) = frame.size, size
        raise SourceError(
            f"frame {frame.index} is {width}x{height}, but the frames before it are {columns}x{rows}"
        )
    return frame


class ArrayReader(Reader):
    """A sequence or iterator of images or frames, or one array or tensor (T, H, W, 3).

    Frames have their own times and RGB images; they are counted from 0 like images.

    Nothing is read ahead: an iterator may be bound to the caller's thread, and arrays need no decoding.
    """

    name = where = "array"
    works_ahead = False

    def __init__(
        self,
        values: Iterable[Any],
        fps: float | None,
        *,
        bgr: bool = False,
        channels_first: bool = False,
    ) -> None:
        self._convert = partial(as_rgb, bgr=bgr, channels_first=channels_first, has_layout=True)
        self._bgr = bgr
        shape = getattr(values, "shape", None)
        if shape is not None and len(shape) != 4:
            raise SourceError(
                f"source: {kind_of(values)}; a video is (T, H, W, 3), uint8; put one image in a list"
            )
        self.total = len(values) if isinstance(values, Sized) else None
        self.fps = fps or DEFAULT_FPS
        self.once = isinstance(values, Iterator)
        self._values = values
        first = values[0] if self.total and hasattr(values, "__getitem__") else None
        if isinstance(first, Frame):
            self.begin, self.fps = first.time, fps or self._rate(cast(Sequence[Any], values)) or DEFAULT_FPS
        elif first is None:
            self.begin = None
        if self.total == 0:
            raise SourceError("array: has no frames")
        if self.total is not None and hasattr(values, "__getitem__"):
            self.size = self._as_rgb(first, 0).shape[:2]

    def images(self, start: int | float = 0) -> Iterator[SourceImage]:
        last = -math.inf
        for index, value in enumerate(self._values):
            time = self._time(value, index)
            if isinstance(value, Frame):
                if not last < time < math.inf:
                    raise SourceError(
                        f"{self.where}, frame {index}: its time {time} s is not after {last} s, that of "
                        "the frame before it"
                    )
                if value.index != index:
                    warn_caller(
                        "frames of a list or iterator are counted from 0, not by Frame.index",
                        FrameIndexWarning,
                    )
            last = time
            yield SourceImage(index, time, partial(self._as_rgb, value, index))

    @property
    def count(self) -> int:
        if self.total is None or not hasattr(self._values, "__getitem__"):
            return super().count
        return self.total

    def load(self, index: int, cancel: CancelToken | None = None) -> SourceImage:
        self._check(index)
        value = cast(Sequence[Any], self._values)[index]
        return SourceImage(index, self._time(value, index), partial(self._as_rgb, value, index))

    def times(self) -> list[float]:
        if self.total is None or not isinstance(self._values, Sequence):
            return super().times()
        return [self._time(value, index) for index, value in enumerate(self._values)]

    def _time(self, value: Any, index: int) -> float:
        return float(value.time) if isinstance(value, Frame) else index / (self.fps or DEFAULT_FPS)

    def _as_rgb(self, value: Any, index: int) -> Image:
        where = f"{self.where}, frame {index}"
        if not isinstance(value, Frame):
            return self._convert(value, where)
        if self._bgr:
            raise SourceError(f"colour: the image of a Frame is RGB; give the image itself, frame {index}")
        return self._convert(value.image, where)

    @staticmethod
    def _rate(values: Sequence[Any]) -> float | None:
        """Mean frame rate of frames with times, or None."""
        first, last = values[0], values[-1]
        span = last.time - first.time if isinstance(last, Frame) else 0.0
        return (len(values) - 1) / span if 0 < span < math.inf else None
