"""Black-and-white videos (mattes) of editors as masks of one object."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from segue.entries.formats import Format, SinkOptions
from segue.errors import DatasetError, PromptError, SourceError
from segue.formats.files import Files
from segue.formats.folders import VIDEOS, FolderWriter
from segue.formats.frames import FrameObjects, frame_name
from segue.formats.labels import Frames, Labels
from segue.formats.layers import as_levels, flattened, layers_of
from segue.masks import Edge
from segue.types import Frame, Image, IndexMask, Segmentation
from segue.video.decoding.damage import DamageError
from segue.video.sources.kinds import FILM_SUFFIXES
from segue.video.sources.opening import open_reader

COLOURED = 48  # levels between the channels of a pixel from which on it has a colour
SHARE = 0.02  # of the pixels that codecs may colour at edges


def read_matte(labels: Labels, path: Path, video: Frames) -> None:
    """Read a matte with as many frames as the video."""
    reader = open_reader(path)
    if reader.count != video.count:
        frames = "one frame" if video.count == 1 else f"{video.count} frames"
        raise DatasetError(f"has {reader.count} frames, but the video has {frames}")
    if reader.size is not None and reader.size != video.size:
        (height, width), (rows, columns) = reader.size, video.size
        raise DatasetError(f"a mask is {width}x{height}, the video {columns}x{rows}")
    for item in reader.images():
        try:
            mask = _object_of(item.load())
        except DamageError as error:
            raise DatasetError(str(error)) from None
        labels.add_files({item.index: lambda mask=mask: mask})  # type: ignore[misc]


def mask_of_matte(path: Path, frame: int, frames: int | None) -> IndexMask:
    """Mask, (H, W), of a frame, from a matte of as many frames as the source, or of one."""
    try:
        reader = open_reader(path)
        count = reader.count
        if count > 1 and count != frames:
            source = "" if frames is None else f", the source {frames} frame{'s' if frames > 1 else ''}"
            raise PromptError(f"has {count} frames{source}; give a matte of the same length, or one image")
        return _object_of(reader.load(frame if count > 1 else 0).load())
    except (DatasetError, DamageError, SourceError) as error:
        raise PromptError(str(error).removeprefix(f"{path}: ")) from None


def _object_of(image: Image) -> IndexMask:
    """Mask of the white pixels of an image, as object 1."""
    levels = image.astype(np.int16)
    if (np.ptp(levels, axis=2) > COLOURED).mean() > SHARE:
        raise DatasetError("is a video in colour; masks are white on black")
    return np.asarray(levels.mean(axis=2) >= 128, np.uint8)


class MatteWriter(FolderWriter):
    """Writes the opacity of the objects as 16-bit grey images, one per frame.

    Args:
        folder: folder to write; it appears when it is complete.
        run: the options.
    """

    def __init__(self, folder: Path, run: SinkOptions) -> None:
        super().__init__(folder, r"[^/]+\.png", marks=run.labels is None)
        self._names, self._edge_of = run.names, run.edge_of or (lambda _: Edge())

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        self.add(FrameObjects.of_result(segmentation, frame, frame.size))

    def add(self, objects: FrameObjects) -> None:
        layers = layers_of(objects, (), self._edge_of).values()
        alpha = flattened(layers, objects.size, premultiplied=True)[..., 3]
        data = cv2.imencode(".png", as_levels(alpha, np.uint16))[1].tobytes()
        self.put(self._partial / f"{frame_name(self._names, objects.index)}.png", data)


def _read(files: Files, video: Frames) -> Labels:
    labels = Labels(video.size)
    read_matte(labels, files.path, video)
    return labels


ENTRIES = (
    Format(
        "matte",
        "matte",
        MatteWriter,
        needs_frames=True,
        sniff=lambda files: 1.0 if files.is_file and files.files_with_suffix(*FILM_SUFFIXES) else 0.0,
        read=_read,
        endings=tuple(sorted(FILM_SUFFIXES)),
        title="Matte, 16-bit PNG",
        about="opacity as grey images",
        group=VIDEOS,
        opacity="alone",
    ),
)
