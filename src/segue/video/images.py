"""A folder, a glob pattern or a single file of still images as a source."""

from __future__ import annotations

import glob
import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageOps, UnidentifiedImageError

from segue.errors import SourceError
from segue.inputs import check_file
from segue.masks.files import IMAGE_ERRORS, IMAGE_FORMATS, encode_png
from segue.naming import natural_key
from segue.types import Image
from segue.video.partial import write_complete, writing
from segue.video.readers import DEFAULT_FPS, DamageError, Reader, SourceImage, as_rgb, check_pixels

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
"""File name endings that are taken for still images."""


def list_images(source: Path) -> list[Path]:
    """Images of a folder, in natural order of their names, without hidden files."""
    try:
        found = [
            path
            for path in source.iterdir()
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
        ]
    except OSError as error:
        raise SourceError(f"{source}: cannot be read ({error.strerror})") from error
    return sorted(found, key=lambda path: natural_key(path.name))


def match_images(pattern: str) -> list[Path]:
    """Files that match a glob pattern, in natural order of their paths."""
    found = (Path(name) for name in glob.glob(pattern, recursive=True))  # noqa: PTH207  a pattern may be absolute
    return sorted((path for path in found if path.is_file()), key=lambda path: natural_key(str(path)))


def read_image(path: Path) -> Image:
    """RGB image of a file, (H, W, 3), uint8, turned upright as its EXIF data say."""
    with _opened(path) as image:
        if _frames_of(image) > 1:
            raise DamageError(f"{path}: holds {_frames_of(image)} frames; give the file itself as the source")
        return _to_rgb(image, path)


def decode_image(data: bytes, where: str) -> Image:
    """RGB image of the bytes of an image file, (H, W, 3), uint8, turned upright as its EXIF data say."""
    try:
        with _decoding(where), PillowImage.open(io.BytesIO(data), formats=IMAGE_FORMATS) as image:
            check_pixels(image.height, image.width, where)
            if _frames_of(image) > 1:
                raise SourceError(f"{where}: holds {_frames_of(image)} frames; give one image")
            return _to_rgb(image, where)
    except DamageError as error:
        raise SourceError(str(error)) from error


def write_image(path: Path, image: Image) -> None:
    """Write an RGB image, (H, W, 3), uint8, as PNG; folders are made, and it appears when complete."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_complete(path, encode_png(image))


def count_frames(path: Path) -> int:
    """Number of frames of an image file: 1, but for animations and TIFF files of several pages."""
    try:
        with _opened(path) as image:
            return _frames_of(image)
    except DamageError:  # reported when the image is wanted
        return 1


@contextmanager
def _opened(path: Path) -> Iterator[PillowImage.Image]:
    """An image file, not decoded yet; what Pillow raises inside the block comes as a DamageError."""
    with _decoding(str(path)):
        check_file(path, SourceError)
        with PillowImage.open(path, formats=IMAGE_FORMATS) as image:
            check_pixels(image.height, image.width, str(path))
            yield image


@contextmanager
def _decoding(where: str) -> Iterator[None]:
    """Errors of an image inside the block are raised as DamageError."""
    try:
        yield
    except SourceError as error:
        raise DamageError(str(error)) from error
    except IMAGE_ERRORS as error:
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else str(error).split("\n")[0]
        raise DamageError(f"{where}: unreadable image ({reason or type(error).__name__})") from error


def _frames_of(image: PillowImage.Image) -> int:
    # The further images of a JPEG are views for other screens.
    return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))


def _to_rgb(image: PillowImage.Image, path: Path | str) -> Image:
    image.load()
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):  # 16-bit grey, which Pillow clips to white where it should scale
        return as_rgb((np.clip(np.array(upright), 0, 65535) >> 8).astype(np.uint8), str(path))
    return as_rgb(np.array(upright.convert("RGB")), str(path))


class ImageReader(Reader):
    """Still images as the frames of a video."""

    def __init__(self, files: list[Path], name: str, where: str, fps: float | None) -> None:
        if not files:
            raise SourceError(f"{where}: no images here ({', '.join(sorted(IMAGE_SUFFIXES))})")
        self.name = name
        self.where = where
        self.files = tuple(files)
        self.total = len(files)
        self.fps = fps or DEFAULT_FPS
        with suppress(DamageError):  # reported when the frame is wanted, as the caller chose
            self.size = read_image(files[0]).shape[:2]
        stems = tuple(path.stem for path in files)
        # Two images that differ only in folder or ending must not share one mask file.
        self.names = stems if len(set(stems)) == len(stems) else None

    def images(self, start: int | float = 0) -> Iterator[SourceImage]:
        rate = self.fps or DEFAULT_FPS
        first = start if isinstance(start, int) else 0
        for index, path in enumerate(self.files[first:], first):
            yield SourceImage(index, index / rate, partial(read_image, path))


class AnimationReader(Reader):
    """The frames of an animated WebP or PNG file, or the pages of a TIFF file, at the times that it says."""

    def __init__(self, path: Path, fps: float | None) -> None:
        self._path = path
        self.name = path.stem
        self.where = str(path)
        self._fps = fps or DEFAULT_FPS
        self.files = (path,)
        try:
            with _opened(path) as image:
                self.total = _frames_of(image)
                self.size = _to_rgb(image, path).shape[:2]
                self.fps = 1 / self._shown(image)
        except DamageError as error:
            raise SourceError(str(error)) from error

    def images(self, start: int | float = 0) -> Iterator[SourceImage]:
        time = 0.0
        with _opened(self._path) as image:
            for index in range(self.total or 0):
                yield SourceImage(index, time, partial(self._load, image, index))
                time += self._shown(image)

    def _load(self, image: PillowImage.Image, index: int) -> Image:
        try:
            image.seek(index)
            return _to_rgb(image, self._path)
        except IMAGE_ERRORS as error:
            reason = str(error).split("\n")[0]
            raise DamageError(f"{self.where}: frame {index} is damaged ({reason})") from error

    def _shown(self, image: PillowImage.Image) -> float:
        """Seconds for which the frame that was read last is shown."""
        duration = image.info.get("duration", 0)  # milliseconds
        return duration / 1000 if isinstance(duration, (int, float)) and 0 < duration < 1e7 else 1 / self._fps
