"""Small videos, images and results for the tests of sources and sinks."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from segue.types import Frame, ObjectInfo, Segmentation
from segue.utils import files as partial
from segue.utils.files import PartialFile

TICKS = 1000

FULL_DISK = Path("/dev/full")
"""What is written here meets a full disk (Linux)."""

needs_full_disk = pytest.mark.skipif(not FULL_DISK.exists(), reason="this system has no /dev/full")


def fill_disk_at(final: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whoever writes this file next meet a full disk."""
    monkeypatch.setattr(partial, "token_hex", lambda count: "0" * 2 * count)
    PartialFile(final).path.symlink_to(FULL_DISK)


def level(index: int) -> int:
    """Grey value of the frame with this index; neighbours differ by far more than a codec's error."""
    return 40 + (index * 12) % 160


def drawn_image(index: int, size: tuple[int, int] = (48, 64)) -> npt.NDArray[np.uint8]:
    """A flat frame of ``level(index)``, RGB."""
    return np.full((*size, 3), level(index), np.uint8)


def corners(size: tuple[int, int] = (48, 64)) -> npt.NDArray[np.uint8]:
    """An image that looks different in each of its eight orientations: four coloured quarters."""
    height, width = size
    image = np.zeros((*size, 3), np.uint8)
    image[: height // 2, : width // 2] = (200, 30, 30)
    image[: height // 2, width // 2 :] = (30, 200, 30)
    image[height // 2 :, : width // 2] = (30, 30, 200)
    image[height // 2 :, width // 2 :] = (220, 220, 220)
    return image


def write_video(
    path: Path,
    images: Sequence[npt.NDArray[np.uint8]],
    *,
    times: Sequence[float] | None = None,
    fps: int = 10,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    rotation: float = 0,
    format: str | None = None,
) -> Path:
    """Encode RGB images; ``times`` are the time stamps in seconds (default: regular)."""
    ticks = fps if times is None else TICKS
    times = [index / fps for index in range(len(images))] if times is None else times
    height, width = images[0].shape[:2] if images else (48, 64)
    with av.open(str(path), "w", format=format, container_options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width, stream.pix_fmt = height, width, pixels
        stream.codec_context.time_base = Fraction(1, ticks)
        stream.codec_context.options = {"qp": "8"} if options is None else options
        if rotation:
            stream.set_display_rotation(rotation)
        container.start_encoding()
        for image, time in zip(images, times, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(time * ticks), Fraction(1, ticks)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def busy_images(count: int, size: tuple[int, int] = (96, 128)) -> list[npt.NDArray[np.uint8]]:
    """Frames that do not compress, so that a file has many bytes to damage."""
    noise = np.random.default_rng(0).integers(0, 255, (size[0], size[1] + 3 * count, 3), np.uint8)
    return [np.ascontiguousarray(noise[:, 3 * i : 3 * i + size[1]]) for i in range(count)]


def result(index: int, size: tuple[int, int] = (12, 16), fps: float = 10.0) -> tuple[Frame, Segmentation]:
    """A frame and its result: object 1 moves right, object 3 is there on even frames only."""
    mask = np.zeros(size, np.uint8)
    mask[2:6, index : index + 4] = 1
    if index % 2 == 0:
        mask[8:10, 3:8] = 3
    objects = (
        ObjectInfo(1, "dog", 0.9, (float(index), 2.0, float(index + 4), 6.0), 16),
        ObjectInfo(3, None, 0.5 if index % 2 == 0 else 0.0),
    )
    frame = Frame(index, index / fps, drawn_image(index, size))
    return frame, Segmentation(index, index / fps, mask, objects)
