"""Black and white videos as masks of one object, as editors write mattes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segue.errors import DatasetError, PromptError, SourceError
from segue.labels.labels import Frames, Labels
from segue.types import Image, IndexMask
from segue.video.decoding.damage import DamageError
from segue.video.sources.source import open_reader

COLOURED = 48  # levels between the channels of a pixel from which on it has a colour
SHARE = 0.02  # of the pixels that codecs may colour at edges


def read_matte(labels: Labels, path: Path, video: Frames) -> None:
    """Read a matte with as many frames as the video."""
    reader = open_reader(path)
    if reader.count != video.count:
        frames = "one frame" if video.count == 1 else f"{video.count} frames"
        raise DatasetError(f"has {reader.count} frames, but the video has {frames}")
    for item in reader.images():
        try:
            mask = _object_of(item.load())
        except DamageError as error:
            raise DatasetError(str(error)) from None
        labels.add_files({item.index: lambda mask=mask: mask})  # type: ignore[misc]


def mask_of_matte(path: Path, frame: int, frames: int | None) -> IndexMask:
    """The mask, (H, W), of a frame, of a matte with as many frames as the source, or of its only one."""
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
    """What is white in an image, as object 1."""
    levels = image.astype(np.int16)
    if (np.ptp(levels, axis=2) > COLOURED).mean() > SHARE:
        raise DatasetError("is a video in colour; masks are white on black")
    return np.asarray(levels.mean(axis=2) >= 128, np.uint8)
