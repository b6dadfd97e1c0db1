"""Objects cut out of their frames: as images, and as videos, with transparency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from segue.entries import SQUARE
from segue.errors import SinkError
from segue.masks import resize_mask
from segue.sinks.base import Sink, frame_name
from segue.sinks.masks import MaskFolderSink, records_of
from segue.sinks.overlay import PRORES, VP9, RgbaImage, transparent_video
from segue.types import Frame, Image, IndexMask, Segmentation
from segue.utils.files import prepare
from segue.video.decoding.readers import DEFAULT_FPS

ENCODINGS = {"prores": PRORES, "webm": VP9}

COMPRESSION = 1
"""Level of PNG compression: images of videos are many."""


def cut_out(image: Image, mask: IndexMask) -> RgbaImage:
    """The objects of a mask (H, W) as RGBA (H, W, 4), uint8; the rest is transparent and black."""
    alpha = (mask > 0).astype(np.uint8)
    return np.dstack([image * alpha[..., None], alpha * 255])


class CutOutVideoSink(Sink):
    """Encodes the objects alone, with transparency; frames keep their true time stamps.

    Args:
        path: file to write, ``.mov`` for ProRes 4444 and ``.webm`` for VP9.
        encoding: "prores" or "webm".
        fps: mean frames a second, a hint for players and the encoder.
        pixel_aspect: width of a pixel by its height, for players.
    """

    def __init__(
        self,
        path: str | Path,
        encoding: Literal["prores", "webm"],
        fps: float | None = None,
        *,
        pixel_aspect: Fraction = SQUARE,
    ) -> None:
        self._path, self._encoding = Path(path), ENCODINGS[encoding]
        self._fps, self._aspect = fps or DEFAULT_FPS, pixel_aspect
        self._open: AbstractContextManager[Callable[[RgbaImage, float], None]] | None = None
        prepare(self._path)

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        if self._open is None:
            self._size = frame.size
            self._open = transparent_video(self._path, self._encoding, self._size, self._fps, self._aspect)
            self._write_frame = self._open.__enter__()
        cut = cut_out(frame.image, resize_mask(segmentation.mask, frame.size))
        if frame.size != self._size:  # a source may change its size
            cut = np.asarray(cv2.resize(cut, self._size[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        self._write_frame(cut, frame.time)

    def close(self) -> None:
        """Finish the file and give it its final name; without any frame there will be none."""
        if self._open is not None:
            opened, self._open = self._open, None
            opened.__exit__(None, None, None)

    def abort(self) -> None:
        if self._open is not None:
            opened, self._open = self._open, None
            given_up = SinkError(f"{self._path}: given up")
            with suppress(SinkError):
                opened.__exit__(SinkError, given_up, None)


class CutOutSink(MaskFolderSink):
    """Writes the objects of each frame as a PNG with transparency, RGBA, of the size of the frame.

    The images that an earlier run wrote there are removed when the first new one is written.

    Args:
        folder: folder to write to; made if it is not there.
        names: name (without ending) of the image by frame index; others are called ``00012.png``.

    Raises:
        SinkError: the folder cannot be written to, or holds images that segue did not write.
    """

    def __init__(self, folder: str | Path, *, names: Sequence[str] | None = None) -> None:
        folder = Path(folder)
        super().__init__(folder, None, names, replaces=True, syncs_records=True)
        recorded = {record.file for record in records_of(folder).values()}
        unknown = {path.name for path in folder.iterdir() if path.suffix.lower() == ".png"} - recorded
        if unknown:
            raise SinkError(f"{folder}: has {min(unknown)}, which segue did not write; choose another folder")

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        cut = cut_out(frame.image, resize_mask(segmentation.mask, frame.size))
        turned = cv2.cvtColor(cut, cv2.COLOR_RGBA2BGRA)
        data = cv2.imencode(".png", turned, [cv2.IMWRITE_PNG_COMPRESSION, COMPRESSION])[1].tobytes()
        self._write_mask(f"{frame_name(self._names, segmentation.index)}.png", segmentation, data)
