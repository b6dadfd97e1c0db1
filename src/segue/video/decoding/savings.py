"""Reduce decoding: skip unused frames, and decode in hardware."""

from __future__ import annotations

from typing import Any

from av.video.stream import VideoStream

from segue.errors import SourceError

_PROBE_SECONDS = 2.0
"""Seconds of a stream for measuring the share of reference frames."""

_RESERVE = 1.2
"""Minimum number of decoded frames per needed one, so that these can be evenly spaced."""


class FrameSkipper:
    """Skips frames of a stream that no other frame refers to, while enough are left.

    Many encoders have such frames, as B-frames and the upper layers of H.264 and HEVC; they are passed over
    without being decoded.

    Args:
        stream: newly opened.
        fps: frames a second of the stream, if known.
        needed: frames per second that are used; None uses all.
    """

    def __init__(self, stream: VideoStream, fps: float | None, needed: float | None) -> None:
        self._context = stream.codec_context
        self._needed = 0.0 if needed is None else needed
        self._begin: float | None = None
        self._count = 0
        self._probes = bool(needed and fps and needed * _RESERVE <= fps / 2)
        if self._probes:
            self._context.skip_frame = "NONREF"

    def see(self, time: float | None) -> None:
        """Note the time of a decoded frame; if too few come, skipping ends."""
        if not self._probes or time is None:
            return
        if self._begin is None or time < self._begin:
            self._begin, self._count = time, 0
            return
        self._count += 1
        seconds = time - self._begin
        if seconds >= _PROBE_SECONDS:
            self._probes = False
            if self._count / seconds < self._needed * _RESERVE:
                self._context.skip_frame = "DEFAULT"


def hardware_decoder(name: str | None) -> Any:
    """Hardware argument of :func:`av.open`; unsupported streams are decoded in software.

    Args:
        name: kind of the device, as FFmpeg calls it; None for none.

    Returns:
        The device; None for none.

    Raises:
        SourceError: this FFmpeg, or this machine, has no such device.
    """
    if name is None:
        return None
    try:
        from av.codec.hwaccel import HWAccel, hwdevices_available
    except ImportError:
        raise SourceError(f"hardware {name!r}: needs a newer PyAV (pip install 'av>=14')") from None
    if name not in (available := hwdevices_available()):
        raise SourceError(f"hardware {name!r}: this FFmpeg knows {', '.join(available) or 'no device'}")
    return HWAccel(device_type=name)
