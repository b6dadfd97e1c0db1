"""A folder, a glob pattern or a single file of still pictures as a source."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageOps, UnidentifiedImageError

from segue.errors import SourceError
from segue.naming import natural_key
from segue.types import Image
from segue.video.readers import DEFAULT_FPS, DamageError, Picture, as_rgb, check_pixels

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
"""File name endings that are taken for still pictures."""


def list_images(source: Path) -> list[Path]:
    """Pictures of a folder, in natural order of their names, without hidden files."""
    found = [
        path
        for path in source.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    ]
    return sorted(found, key=lambda path: natural_key(path.name))


def match_images(pattern: str) -> list[Path]:
    """Files that match a glob pattern, in natural order of their paths."""
    found = (Path(name) for name in glob.glob(pattern, recursive=True))  # noqa: PTH207  a pattern may be absolute
    return sorted((path for path in found if path.is_file()), key=lambda path: natural_key(str(path)))


def read_image(path: Path) -> Image:
    """RGB picture of a file, (H, W, 3), uint8, turned upright as its EXIF data say.

    Raises:
        DamageError: the file cannot be decoded.
    """
    try:
        with PillowImage.open(path) as picture:
            check_pixels(picture.height, picture.width, str(path))
            picture.load()
            upright = ImageOps.exif_transpose(picture)
            return as_rgb(_to_bytes(upright), str(path))
    except (OSError, SyntaxError, ValueError, EOFError, PillowImage.DecompressionBombError) as error:
        reason = "not a picture" if isinstance(error, UnidentifiedImageError) else str(error)
        raise DamageError(f"{path}: unreadable picture ({reason})") from error


def _to_bytes(picture: PillowImage.Image) -> npt.NDArray[Any]:
    if picture.mode.startswith("I"):
        # Pillow clips 16-bit grey to white where it should scale.
        return np.asarray(np.clip(np.array(picture), 0, 65535) >> 8, np.uint8)
    return np.array(picture.convert("RGB"))


class ImageReader:
    """Still pictures as the frames of a video; the name of the folder is the name of the source.

    Args:
        files: pictures in order.
        name: name of the source.
        where: folder or pattern, for messages.
        fps: pictures a second.
    """

    def __init__(self, files: list[Path], name: str, where: str, fps: float | None) -> None:
        if not files:
            raise SourceError(f"{where}: no pictures here ({', '.join(sorted(IMAGE_SUFFIXES))})")
        self._files = files
        self.name = name
        self.where = where
        self.total: int | None = len(files)
        self.fps: float | None = fps or DEFAULT_FPS
        self.size = self._first_size()
        stems = tuple(path.stem for path in files)
        # Two pictures that differ only in folder or ending must not share one mask file.
        self.names: tuple[str, ...] | None = stems if len(set(stems)) == len(stems) else None
        self.once = False
        self.works_ahead = True

    def pictures(self) -> Iterator[Picture]:
        """All pictures in order."""
        rate = self.fps or DEFAULT_FPS
        for index, path in enumerate(self._files):
            yield Picture(index, index / rate, partial(read_image, path))

    def interrupt(self) -> None:
        """Nothing blocks here for long."""

    def _first_size(self) -> tuple[int, int] | None:
        try:
            height, width = read_image(self._files[0]).shape[:2]
        except DamageError:  # reported when the frame is wanted, as the caller chose
            return None
        return height, width
