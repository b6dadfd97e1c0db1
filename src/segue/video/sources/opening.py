"""Open files, folders, arrays, cameras and addresses as sources of frames."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from PIL import Image as PillowImage

from segue.errors import SourceError
from segue.options import RuntimeObject
from segue.types import DamagePolicy, WhenLate
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
from segue.utils.notices import warn_caller
from segue.video.decoding.readers import ArrayReader, Reader
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
from segue.video.sources.span import Span
from segue.video.sources.video_file import VideoFileReader

if TYPE_CHECKING:
    from segue.video.decoding.frame_index import FrameIndex
from segue.video.sources.source import DamageWarning, Source


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
        duration: time from the first frame to the end: seconds, or "90s", "10min", "1:30:00".
        max_size: bound on the longer side in pixels; larger frames are reduced by averaging.
        fps: frames a second of sources that have no clock (images, arrays: 25 if not given). An address that
            gives a single image is asked so often, and 2 times a second with a ``duration``; else once.
        colour: channel order of arrays and tensors; ``bgr`` as from ``cv2.imread``.
        layout: axes of arrays and tensors; ``tchw`` has the channels first, as videos of PyTorch often have.
        on_damage: handling of a frame that cannot be read: "stop" ends with an error after the frames before
            it, "skip" leaves it out, "hold" repeats the frame before it; both of these warn. None is "stop"
            for what has an end, and for cameras and live streams "skip" with one warning; see ``damaged``.
        when_late: handling of frames that arrive faster than they are processed: "newest"
            drops the oldest frames that wait, "all" takes every frame and falls behind.
        prefetch: maximum number of frames to decode ahead in a thread, fewer if they are large; 0 decodes
            when asked. Arrays and other images in memory are never read ahead.
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
    """Raise SourceError for invalid options of :func:`open_source`."""
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
    """Set hardware decoding, and the main stream for clips."""
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
    """Create the reader of a source; arrays are BGR with ``bgr``, channels-first with ``first``."""
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
    """Create the reader of an open binary file."""
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
        fps: frame rate of sources without time stamps.
        index: index of a video file from another reader.

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
