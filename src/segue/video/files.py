"""A video file as a source."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import av
import av.error
from av.video.stream import VideoStream

from segue.errors import SourceError
from segue.types import Image
from segue.video.decode import Decoded, decode, describe, open_container, to_rgb, video_stream
from segue.video.readers import DEFAULT_FPS, DamageError, Picture, Reader

_EARLY_END = 5
"""Missing frames at the end from which on a file counts as cut off; fewer are rounding of durations."""


class VideoFileReader(Reader):
    """A video file, decoded by FFmpeg.

    Args:
        path: the file.
        fps: frames a second to assume where the file does not say.

    Raises:
        SourceError: the file is missing, is not a video, or its first frame cannot be decoded.
    """

    def __init__(self, path: Path, fps: float | None) -> None:
        self._path = path
        self._address = f"file:{path}"
        self.name = path.stem
        self.where = str(path)
        self.files = (path,)
        with open_container(self._address, self.where) as container:
            stream = video_stream(container)
            self.total = stream.frames or None
            self.fps = float(stream.average_rate) if stream.average_rate else fps
            self._promised = promised_duration(stream)
            self.size = self._first_size(decode(container, stream))

    def pictures(self) -> Iterator[Picture]:
        """All frames in order; a frame lost to damage stands in its place and raises when it is loaded."""
        index = -1
        start = time = end = 0.0
        step = 1 / (self.fps or DEFAULT_FPS)
        with open_container(self._address, self.where) as container:
            frames = decode(container, video_stream(container))
            for index, item in enumerate(self._until_broken(frames)):
                if index == 0:
                    start = item.time or 0.0
                time = index * step if item.time is None else item.time - start
                end = time + item.duration
                yield Picture(index, time, partial(to_rgb, item, f"{self.where}: frame {index}"))
        # The mean distance, because the rate in the header may be that of a finer clock.
        step = max(step, time / index if index > 0 else 0.0)
        missing = round(((self._promised or 0.0) - max(end, time + step)) / step)
        if missing >= _EARLY_END:
            ending = f"ends after frame {index}, about {missing} frames early (cut off or damaged)"
            yield Picture(index + 1, time + step, _raiser(f"{self.where}: {ending}"))

    def _until_broken(self, frames: Iterator[Decoded]) -> Iterator[Decoded]:
        """Frames up to where the demuxer itself gives up, which counts as one lost frame."""
        try:
            yield from frames
        except (av.error.FFmpegError, OSError):
            yield Decoded(None, None)

    def _first_size(self, frames: Iterator[Decoded]) -> tuple[int, int]:
        try:
            for item in frames:
                if item.frame is not None:
                    height, width = to_rgb(item, self.where).shape[:2]
                    return height, width
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(f"{self.where}: no frame can be decoded ({describe(error)})") from error
        raise SourceError(f"{self.where}: has no frames that can be decoded")


def _raiser(message: str) -> Callable[[], Image]:
    def load() -> Image:
        raise DamageError(message)

    return load


def promised_duration(stream: VideoStream) -> float | None:
    """Length in seconds by the file's header, or None if it says nothing of this very stream."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    written = {key.upper(): value for key, value in stream.metadata.items()}.get("DURATION", "")
    if match := re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", written):
        hours, minutes, seconds = match.groups()
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return None
