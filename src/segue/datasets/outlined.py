"""Still images with outlines in separate files, as in YOLO and labelme."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from segue.datasets.files import IMAGE_SUFFIXES, image_size, read_rgb
from segue.datasets.inventories import Inventory, check_stills
from segue.datasets.stills import MAX_OBJECTS
from segue.errors import DatasetError
from segue.formats.files import Tree, has_shapes, is_labelme, read_text
from segue.formats.labelme import image_name, read_labelme
from segue.formats.labels import Labels, decode_mask
from segue.formats.yolo import read_outlines
from segue.types import Image
from segue.utils.arrays import UInt8Array
from segue.utils.naming import first_few, frame_stem
from segue.video.sources.kinds import one_kind

_SPLIT = "train"
"""Name of training folders; folders beside them are for validation and tests."""


@dataclass(frozen=True, slots=True)
class _OneImage:
    """Properties of an image for readers of annotations."""

    size: tuple[int, int]
    names: tuple[str, ...]
    count: int = 1
    fps: None = None

    def time(self, index: int) -> float:
        return 0.0


@dataclass(frozen=True, slots=True)
class OutlinedStills:
    """Images with outlines of their objects; smaller objects are in front."""

    folder: Path
    pairs: tuple[tuple[str, str], ...]  # an image and its labels each, below the folder

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the images without extensions."""
        return tuple(PurePosixPath(image).stem for image, _ in self.pairs)

    def read_image(self, i: int) -> Image:
        """Read an image. Returns RGB (H, W, 3), uint8."""
        return read_rgb(self.folder / self.pairs[i][0])

    def read_mask(self, i: int) -> UInt8Array:
        """Read the mask of an image. Returns an index mask (H, W), uint8."""
        image, name = self.pairs[i]
        size = image_size(self.folder / image)
        labels, where = Labels(size), str(self.folder / name)
        text = read_text(self.folder / name)
        if name.endswith(".txt"):
            read_outlines(labels, text, where)
        else:
            if any(kind in text for kind in ('"rectangle"', '"rotation"')):
                raise DatasetError(f"{where}: a box is no mask; draw outlines")
            image_file = image_name(text) or name
            read_labelme(labels, {where: lambda: text}, _OneImage(size, (frame_stem(image_file),)))
        mask = np.zeros(size, np.uint8)
        objects = labels.masks.get(0, {})
        largest = sorted(objects, key=partial(labels.area, 0), reverse=True)[:MAX_OBJECTS]
        for value, number in enumerate(largest, 1):
            mask[decode_mask(objects[number], size)] = value
        return mask

    def check(self, i: int) -> None:
        """Raise an error unless the outlines of an image are readable."""
        self.read_mask(i)


def open_outlined(folder: Path) -> OutlinedStills | None:
    """Open a folder of images with YOLO or labelme labels; None for another folder."""
    tree = Tree(folder)
    files = [name for name in tree.names if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES]
    texts = _beside_images(files, tree.label_files())
    first = next((text for name in texts if (text := read_text(folder / name)).strip()), "")
    if has_shapes(first):
        pairs = _of_texts(files, texts, folder)
    else:
        label_files = tree.files_with_suffix(".json")
        if not label_files or not is_labelme(tree.text(label_files[0])):
            return None
        pairs = _of_labelme(files, {name: image_name(tree.text(name)) for name in label_files}, folder)
        if lonely := {*label_files} - {name for _, name in pairs}:
            raise DatasetError(f"{folder} lacks the image of {first_few(sorted(lonely))}")
    trained = [pair for pair in pairs if any(part.startswith(_SPLIT) for part in _folders(pair[1]))]
    labelled = tuple(pair for pair in trained or pairs if read_text(folder / pair[1]).strip())
    return OutlinedStills(folder, labelled) if labelled else None


def is_outlined(folder: Path) -> bool:
    """Whether a folder has images with YOLO or labelme labels."""
    try:
        return open_outlined(folder) is not None
    except DatasetError:  # images of files of labelme are missing
        return True


def list_outlined(folder: Path) -> Inventory:
    """List images with YOLO or labelme labels for checks."""
    try:
        stills = open_outlined(folder)
    except DatasetError as error:
        return Inventory({}, problems=(str(error),))
    return Inventory({} if stills is None else {"images": partial(check_stills, stills)})


def _folders(name: str) -> tuple[str, ...]:
    return PurePosixPath(name).parts[:-1]


def _beside_images(files: Sequence[str], texts: Iterable[str]) -> list[str]:
    """Possible label files of images, by name."""
    images = _Images({_stem(name): name for name in files})
    return [name for name in texts if images.find(name, PurePosixPath(name).stem) is not None]


def _of_texts(files: Sequence[str], texts: Iterable[str], folder: Path) -> list[tuple[str, str]]:
    """Match label files with images of the same stems."""
    images = _Images({_stem(name): name for name in _of_one_kind(files, folder)})
    pairs = ((images.find(name, PurePosixPath(name).stem), name) for name in texts)
    return [(image, name) for image, name in pairs if image is not None]


def _of_labelme(
    files: Sequence[str], image_names: Mapping[str, str | None], folder: Path
) -> list[tuple[str, str]]:
    """Match labelme files with the images that they name, or of the same stems."""
    files_by_name = _Images({name: name for name in files})
    pairs = {name: image and files_by_name.find(name, image) for name, image in image_names.items()}
    rest = [name for name, image in pairs.items() if image is None]
    pairs |= {name: image for image, name in (_of_texts(files, rest, folder) if rest else ())}
    return [(image, name) for name, image in pairs.items() if image is not None]


def _of_one_kind(files: Sequence[str], folder: Path) -> list[str]:
    """Images without other images of the same stem, such as masks, in their folders."""
    folders: dict[PurePosixPath, list[Path]] = {}
    for name in files:
        folders.setdefault(PurePosixPath(name).parent, []).append(Path(name))
    try:
        return [path.as_posix() for inside in folders.values() for path in one_kind(inside)[0]]
    except ValueError as error:
        raise DatasetError(f"{folder}: {error}; keep the one that the labels are of") from None


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


class _Images:
    """Images by path, with or without extension."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places
        self._by_filename: dict[str, list[str]] = {}
        for place in places:
            self._by_filename.setdefault(PurePosixPath(place).name, []).append(place)

    def find(self, label: str, name: str) -> str | None:
        """Find the image of a label file: beside it, in ``images`` for ``labels``, or by its unique name."""
        path = PurePosixPath(label).with_name(name)
        parts = [*path.parts]
        if "labels" in parts[:-1]:
            parts[len(parts) - 2 - parts[-2::-1].index("labels")] = "images"
        only = self._by_filename.get(name, [])
        places = (str(path), "/".join(parts), *(only if len(only) == 1 else ()))
        return next((self._places[place] for place in places if place in self._places), None)
