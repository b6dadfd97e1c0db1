"""Overlay video: frames with objects drawn over them, H.264 in MP4."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar

import av
import av.error
import cv2
import numpy as np
import numpy.typing as npt
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from segue.entries.formats import SQUARE, Format, SinkOptions
from segue.errors import SinkError
from segue.formats.base import FileSink
from segue.formats.folders import VIDEOS
from segue.formats.frames import FrameObjects
from segue.masks import overlay
from segue.types import Frame, Image, Segmentation
from segue.utils.files import replacing, writing
from segue.video.decoding.readers import DEFAULT_FPS
from segue.video.decoding.reformat import ONE_THREAD
from segue.video.decoding.sound import Sound, SoundCopy, copy_sound

RgbaImage = npt.NDArray[np.unsignedinteger[Any]]
"""An image with transparency, (H, W, 4), of 8 or 16 bits."""

_RGBA_FORMATS = {np.dtype(np.uint8): "rgba", np.dtype(np.uint16): "rgba64le"}
"""FFmpeg's names of such images by their type."""

Levels = TypeVar("Levels", bound=np.unsignedinteger[Any])
"""Type of the levels of an image."""

_CLOCK = 90_000
"""Ticks a second of the time stamps."""

_BT709 = 1
"""Code of BT.709 for primaries, transfer and matrix (ITU-T H.273)."""

_LARGE = 2560 * 1440
"""Pixels of an image above which x264 makes no B-frames; at 2160p it takes 205 MiB less without them."""

_TO_BT709: dict[str, Any] = {
    "dst_colorspace": Colorspace.ITU709,
    "dst_color_range": ColorRange.MPEG,
    **ONE_THREAD,
}
"""Conversion from RGB to YUV in all written videos: players and editors assume BT.709 for HD."""


class OverlayVideoSink(FileSink):
    """Draws objects over frames and encodes them; frames keep their time stamps.

    A side with an odd number of pixels is extended by one, because 4:2:0 colour needs even sides.

    Args:
        path: file to write, ending in ``.mp4``.
        fps: mean frames a second, a hint for players and the encoder.
        side_by_side: put the plain frame at the left of the drawn one.
        alpha: weight of the objects' colours.
        ids: write the objects' ids and labels.
        begin: time in seconds of the source at which the video begins; None is that of the first frame.
        pixel_aspect: width of a pixel by its height, for players.
        sound: sound of the source, which is copied; None for none.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float | None = None,
        *,
        side_by_side: bool = False,
        alpha: float = 0.5,
        ids: bool = True,
        begin: float | None = 0.0,
        pixel_aspect: Fraction = SQUARE,
        sound: Sound | None = None,
    ) -> None:
        super().__init__(path)
        self._sound = sound
        self._copy: SoundCopy | None = None
        self._pixel_aspect = pixel_aspect
        self._fps = fps or DEFAULT_FPS
        self._side_by_side = side_by_side
        self._alpha = alpha
        self._ids = ids
        self._begin = begin
        self._opened: IO[bytes] | None = None
        self._container: OutputContainer | None = None
        self._last_tick = -1

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        self.add(FrameObjects.of_result(segmentation, frame, frame.size))

    def add(self, objects: FrameObjects) -> None:
        frame = objects.frame
        image = even_sides(self._draw(frame, objects))
        begin = self._begin = frame.time if self._begin is None else self._begin
        with encoding(self._file.final):
            if self._container is None:
                # A file of ours: one that PyAV opens stays open when the disk has no room for its head. By a
                # descriptor: PyAV wants names of files to be text.
                descriptor = os.open(self._file.path, os.O_WRONLY | os.O_TRUNC | getattr(os, "O_BINARY", 0))
                self._opened = os.fdopen(descriptor, "wb", buffering=0)
                self._container = av.open(
                    self._opened,
                    "w",
                    format="mp4",
                    container_options={"movflags": "+faststart"},
                    io_open=partial(_reopen, self._file.path),  # faststart reads what is written
                )
                self._stream = _add_stream(self._container, self._fps, image, self._pixel_aspect)
                times = begin, self._fps, frame.time
                self._copy = copy_sound(self._sound, self._container, *times)
            raw = VideoFrame.from_ndarray(image, format="rgb24").reformat(
                *(self._stream.width, self._stream.height),  # a source may change its size
                format="yuv420p",
                **_TO_BT709,
            )
            # The format wants rising time stamps, a camera may give two frames the same.
            self._last_tick = max(round((frame.time - begin) * _CLOCK), self._last_tick + 1)
            raw.pts, raw.time_base = self._last_tick, Fraction(1, _CLOCK)
            self._container.mux(self._stream.encode(raw))
            if self._copy is not None:
                self._copy.advance(frame.time)

    def close(self) -> None:
        """Complete the file; without any frame there is none."""
        if self._container is None:
            self.abort()
        else:
            super().close()

    def _complete(self) -> None:
        if self._container is not None:
            with encoding(self._file.final):
                self._container.mux(self._stream.encode(None))
                if self._copy is not None:
                    self._copy.close()
                self._container.close()
                self._release()

    def _release(self) -> None:
        if self._copy is not None:
            self._copy.abort()
        if self._container is not None:
            with suppress(OSError, av.error.FFmpegError):
                self._container.close()
        if self._opened is not None:
            with suppress(OSError):
                self._opened.close()

    def _draw(self, frame: Frame, objects: FrameObjects) -> Image:
        captions = {item.id: item.label for item in objects.objects if item.label is not None}
        overlaid = overlay(frame.image, objects.mask, alpha=self._alpha, ids=self._ids, captions=captions)
        return np.hstack((frame.image, overlaid)) if self._side_by_side else overlaid


def _reopen(path: Path, *_: object) -> IO[bytes]:
    """Open a file for reading; a function, since a reference to the sink would keep encoders alive."""
    return path.open("rb")


def _add_stream(container: OutputContainer, fps: float, like: Image, aspect: Fraction) -> VideoStream:
    """Add a stream for images of the size of ``like``, whose sides are even."""
    stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
    stream.height, stream.width = like.shape[:2]
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = Fraction(1, _CLOCK)
    _set_aspect(stream, aspect)
    # The same images give the same bytes: x264 without its approximations for a processor, in one thread.
    stream.codec_context.options = {"preset": "superfast", "crf": "20", "x264-params": "cpu-independent=1"}
    stream.codec_context.thread_count = 1
    if stream.height * stream.width > _LARGE:
        stream.codec_context.max_b_frames = 0
    _tag_colours(stream)
    return stream


def _tag_colours(stream: Any) -> None:
    """Tag the colours as BT.709, the matrix of :data:`_TO_BT709`."""
    stream.codec_context.colorspace = stream.codec_context.color_primaries = _BT709
    stream.codec_context.color_trc = _BT709
    stream.codec_context.color_range = ColorRange.MPEG


def _set_aspect(stream: VideoStream, aspect: Fraction) -> None:
    if aspect != SQUARE:
        stream.codec_context.sample_aspect_ratio = aspect.limit_denominator(255)


@dataclass(frozen=True, slots=True)
class Encoding:
    """A codec for videos with transparency."""

    codec: str
    pixels: str
    options: Mapping[str, str]
    depth: type[np.uint8 | np.uint16] = np.uint8  # of images from which nothing is lost
    has_time_code: bool = False  # whether its container has a time code


PRORES = Encoding("prores_ks", "yuva444p10le", {"profile": "4444"}, np.uint16, True)
VP9 = Encoding(
    "libvpx-vp9",
    "yuva420p",
    # Quality and speed; alternative reference frames do not go with transparency.
    {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "6", "auto-alt-ref": "0"},
)


@contextmanager
def transparent_video(
    target: Path,
    encoding_as: Encoding,
    size: tuple[int, int],
    fps: float,
    pixel_aspect: Fraction = SQUARE,
    *,
    first: int = 0,
    sound: Sound | None = None,
) -> Iterator[Callable[[RgbaImage, float], None]]:
    """Open a video with transparency for writing; it appears when complete.

    Args:
        target: file to write; its ending says the container.
        encoding_as: codec, format of pixels and options.
        size: height and width of the images.
        fps: mean frames a second.
        pixel_aspect: width of a pixel by its height.
        first: number of the first frame, at which the time code begins where the container has one.
        sound: sound of the source, which is copied; None for none.

    Yields:
        A function that takes an image, (H, W, 4), uint8 or uint16, and its time in seconds.
    """
    form = target.suffix.removeprefix(".")
    with (
        replacing(target) as path,
        encoding(target),
        av.open(f"file:{path}", "w", format=form) as container,
        ExitStack() as owned,
    ):
        if encoding_as.has_time_code:
            container.metadata["timecode"] = _time_code(first, fps)
        stream: Any = container.add_stream(encoding_as.codec, rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width = (side + side % 2 for side in size)
        stream.pix_fmt, stream.options = encoding_as.pixels, dict(encoding_as.options)
        stream.codec_context.time_base = Fraction(1, _CLOCK)
        _set_aspect(stream, pixel_aspect)
        _tag_colours(stream)
        begin: float | None = None
        last, copy = -1, None

        def write(image: RgbaImage, time: float) -> None:
            nonlocal begin, last, copy
            if begin is None:
                begin = time
                copy = copy_sound(sound, container, begin, fps, begin)
                if copy is not None:
                    owned.callback(copy.abort)
            last = max(round((time - begin) * _CLOCK), last + 1)
            even = even_sides(image, cv2.BORDER_CONSTANT)
            raw = VideoFrame.from_ndarray(even, format=_RGBA_FORMATS[image.dtype])
            raw = raw.reformat(format=encoding_as.pixels, **_TO_BT709)
            raw.pts, raw.time_base = last, Fraction(1, _CLOCK)
            with encoding(target):  # errors here reach the caller, and not the context around the yield
                container.mux(stream.encode(raw))
                if copy is not None:
                    copy.advance(time)

        yield write
        container.mux(stream.encode(None))
        if copy is not None:
            copy.close()


@contextmanager
def encoding(path: Path) -> Iterator[None]:
    """Convert errors of the system and the encoder to a SinkError that names ``path``."""
    try:
        with writing(path):
            yield
    except av.error.FFmpegError as error:
        raise SinkError(f"{path}: cannot be encoded ({error.strerror or error})") from error


def _time_code(frame: int, fps: float) -> str:
    """Time code of a frame, non-drop: hours, minutes, seconds, frames."""
    rate = max(1, round(fps))
    seconds = frame // rate
    parts = seconds // 3600 % 24, seconds // 60 % 60, seconds % 60, frame % rate
    return ":".join(f"{part:02d}" for part in parts)


def even_sides(image: npt.NDArray[Levels], border: int = cv2.BORDER_REPLICATE) -> npt.NDArray[Levels]:
    """Pad odd sides by one pixel, for codecs with chroma subsampling."""
    height, width = image.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return np.ascontiguousarray(image)
    return np.asarray(cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, border), image.dtype)


def _open(path: Path, run: SinkOptions) -> OverlayVideoSink:
    return OverlayVideoSink(
        path,
        fps=run.fps,
        side_by_side=run.side_by_side,
        begin=run.begin,
        pixel_aspect=run.pixel_aspect,
        sound=run.sound,
    )


ENTRIES = (
    Format(
        "overlay",
        "overlay.mp4",
        _open,
        needs_frames=True,
        only_shows=True,
        title="Overlay video",
        about="MP4 with the masks drawn on the frames",
        group=VIDEOS,
    ),
)
