"""Readers of DAVIS-style folders and of still images with index masks; files are decoded when used.

Layout, with or without the resolution level::

    JPEGImages/480p/<sequence>/00000.jpg ...
    Annotations/480p/<sequence>/00000.png ...   8-bit PNG: palette with ids 0..n and 255 = void, or grey 0/255
    ImageSets/2017/{train,val,...}.txt          one sequence name in a line
    ImageSets/480p/{train,val,...}.txt          release of 2016: the paths of an image and its mask in a line
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np

from segue.datasets.files import (
    IMAGE_SUFFIXES,
    ByName,
    check_sizes,
    files_by_stem,
    read_index_mask,
    read_mask_of,
    read_rgb,
    read_text,
    subfolders,
)
from segue.errors import DatasetError
from segue.masks import measure
from segue.types import Box
from segue.types import Image as RgbImage
from segue.utils.arrays import UInt8Array
from segue.utils.inputs import user_path
from segue.utils.naming import first_few

_VAL_2016 = """
blackswan bmx-trees breakdance camel car-roundabout car-shadow cows dance-twirl dog drift-chicane
drift-straight goat horsejump-high kite-surf libby motocross-jump paragliding-launch parkour scooter-black
soapbox
"""
DAVIS_2016_VAL = frozenset(_VAL_2016.split())
"""The 20 sequences of the validation set of DAVIS 2016."""

_VAL_BESIDES = "bike-packing dogs-jump gold-fish india judo lab-coat loading mbike-trick pigs shooting"
DAVIS_VAL = DAVIS_2016_VAL.union(_VAL_BESIDES.split())
"""The 30 sequences of ``ImageSets/2017/val.txt`` of DAVIS 2017."""

RESOLUTIONS = ("480p", "Full-Resolution", "1080p")
"""Folders between ``JPEGImages`` and the sequences, in the order of preference."""


@dataclass(frozen=True)
class Sequence:
    """A video as a folder of images, some or all annotated.

    Attributes:
        name: name of the folder.
        frames: images in natural order.
        annotations: mask file by frame index, in the order of the frames.
    """

    name: str
    frames: tuple[Path, ...]
    annotations: Mapping[int, Path] = field(hash=False)

    def __len__(self) -> int:
        return len(self.frames)

    @cached_property
    def binary(self) -> bool:
        """Whether masks are 0/255 with 255 as object (DAVIS 2016), judged by the first non-empty one."""
        for path in self.annotations.values():
            mask = read_index_mask(path)
            if mask.any():
                return _is_binary(mask)
        return False

    def read_image(self, i: int) -> RgbImage:
        """Read a frame.

        Args:
            i: number of the frame, from 0.

        Returns:
            RGB image (H, W, 3), uint8.
        """
        return read_rgb(self.frames[i])

    def read_mask(self, i: int) -> UInt8Array:
        """Read the mask of a frame.

        Args:
            i: number of the frame, from 0.

        Returns:
            Index mask (H, W), uint8: 0 is background, 255 is void. A 0/255 mask becomes 0/1.
        """
        if i not in self.annotations:
            raise DatasetError(f"sequence {self.name}: frame {i} has no annotation")
        mask = read_mask_of(self.frames[i], self.annotations[i])
        if self.binary:
            mask[mask == 255] = 1
        return mask

    def read_boxes(self, i: int) -> dict[int, Box]:
        """Boxes of the objects of a frame; void is ignored.

        Args:
            i: number of the frame, from 0.

        Returns:
            Boxes (x0, y0, x1, y1) in pixels by id; x1 and y1 are exclusive.
        """
        extents = measure(self.read_mask(i))
        return {number: extent.box for number, extent in extents.items() if number != 255}


class DavisFolder(ByName[Sequence]):
    """Sequences of a DAVIS-style folder.

    >>> davis = DavisFolder("DAVIS", "val")
    >>> davis["bear"].read_mask(0)

    Args:
        root: folder that holds ``JPEGImages`` and the annotations.
        split: name of a file in ``ImageSets/<year>``, or names of sequences; default: every sequence.
        resolution: folder between ``JPEGImages`` and the sequences; default: the first of
            :data:`RESOLUTIONS` that images and masks both have, else none.
        year: which ``ImageSets`` a split is read from.
        annotations: folder of the masks, for instance ``Annotations_unsupervised``.

    Attributes:
        root: the folder.
        split: name of the split; ``all`` without one, ``selection`` if the sequences were named.

    Raises:
        DatasetError: a folder, split file, sequence, or the image of a mask is missing.
    """

    noun = "sequence"

    def __init__(
        self,
        root: Path | str,
        split: str | Iterable[str] | None = None,
        *,
        resolution: str | None = None,
        year: int = 2017,
        annotations: str = "Annotations",
    ) -> None:
        self.root = user_path(root)
        images, masks = _at_resolution((self.root / "JPEGImages", self.root / annotations), resolution)
        if split is None:
            self.split, names = "all", [folder.name for folder in subfolders(images)]
        elif isinstance(split, str):
            self.split, names = split, self._names_in(split, year)
        else:
            self.split, names = "selection", list(split)
        self._videos = {name: _find_sequence(name, images / name, masks / name) for name in names}
        if not self._videos:
            raise DatasetError(f"{images} holds no sequence; it must hold one folder of images for each")

    def _names_in(self, split: str, year: int) -> list[str]:
        folders = (str(year), *RESOLUTIONS) if year == 2016 else (str(year),)
        files = [self.root / "ImageSets" / folder / f"{split}.txt" for folder in folders]
        path = next((path for path in files if path.is_file()), None)
        if path is None:
            raise DatasetError(
                f"no split {split}: {files[0]} does not exist; give its year or sequence names"
            )
        lines = filter(str.strip, read_text(path).splitlines())
        names = list(dict.fromkeys(_sequence_of(line, path) for line in lines))
        if not names:
            raise DatasetError(f"split {split}: {path} names no sequence")
        return names


class ImageMaskFolder:
    """Still images with index masks of the same stems, in natural order.

    Attributes:
        images: image files.
        masks: mask files, in the same order.

    Raises:
        DatasetError: a folder is missing or empty, or an image or mask has no partner.
    """

    def __init__(self, images: Path | str, masks: Path | str) -> None:
        files, labels = (
            files_by_stem(user_path(images), IMAGE_SUFFIXES),
            files_by_stem(user_path(masks), {".png"}),
        )
        if lonely := [stem for stem in files if stem not in labels]:
            raise DatasetError(f"{masks} lacks the mask of {first_few(lonely)}")
        if lonely := [stem for stem in labels if stem not in files]:
            raise DatasetError(f"{images} lacks the image of {first_few(lonely)}")
        self.images = tuple(files.values())
        self.masks = tuple(labels[stem] for stem in files)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images without their endings."""
        return tuple(path.stem for path in self.images)

    def read_image(self, i: int) -> RgbImage:
        """Read a frame.

        Args:
            i: number of the frame, from 0.

        Returns:
            RGB image (H, W, 3), uint8.
        """
        return read_rgb(self.images[i])

    def read_mask(self, i: int) -> UInt8Array:
        """Read the mask of a frame.

        Args:
            i: number of the frame, from 0.

        Returns:
            Index mask (H, W), uint8: 0 is background, 255 is void. A 0/255 mask becomes 0/1.
        """
        mask = read_mask_of(self.images[i], self.masks[i])
        if _is_binary(mask):
            mask[mask == 255] = 1
        return mask

    def check(self, i: int) -> None:
        """Raise DatasetError if the headers of an image and its mask differ in size."""
        check_sizes(self.images[i], self.masks[i])


def _is_binary(mask: UInt8Array) -> bool:
    """Whether a mask has no other values than 0 and 255, and has 255."""
    counts = np.bincount(mask.ravel(), minlength=256)
    return bool(counts[255] and not counts[1:255].any())


def _at_resolution(folders: tuple[Path, Path], resolution: str | None) -> tuple[Path, Path]:
    """Folders of images and masks of the sequences at the same resolution."""
    for folder in folders:
        if not folder.is_dir():
            raise DatasetError(
                f"no folder {folder}; a DAVIS folder holds {folder.name}/<resolution>/<sequence>"
            )
        if resolution is not None and not (folder / resolution).is_dir():
            raise DatasetError(f"no resolution {resolution}: {folder / resolution} does not exist")
    if resolution is None:
        shared = (name for name in RESOLUTIONS if all((folder / name).is_dir() for folder in folders))
        resolution = next(shared, ".")
    images, masks = folders
    return images / resolution, masks / resolution


def _sequence_of(line: str, path: Path) -> str:
    """Parse the sequence of a line in a split: a name, or (2016) paths of an image and a mask."""
    first = line.split()[0]
    name = PurePosixPath(first).parent.name if first.startswith("/") else line.strip()
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        raise DatasetError(f"{path}: {line.strip()!r} names no sequence")
    return name


def _find_sequence(name: str, images: Path, masks: Path) -> Sequence:
    frames, labels = files_by_stem(images, IMAGE_SUFFIXES), files_by_stem(masks, {".png"})
    if lonely := [path.name for stem, path in labels.items() if stem not in frames]:
        raise DatasetError(f"sequence {name}: {images} lacks the image of {first_few(lonely)}")
    annotations = {i: labels[stem] for i, stem in enumerate(frames) if stem in labels}
    return Sequence(name, tuple(frames.values()), annotations)
