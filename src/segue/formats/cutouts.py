"""Objects cut out of their frames: as images, and as videos, with transparency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from segue.entries.formats import SQUARE, Format, SinkOptions
from segue.errors import SinkError
from segue.formats.base import Writer
from segue.formats.folders import VIDEOS, FolderWriter
from segue.formats.frames import FrameObjects, frame_name
from segue.formats.layers import EdgeOf, Levels, as_levels, flattened, layers_of
from segue.formats.mask_records import records_of
from segue.formats.overlay import PRORES, VP9, RgbaImage, transparent_video
from segue.formats.png import MaskFolderSink
from segue.types import Frame, IndexMask, Segmentation
from segue.utils.files import prepare
from segue.video.decoding.readers import DEFAULT_FPS
from segue.video.decoding.sound import Sound

ENCODINGS = {"prores": PRORES, "webm": VP9}

COMPRESSION = 1
"""Level of PNG compression: images of videos are many."""


def cut_out(image: Levels, mask: IndexMask) -> RgbaImage:
    """Cut the objects of a mask (H, W) out as RGBA (H, W, 4), in the image's type; the rest is zero."""
    cut = np.zeros((*mask.shape, 4), image.dtype)
    inside = mask > 0
    cut[inside, :3], cut[inside, 3] = image[inside], np.iinfo(image.dtype).max
    return cut


@dataclass(frozen=True, slots=True)
class CutOut:
    """Options for cutting objects out of their frames.

    Attributes:
        edge_of: returns the edge of an object; None: all edges are hard.
        premultiplied: whether colours are multiplied by their opacity.
        depth: type of the levels; hard edges in a video of 8 bits have 8.
    """

    edge_of: EdgeOf | None = None
    premultiplied: bool = False
    depth: type[np.uint8 | np.uint16] = np.uint8

    @classmethod
    def of(cls, run: SinkOptions, depth: type[np.uint8 | np.uint16] = np.uint8) -> CutOut:
        """Derive the options from those of a writer; colours are straight by default."""
        return cls(run.edge_of, bool(run.premultiplied), depth)

    def __call__(self, objects: FrameObjects) -> RgbaImage:
        """Cut out the objects of a frame: RGBA, (H, W, 4); the rest is zero."""
        frame, is_deep = objects.frame, self.depth is np.uint16
        if self.edge_of is None:  # as it comes of layers, and faster
            return cut_out(objects.colours if is_deep else frame.image, objects.mask)
        layers = layers_of(objects, (), self.edge_of, deep=is_deep).values()
        return as_levels(flattened(layers, frame.size, premultiplied=self.premultiplied), self.depth)


class CutOutVideoSink(Writer):
    """Encodes the objects with transparency; frames keep their time stamps.

    Args:
        path: file to write, ``.mov`` for ProRes 4444 and ``.webm`` for VP9.
        encoding: "prores" or "webm".
        fps: mean frames a second, a hint for players and the encoder.
        pixel_aspect: width of a pixel by its height, for players.
        cut: cuts objects out.
        first: number of the first frame, at which the time code begins where the container has one.
        sound: sound of the source, which is copied; None for none.
    """

    def __init__(
        self,
        path: str | Path,
        encoding: Literal["prores", "webm"],
        fps: float | None = None,
        *,
        pixel_aspect: Fraction = SQUARE,
        cut: CutOut | None = None,
        first: int = 0,
        sound: Sound | None = None,
    ) -> None:
        self._cut, self._first, self._sound = cut or CutOut(), first, sound
        self._path, self._encoding = Path(path), ENCODINGS[encoding]
        self._fps, self._aspect = fps or DEFAULT_FPS, pixel_aspect
        self._open: AbstractContextManager[Callable[[RgbaImage, float], None]] | None = None
        prepare(self._path)

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        self.add(FrameObjects.of_result(segmentation, frame, frame.size))

    def add(self, objects: FrameObjects) -> None:
        frame = objects.frame
        if self._open is None:
            self._video_size, form = frame.size, (self._fps, self._aspect)
            self._open = transparent_video(
                self._path, self._encoding, self._video_size, *form, first=self._first, sound=self._sound
            )
            self._write_frame = self._open.__enter__()
        cut = self._cut(objects)
        if frame.size != self._video_size:  # a source may change its size
            cut = np.asarray(cv2.resize(cut, self._video_size[::-1], interpolation=cv2.INTER_AREA), cut.dtype)
        self._write_frame(cut, frame.time)

    def close(self) -> None:
        """Complete the file; without any frame there is none."""
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
    """Writes the objects of each frame as an RGBA PNG of the frame's size.

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
        self.add(FrameObjects.of_result(segmentation, frame, frame.size))

    def add(self, objects: FrameObjects) -> None:
        cut = CutOut()(objects)
        turned = cv2.cvtColor(cut, cv2.COLOR_RGBA2BGRA)
        data = cv2.imencode(".png", turned, [cv2.IMWRITE_PNG_COMPRESSION, COMPRESSION])[1].tobytes()
        self._write_mask(f"{frame_name(self._names, objects.index)}.png", objects, data)


class CutOutImagesWriter(FolderWriter):
    """Writes the objects of each frame as an RGBA PNG, optionally with soft edges.

    Args:
        folder: folder to write; it appears when it is complete.
        run: the options.
        depth: type of the levels.
    """

    def __init__(self, folder: Path, run: SinkOptions, depth: type[np.uint8 | np.uint16]) -> None:
        super().__init__(folder, r"[^/]+\.png", marks=run.labels is None)
        self._names, self._cut, self._depth = run.names, CutOut.of(run, depth), depth

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        self.add(FrameObjects.of_result(segmentation, frame, frame.size))

    def add(self, objects: FrameObjects) -> None:
        cut = self._cut(objects)
        if cut.dtype != self._depth:
            cut = cut.astype(np.uint16) * np.uint16(257)
        turned = cut[..., [2, 1, 0, 3]]  # as OpenCV wants it
        data = cv2.imencode(".png", turned)[1].tobytes()
        self.put(self._partial / f"{frame_name(self._names, objects.index)}.png", data)


def _open_images(path: Path, run: SinkOptions) -> Writer:
    if run.labels is not None:
        return CutOutImagesWriter(path, run, np.uint8)
    return CutOutSink(path, names=run.names)


def _open_video(encoding: Literal["prores", "webm"], path: Path, run: SinkOptions) -> CutOutVideoSink:
    first = 0 if run.span is None else run.span.start
    about: dict[str, Any] = {
        "pixel_aspect": run.pixel_aspect,
        "cut": CutOut.of(run, ENCODINGS[encoding].depth),
    }
    about |= {"first": first, "sound": run.sound}
    return CutOutVideoSink(path, encoding, run.fps, **about)


ENTRIES = (
    Format(
        "prores",
        "cutout.mov",
        partial(_open_video, "prores"),
        needs_frames=True,
        only_shows=True,
        title="Cut-out, ProRes 4444",
        bits=10,
        about="MOV with transparency",
        group=VIDEOS,
        opacity="with colours",
    ),
    Format(
        "webm",
        "cutout.webm",
        partial(_open_video, "webm"),
        needs_frames=True,
        only_shows=True,
        title="Cut-out, VP9",
        about="WebM with transparency",
        group=VIDEOS,
        opacity="with colours",
        export="vp9",
    ),
    Format(
        "cutouts",
        "cutouts",
        _open_images,
        needs_frames=True,
        title="Cut-out, PNG sequence",
        about="images with transparency",
        group=VIDEOS,
        opacity="with colours",
        export="png",
    ),
    Format(
        "png16",
        "cutouts16",
        lambda path, run: CutOutImagesWriter(path, run, np.uint16),
        needs_frames=True,
        title="Cut-out, 16-bit PNG",
        bits=16,
        about="images with transparency",
        group=VIDEOS,
        opacity="with colours",
    ),
)
