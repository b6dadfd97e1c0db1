"""Untrusted annotation files: folders and archives as trees, text within limits."""

from __future__ import annotations

import io
import os
import re
import xml.etree.ElementTree as ET
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from segue.errors import DatasetError, SegueError
from segue.formats.labels import Frames
from segue.masks import StoredMask, read_index_mask
from segue.masks.values import ColourIds
from segue.utils.inputs import check_file, text_of
from segue.utils.json_files import MAX_RATIO, entries
from segue.utils.naming import frame_stem, is_hidden, natural_key

DAMAGED = (
    *(OSError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RuntimeError, EOFError),
    *(zipfile.BadZipFile, zlib.error, ET.ParseError, MemoryError),
)
"""Errors of readers for malformed files; a RecursionError is a RuntimeError."""

MAX_MASK_BYTES = 64 << 20
"""Largest mask file in an archive, unpacked."""

MAX_BYTES = 128 << 20
"""Largest JSON or XML file."""

MAX_ENTRY = 16 << 20
"""Characters of one entry of a JSON file, which becomes many objects in memory before it can be checked."""

MAX_ENTRIES = 1_000_000
"""Entries of a JSON file."""

MAX_DEPTH = 5
"""Levels of folders that are searched; links may lead in circles."""


OF_CLASSES = "SegmentationClass"
"""Folder of masks whose colours are classes."""

_MASKS = ("SegmentationObject", "Annotations", "masks", OF_CLASSES)
"""Folders of masks beside other images, in the order of preference."""

_IMAGES = frozenset({"JPEGImages", "images", "frames", "data", "obj_train_data"})
"""Folders of the images themselves."""

_LABELS = frozenset({"labels", "obj_train_data"})
"""Folders of labels of YOLO."""

_ANNOTATIONS = ("annotations", "instances_", "_annotations.coco", "tasks", "result", "coco", "ytvis")
"""Prefixes of annotation files beside masks."""

_PNG_NAME = re.compile(r"[^\"'/\\]+\.png(?=[\"'])", re.IGNORECASE)

MAX_LINES = 10_000
"""Lines of a label file of YOLO."""

NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")

_NO_LABELS = frozenset(
    {"classes.txt", "labels.txt", "train.txt", "val.txt", "valid.txt", "test.txt", "README.txt"}
)

VIA_2 = "_via_img_metadata"
"""Key of the images in a project of version 2 of VIA."""


class Tree:
    """Files of a folder or zip archive in natural order, without hidden ones; or a single file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        is_archive = not path.is_dir() and path.suffix.lower() == ".zip"
        if is_archive:
            check_file(path, DatasetError)
        self._folder = path if path.is_dir() else path.parent
        self._archive = zipfile.ZipFile(path) if is_archive else None
        self._members: dict[str, zipfile.ZipInfo] = {}
        if not path.is_dir() and self._archive is None:
            self.names = [path.name]
            return
        if self._archive is None:
            members = [*_below(path)]
        else:
            infos = [info for info in self._archive.infolist() if not info.is_dir()]
            self._members = {info.filename.replace("\\", "/"): info for info in infos}
            members = [*self._members]
        self.names = sorted((name for name in members if not is_hidden(name)), key=natural_key)

    @property
    def is_file(self) -> bool:
        """Whether it is a single file and not an archive."""
        return self._archive is None and not self.path.is_dir()

    def label_files(self) -> list[str]:
        """Names of possible label files; in a folder, without lists of classes or images."""
        texts = self.files_with_suffix(".txt")
        return texts if self.is_file else [i for i in texts if PurePosixPath(i).name not in _NO_LABELS]

    def files_with_suffix(self, *suffixes: str) -> list[str]:
        """Names of the files with one of these suffixes, given in lower case."""
        return [name for name in self.names if PurePosixPath(name).suffix.lower() in suffixes]

    def text(self, name: str) -> str:
        """Read a text file."""
        if self._archive is None:
            return read_text(self._folder / name)
        info = self._members[name]
        if info.file_size > min(MAX_BYTES, MAX_RATIO * info.compress_size + 2**20):
            raise DatasetError(
                f"{name} unpacks to {info.file_size} bytes, from {info.compress_size}; refused"
            )
        with self._archive.open(info) as file:
            return text_of(file.read(info.file_size + 1))

    def mask(
        self, name: str, ids: ColourIds, void: Callable[[str], None], size: tuple[int, int]
    ) -> StoredMask:
        """Read an index mask of a size; ``void`` gets a message if 255 is void in it."""
        where = name if self._archive else ""
        return read_index_mask(self.mask_file(name), where, ids=ids, void=void, size=size)

    def mask_file(self, name: str) -> Path | io.BytesIO:
        """Open a mask file."""
        if self._archive is None:
            return self._folder / name
        info = self._members[name]
        if info.file_size > MAX_MASK_BYTES:
            raise DatasetError(f"a mask is larger than {MAX_MASK_BYTES >> 20} MiB")
        with self._archive.open(info) as file:
            return io.BytesIO(file.read(MAX_MASK_BYTES + 1))


class Files(Tree):
    """Files of a video's annotations, sorted by their possible kinds.

    Args:
        path: a folder, a zip archive or a file.
        video: the video that they belong to.

    Attributes:
        path: the folder, archive or file.
        video: the video.
        names: paths of the files below the folder, in natural order.
        annotations: JSON and XML files, but for those that set a program up.
    """

    def __init__(self, path: Path, video: Frames) -> None:
        super().__init__(path)
        self.video = video
        annotations = self.files_with_suffix(".xml", ".json")
        self.annotations = [name for name in annotations if self.is_file or not is_set_up(name)]

    def where(self, name: str) -> str:
        """Name of a file in messages."""
        return str(self.path) if self.is_file else name

    @cached_property
    def annotation(self) -> tuple[str, str] | None:
        """Name and text of the annotation file; None without one or with several."""
        if len(self.selected) != 1:
            return None
        (name,) = self.selected
        text = self.text(name)
        if not text.strip():
            raise DatasetError("is empty")
        return name, text

    def annotation_ending(self, suffix: str) -> str | None:
        """Text of the annotation file if its name has this suffix."""
        if self.annotation is None or not self.annotation[0].lower().endswith(suffix):
            return None
        return self.annotation[1]

    @cached_property
    def config(self) -> str | None:
        """Labelling configuration beside the annotations, if there is one."""
        return next((self.text(name) for name in self.files_with_suffix(".xml") if is_set_up(name)), None)

    @cached_property
    def _png_masks(self) -> list[str]:
        return _mask_files(self, self.video)

    @cached_property
    def _named_annotations(self) -> list[str]:
        """Annotation files by name; none if there are masks outside of folders."""
        if any(len(PurePosixPath(name).parts) == 1 for name in self._png_masks):
            return []
        candidates = [name for name in self.annotations if PurePosixPath(name).name.startswith(_ANNOTATIONS)]
        return candidates or ([] if self._png_masks else self.annotations)

    @cached_property
    def texts(self) -> list[str]:
        """Label files of YOLO: in label folders, else those outside of folders."""
        texts = self.label_files()
        return [name for name in texts if _LABELS & {*PurePosixPath(name).parts[:-1]}] or (
            [name for name in texts if len(PurePosixPath(name).parts) == 1]
        )

    @cached_property
    def masks(self) -> list[str]:
        """Mask files; other formats than PNG only if there are no PNG files."""
        if self.is_file:
            return self.files_with_suffix(".png", ".tif", ".tiff", ".bmp", ".webp")
        masks = _without_images(self, self._png_masks, self.texts)
        if masks or self._named_annotations or self.texts:
            return masks
        return _mask_files(self, self.video, ".tif", ".tiff", ".bmp") or (
            _mask_files(self, self.video, ".jpg", ".jpeg")
        )

    @cached_property
    def kinds(self) -> dict[str, Literal["labelme", "images"] | None]:
        """Kinds of the annotation files if there are several or masks beside; those may be images."""
        if len(self.annotations) < 2 and not self.masks:
            return {}
        return {name: _kind_among(self, name, self.masks) for name in self.annotations}

    @cached_property
    def selected(self) -> list[str]:
        """Annotation files that are read in place of masks."""
        if "labelme" in self.kinds.values():
            return self.annotations
        return self._named_annotations or [name for name, kind in self.kinds.items() if kind == "images"]


def _below(root: Path) -> Iterator[str]:
    top = len(root.parts)
    for folder, subfolders, names in os.walk(root, followlinks=True):
        parts = Path(folder).parts[top:]
        if len(parts) >= MAX_DEPTH:
            subfolders.clear()
        yield from ("/".join((*parts, name)) for name in names)


def read_text(path: Path) -> str:
    """Read a text file within the size limit."""
    check_file(path, DatasetError, MAX_BYTES)
    return text_of(path.read_bytes())


def json_entries(text: str, where: str) -> Iterator[tuple[str, int, Any]]:
    """Iterate over key, list position and value, see :func:`segue.utils.json_files.entries`."""
    for number, (key, place, value) in enumerate(entries(text, Path(where), longest=MAX_ENTRY)):
        if number > MAX_ENTRIES:
            raise DatasetError(f"has more than {MAX_ENTRIES} entries; import it in parts")
        yield key, place, value


def has_shapes(text: str) -> bool:
    """Whether a text looks like labels of an image: lines of a class and at least four shares."""
    rows = [line.split() for line in text.splitlines() if line.strip()][:MAX_LINES]
    return bool(rows) and all(
        len(row) > 4 and row[0].isdecimal() and all(map(NUMBER.fullmatch, row)) for row in rows
    )


def is_labelme(text: str) -> bool:
    """Whether a text is a labelme file, by its key words."""
    return text.lstrip()[:1] == "{" and '"shapes"' in text and '"imagePath"' in text


def is_via(text: str, where: str) -> bool:
    """Whether a text is a project of VIA, or annotations by image."""
    if text.lstrip()[:1] != "{" or not ('"regions"' in text or '"vid"' in text or f'"{VIA_2}"' in text):
        return False
    return any(
        key == VIA_2 or _is_image(value) or (key == "project" and isinstance(value, dict) and "pid" in value)
        for key, _, value in json_entries(text, where)
    )


def _is_image(value: object) -> bool:
    return isinstance(value, dict) and {"filename", "regions"} <= value.keys()


def is_set_up(name: str) -> bool:
    """Whether a file is the labelling configuration of an export to Label Studio."""
    return PurePosixPath(name).name == "labels.xml"


def _kind_among(tree: Tree, name: str, files: Iterable[str]) -> Literal["labelme", "images"] | None:
    """Whether an annotation file is of labelme, or names some of these PNG files as its images."""
    try:
        text = tree.text(name)
        if is_labelme(text):
            return "labelme"
        is_supported = any(word in text for word in ('"annotations"', "<image ")) or is_via(text, name)
    except (SegueError, ValueError):  # too large or damaged; it may not be needed
        return None
    if not is_supported or "segments_info" in text:  # COCO's panoptic labels name masks
        return None
    mask_names = {*_PNG_NAME.findall(text)}
    return None if mask_names.isdisjoint(PurePosixPath(file).name for file in files) else "images"


def _without_images(tree: Tree, masks: list[str], texts: list[str]) -> list[str]:
    """Remove folders of PNG images that have labels of YOLO beside them."""
    stems = {str(PurePosixPath(name).with_suffix("")) for name in masks}
    box_files = [name for name in texts if str(PurePosixPath(name).with_suffix("")) in stems]
    first = next((text for name in box_files if (text := tree.text(name)).strip()), "")
    if not has_shapes(first):
        return masks
    folders = {PurePosixPath(name).parent for name in box_files}
    return [name for name in masks if PurePosixPath(name).parent not in folders]


def _mask_files(tree: Tree, video: Frames, *suffixes: str) -> list[str]:
    """Mask files of the video, from the highest folder or a folder of masks beside images."""
    files = [
        name
        for name in tree.files_with_suffix(*(suffixes or (".png",)))
        if not _IMAGES & {*PurePosixPath(name).parts[:-1]}
    ]
    for folder in _MASKS:
        below = [name for name in files if folder in PurePosixPath(name).parts[:-1]]
        if below:
            files = below
            break
    folders = {PurePosixPath(name).parent for name in files}
    if len(folders) < 2:
        return files
    video_name = getattr(video, "name", None)
    same = [folder for folder in folders if video_name and frame_stem(folder.name) == frame_stem(video_name)]
    if len(same) == 1:
        return [name for name in files if PurePosixPath(name).parent == same[0]]
    highest = min(len(folder.parts) for folder in folders)
    top = [name for name in files if len(PurePosixPath(name).parent.parts) == highest]
    return top if len({PurePosixPath(name).parent for name in top}) == 1 else files
