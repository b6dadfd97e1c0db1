"""One interface for files, folders, arrays, cameras and addresses."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from segue.errors import OutOfMemoryError, SourceDamageError, SourceError, memory_is_short
from segue.options import RuntimeObject
from segue.types import DamagePolicy, Frame, Image, WhenLate
from segue.utils.arrays import UInt16Array
from segue.utils.cancel import Cancelled, CancelToken, cancelled_with
from segue.utils.inputs import (
    check_choice,
    check_file,
    check_number,
    exists,
    kind_of,
    missing_message,
    user_path,
    whole_number,
)
from segue.utils.keywords import suggests_names
from segue.utils.naming import last_number
from segue.utils.notices import warn_caller
from segue.video.decoding.damage import DamageError
from segue.video.decoding.levels import LevelKind
from segue.video.decoding.packets import PacketBuffer
from segue.video.decoding.readers import ArrayReader, ConnectionChange, Reader, SourceImage
from segue.video.decoding.savings import hardware_decoder
from segue.video.sources.addresses import check_place, is_address
from segue.video.sources.dicom import DicomReader, is_dicom
from segue.video.sources.given import (
    NAME,
    Capture,
    SourceLike,
    check_open,
    frames_of_image,
    images_of,
    path_of,
)
from segue.video.sources.identity import VideoSource
from segue.video.sources.images import AnimationReader, ImageReader, count_frames, open_folder, open_pattern
from segue.video.sources.kinds import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from segue.video.sources.live import POLLED_FPS, CameraReader, NetworkReader, Reconnect
from segue.video.sources.main_stream import MainStream
from segue.video.sources.prefetch import Prefetcher
from segue.video.sources.span import Span, at_rate, chunks_reversed
from segue.video.sources.video_file import VideoFileReader

if TYPE_CHECKING:
    from segue.video.decoding.frame_index import FrameIndex

WAITING = 2
"""Frames of a live source that may wait for their reader before the oldest one is dropped."""


CHUNK_BYTES = 128 << 20
"""Images that :meth:`Source.walk` holds at a time when it runs backwards."""


class DamageWarning(UserWarning):
    """A frame could not be read and was skipped or held; the message names file and frame."""


_Read = tuple[int, float, Frame | DamageError]
"""Index and time of a frame, and the frame, or why it cannot be read."""


class Source(AbstractContextManager["Source"]):
    """Frames of a video, read ahead in a thread; made by :func:`open_source`.

    Iterating starts from the beginning each time, except for cameras, addresses and iterators, which can be
    read once. Leaving an iteration early, closing the source or leaving its ``with`` block stops
    the thread.

    Attributes:
        name: short name: stem of the file, name of the folder.
        fps: mean frames a second, if known; the frames' own times are exact.
        frame_count: expected number of frames that an iteration gives, or None. It rests on the file's
            header, so use it for progress only.
        total: frames of the whole source as its header says, or None.
        original_size: height and width before ``max_size``, or None before the first frame of a live source.
        files: files that the frames come from; none for arrays, cameras and addresses.
        names: name of each image by frame index (stem of the file), for image folders; otherwise None.
        pixel_aspect: width of a pixel by its height; images and masks have the pixels of the file.
        sound: the sound of a video file, which written videos copy; None without.
        begin: time of the first image in seconds, 0 but for frames with their own times; None where only that
            image tells.
        turns: quarter turns, counterclockwise, by which metadata turn the images upright.
        request: what :func:`open_source` was asked for; without a place for images in memory.
        varies: whether frames may change their size; otherwise that is an error.
        damaged: frames that could not be read and were left out or held.
    """

    varies = False
    _told_size: tuple[int, int] | None = None

    def __init__(
        self,
        reader: Reader,
        span: Span,
        *,
        max_size: int | None,
        on_damage: DamagePolicy | None,
        prefetch: int,
        warn: Callable[[str], None],
        when_late: WhenLate = "newest",
        request: VideoSource | None = None,
    ) -> None:
        self.request = request or VideoSource(place=None, frames=RuntimeObject.of(self, hold=False))
        self._reader = reader
        self._span = span
        self._max_size = max_size
        self._on_damage = on_damage
        self._drops = when_late == "newest"
        self._rate: float | None = None
        self._dropped = 0  # by iterations that have ended
        self.damaged = 0
        self._prefetch = prefetch if reader.works_ahead else 0
        self._warn = warn
        self._active: list[Prefetcher[_Read]] = []
        self._closings = 0
        self._stopped = CancelToken()
        self._token = CancelToken()  # of the run that reads
        self._used = False
        self._first_time: float | None = None  # of the first frame that is taken, once it was read
        self.name = reader.name
        self.fps = reader.fps
        self.frame_count = span.count(reader.total, reader.fps)
        self.total = reader.total
        self.original_size = reader.size
        self.files = reader.files
        self.names = reader.names
        self.pixel_aspect = reader.pixel_aspect
        self.sound, self.begin = reader.sound, reader.begin
        self.turns = reader.turns

    @property
    def once(self) -> bool:
        """Whether the frames can be iterated only once, as for cameras, addresses and iterators."""
        return self._reader.once

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of the frames that an iteration gives, or None while unknown."""
        return None if self.original_size is None else self._bounded(self.original_size)

    def _bounded(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size of frames whose images have ``size``."""
        longest = self._max_size
        if longest is None or max(size) <= longest:
            return size
        height, width = (max(1, round(side * longest / max(size))) for side in size)
        return height, width

    @property
    def endless(self) -> bool:
        """Whether it ends only when it is stopped, as a camera does; of an address known from a frame on."""
        return self._reader.endless

    @property
    def dropped(self) -> int:
        """Frames of a live source that were left out because their reader was late."""
        return self._dropped + sum(ahead.dropped for ahead in self._active)

    def frame_label(self, index: int) -> str:
        """Call a frame by its number, or by its file where the names are other numbers.

        Args:
            index: of the frame, from 0.

        Returns:
            Such as ``10``, or ``00050.jpg (frame 10)``.
        """
        if not 0 <= index < len(self.names or ()) or not self._has_other_numbers:
            return str(index)
        return f"{self.files[index].name} (frame {index})"

    def lacks_frame(self, index: int) -> str:
        """Tell whether a frame cannot come, as far as that is known before it is reached.

        Args:
            index: of the frame, from 0.

        Returns:
            Why it cannot come, and which frame the file of this number is; empty where it may come.
        """
        end = self._span.end
        if isinstance(end, int) and index >= end:
            return f"the frames end before {end}"
        if self.total is None or index < self.total or self._reader.once:
            return ""
        count = self.total
        with suppress(SourceError):
            count = self._reader.count  # exact, where the header of a file may be wrong
        if index < count:
            return ""
        same = [place for place, name in enumerate(self.names or ()) if last_number(name) == index]
        hint = f"; {self.files[same[0]].name} is frame {same[0]}" if len(same) == 1 else ""
        return f"{self.name} has {count} frame{'s' if count > 1 else ''}, which count from 0{hint}"

    @cached_property
    def _has_other_numbers(self) -> bool:
        """Whether the numbers in the names of its images are not their positions."""
        numbers = [last_number(name) for name in self.names or ()]
        return None not in numbers and numbers != list(range(len(numbers)))

    def delay(self, frame: Frame) -> float | None:
        """Measure how late a frame is worked on.

        Args:
            frame: of this source.

        Returns:
            Seconds since the live source gave it; None where the source is not live.
        """
        return self._reader.delay(frame.time)

    def at(self, time: float) -> datetime | None:
        """Tell the date and time of day of a moment.

        Args:
            time: seconds of this source, as frames have them.

        Returns:
            With the zone of this machine; None where the source is not live.
        """
        delay = self._reader.delay(time)
        return None if delay is None else datetime.now().astimezone() - timedelta(seconds=delay)

    def packets(self) -> PacketBuffer | None:
        """The packets of a stream from now on, as they come; None of sources that have none."""
        if self._reader.packets is not None:
            self._reader.packets.enable()
        return self._reader.packets

    def on_change(self, call: Callable[[ConnectionChange], None]) -> None:
        """Have something called, instead of a warning, when a live source is lost or is back.

        Args:
            call: receives what changed, in the thread that reads.
        """
        self._reader.on_change = call

    def poll(self, fps: float | None = None) -> None:
        """Take so many frames a second, and an address that gives single images for a camera.

        Frames that are not needed are left out before they are converted or wait, and before they are decoded
        where no other frame needs them; ``dropped`` counts none.

        Args:
            fps: frames a second at most; None takes all. An address of single images is asked again and
                again, so often; None is what the source was opened with, or 2 times a second.
        """
        self._rate = self._reader.needed = fps
        self._reader.polls = fps or self._reader.polls or POLLED_FPS

    def __iter__(self) -> Iterator[Frame]:
        if self._used and self._reader.once:
            raise SourceError(f"{self._reader.where}: can be read only once")
        self._used = True
        return self._frames(self._closings)

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """Number of frames as the header of the file says; TypeError where it does not say."""
        if self.frame_count is None:
            raise TypeError(f"{self._reader.where}: the number of frames is not known")
        return self.frame_count

    def __bool__(self) -> bool:
        return True

    def read_as_camera(self) -> None:
        """Try it for ever, also before its first frame; streams of RTSP and RTMP have no end."""
        self._reader.is_camera = True

    def stop(self) -> None:
        """End the iterations under way before their next frame, for good; a signal handler may call it.

        A camera or live stream ends. What has an end of its own raises :class:`.cancel.Cancelled`, so
        that nobody takes the frames so far for all of them.
        """
        self._stopped.cancel()
        self._reader.interrupt()

    @contextmanager
    def until(self, token: CancelToken) -> Iterator[None]:
        """End iterations that begin in a block as :meth:`stop` does, once a token is cancelled.

        Later ones do not: the source can be used again.

        Args:
            token: asks to stop.
        """
        self._token = token
        token.on_cancel(self._reader.interrupt)
        try:
            yield
        finally:
            token.forget(self._reader.interrupt)
            if self._token is token:  # else another run reads, too
                self._token = CancelToken()

    def part(self, start: int, end: int) -> Source:
        """Select neighbouring frames of a source that can be read again.

        Args:
            start: index of the first frame.
            end: index behind the last frame.

        Returns:
            A source of these frames, with their indices and times.
        """
        span = self._span
        if span.duration is not None and self._first_time is None:
            next(iter(self))  # tells the time from which the duration counts
            self.close()
        times = [time for time in (span.end, span.until) if isinstance(time, float)]
        if span.duration is not None and self._first_time is not None:
            times.append(self._first_time + span.duration)
        last = min(span.end, end) if isinstance(span.end, int) else end
        part = Source(
            self._reader,
            replace(span, start=start, end=last, duration=None, until=min(times, default=None)),
            max_size=self._max_size,
            on_damage=self._on_damage,
            prefetch=self._prefetch,
            warn=self._warn,
            request=self.request,
        )
        part._stopped, part._token, part._rate = self._stopped, self._token, self._rate
        return part

    @cached_property
    def times(self) -> dict[int, float]:
        """Time in seconds of each frame by its index; SourceError where frames come in order only."""

        def image(index: int, time: float) -> SourceImage:
            return SourceImage(index, time, lambda: self._reader.load(index).load())

        times = self._reader.times()
        return {item.index: item.time for item in self._span.select(map(image, range(len(times)), times))}

    def frame(self, index: int) -> Frame:
        """Read one frame, in any order.

        Args:
            index: of the frame.

        Returns:
            The frame, as an iteration gives it.

        Raises:
            SourceError: there is no such frame, it is damaged, or frames come in order only.
        """
        try:
            item = self._reader.load(index)
            return self._frame(item)
        except DamageError as damage:
            raise SourceDamageError(str(damage)) from damage

    def walk(self, start: int, stop: int) -> Iterator[Frame]:
        """Read frames in order, forwards or backwards; memory does not grow with their number.

        Args:
            start: index of the first frame.
            stop: index of the last one; below ``start`` the frames come backwards.

        Yields:
            The frames from ``start`` to ``stop``, both included.

        Raises:
            SourceError: as an iteration.
        """
        if start <= stop:
            yield from self.part(start, stop + 1)
            return
        height, width = self.size or self.frame(start).size
        stride = self._span.stride
        for low, high in chunks_reversed(start, stop, max(CHUNK_BYTES // (3 * height * width), 1), stride):
            yield from reversed(list(self.part(low, high + 1)))

    def close(self) -> None:
        """End the iterations that are under way; a file, folder or array can be iterated again."""
        self._closings += 1
        while self._active:
            self._active.pop().close()
        if self._reader.packets is not None:
            self._reader.packets.close()
        self._reader.close()

    def _frames(self, closings: int) -> Iterator[Frame]:
        """The frames, until :meth:`close` is called more than ``closings`` times."""
        last: Frame | None = None
        count = 0
        with cancelled_with(self._stopped, self._token) as stopped, self._ahead(stopped) as ahead:
            for index, time, frame in ahead:
                if self._closings != closings or stopped.cancelled:
                    break
                if isinstance(frame, DamageError):
                    self._pass_over(frame, count, last)
                    if last is None or self._damage_policy != "hold":
                        continue
                    last = replace(last, index=index, time=time)
                else:
                    last = frame
                count += 1
                yield last
        if stopped.cancelled and not self.endless:
            raise Cancelled(f"{self._reader.where}: stopped after {count} frames")
        if count == 0 and self._closings == closings and not stopped.cancelled:
            raise SourceError(f"{self._reader.where}: no frame to read (check start and end)")

    @property
    def _damage_policy(self) -> DamagePolicy:
        """What damage does; of an address it is known from the first frame on whether it has an end."""
        return self._on_damage or ("skip" if self.endless else "stop")

    def _pass_over(self, damage: DamageError, count: int, last: Frame | None) -> None:
        """Warn of a damaged frame after ``count`` others, or raise where it ends the video."""
        if self._damage_policy == "stop":
            ways = ' (open_source(..., on_damage="skip") leaves it out, "hold" repeats the frame before it)'
            text = f"{damage}; frames read before it: {count}{'' if damage.is_intact else ways}"
            raise SourceDamageError(text) from damage
        self.damaged += 1
        repeats = self._damage_policy == "hold" and last is not None
        if self._on_damage is not None:
            self._warn(f"{damage}; {'the frame before it is repeated' if repeats else 'skipped'}")
        elif self.damaged == 1:
            self._warn(f"{damage}; skipped, and so are further ones; they are counted")

    @contextmanager
    def _ahead(self, stopped: CancelToken) -> Iterator[Iterator[_Read]]:
        """The frames as they are decoded, in a thread where that pays."""
        if self._prefetch < 1:
            yield self._decoded()
            return
        live = self._reader.once and self._drops
        depth = WAITING if live else self._prefetch
        drops = (lambda: self.endless) if live else None
        ahead = Prefetcher(self._decoded, depth, self._reader.interrupt, stopped, drops)
        self._active.append(ahead)
        try:
            yield ahead
        finally:
            with suppress(ValueError):
                self._active.remove(ahead)
                self._dropped += ahead.dropped
            ahead.close()

    def _decoded(self) -> Iterator[_Read]:
        items = self._span.select(self._reader.images(self._span.start))
        for number, item in enumerate(items if self._rate is None else at_rate(items, self._rate)):
            if number == 0:
                self._first_time = item.time
            try:
                yield item.index, item.time, self._frame(item)
            except DamageError as damage:
                if memory_is_short():  # perhaps the frame is good
                    raise OutOfMemoryError from damage
                yield item.index, item.time, damage

    def _frame(self, item: SourceImage) -> Frame:
        """A frame, at the size that frames have."""
        image = item.load()
        if image.shape[:2] != self.original_size:
            image = self._in_first_size(image, item.index)
        deep = None if item.deep is None else partial(self._deep, item.deep)
        return Frame(item.index, item.time, self._reduced(image), deep=deep)

    def _deep(self, load: Callable[[], UInt16Array]) -> UInt16Array:
        """The image of a frame with all its bits, at the size that frames have."""
        try:
            return self._reduced(load())
        except DamageError as damage:
            raise SourceDamageError(str(damage)) from damage

    def _in_first_size(self, image: Image, index: int) -> Image:
        """An image of another size than the first one, if it may have that."""
        height, width = image.shape[:2]
        if self.original_size is None:
            self.original_size = (height, width)
        if self.original_size == (height, width) or self.varies:
            return image
        first = f"{self.original_size[1]}x{self.original_size[0]}"
        name = f" ({self.files[index].name})" if self.names is not None else ""
        where = f"{self._reader.where}: frame {index}{name}"
        message = f"{where} is {width}x{height}, the frames before it are {first}"
        if len(self._reader.files) > 1:  # one image on its side is like a damaged one
            raise DamageError(message)
        if not self.endless:
            raise SourceDamageError(message)
        if (height, width) != self._told_size:  # a camera goes on
            self._told_size = height, width
            self._warn(f"{message}; it and those after it are scaled")
        return letterboxed(image, self.original_size)

    def _reduced(self, image: npt.NDArray[LevelKind]) -> npt.NDArray[LevelKind]:
        height, width = image.shape[:2]
        size = self._bounded((height, width))
        if size == (height, width):
            return image
        return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), image.dtype)


def letterboxed(image: npt.NDArray[LevelKind], size: tuple[int, int]) -> npt.NDArray[LevelKind]:
    """An image at another size, (H, W), in its own shape and with black borders where that differs."""
    (height, width), (rows, columns) = size, image.shape[:2]
    scale = min(height / rows, width / columns)
    tall, wide = max(1, round(rows * scale)), max(1, round(columns * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = np.asarray(cv2.resize(image, (wide, tall), interpolation=method), image.dtype)
    top, left = (height - tall) // 2, (width - wide) // 2
    return np.pad(scaled, ((top, height - tall - top), (left, width - wide - left), (0, 0)))


@suggests_names
def open_source(
    source: SourceLike,
    *,
    start: int | float | str | None = None,
    end: int | float | str | None = None,
    stride: int = 1,
    duration: float | str | None = None,
    max_size: int | None = None,
    fps: float | None = None,
    colour: Literal["rgb", "bgr"] = "rgb",
    layout: Literal["thwc", "tchw"] = "thwc",
    on_damage: DamagePolicy | None = None,
    when_late: WhenLate = "newest",
    prefetch: int = 4,
    reconnect: Reconnect | None = None,
    hardware: str | None = None,
    analyse: str | None = None,
    warn: Callable[[str], None] | None = None,
) -> Source:
    """Open anything that has frames.

    Args:
        source: video file, image file, folder of images, glob pattern or list of them; RTSP, RTMP or
            HTTP(S) address; number of a camera; a binary file object; an open ``cv2.VideoCapture``; or
            images in memory: an array or tensor (T, H, W, 3), a PIL image, or a sequence or iterator of PIL
            images or of (H, W, 3), (H, W, 4) or (H, W), all uint8, RGB, or of :class:`segue.Frame` values,
            which keep their times.
        start: first frame wanted: an int counts frames, a float seconds, a string is either ("250",
            "12.5s", "1:30").
        end: end before this frame, written like ``start``.
        stride: take every ``stride``-th frame from ``start`` on; frames keep the index of the source.
        duration: end so long after the first frame that is taken: seconds, or "90s", "10min", "1:30:00".
        max_size: bound on the longer side in pixels; larger frames are reduced by averaging.
        fps: frames a second of sources that have no clock (images, arrays: 25 if not given). An address that
            gives a single image is asked so often, and 2 times a second with a ``duration``; else once.
        colour: channel order of arrays and tensors; ``bgr`` as from ``cv2.imread``.
        layout: axes of arrays and tensors; ``tchw`` has the channels first, as videos of PyTorch often have.
        on_damage: what a frame that cannot be read does: "stop" ends with an error after the frames before
            it, "skip" leaves it out, "hold" repeats the frame before it; both of these warn. None is "stop"
            for what has an end, and for cameras and live streams "skip" with one warning; see ``damaged``.
        when_late: what happens when a camera or live stream is faster than its frames are taken: "newest"
            drops the oldest frames that wait, "all" takes every frame and falls behind.
        prefetch: number of frames to decode ahead in a thread; 0 decodes when asked. Arrays and other
            images in memory are never read ahead.
        reconnect: patience with cameras and addresses that fail; None is ``Reconnect()``.
        hardware: kind of a device that decodes the stream of an address, such as ``cuda``, ``vaapi`` or
            ``videotoolbox``, as FFmpeg calls it; what it cannot decode is decoded by the processor.
        analyse: address of a smaller stream of the same camera, from which the frames are taken; of that of
            ``source`` clips of events are made, without decoding it.
        warn: called with the message of a skipped or held frame instead of :func:`warnings.warn`.

    Returns:
        The opened source. Iterating it gives frames with an RGB image (H, W, 3), uint8, their index in the
        source, and their time in seconds.

    Raises:
        SourceError: nothing there, not a video, no frames, or an argument that cannot be meant. Iterating
            raises it too.

    Examples:
        >>> images = [np.zeros((4, 6, 3), np.uint8)] * 3
        >>> with open_source(images, stride=2) as source:
        ...     [frame.index for frame in source]
        [0, 2]
    """
    _check_options(max_size, fps, on_damage, when_late)
    span = Span.of(start, end, stride, duration)
    check_choice("colour", colour, Literal["rgb", "bgr"], SourceError)
    check_choice("layout", layout, Literal["thwc", "tchw"], SourceError)
    patience = reconnect or Reconnect()
    reader = _reader_of(
        source if analyse is None else analyse, fps, patience, bgr=colour == "bgr", first=layout == "tchw"
    )
    _take_stream_options(reader, source, patience, hardware, analyse)
    if colour == "bgr" and not isinstance(reader, ArrayReader):
        raise SourceError(f"colour: bgr is for arrays in memory; {reader.where} is read as RGB")
    if duration is not None:
        reader.polls = reader.polls or POLLED_FPS
    if layout == "tchw" and not isinstance(reader, ArrayReader):
        raise SourceError(f"layout: tchw is for arrays in memory; {reader.where} is none")
    warn = warn or partial(warn_caller, category=DamageWarning)
    place = str(source) if isinstance(source, (str, Path, int)) else None  # where it can be opened again
    request = VideoSource(
        place=place,
        frames=RuntimeObject.of(source, hold=False) if place is None else None,
        start=start,
        end=end,
        stride=stride,
        duration=duration,
        max_size=max_size,
        fps=fps,
        on_damage=on_damage,
        when_late=when_late,
        hardware=hardware,
        analyse=analyse,
    )
    return Source(
        reader,
        span,
        max_size=max_size,
        on_damage=on_damage,
        prefetch=prefetch,
        warn=warn,
        when_late=when_late,
        request=request,
    )


def _check_options(
    max_size: int | None, fps: float | None, on_damage: DamagePolicy | None, when_late: WhenLate
) -> None:
    """Raise SourceError where an option of :func:`open_source` has no such value."""
    if max_size is not None:
        check_number("max_size", max_size, minimum=1, whole=True, error=SourceError)
    if fps is not None:
        check_number("fps", fps, error=SourceError)
        if fps <= 0:
            raise SourceError(f"fps {fps}: give a number above 0")
    if on_damage is not None and on_damage not in get_args(DamagePolicy):
        raise SourceError(f"on_damage {on_damage!r}: choose one of {', '.join(get_args(DamagePolicy))}")
    if when_late not in get_args(WhenLate):
        raise SourceError(f"when_late {when_late!r}: choose one of {', '.join(get_args(WhenLate))}")


def _take_stream_options(
    reader: Reader, source: object, patience: Reconnect, hardware: str | None, analyse: str | None
) -> None:
    """Have a stream decoded by a device, and clips made of another one."""
    if not isinstance(reader, NetworkReader) and (hardware is not None or analyse is not None):
        raise SourceError(f"hardware and analyse are for addresses; {reader.where} is none")
    if isinstance(reader, NetworkReader):
        hardware_decoder(hardware)  # else a camera would be tried again and again
        reader.hardware = hardware
        if analyse is not None:
            if not isinstance(source, str) or not is_address(source):
                raise SourceError("analyse is another stream of an address; give that of its main stream")
            reader.packets = MainStream(source, reader, patience)


def _reader_of(source: Any, fps: float | None, reconnect: Reconnect, *, bgr: bool, first: bool) -> Reader:
    """The reader of a source; arrays have blue first with ``bgr``, and channels first with ``first``."""
    if isinstance(source, str) and is_address(source):
        return NetworkReader(source, fps, reconnect)
    if isinstance(source, str):
        check_place(source)
    if isinstance(source, str) and not exists(Path(source)) and source.isdecimal():
        number = whole_number(source)
        if number is None:
            raise SourceError(f"camera {source[:20]}: there is no such number")
        return CameraReader(number, reconnect)
    if isinstance(source, (str, Path)):
        return open_reader(user_path(source), fps)
    if isinstance(source, int) and not isinstance(source, bool):
        return CameraReader(source, reconnect)
    if isinstance(source, PillowImage.Image):
        return ArrayReader(frames_of_image(source), fps)
    if isinstance(source, (list, tuple)) and source and all(isinstance(one, (str, Path)) for one in source):
        files = [user_path(one) for one in source]
        if videos := [file for file in files if file.is_dir() or file.suffix.lower() in VIDEO_SUFFIXES]:
            raise SourceError(
                f"source: {videos[0]} is a video in a list, which holds the images of one video; give each "
                "video by itself, or all to segue batch"
            )
        return ImageReader(files, files[0].resolve().parent.name or "images", "list of images", fps)
    if isinstance(source, Capture):
        return ArrayReader(images_of(source), fps or check_open(source), bgr=True)
    if hasattr(source, "read") and hasattr(source, "seek"):
        return _file_reader(source, fps)
    is_array = hasattr(source, "__array__") and hasattr(source, "__getitem__") and hasattr(source, "__len__")
    if is_array or (isinstance(source, Iterable) and not isinstance(source, (bool, bytes, Mapping))):
        return ArrayReader(source, fps, bgr=bgr, channels_first=first)
    raise SourceError(
        f"source: {kind_of(source)}; give a path, an address, a camera number, or images: an array or "
        "tensor (T, H, W, 3) of uint8, a PIL image, or a list or iterator of such"
    )


def _file_reader(file: Any, fps: float | None) -> Reader:
    """The reader of an open binary file."""
    path, keep = path_of(file)
    if keep is None:
        return open_reader(path, fps)
    where = f"a {type(file).__name__}"
    try:
        reader = open_reader(path, fps)
    except SourceError as error:
        raise SourceError(str(error).replace(str(path), where)) from None
    reader.name, reader.where, reader.keeps = NAME, where, keep
    return reader


def open_reader(path: Path, fps: float | None = None, index: FrameIndex | None = None) -> Reader:
    """Open a file or a folder for reading in order or in any order.

    Args:
        path: video file, animation, image file, folder of images, or pattern of their names.
        fps: frames a second of what has no clock.
        index: of a video file, as another reader of it made it.

    Returns:
        Its reader; every interface reads files and folders by it.

    Raises:
        SourceError: there is nothing that can be read.
    """
    if not exists(path):
        if glob.has_magic(str(path)):
            return open_pattern(str(path), fps)
        raise SourceError(missing_message(path))
    if path.is_dir():
        return open_folder(path, fps)
    check_file(path, SourceError)
    if path.suffix.lower() not in IMAGE_SUFFIXES and is_dicom(path):
        return DicomReader([path], path.stem, str(path), fps)
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return VideoFileReader(path, fps, index)
    if count_frames(path) > 1:
        return AnimationReader(path, fps)
    return ImageReader([path], path.stem, str(path), fps)
