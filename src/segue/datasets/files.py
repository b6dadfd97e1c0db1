"""Read images and masks of data sets."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from PIL import Image

from segue.errors import DatasetError, SourceError
from segue.masks import StoredMask, read_stored_mask
from segue.masks.files import IMAGE_ERRORS, OtherSizeError, open_image, read_levels
from segue.types import Image as RgbImage
from segue.utils.arrays import UInt8Array
from segue.utils.inputs import check_file, text_of
from segue.utils.naming import first_few, is_hidden, natural_key
from segue.video.sources.kinds import IMAGE_SUFFIXES as IMAGE_SUFFIXES

Video = TypeVar("Video")


def read_rgb(path: Path) -> RgbImage:
    """Read an image as stored, RGB (H, W, 3), uint8; orientation tags are ignored, as masks have none."""
    with opened(path) as image:
        return np.array(image.convert("RGB"))


def read_text(path: Path) -> str:
    """Read a small text file."""
    try:
        return text_of(path.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error


def read_mask_file(file: Path | BytesIO, where: str = "", size: tuple[int, int] | None = None) -> StoredMask:
    """Read an index mask (H, W), uint8 or uint16 (16-bit files); one white object is 255, as void is."""
    try:
        return read_stored_mask(file, where or str(file), size)
    except OtherSizeError:
        raise
    except SourceError as error:
        raise DatasetError(str(error)) from error


def read_map(path: Path) -> StoredMask:
    """Read grey levels (H, W), uint8 or uint16, such as distances."""
    try:
        return read_levels(path, str(path))
    except SourceError as error:
        raise DatasetError(str(error)) from error


def read_index_mask(path: Path) -> UInt8Array:
    """Read an index mask from an 8-bit file, (H, W), uint8."""
    values = read_mask_file(path)
    if values.dtype != np.uint8:
        raise DatasetError(f"{path} has {8 * values.itemsize} bits a pixel; a mask must have 8")
    return np.asarray(values, np.uint8)


def image_size(path: Path) -> tuple[int, int]:
    """Height and width from the header of an image."""
    with opened(path) as image:
        return image.height, image.width


@contextmanager
def opened(file: Path | BytesIO, where: str = "") -> Iterator[Image.Image]:
    """Open an image without decoding it; Pillow's errors inside the block become DatasetError."""
    where = where or str(file)
    if isinstance(file, Path):
        check_file(file, DatasetError)
    try:
        with open_image(file, where) as image:
            yield image
    except OtherSizeError:
        raise
    except (*IMAGE_ERRORS, SourceError) as error:
        raise DatasetError(f"{where} is not a readable image: {error}") from error


def read_mask_of(image: Path, path: Path) -> UInt8Array:
    """Read the index mask of an image, (H, W), uint8; sizes must match."""
    check_sizes(image, path)
    return read_index_mask(path)


def check_sizes(image: Path, path: Path) -> None:
    """Raise DatasetError if the headers of a mask and its image differ in size."""
    mask, size = image_size(path), image_size(image)
    if mask != size:
        raise DatasetError(
            f"{path} is {mask[1]}x{mask[0]}, its image {image} {size[1]}x{size[0]}; they must have one size"
        )


class ByName(Generic[Video]):
    """Videos of a folder by name, in order."""

    noun = "video"
    split: str = "all"
    root: Path
    _videos: dict[str, Video]

    @classmethod
    def of(cls, root: Path, videos: Mapping[str, Video]) -> ByName[Video]:
        """Make a mapping of these videos of a folder."""
        opened: ByName[Video] = ByName()
        opened.root, opened._videos = root, dict(videos)
        return opened

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the videos, in natural or requested order."""
        return tuple(self._videos)

    def __len__(self) -> int:
        return len(self._videos)

    def __iter__(self) -> Iterator[Video]:
        return iter(self._videos.values())

    def __getitem__(self, name: str) -> Video:
        if name not in self._videos:
            raise DatasetError(f"no {self.noun} {name} in {self.root}; there are {first_few(self.names)}")
        return self._videos[name]

    def select(self, names: Collection[str]) -> ByName[Video]:
        """Select videos by name.

        Args:
            names: names of videos.

        Returns:
            A data set of these videos, in the order of ``names``.

        Raises:
            DatasetError: no video has one of the names.
        """
        selection = ByName.of(self.root, {name: self[name] for name in names})
        selection.noun, selection.split = self.noun, "selection"
        return selection


def subfolders(root: Path) -> list[Path]:
    """Visible folders in ``root``, in natural order."""
    if not root.is_dir():
        raise DatasetError(f"no folder {root}")
    folders = (path for path in root.iterdir() if path.is_dir() and not is_hidden(path.name))
    return sorted(folders, key=lambda path: natural_key(path.name))


def files_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Visible files of a folder with one of these endings (lower case, with dot)."""
    if not folder.is_dir():
        raise DatasetError(f"no folder {folder}")
    visible = (path for path in folder.iterdir() if not is_hidden(path.name))
    return [path for path in visible if path.suffix.lower() in suffixes]


def files_by_stem(folder: Path, suffixes: Collection[str]) -> dict[str, Path]:
    """Files of :func:`files_in` by stem, in natural order; at least one."""
    files: dict[str, Path] = {}
    for path in sorted(files_in(folder, suffixes), key=lambda item: natural_key(item.name)):
        if path.stem in files:
            raise DatasetError(f"{folder} holds both {files[path.stem].name} and {path.name}; keep one")
        files[path.stem] = path
    if not files:
        raise DatasetError(f"{folder} holds no {' or '.join(sorted(suffixes))} file")
    return files
