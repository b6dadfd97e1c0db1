"""Frames of a source in order, in parts and backwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property, partial

import cv2
import numpy as np
import numpy.typing as npt

from segue.errors import OutOfMemoryError, SourceDamageError, SourceError, memory_is_short
from segue.options import RuntimeObject
from segue.types import DamagePolicy, Frame, Image, WhenLate
from segue.utils.allocation import queue_depth
from segue.utils.arrays import UInt16Array
from segue.utils.cancel import Cancelled, CancelToken, cancelled_with
from segue.utils.naming import last_number
from segue.video.decoding.damage import DamageError
from segue.video.decoding.levels import LevelKind
from segue.video.decoding.packets import PacketBuffer
from segue.video.decoding.prefetch import Prefetcher
from segue.video.decoding.readers import ConnectionChange, Reader, SourceImage
from segue.video.sources.identity import VideoSource
from segue.video.sources.live import POLLED_FPS
from segue.video.sources.span import Span, at_rate, chunks_reversed

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
        turns: counterclockwise quarter turns to upright images, from metadata.
        request: arguments of :func:`open_source`; without a place for images in memory.
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
        """Height and width of the frames, or None if unknown."""
        return None if self.original_size is None else self._bounded(self.original_size)

    def _bounded(self, size: tuple[int, int]) -> tuple[int, int]:
        """Frame size for an image size, within the limit."""
        longest = self._max_size
        if longest is None or max(size) <= longest:
            return size
        height, width = (max(1, round(side * longest / max(size))) for side in size)
        return height, width

    @property
    def endless(self) -> bool:
        """Whether the source ends only when stopped; for addresses known from the first frame on."""
        return self._reader.endless

    @property
    def dropped(self) -> int:
        """Number of frames of a live source that were dropped because their reader was late."""
        return self._dropped + sum(ahead.dropped for ahead in self._active)

    def frame_label(self, index: int) -> str:
        """Label of a frame: its number, or its file if names have other numbers.

        Args:
            index: frame index, from 0.

        Returns:
            Such as ``10``, or ``00050.jpg (frame 10)``.
        """
        if not 0 <= index < len(self.names or ()) or not self._has_other_numbers:
            return str(index)
        return f"{self.files[index].name} (frame {index})"

    def lacks_frame(self, index: int) -> str:
        """Reason why a frame cannot come, if known beforehand; else empty.

        Args:
            index: frame index, from 0.

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
        """Whether the numbers in image names differ from positions."""
        numbers = [last_number(name) for name in self.names or ()]
        return None not in numbers and numbers != list(range(len(numbers)))

    def delay(self, frame: Frame) -> float | None:
        """Seconds between the arrival of a frame and now.

        Args:
            frame: frame of this source.

        Returns:
            Seconds since the live source gave it; None where the source is not live.
        """
        return self._reader.delay(frame.time)

    def at(self, time: float) -> datetime | None:
        """Date and time of a moment of the source.

        Args:
            time: seconds of this source, as frames have them.

        Returns:
            With the zone of this machine; None where the source is not live.
        """
        delay = self._reader.delay(time)
        return None if delay is None else datetime.now().astimezone() - timedelta(seconds=delay)

    def packets(self) -> PacketBuffer | None:
        """Keep the packets of a stream from now on.

        Returns:
            The buffer of the packets; None for sources without packets.
        """
        if self._reader.packets is not None:
            self._reader.packets.enable()
        return self._reader.packets

    def on_change(self, call: Callable[[ConnectionChange], None]) -> None:
        """Set a callback for lost and restored live sources, in place of a warning.

        Args:
            call: receives each change, in the reading thread.
        """
        self._reader.on_change = call

    def poll(self, fps: float | None = None) -> None:
        """Set the rate at which frames are taken and single images requested.

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
        """Number of frames according to the file's header; TypeError if unknown."""
        if self.frame_count is None:
            raise TypeError(f"{self._reader.where}: the number of frames is not known")
        return self.frame_count

    def __bool__(self) -> bool:
        return True

    def read_as_camera(self) -> None:
        """Retry for ever, even before the first frame; RTSP and RTMP streams have no end."""
        self._reader.is_camera = True

    def stop(self) -> None:
        """End all iterations before their next frame, permanently; safe in signal handlers.

        A camera or live stream ends. A source with an end raises :class:`.cancel.Cancelled`, so that nobody
        takes the frames so far for all of them.
        """
        self._stopped.cancel()
        self._reader.interrupt()

    @contextmanager
    def until(self, token: CancelToken) -> Iterator[None]:
        """Stop iterations that start in the block when a token is cancelled.

        Later ones do not: the source can be used again.

        Args:
            token: token that stops iteration.
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
        """Select consecutive frames of a source that can be read again.

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
        """Time of each frame in seconds, by index; SourceError for sources in order only."""

        def image(index: int, time: float) -> SourceImage:
            return SourceImage(index, time, lambda: self._reader.load(index).load())

        times = self._reader.times()
        return {item.index: item.time for item in self._span.select(map(image, range(len(times)), times))}

    def frame(self, index: int) -> Frame:
        """Read one frame, in any order.

        Args:
            index: frame index.

        Returns:
            The frame, as in an iteration.

        Raises:
            SourceError: there is no such frame, it is damaged, or frames come in order only.
        """
        try:
            item = self._reader.load(index)
            return self._frame(item)
        except DamageError as damage:
            raise SourceDamageError(str(damage)) from damage

    def walk(self, start: int, stop: int) -> Iterator[Frame]:
        """Read frames forwards or backwards, in constant memory.

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
        """End running iterations; files, folders and arrays can be iterated again."""
        self._closings += 1
        while self._active:
            self._active.pop().close()
        if self._reader.packets is not None:
            self._reader.packets.close()
        self._reader.close()

    def _frames(self, closings: int) -> Iterator[Frame]:
        """Iterate over frames until :meth:`close` is called more than ``closings`` times."""
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
        """Policy for damaged frames; for addresses it depends on whether the source has an end."""
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
        """Decode frames, ahead in a thread if that pays off."""
        if self._prefetch < 1:
            yield self._decoded()
            return
        live = self._reader.once and self._drops
        height, width = self.size or (0, 0)
        depth = queue_depth(WAITING if live else self._prefetch, 3 * height * width)
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
        """Decode a frame at the frame size."""
        image = item.load()
        if image.shape[:2] != self.original_size:
            image = self._in_first_size(image, item.index)
        deep = None if item.deep is None else partial(self._deep, item.deep)
        return Frame(item.index, item.time, self._reduced(image), deep=deep)

    def _deep(self, load: Callable[[], UInt16Array]) -> UInt16Array:
        """Image of a frame at full bit depth and frame size."""
        try:
            return self._reduced(load())
        except DamageError as damage:
            raise SourceDamageError(str(damage)) from damage

    def _in_first_size(self, image: Image, index: int) -> Image:
        """Fit an image to the size of the first one, if that is allowed."""
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
    """Fit an image into a size, (H, W), keeping its aspect, with black borders."""
    (height, width), (rows, columns) = size, image.shape[:2]
    scale = min(height / rows, width / columns)
    tall, wide = max(1, round(rows * scale)), max(1, round(columns * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = np.asarray(cv2.resize(image, (wide, tall), interpolation=method), image.dtype)
    top, left = (height - tall) // 2, (width - wide) // 2
    return np.pad(scaled, ((top, height - tall - top), (left, width - wide - left), (0, 0)))
