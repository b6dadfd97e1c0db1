"""Cameras and network addresses as sources, reconnected with patience after failures."""

from __future__ import annotations

import math
import re
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import av
import av.error
import cv2
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.stream import VideoStream

from segue.errors import LoginRefusedError, SourceError
from segue.types import Image
from segue.utils.cancel import CancelToken
from segue.utils.redaction import MASK
from segue.video.decoding.decode import (
    Decoded,
    decode,
    describe,
    frame_rate,
    open_container,
    owned_container,
    promised_end,
    to_rgb,
    video_stream,
)
from segue.video.decoding.packets import PacketBuffer
from segue.video.decoding.readers import ConnectionChange, Reader, SourceImage
from segue.video.decoding.savings import FrameSkipper
from segue.video.sources.addresses import FOLLOW, ONVIF, public_address
from segue.video.sources.byte_streams import BoundedAnswer, GrowingFile
from segue.video.sources.onvif import OnvifCamera

_MIN_STEP = 1e-3
"""Least distance in seconds of two frames of a live source."""

_TOLERANCE = 3.0
"""Maximum difference of live time stamps from the wall clock, in seconds."""

_FEW = 3
"""Times in :data:`_WINDOW` that stamps are set right by the wall clock, before it counts for as long."""

_WINDOW = 300.0
"""Seconds after which stamps that disagreed with the wall clock are tried again."""

_MAX_LATE = 30.0
"""Maximum delay in seconds of frames in bursts, as after a stall, before the wall clock is used."""

_CATCH_UP = 2.0
"""Speed-up of late frames in a burst."""

_NO_TIMES = 0x80
"""Flag of formats whose stamps FFmpeg makes up, such as MJPEG by HTTP (AVFMT_NOTIMESTAMPS)."""

POLLED_FPS = 2.0
"""Default rate of requests to an address of single images, per second."""

_MAX_MISSED = 3
"""Single images in a row that cannot be read before their address counts as lost."""

_PLAYLISTS = ("hls", "dash")
"""Formats of playlists, whose size is not that of the video, and which may be endless."""

_CAMERAS = ("rtsp", "rtmp")
"""Schemes of streams of cameras."""

FIRST_TRIES = 5
"""Number of consecutive failures after which a source without any frame is abandoned."""

LOGIN_SECONDS = 300.0
"""Wait after a refused login: cameras lock an account after some wrong passwords within minutes."""

_REFUSED = re.compile(r"\b(?:401 Unauthorized|403 Forbidden)\b")
"""Messages of FFmpeg for refused logins, by HTTP and RTSP."""

_LAST_CAMERA = 99
"""Maximum camera number; OpenCV reads the hundreds as the driver."""

_EARLY_END = 0.5
"""Maximum seconds by which a complete video may end before its announced length."""


class LiveWarning(UserWarning):
    """A camera or stream was lost, is back, or has wrong times; the message names it."""


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Retry rules for cameras, addresses and receivers of events.

    Attributes:
        tries: failures in a row after which it is given up; a frame that arrives starts the count anew. None
            tries a live source for ever once it has given a frame, and 5 times before.
        first_delay: seconds before the first new try; each further wait is twice as long.
        max_delay: longest wait in seconds.
        timeout: seconds without any answer that count as a failure.
    """

    tries: int | None = None
    first_delay: float = 0.5
    max_delay: float = 30.0
    timeout: float = 10.0

    def delay(self, failures: int) -> float:
        """Seconds to wait before the next try.

        Args:
            failures: failures in a row, at least 1.

        Returns:
            Seconds; doubled with each failure up to ``max_delay``.
        """
        return float(min(self.max_delay, self.first_delay * 2.0 ** min(failures - 1, 60)))


class _LiveReader(Reader):
    """A source that connects when it is read, and reconnects after failures."""

    once = True

    def __init__(self, where: str, name: str, reconnect: Reconnect) -> None:
        self.where, self.name = where, name
        self.on_change = _warn_of_change
        self._reconnect = reconnect
        self._stopped = CancelToken()
        self._clock = LiveClock(where)
        self._failures = 0
        self._is_refused = False  # the last connection ended so
        self._num_frames = 0
        self._lost_at: float | None = None
        self._told_refusal = False  # whether the reason that was told is a refused login

    def interrupt(self) -> None:
        """End the wait before the next try; a blocked read ends by its timeout."""
        self._stopped.cancel()

    @property
    def now(self) -> float:
        """Current time of this source in seconds; 0 before the first frame."""
        return self._clock.now

    def delay(self, time: float) -> float | None:
        return self._clock.since(time) if self.endless else None

    def images(self, start: int | float = 0) -> Iterator[SourceImage]:
        while not self._stopped.cancelled:
            self._clock.connect()
            self._is_refused = False
            reason = yield from self._connection()
            if reason is None or self._stopped.cancelled:
                return
            self._failures += 1
            is_refused = self._is_refused or _REFUSED.search(reason) is not None
            lives = self.endless and (self._num_frames > 0 or self.is_camera)
            if is_refused and not lives:
                raise LoginRefusedError(
                    f"{self.where}: refuses user and password ({reason}); it was tried once, as more tries "
                    "may lock the account"
                )
            tries = self._reconnect.tries or (None if lives else FIRST_TRIES)
            if tries is not None and self._failures >= tries:
                raise SourceError(
                    f"{self.where}: lost ({reason}); gave up after {self._failures} tries in a row"
                )
            is_new_reason = self._lost_at is None or is_refused != self._told_refusal
            if is_new_reason and (self._num_frames == 0 or lives):
                self._report_loss(reason, tries, is_refused=is_refused)
            self._stopped.wait(LOGIN_SECONDS if is_refused else self._reconnect.delay(self._failures))

    def _report_loss(self, reason: str, tries: int | None, *, is_refused: bool) -> None:
        """Report a lost source or a failed first try, again when it begins or ceases to refuse logins."""
        retry = "it is tried again" + ("" if tries is None else f", {tries} times in all")
        if is_refused:
            minutes = round(LOGIN_SECONDS / 60)
            reason = f"refuses user and password: {reason}"
            retry = f"it is tried again in {minutes} minutes, as more tries may lock the account"
        elif self._num_frames:
            retry = "it is tried again"
        last, now = self._num_frames - 1, self._clock.now
        was_lost, self._told_refusal = self._lost_at is not None, is_refused
        if self._lost_at is None:
            self._lost_at = now if self._num_frames else monotonic()
        self.on_change(ConnectionChange(self.where, False, last, now, 0.0, reason, retry, was_lost))

    def _connection(self) -> Generator[SourceImage, None, str | None]:
        """Iterate over the images of one connection; returns why it ended, or None at the end."""
        raise NotImplementedError

    def _image(self, time: float, load: Callable[[], Image]) -> SourceImage:
        self._failures = 0
        if self._lost_at is not None:
            # Before the first frame the clock of the source stands.
            away = time - self._lost_at if self._num_frames else monotonic() - self._lost_at
            self._lost_at = None
            self.on_change(ConnectionChange(self.where, True, self._num_frames, time, away))
        self._num_frames += 1
        return SourceImage(self._num_frames - 1, time, load)


def _warn_of_change(change: ConnectionChange) -> None:
    warnings.warn(str(change), LiveWarning, stacklevel=3)


class NetworkReader(_LiveReader):
    """Reads a stream from an address."""

    @property
    def endless(self) -> bool:
        """Whether this is a live stream; known from the first frame on."""
        return self._is_polled or not (self._duration or self._bytes)

    def __init__(self, address: str, fps: float | None, reconnect: Reconnect) -> None:
        where = public_address(address)
        path = where if where.lower().startswith(FOLLOW) else urlsplit(where).path
        name = path.rstrip("/").rpartition("/")[2].partition(".")[0]
        name = name if name and MASK not in name else "stream"
        super().__init__(where, name, reconnect)
        self._address = address
        self._followed = Path(address[len(FOLLOW) :]) if address.lower().startswith(FOLLOW) else None
        self._onvif: OnvifCamera | None = None
        self._answer: BoundedAnswer | None = None  # of a camera that begins without a boundary
        self.fps = self.polls = fps
        self._last = -1.0
        self._start: float | None = None
        self._passed = 0
        self._by_range = True
        self._bytes = 0
        self._duration = 0.0
        self._promised = 0.0
        self._has_times = True
        self._is_single = False  # one image, and no stream
        self._request_time = 0.0  # seconds from the beginning of a connection at which an image was asked for
        self._in_parts = False  # frames come in bursts, a part of the stream at a time
        self._growing: GrowingFile | None = None
        self.packets = PacketBuffer()
        self.hardware: str | None = None

    @property
    def _is_polled(self) -> bool:
        return self._is_single and self.polls is not None

    def _connection(self) -> Generator[SourceImage, None, str | None]:
        missed, start, place = 0, time.monotonic(), 0
        self._request_time, self._onvif = 0.0, None  # where a camera has its images is asked anew
        try:
            while missed < _MAX_MISSED:
                num_frames_at_start = self._num_frames
                for moment, item in self._new_items():
                    yield self._image(
                        moment, partial(to_rgb, item, f"{self.where}: frame {self._num_frames}")
                    )
                if not self._is_polled:
                    break
                missed = missed + 1 if self._num_frames == num_frames_at_start else 0
                rate, passed = self.polls or POLLED_FPS, time.monotonic() - start
                place = max(place + 1, math.floor(passed * rate))
                self._request_time = place / rate
                if self._stopped.wait(self._request_time - passed):
                    return None
            if self._is_complete():
                return None
            reason = "no image can be read" if missed else "the stream ended"
        except (av.error.FFmpegError, OSError) as error:
            reason = describe(error)
        except SourceError as error:
            self._is_refused = isinstance(error, LoginRefusedError)
            reason = str(error).removeprefix(f"{self.where}: ")
        self._by_range = not self._by_range  # a server that knows no ranges is asked for the whole again
        return reason

    def _new_items(self) -> Iterator[tuple[float, Decoded]]:
        """New items of one connection."""
        undecoded: list[tuple[float, Decoded]] = []
        started = False
        for place, item in enumerate(self._items()):
            if self._duration:
                self._start = item.time if self._start is None else self._start
                time = None if item.time is None or self._start is None else item.time - self._start
            elif self._bytes and place < self._passed:
                continue
            else:
                stamp = self._request_time if self._is_polled else item.time
                time = self._live_time(stamp if self._has_times else None)
            if time is None or time <= self._last:
                continue
            self._passed = place + 1
            if item.frame is None:
                if started:
                    undecoded.append((time, item))
                continue
            started = True
            yield from undecoded
            undecoded.clear()
            self._last = time
            if self.packets is not None and self.packets.is_own:
                if item.matrix is not None:  # players do not turn what is made of its packets
                    self.packets.refuse()
                self.packets.note(item.time, time)
            yield time, item

    def _live_time(self, stamp: float | None) -> float:
        """Time of a frame, after waiting for its turn if frames come in bursts."""
        growing = self._growing
        bursts = self._in_parts if growing is None else growing.is_current
        if bursts and not self._clock.paces:  # it has been read up to now
            self._clock.connect(paces=True)
        self._stopped.wait(self._clock.pause(stamp))
        return self._clock.time_of(stamp)

    def _items(self) -> Iterator[Decoded]:
        options = {}
        if self._address.lower().startswith("rtsp"):
            options = {"rtsp_transport": "tcp"}
        elif self._address.lower().startswith("http"):
            # Where a server cuts a file short, FFmpeg asks for the rest of it by a range.
            options = {"reconnect": str(int(self._by_range)), "reconnect_delay_max": "0"}
        with ExitStack() as stack:
            container = stack.enter_context(owned_container(self._open(options, stack)))
            stream = video_stream(container)
            name = container.format.name
            self._is_single = name == "image2" or name.endswith("_pipe")
            self._in_parts = name in _PLAYLISTS
            size: int | None = container.size  # of a stream without end None, or an error below 0
            duration = max(container.duration or 0, 0) / av.time_base
            is_stream = self.is_camera and self._address.lower().startswith(_CAMERAS)
            if self._is_polled or self._followed is not None or is_stream:
                size, duration = 0, 0.0
            if name in _PLAYLISTS:
                size = 0
            self._duration, self._bytes = duration, max(size or 0, 0)
            if self._is_polled:
                self.fps = self.polls
            alone = len(container.streams) == 1
            self._promised = promised_end(stream) or (self._duration if alone else 0.0)
            untimed = int(container.format.flags) & _NO_TIMES and not self._bytes
            self._has_times = self._is_polled or not untimed
            if self._has_times and not self._is_polled:
                self.fps = frame_rate(stream) or self.fps
            skipper = FrameSkipper(stream, self.fps, self.needed)
            keep_packet, keep_sound = self._keep_packets(stream)
            for item in decode(container, stream, on_packet=keep_packet, on_sound=keep_sound):
                if self._stopped.cancelled:
                    return
                skipper.see(item.time)
                if self._answer is not None:
                    self._answer.count_frame()
                yield item

    def _keep_packets(
        self, stream: VideoStream
    ) -> tuple[Callable[[Any], None] | None, Callable[[Any], None] | None]:
        """Buffers for the packets and the sound of a connection, once requested."""
        packets, has_started = self.packets, False
        if packets is None or not self._has_times or self._duration or self._bytes:
            return None, None

        def keep(packet: Any) -> None:
            nonlocal has_started
            if not packets.is_own:
                return
            if not has_started:
                has_started = True
                packets.begin(stream)
            packets.add(packet)

        def keep_sound(packet: Any) -> None:
            if has_started:
                packets.add_sound(packet)

        return keep, keep_sound

    def _open(self, options: dict[str, str], stack: ExitStack) -> InputContainer:
        """Open the answer of an address, including MJPEG that begins without a boundary."""
        timeout, self._answer = self._reconnect.timeout, None
        if self._followed is not None:
            file = stack.enter_context(GrowingFile(self._followed, self.where, self._stopped))
            self._growing = file
            return open_container(file, self.where)
        if self._address.lower().startswith(ONVIF):
            self._onvif = self._onvif or OnvifCamera(self._address, self.where, timeout)
            return open_container(BytesIO(self._onvif.image()), self.where)
        try:
            return open_container(self._address, self.where, options, timeout, hardware=self.hardware)
        except SourceError as error:
            unknown = isinstance(error.__cause__, av.error.InvalidDataError)
            if not unknown or not self._address.lower().startswith("http"):
                raise
        # Images are found by their own beginnings then; FFmpeg is to look at the first one alone.
        self._answer = stack.enter_context(BoundedAnswer(self._address, self.where, options, timeout))
        container = open_container(self._answer, self.where, {"analyzeduration": "1"}, format="mjpeg")
        if not video_stream(container).width:
            container.close()
            raise SourceError(f"{self.where}: answers with no video, stream or image that FFmpeg can read")
        return container

    def _is_complete(self) -> bool:
        """Whether this is a video that was read to its end, not a live stream."""
        if not self._duration:
            return self._by_range and self._bytes > 0 and self._passed > 0
        end = self._last + max(self._start or 0.0, 0.0)
        return self._last >= 0 and end > self._promised - _EARLY_END


class LiveClock:
    """Times of a live stream: its own stamps, as long as they agree with the wall clock.

    Stamps that differ by seconds, because they jump by an hour or run at another rate, are corrected by the
    wall clock, with one warning. After a few corrections only the wall clock is used for some minutes. For
    frames in bursts, as of a playlist, :meth:`pause` keeps the pace of their time stamps; frames that are
    late after a stall keep their times.

    Args:
        where: the stream, for the warning.
        now: the wall clock in seconds, from any beginning.

    Attributes:
        paces: whether frames come in bursts.
    """

    def __init__(self, where: str = "stream", now: Callable[[], float] = time.monotonic) -> None:
        self._where, self._now = where, now
        self._begin: float | None = None
        self._offset: float | None = None
        self._next = 0.0
        self._anchors: list[float] = []  # when stamps were set right
        self._last: tuple[float, float] | None = None  # stamp and arrival of the last frame
        self._late_since: float | None = None
        self._warned = False
        self.paces = False

    @property
    def now(self) -> float:
        """Seconds since the very first frame."""
        return 0.0 if self._begin is None else self._now() - self._begin

    def connect(self, *, paces: bool = False) -> None:
        """Begin a new connection, with arbitrary stamps and possibly bursts."""
        self._offset, self._last, self._late_since, self.paces = None, None, None, paces
        self._anchors = []

    def since(self, moment: float) -> float:
        """Seconds since a time of :meth:`time_of`."""
        return max(0.0, self.now - moment)

    def pause(self, stamp: float | None) -> float:
        """Seconds to wait for the turn of a frame in a burst."""
        if not self.paces or stamp is None or self._last is None:
            return 0.0
        step, now = stamp - self._last[0], self.now
        if not 0 < step <= _TOLERANCE:
            return 0.0
        if self._offset is not None and self._counts(now):
            ahead = stamp + self._offset - now
            if ahead >= 0:
                return min(ahead, _TOLERANCE)
            step /= _CATCH_UP
        return max(0.0, self._last[1] + step - now)

    def time_of(self, stamp: float | None) -> float:
        """Time of a frame that has just arrived, in rising seconds since the very first one."""
        if self._begin is None:
            self._begin = self._now()
        moment = now = self.now
        if stamp is not None and self._counts(now):
            if self._offset is not None and self._disagrees(stamp, now):
                self._anchors, self._offset = [*self._anchors, now], None
                self._warn()
            if self._offset is None:
                self._offset = max(now, self._next) - stamp
            moment = stamp + self._offset
        if stamp is not None:
            self._last = stamp, now
        moment = max(moment, self._next)
        self._next = moment + _MIN_STEP
        return moment

    def _counts(self, now: float) -> bool:
        """Whether stamps are used: they have rarely disagreed in the last minutes."""
        self._anchors = [moment for moment in self._anchors if now - moment < _WINDOW]
        return len(self._anchors) <= _FEW

    def _disagrees(self, stamp: float, now: float) -> bool:
        """Whether the stamp of a frame is wrong, not just late after a stall."""
        late = now - stamp - (self._offset or 0.0)
        if abs(late) <= _TOLERANCE:
            self._late_since = None
            return False
        has_jumped = self._last is None or abs(stamp - self._last[0]) > _TOLERANCE
        if late < 0 or has_jumped or not self.paces:
            return True
        self._late_since = now if self._late_since is None else self._late_since
        return now - self._late_since > _MAX_LATE

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            message = f"{self._where}: its time stamps disagree with the clock by seconds; the clock counts"
            warnings.warn(message, LiveWarning, stacklevel=4)


class CameraReader(_LiveReader):
    """Reads a local camera by number, with times of the wall clock."""

    @property
    def endless(self) -> bool:
        """True: a camera has no end."""
        return True

    def __init__(self, number: int, reconnect: Reconnect) -> None:
        if not 0 <= number <= _LAST_CAMERA:
            raise SourceError(f"camera {number}: cameras are numbered from 0 to {_LAST_CAMERA}")
        super().__init__(f"camera {number}", f"camera{number}", reconnect)
        self._number = number

    def _connection(self) -> Generator[SourceImage, None, str | None]:
        camera = _opened(self._number)
        try:
            if not camera.isOpened() and not (self._num_frames or self.is_camera):
                raise SourceError(
                    f"{self.where}: there is none, or another program has it; see that it is connected "
                    "or give another number"
                )
            while not self._stopped.cancelled:
                arrived, image = camera.read()
                if not arrived:
                    break
                yield self._image(self._clock.time_of(None), partial(_bgr_to_rgb, image))
        finally:
            camera.release()
        return "no image arrives; is it connected and free?"


def _opened(number: int) -> cv2.VideoCapture:
    """Open a camera without messages of OpenCV; it may have failed."""
    logging: Any = cv2.utils.logging
    log_level = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        return cv2.VideoCapture(number)
    finally:
        logging.setLogLevel(log_level)


def _bgr_to_rgb(image: npt.NDArray[Any]) -> Image:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
