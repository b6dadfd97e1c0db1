"""Readers of still images with masks, in their publishers' layouts.

| set | layout | masks |
| --- | --- | --- |
| any | ``images/<name>.*``, ``masks/<name>.png`` | index |
| ECSSD | ``images/<name>.jpg``, ``ground_truth_mask/<name>.png`` | saliency |
| DUTS | ``DUTS-TR-Image/<name>.jpg``, ``DUTS-TR-Mask/<name>.png``, and ``-TE-`` | saliency |
| HRSOD | ``HRSOD_train/<name>.jpg``, ``HRSOD_train_mask/<name>.png`` | saliency |
| BIG | ``<name>_im.jpg``, ``<name>_gt.png`` in one folder | saliency |
| MSRA10K | ``[MSRA10K_Imgs_GT/]Imgs/<name>.jpg``, ``<name>.png`` | saliency |
| FSS-1000 | ``<class>/<name>.jpg``, ``<class>/<name>.png`` | saliency |
| the repacked sets of STCN | ``<name>.jpg``, ``<name>.png`` in one folder | saliency |
| PASCAL VOC | ``JPEGImages/<name>.jpg``, ``SegmentationObject/<name>.png`` | index |
| COCO | ``annotations/instances_<split>.json``, ``<split>/<name>.jpg`` | polygons |
| COCO of Roboflow | ``[train/]_annotations.coco.json``, images beside it | polygons |

A saliency mask is grey: from half of its range on a pixel is the object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from segue.datasets.davis import ImageMaskFolder
from segue.datasets.files import (
    IMAGE_SUFFIXES,
    check_sizes,
    files_in,
    image_size,
    opened,
    read_mask_of,
    read_rgb,
    subfolders,
)
from segue.datasets.ytvis import CocoImages, OutlinedImages
from segue.errors import DatasetError
from segue.types import Image
from segue.utils.arrays import UInt8Array
from segue.utils.inputs import user_path
from segue.utils.naming import first_few, natural_key

VOID = 255
HALF = 128  # grey level from which on a pixel of a saliency mask is the object
MAX_OBJECTS = 254  # of an image; 255 is void

ROBOFLOW = "_annotations.coco.json"
"""File beside the images of a split in an export of Roboflow."""

Files = dict[str, Path]  # by their names without endings

MaskKind = Literal["index", "saliency"]


class StillImages(Protocol):
    """Images with masks, decoded when used."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images, in order."""

    def read_image(self, i: int) -> Image:
        """Read an image.

        Args:
            i: its number, from 0.

        Returns:
            RGB image (H, W, 3), uint8.
        """

    def read_mask(self, i: int) -> UInt8Array:
        """Read the mask of an image.

        Args:
            i: its number, from 0.

        Returns:
            Index mask (H, W), uint8: 0 is background, 1, 2, ... are objects, 255 is void.
        """

    def check(self, i: int) -> None:
        """Raise DatasetError if an image or mask is unreadable, or their headers differ in size."""


@dataclass(frozen=True, slots=True)
class StillPairs:
    """Images and mask files."""

    pairs: tuple[tuple[Path, Path], ...]  # an image and its mask each
    kind: MaskKind  # what the values of a mask say

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images without extensions."""
        return tuple(image.stem for image, _ in self.pairs)

    def read_image(self, i: int) -> Image:
        """Read an image. Returns RGB (H, W, 3), uint8."""
        return read_rgb(self.pairs[i][0])

    def read_mask(self, i: int) -> UInt8Array:
        """Read the mask of an image."""
        image, path = self.pairs[i]
        if self.kind == "index":
            return read_mask_of(image, path)
        check_sizes(image, path)
        with opened(path) as mask:
            grey = np.array(mask.convert("L"))
        return (grey >= HALF).astype(np.uint8)

    def check(self, i: int) -> None:
        """Raise DatasetError if the headers of an image and its mask differ in size."""
        check_sizes(*self.pairs[i])


class CocoStills:
    """Images of COCO with instances; crowds are void.

    Args:
        images: the annotations and images of one split.
    """

    def __init__(self, images: CocoImages) -> None:
        self._dataset = images
        self._entries = [item for item in images.videos if images.annotations(item)]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images without extensions."""
        return tuple(Path(item.file_names[0]).stem for item in self._entries)

    def read_image(self, i: int) -> Image:
        """Read an image. Returns RGB (H, W, 3), uint8."""
        return self._dataset.read_image(self._entries[i], 0)

    def read_mask(self, i: int) -> UInt8Array:
        """Mask of an image; smaller instances are in front."""
        image = self._entries[i]
        mask = np.zeros(image.size, np.uint8)
        instances = sorted(self._dataset.annotations(image), key=lambda item: -item.mean_area)
        crowds = [item for item in instances if item.crowd]
        objects = [item for item in instances if not item.crowd][:MAX_OBJECTS]
        for value, item in [*((VOID, crowd) for crowd in crowds), *enumerate(objects, start=1)]:
            mask[item.masks.decode(0)] = value
        return mask

    def check(self, i: int) -> None:
        """Raise DatasetError if the header of an image has another size than its annotations."""
        image, root = self._entries[i], self._dataset.images
        if root is None:
            raise DatasetError("its folder is not there")
        path = self._dataset.image_path(image, 0)
        if image_size(path) != image.size:
            raise DatasetError(f"{path} has another size than its annotations")


def open_stills(folder: str | Path) -> StillImages:
    """Open a folder of still images and masks in the first matching layout.

    Args:
        folder: folder in one of the layouts of :mod:`segue.datasets.stills`.

    Returns:
        Images and masks by number, in natural order of their names.

    Raises:
        DatasetError: no layout fits, a mask or image has no partner, or there is none at all.
    """
    folder = user_path(folder)
    for layout in LAYOUTS:
        images = layout(folder)
        if images is not None:
            if not images.names:
                raise DatasetError(f"{folder}: holds no images with masks")
            return images
    raise DatasetError(
        f"{folder}: not one of still images (images, masks; ECSSD, DUTS, HRSOD, BIG, MSRA10K, FSS-1000, "
        "PASCAL VOC or COCO as published; images and masks of the same name in one folder)"
    )


@dataclass(frozen=True, slots=True)
class _Folders:
    """Layout of two folders with equal file names."""

    images: str
    masks: str
    kind: MaskKind

    def __call__(self, folder: Path) -> StillImages | None:
        images, masks = folder / self.images, folder / self.masks
        if not (images.is_dir() and masks.is_dir()):
            return None
        # A set of which only a part has masks, as VOC, takes that part.
        return StillPairs(tuple(_partners(images, masks, all_of_them=self.kind != "index")), self.kind)


def _partners(images: Path, masks: Path, *, all_of_them: bool) -> Iterator[tuple[Path, Path]]:
    by_stem = {path.stem: path for path in files_in(images, IMAGE_SUFFIXES)}
    labels = {path.stem: path for path in files_in(masks, IMAGE_SUFFIXES)}
    if not all_of_them:
        by_stem = {stem: path for stem, path in by_stem.items() if stem in labels}
    return _paired(by_stem, labels, images, masks)


def _paired(images: Files, masks: Files, where: Path, masks_in: Path) -> Iterator[tuple[Path, Path]]:
    """Pair images and masks by name; DatasetError if one has no partner."""
    if lonely := sorted(masks.keys() - images.keys(), key=natural_key):
        raise DatasetError(f"{where} lacks the image of {first_few(lonely)}")
    if lonely := sorted(images.keys() - masks.keys(), key=natural_key):
        raise DatasetError(f"{masks_in} lacks the mask of {first_few(lonely)}")
    for stem in sorted(masks, key=natural_key):
        yield images[stem], masks[stem]


def _plain(folder: Path) -> StillImages | None:
    if not ((folder / "images").is_dir() and (folder / "masks").is_dir()):
        return None
    return ImageMaskFolder(folder / "images", folder / "masks")


def _coco(folder: Path) -> StillImages | None:
    files = sorted((folder / "annotations").glob("instances_train*.json"))
    if not files:
        return None
    images = CocoImages.open(folder, files[-1].stem.removeprefix("instances_"))
    assert isinstance(images, CocoImages)
    return CocoStills(images)


def _roboflow(folder: Path) -> StillImages | None:
    place = next((place for place in (folder, folder / "train") if is_roboflow(place)), None)
    return None if place is None else CocoStills(OutlinedImages(place / ROBOFLOW, place))


def _one_folder(folder: Path) -> StillImages | None:
    """Pairs ``<name>.jpg`` and ``<name>.png``, or ``<name>_im.*`` and ``<name>_gt.png``, in one folder."""
    for place in (folder, folder / "Imgs", folder / "MSRA10K_Imgs_GT" / "Imgs"):
        if place.is_dir() and _holds_pairs(place):
            return StillPairs(tuple(_side_by_side(place)), "saliency")
    return None


def _classes(folder: Path) -> StillImages | None:
    """One folder per class with masks and images, as in FSS-1000."""
    for place in (folder, folder / "fewshot_data"):
        parts = subfolders(place) if place.is_dir() else []
        if any(map(_holds_pairs, parts)):
            pairs = tuple(pair for part in parts for pair in _side_by_side(part))
            return _NamedByClass(pairs, "saliency")
    return None


@dataclass(frozen=True, slots=True)
class _NamedByClass(StillPairs):
    """Images whose names repeat in each folder."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{image.parent.name}_{image.stem}" for image, _ in self.pairs)


def _side_by_side(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Pairs of one folder; DatasetError if a file has no partner."""
    return _paired(*_images_and_masks(folder), folder, folder)


def _holds_pairs(folder: Path) -> bool:
    """Whether a folder holds an image and its mask."""
    images, masks = _images_and_masks(folder)
    return not images.keys().isdisjoint(masks)


def _images_and_masks(folder: Path) -> tuple[Files, Files]:
    """Files of one folder by the names of the pairs; masks are PNG, images others or ``<name>_im.png``."""
    labels = [path for path in files_in(folder, {".png"}) if not path.stem.endswith("_im")]
    images = set(files_in(folder, IMAGE_SUFFIXES)).difference(labels)
    return (
        {path.stem.removesuffix("_im"): path for path in images},
        {path.stem.removesuffix("_gt"): path for path in labels},
    )


Layout = Callable[[Path], StillImages | None]

DUTS = _Folders("DUTS-TR-Image", "DUTS-TR-Mask", "saliency")
DUTS_TEST = _Folders("DUTS-TE-Image", "DUTS-TE-Mask", "saliency")
ECSSD = _Folders("images", "ground_truth_mask", "saliency")
HRSOD = _Folders("HRSOD_train", "HRSOD_train_mask", "saliency")
VOC = _Folders("JPEGImages", "SegmentationObject", "index")

LAYOUTS: tuple[Layout, ...] = (
    _plain,
    ECSSD,
    DUTS,
    DUTS_TEST,
    HRSOD,
    VOC,
    _coco,
    _roboflow,
    _one_folder,
    _classes,
)
"""Readers of layouts, tried in order; each returns None if the folder has another layout."""


def is_roboflow(folder: Path) -> bool:
    """Whether a folder is a split of a Roboflow export in COCO format."""
    return (folder / ROBOFLOW).is_file()


def is_msra10k(folder: Path) -> bool:
    """Whether a folder has the folders of MSRA10K."""
    return any((folder / name).is_dir() for name in ("Imgs", "MSRA10K_Imgs_GT"))


def is_fss(folder: Path) -> bool:
    """Whether a folder has the folder of FSS-1000, or is named after it and has folders of classes."""
    return (folder / "fewshot_data").is_dir() or (
        folder.resolve().name.lower().startswith("fss") and any(map(_holds_pairs, subfolders(folder)))
    )


def is_repacked(folder: Path, name: str) -> bool:
    """Whether a folder is named after a set and holds its pairs, as BIG_small in STCN's sets."""
    return folder.resolve().name.lower().startswith(name) and _holds_pairs(folder)


def is_big_dataset(folder: Path) -> bool:
    """Whether a folder holds the data set BIG, by the names of masks or folder."""
    return any(folder.glob("*_gt.png")) or is_repacked(folder, "big")
