"""Find out what a file, folder or archive of annotations is, and read it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import IO, Literal, TypeAlias

import numpy as np
from pydantic import ValidationError

from segue.datasets.json_files import read_json_text
from segue.errors import DatasetError, SegueError
from segue.labels import opening
from segue.labels.coco import read_coco
from segue.labels.cvat import read_cvat
from segue.labels.label_studio import is_task, read_tasks
from segue.labels.labelme import is_labelme, read_labelme
from segue.labels.labels import Frames, Labels, Numbering, by_frame
from segue.labels.mattes import read_matte
from segue.labels.opening import Tree, json_entries, read_text
from segue.labels.others import name_program
from segue.labels.schema import MAX_NAME_LENGTH
from segue.labels.text import first_problem, without_controls
from segue.labels.via import is_via, read_via
from segue.labels.yolo import has_shapes, is_label, read_yolo
from segue.masks import read_index_mask
from segue.masks.files import MaskStack, open_image, stack_text
from segue.masks.shapes import Canvas
from segue.masks.values import ColourIds
from segue.sinks.masks import read_records
from segue.utils.inputs import check_file, first_line
from segue.utils.naming import first_few, frame_stem
from segue.video.sources.kinds import FILM_SUFFIXES

Colour: TypeAlias = "tuple[int, int, int]"

RESULT_FORMATS = ("masks", "cdnet", "ytvis.json", "coco.json")
"""Results of segue in the folder of a video, in the order of search."""

DAMAGED = (
    *(OSError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RuntimeError, EOFError),
    *(zipfile.BadZipFile, zlib.error, ET.ParseError, MemoryError),
)
"""Errors of readers for malformed files; a RecursionError is a RuntimeError."""

_OF_CLASSES = "SegmentationClass"
"""Folder of masks whose colours are classes."""

_MASKS = ("SegmentationObject", "Annotations", "masks", _OF_CLASSES)
"""Folders of masks beside other images, in the order of preference."""

_IMAGES = frozenset({"JPEGImages", "images", "frames", "data", "obj_train_data"})
"""Folders of the images themselves."""

_LABELS = frozenset({"labels", "obj_train_data"})
"""Folders of labels of YOLO."""

_ANNOTATIONS = ("annotations", "instances_", "_annotations.coco", "tasks", "result", "coco", "ytvis")
"""How the names of annotation files begin that stand beside masks."""

_LABEL_MAPS = {
    "labelmap.txt": r"(?P<label>[^:#]+):(?P<red>\d{1,3}),(?P<green>\d{1,3}),(?P<blue>\d{1,3}):.*",
    "label_colors.txt": r"(?P<red>\d{1,3}) (?P<green>\d{1,3}) (?P<blue>\d{1,3})\s+(?P<label>\S.*)",
}
"""Lines of files that list the colours of classes, by name."""

_CLASS_LISTS = frozenset({"class_names.txt", "classes.txt", "labels.txt", "obj.names"})
_BACKGROUND = frozenset({"background", "bg", "void", "unlabeled", "unlabelled", "none"})
"""Files that list the classes of masks, and how the first line calls the background."""

_PNG_NAME = re.compile(r"[^\"'/\\]+\.png(?=[\"'])", re.IGNORECASE)


def read_labels(path: Path, video: Frames, name: str | None = None) -> Labels:
    """Read labels of another program.

    Args:
        path: a folder, an archive or an image of masks, a matte, a JSON or an XML file.
        video: the video that the labels belong to; it decides size, frame numbers and times.
        name: what errors call the file; by default its path.

    Returns:
        Objects and masks, by the frames of the video.

    Raises:
        SegueError: if the file is of no known kind, cannot be read, or does not fit the video.
    """
    where = name or str(path)
    labels = Labels(video.size)
    with _with_location(where, path):
        if path.is_dir():
            path = next((path / name for name in RESULT_FORMATS if (path / name).exists()), path)
        read = _read_folder if path.is_dir() else _READERS.get(path.suffix.lower())
        if read is not None:
            read(labels, path, video)
            if labels.left_out and not labels.names:
                raise DatasetError(f"holds no areas, only {left_out(labels)}")
            return labels
    raise SegueError(
        f"{where}: give a folder or .zip of masks, a .png, .tif, a black and white video, a .json of COCO, "
        "YouTube-VIS, Label Studio, labelme, X-AnyLabeling or VIA, a CVAT .xml, or a folder or .zip of "
        "these or of YOLO labels"
    )


def left_out(labels: Labels) -> str:
    """What was left out of a file, in words: ``3 points, 2 tags``."""
    return ", ".join(f"{number} {kind}" for kind, number in labels.left_out.items())


def _read_folder(labels: Labels, folder: Path, video: Frames) -> None:
    records = read_records(folder)
    if not records:
        _read_tree(labels, Tree(folder), video)
        return
    items = [(index, item) for index, record in records.items() for item in record.objects]
    for number, name in {item.id: item.label for _, item in items}.items():
        labels.add_object(number, name, number)
    labels.scores = {(index, item.id): item.score for index, item in items}
    files = {index: folder / record.file for index, record in records.items() if index < video.count}
    read = partial(read_index_mask, void=None)  # the ids are those of the record
    labels.add_files({index: partial(read, path) for index, path in files.items()})


def _read_image(labels: Labels, path: Path, video: Frames) -> None:
    _read_pages(labels, path, str(path), video)


def _read_pages(labels: Labels, file: Path | IO[bytes], where: str, video: Frames) -> None:
    """The mask of an image file, or those of a stack with a page for each frame."""
    with MaskStack.opened(file, where) as stack:
        count = len(stack.pages)
        ids: ColourIds = {}
        if count > 1 and count != video.count:
            frames = "one frame" if video.count == 1 else f"{video.count} frames"
            raise DatasetError(f"holds {stack_text(count, stack.axes)}, but the video has {frames}")
        labels.add_files(
            {page: partial(stack.read, page, ids, labels.leave_void_out) for page in range(count)}
        )


def _read_archive(labels: Labels, path: Path, video: Frames) -> None:
    check_file(path, DatasetError)
    _read_tree(labels, Tree(path), video)


def _read_tree(labels: Labels, tree: Tree, video: Frames) -> None:
    """Find out what a folder or an archive holds, and read it."""
    contents = _Contents(tree, video)
    for kind in _KINDS:
        if kind.fits(contents):
            kind.read(labels, contents)
            return
    raise DatasetError("there are no PNG masks")


class _Contents:
    """The files of a folder or an archive, sorted by what they may be.

    Attributes:
        annotations: JSON and XML files, but for those that set a program up.
    """

    def __init__(self, tree: Tree, video: Frames) -> None:
        self.tree, self.video = tree, video
        self.annotations = [name for name in tree.ending(".xml", ".json") if not _is_set_up(name)]

    @cached_property
    def _png_masks(self) -> list[str]:
        return _mask_files(self.tree, self.video)

    @cached_property
    def _named_annotations(self) -> list[str]:
        """Annotation files to read by their names: none beside masks that lie in no folder."""
        if any(len(PurePosixPath(name).parts) == 1 for name in self._png_masks):
            return []
        named = [name for name in self.annotations if PurePosixPath(name).name.startswith(_ANNOTATIONS)]
        return named or ([] if self._png_masks else self.annotations)

    @cached_property
    def texts(self) -> list[str]:
        """Label files of YOLO: in folders of labels, else those that lie in no folder."""
        texts = [name for name in self.tree.ending(".txt") if is_label(name)]
        return [name for name in texts if _LABELS & {*PurePosixPath(name).parts[:-1]}] or (
            [name for name in texts if len(PurePosixPath(name).parts) == 1]
        )

    @cached_property
    def masks(self) -> list[str]:
        """Files of masks; of other formats than PNG only where there is nothing else."""
        masks = _without_images(self.tree, self._png_masks, self.texts)
        if masks or self._named_annotations or self.texts:
            return masks
        return _mask_files(self.tree, self.video, ".tif", ".tiff", ".bmp") or (
            _mask_files(self.tree, self.video, ".jpg", ".jpeg")
        )

    @cached_property
    def kinds(self) -> dict[str, Literal["labelme", "images"] | None]:
        """What annotation files are of which there are several, or masks beside; those may be images."""
        if len(self.annotations) < 2 and not self.masks:
            return {}
        return {name: _kind_among(self.tree, name, self.masks) for name in self.annotations}

    @cached_property
    def selected(self) -> list[str]:
        """Annotation files to read in place of masks."""
        if "labelme" in self.kinds.values():
            return self.annotations
        return self._named_annotations or [name for name, kind in self.kinds.items() if kind == "images"]

    @cached_property
    def folders(self) -> dict[str, list[tuple[str, str]]]:
        """Masks by object, where each has a folder of its own."""
        return _of_objects(self.masks, self.video)


@dataclass(frozen=True)
class _Kind:
    """What a folder or an archive may hold: how it is told, and what reads it."""

    fits: Callable[[_Contents], bool]
    read: Callable[[Labels, _Contents], None]


def _read_labelme_files(labels: Labels, contents: _Contents) -> None:
    files = {name: partial(contents.tree.text, name) for name in contents.kinds}
    read_labelme(labels, files, contents.video)


def _read_annotation(labels: Labels, contents: _Contents) -> None:
    tree, names = contents.tree, contents.selected
    if len(names) > 1:
        if names[0].lower().endswith(".json"):
            _refuse_other(tree.text(names[0]), names[0])
        raise DatasetError(f"holds several annotation files, {first_few(names)}; give the one of this video")
    config = next((tree.text(name) for name in tree.ending(".xml") if _is_set_up(name)), None)
    read_annotation_text(labels, tree.text(names[0]), names[0], contents.video, config)


def _read_stack(labels: Labels, contents: _Contents) -> None:
    (name,) = contents.masks
    _read_pages(labels, contents.tree.mask_file(name), name, contents.video)


def _read_mask_files(labels: Labels, contents: _Contents) -> None:
    """Masks with ids, and the names of their classes from files beside."""
    tree = contents.tree
    ids: ColourIds = {}
    files = by_frame({name: name for name in contents.masks}, contents.video)
    labels.add_files(
        {index: partial(tree.mask, name, ids, labels.leave_void_out) for index, name in files.items()}
    )
    if names := _class_list(tree):
        for number in labels.names:
            if name := names.get(number):
                labels.names[number] = labels.class_of[number] = name
    elif colours := _label_map(tree):
        classes = {name: name for name in tree.ending(".png") if _OF_CLASSES in PurePosixPath(name).parts}
        _name_classes(labels, tree, by_frame(classes, contents.video) if classes else files, colours)


_KINDS = (
    _Kind(lambda contents: {*contents.kinds.values()} == {"labelme"}, _read_labelme_files),
    _Kind(lambda contents: bool(contents.selected), _read_annotation),
    _Kind(
        lambda contents: bool(contents.texts) and not contents.masks,
        lambda labels, contents: read_yolo(labels, contents.tree, contents.texts, contents.video),
    ),
    _Kind(
        lambda contents: bool(contents.folders),
        lambda labels, contents: _read_folders_of_objects(
            labels, contents.tree, contents.folders, contents.video
        ),
    ),
    _Kind(
        lambda contents: len(contents.masks) == 1 and _is_stack(contents.tree, contents.masks[0]), _read_stack
    ),
    _Kind(lambda contents: bool(contents.masks), _read_mask_files),
)
"""What a folder or an archive may hold, the first that fits."""


def _without_images(tree: Tree, masks: list[str], texts: list[str]) -> list[str]:
    """Masks without the folders of PNG images that have labels of YOLO beside them."""
    stems = {str(PurePosixPath(name).with_suffix("")) for name in masks}
    box_files = [name for name in texts if str(PurePosixPath(name).with_suffix("")) in stems]
    first = next((text for name in box_files if (text := tree.text(name)).strip()), "")
    if not has_shapes(first):
        return masks
    folders = {PurePosixPath(name).parent for name in box_files}
    return [name for name in masks if PurePosixPath(name).parent not in folders]


def _class_list(tree: Tree) -> dict[int, str]:
    """Names by the value of a mask, of a file beside with a line for each: line 0 may be the background."""
    names = [name for name in tree.ending(".txt", ".names") if PurePosixPath(name).name in _CLASS_LISTS]
    if len(names) != 1:
        return {}
    lines = [line.strip() for line in tree.text(names[0]).splitlines()]
    lines = [line for line in lines if line != "__ignore__"]  # labelme's first line, which is no value
    first = 0 if lines and lines[0].strip("_").lower() in ("", *_BACKGROUND) else 1
    numbered = (
        (number, line) for number, line in enumerate(lines, first) if line
    )  # an empty one has a number
    return {number: without_controls(line)[:MAX_NAME_LENGTH] for number, line in numbered}


def _label_map(tree: Tree) -> dict[Colour, str]:
    """Classes by their colour in masks, as CVAT lists them in a file beside."""
    labels_by_colour: dict[Colour, str] = {}
    for name in tree.ending(".txt"):
        pattern = _LABEL_MAPS.get(PurePosixPath(name).name)
        for line in tree.text(name).splitlines() if pattern else ():
            if match := re.fullmatch(pattern or "", line.strip()):
                *levels, label = match.group("red", "green", "blue", "label")
                labels_by_colour[int(levels[0]), int(levels[1]), int(levels[2])] = label
    return labels_by_colour


def _name_classes(labels: Labels, tree: Tree, files: dict[int, str], colours: dict[Colour, str]) -> None:
    """Give objects the classes that other masks show where they are.

    Where an id is of several classes, ids count the objects of each image anew: the n-th of a class is one.
    """
    class_at: dict[tuple[int, int], str] = {}  # by frame and id
    for index, planes in ((index, labels.planes(index)) for index in files if index in labels.masks):
        with open_image(tree.mask_file(files[index]), files[index]) as image:
            levels = np.array(image.convert("RGB"))
        if levels.shape[:2] != labels.size:
            raise DatasetError(f"{files[index]}: has another size than the video")
        for number, plane in planes.items():
            values, counts = np.unique(levels[plane], axis=0, return_counts=True)
            red, green, blue = values[counts.argmax()].tolist()
            class_at[index, number] = colours.get((red, green, blue), "")
    classes: dict[int, set[str]] = {}
    for (_, number), label in class_at.items():
        classes.setdefault(number, set()).add(label)
    levels_of = {label: "#{:02x}{:02x}{:02x}".format(*colour) for colour, label in colours.items()}
    numbering, masks, names = Numbering(), labels.masks, labels.names
    is_consistent = all(len(each) == 1 for each in classes.values())
    labels.masks, labels.names, labels.ids = {}, {}, {}
    for index, objects in masks.items():
        labels.masks[index] = {}
        for number, lengths in objects.items():
            name = class_at.get((index, number)) or None
            object_number = number if is_consistent else numbering.number(index, name)
            appearance = {"category": name, "colour": levels_of.get(name or "")}
            labels.add_object(
                object_number, name or names[number], number if is_consistent else None, **appearance
            )
            labels.masks[index][object_number] = lengths


def _is_stack(tree: Tree, name: str) -> bool:
    """Whether a mask file has several pages."""
    with MaskStack.opened(tree.mask_file(name), name) as stack:
        return len(stack.pages) > 1


def _kind_among(tree: Tree, name: str, files: Iterable[str]) -> Literal["labelme", "images"] | None:
    """Whether a file of annotations is of labelme, or names some of these PNG files as its images."""
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


def _is_set_up(name: str) -> bool:
    """Whether a file is the labelling configuration that an export of segue for Label Studio holds."""
    return PurePosixPath(name).name == "labels.xml"


def _of_objects(files: list[str], video: Frames) -> dict[str, list[tuple[str, str]]]:
    """Files by object, each with the name of its frame, where folders tell one of the two.

    Each object has a folder as in SA-V, ``000/00000.png``, or each image of the video: ``frame_07/1.png``.
    """
    objects: dict[str, list[tuple[str, str]]] = {}
    images = {*map(frame_stem, video.names or ())}
    by_image = {frame_stem(PurePosixPath(name).parent.name) for name in files} <= images
    by_image = by_image and not {*map(frame_stem, files)} <= images
    for name in files:
        path = PurePosixPath(name)
        number, frame = (frame_stem(name), path.parent.name) if by_image else (str(path.parent), name)
        objects.setdefault(number, []).append((frame, name))
    frames = [{frame_stem(frame) for frame, _ in each} for each in objects.values()]
    shared = len(objects) > 1 and len(set.union(*frames)) < len(files)
    return objects if by_image or shared else {}


def _read_folders_of_objects(
    labels: Labels, tree: Tree, folders: dict[str, list[tuple[str, str]]], video: Frames
) -> None:
    for number, (folder, files) in enumerate(folders.items(), 1):
        labels.add_object(number, PurePosixPath(folder).name)
        for index, name in by_frame(dict(files), video).items():
            counts = Canvas.of(video.size).plane(tree.mask(name, {}, labels.leave_void_out))
            labels.add_mask(index, number, counts)


def _mask_files(tree: Tree, video: Frames, *suffixes: str) -> list[str]:
    """The mask files of the video: those of the highest folder, or of a folder of masks beside images."""
    files = [
        name
        for name in tree.ending(*(suffixes or (".png",)))
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


def _read_json(labels: Labels, path: Path, video: Frames) -> None:
    check_file(path, DatasetError, opening.MAX_BYTES)
    read_annotation_text(labels, read_json_text(path), str(path), video)


def _read_xml(labels: Labels, path: Path, video: Frames) -> None:
    read_annotation_text(labels, read_text(path), str(path), video)


def read_annotation_text(
    labels: Labels, text: str, where: str, video: Frames, config: str | None = None
) -> None:
    """Read the text of an annotation file; ``where`` is its name."""
    if not text.strip():
        raise DatasetError("is empty")
    if where.lower().endswith(".xml"):
        read_cvat(labels, text, video)
    elif is_labelme(text):
        read_labelme(labels, {where: lambda: text}, video)
    elif is_via(text, where):
        read_via(labels, text, where, video)
    elif _is_of_label_studio(text, where):
        read_tasks(labels, text, where, video, config)
    else:
        try:
            read_coco(labels, text, where, video)
        except (*DAMAGED, SegueError):
            _refuse_other(text, where)
            raise


def _refuse_other(text: str, where: str) -> None:
    """Raise DatasetError where a text is of a program that is not read."""
    if (program := name_program(text, where)) is not None:
        raise DatasetError(f"is a file of {program}")


def _is_of_label_studio(text: str, where: str) -> bool:
    """Whether a text is a task of Label Studio, or a list that begins with one."""
    if text.lstrip()[:1] == "[":
        return is_task(next((item for _, _, item in json_entries(text, where)), None))
    return '"data"' in text and is_task({key: None for key, _, _ in json_entries(text, where)})


@contextmanager
def _with_location(where: str, path: Path) -> Iterator[None]:
    """Errors of readers, in one line that calls the file ``where``, wherever it lies (``path``)."""
    try:
        yield
    except SegueError as error:
        text = str(error).replace(str(path), where)
        raise SegueError(f"{where}: {text.removeprefix(f'{where}: ')}") from None
    except KeyError as error:
        raise SegueError(f"{where}: an entry has no {str(error)[:80]}") from None
    except DAMAGED as error:
        reason = "it is damaged, or of another format"
        if isinstance(error, ValidationError):
            reason = first_problem(error.errors())
        elif isinstance(error, OSError | zipfile.BadZipFile | zlib.error | ET.ParseError):
            reason = getattr(error, "strerror", None) or first_line(error)
        raise SegueError(f"{where}: cannot be read ({reason[:200]})") from None


_READERS = {
    **dict.fromkeys(FILM_SUFFIXES, read_matte),
    **dict.fromkeys((".png", ".tif", ".tiff", ".bmp", ".webp"), _read_image),
    ".zip": _read_archive,
    ".json": _read_json,
    ".xml": _read_xml,
}
"""By the suffix of a file."""
