"""Index masks of any program in folders, archives and stacks, and the data set DAVIS 2017."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, TypeAlias

import numpy as np

from segue.entries.formats import Format, Holds, SinkOptions
from segue.errors import DatasetError
from segue.formats.files import OF_CLASSES, Files, Tree
from segue.formats.folders import DATA_SETS, FolderWriter
from segue.formats.frames import FrameObjects, frame_name
from segue.formats.labels import Frames, Labels, Numbering, by_frame
from segue.formats.schema import MAX_NAME_LENGTH
from segue.formats.text import without_controls
from segue.masks import write_index_mask
from segue.masks.files import MaskStack, check_image_size, open_image, stack_text
from segue.masks.shapes import Canvas
from segue.masks.values import ColourIds
from segue.types import Frame, Segmentation
from segue.utils.naming import frame_stem, last_number
from segue.utils.notices import notice

Colour: TypeAlias = "tuple[int, int, int]"

IMAGES = (".png", ".tif", ".tiff", ".bmp", ".webp")
"""Endings of image files that hold masks without loss."""

RESOLUTION = "Full-Resolution"
"""Folder of DAVIS for original image sizes, between ``JPEGImages`` and the sequences."""

_LABEL_MAPS = {
    "labelmap.txt": r"(?P<label>[^:#]+):(?P<red>\d{1,3}),(?P<green>\d{1,3}),(?P<blue>\d{1,3}):.*",
    "label_colors.txt": r"(?P<red>\d{1,3}) (?P<green>\d{1,3}) (?P<blue>\d{1,3})\s+(?P<label>\S.*)",
}
"""Lines of files that list the colours of classes, by name."""

_CLASS_LISTS = frozenset({"class_names.txt", "classes.txt", "labels.txt", "obj.names"})
_BACKGROUND = frozenset({"background", "bg", "void", "unlabeled", "unlabelled", "none"})
"""Files that list the classes of masks, and how the first line calls the background."""


class DavisWriter(FolderWriter):
    """Writes the folders of DAVIS 2017, for `segue eval davis` and the official tools.

    Args:
        folder: folder to write; it appears when it is complete. The sequence has its name.
        run: the options.
    """

    def __init__(self, folder: Path, run: SinkOptions) -> None:
        name, kinds = re.escape(folder.name), r"JPEGImages/{0}/{1}/[^/]+\.jpg|Annotations/{0}/{1}/[^/]+\.png"
        own_files = kinds.format(RESOLUTION, name) + r"|ImageSets/2017/(?:train|val)\.txt"
        super().__init__(folder, own_files, marks=run.labels is None)
        self._names = run.names
        self._images, self._masks = (
            self.subfolder(kind, RESOLUTION, folder.name) for kind in ("JPEGImages", "Annotations")
        )

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        self.add(FrameObjects.of_result(segmentation, frame, frame.size))

    def add(self, objects: FrameObjects) -> None:
        name = frame_name(self._names, objects.index)
        self.put(self._images / f"{name}.jpg", objects.jpeg())
        write_index_mask(self._masks / f"{name}.png", objects.mask)

    def _complete(self) -> None:
        lists = self.subfolder("ImageSets", "2017")
        for part in ("train", "val"):
            (lists / f"{part}.txt").write_text(f"{self._folder.name}\n")


def _read_pages(labels: Labels, file: Path | IO[bytes], where: str, video: Frames) -> None:
    """Read the mask of an image file, or the masks of a stack, one frame per page."""
    with MaskStack.opened(file, where) as stack:
        count = len(stack.pages)
        ids: ColourIds = {}
        if count > 1 and count != video.count:
            frames = "one frame" if video.count == 1 else f"{video.count} frames"
            raise DatasetError(f"holds {stack_text(count, stack.axes)}, but the video has {frames}")
        labels.add_files(
            {page: partial(stack.read, page, ids, labels.leave_void_out, video.size) for page in range(count)}
        )


def _read_stack(files: Files, video: Frames) -> Labels:
    labels = Labels(video.size)
    (name,) = files.masks
    _read_pages(labels, files.mask_file(name), files.where(name), video)
    return labels


def _read_mask_files(files: Files, video: Frames) -> Labels:
    """Read masks with ids, and class names from files beside them."""
    labels = Labels(video.size)
    ids: ColourIds = {}
    by_index = by_frame({name: name for name in files.masks}, video)
    numbers = [last_number(name) for name in files.masks]
    if video.names is None and 0 < len(numbers) < video.count and numbers == [*range(1, len(numbers) + 1)]:
        notice(
            f"masks are numbered from 1, and none is 0: {files.masks[0]} is taken for frame 1, the second "
            "one of the video. Number them from 0 if it is the first"
        )
    labels.add_files(
        {
            index: partial(files.mask, name, ids, labels.leave_void_out, video.size)
            for index, name in by_index.items()
        }
    )
    if names := _class_list(files):
        for number in labels.names:
            if name := names.get(number):
                labels.names[number] = labels.class_of[number] = name
    elif colours := _label_map(files):
        classes = {
            name: name for name in files.files_with_suffix(".png") if OF_CLASSES in PurePosixPath(name).parts
        }
        _name_classes(labels, files, by_frame(classes, video) if classes else by_index, colours)
    return labels


def _read_folders_of_objects(files: Files, video: Frames) -> Labels:
    labels = Labels(video.size)
    for number, (folder, masks) in enumerate(_of_objects(files.masks, video).items(), 1):
        labels.add_object(number, PurePosixPath(folder).name)
        for index, name in by_frame(dict(masks), video).items():
            mask = files.mask(name, {}, labels.leave_void_out, video.size)
            labels.add_mask(index, number, Canvas.of(video.size).plane(mask))
    return labels


def _read(files: Files, video: Frames) -> Labels:
    if not files.is_file and _of_objects(files.masks, video):
        return _read_folders_of_objects(files, video)
    if files.is_file or (len(files.masks) == 1 and _is_stack(files, files.masks[0])):
        return _read_stack(files, video)
    return _read_mask_files(files, video)


def _class_list(tree: Tree) -> dict[int, str]:
    """Names by mask value from a text file; line 0 may be the background."""
    names = [
        name for name in tree.files_with_suffix(".txt", ".names") if PurePosixPath(name).name in _CLASS_LISTS
    ]
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
    """Classes by mask colour from a text file of CVAT."""
    labels_by_colour: dict[Colour, str] = {}
    for name in tree.files_with_suffix(".txt"):
        pattern = _LABEL_MAPS.get(PurePosixPath(name).name)
        for line in tree.text(name).splitlines() if pattern else ():
            if match := re.fullmatch(pattern or "", line.strip()):
                *levels, label = match.group("red", "green", "blue", "label")
                labels_by_colour[int(levels[0]), int(levels[1]), int(levels[2])] = label
    return labels_by_colour


def _name_classes(labels: Labels, tree: Tree, files: dict[int, str], colours: dict[Colour, str]) -> None:
    """Set the classes of objects from class masks at the same pixels.

    If an id has several classes, ids are per image: the n-th object of a class is one object.
    """
    class_at: dict[tuple[int, int], str] = {}  # by frame and id
    for index, planes in ((index, labels.planes(index)) for index in files if index in labels.masks):
        with open_image(tree.mask_file(files[index]), files[index]) as image:
            check_image_size(image, labels.size)
            levels = np.array(image.convert("RGB"))
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


def _of_objects(files: list[str], video: Frames) -> dict[str, list[tuple[str, str]]]:
    """Group files by object, each with the name of its frame, if folders separate one of the two.

    Each object has a folder as in SA-V, ``000/00000.png``, or each image of the video: ``frame_07/1.png``.
    """
    objects: dict[str, list[tuple[str, str]]] = {}
    images = {*map(frame_stem, video.names or ())}
    by_image = {frame_stem(PurePosixPath(name).parent.name) for name in files} <= images
    by_image = by_image and not {*map(frame_stem, files)} <= images
    by_image = by_image or _have_a_folder_each(files, video)
    for name in files:
        path = PurePosixPath(name)
        number, frame = (frame_stem(name), path.parent.name) if by_image else (str(path.parent), name)
        objects.setdefault(number, []).append((frame, name))
    frames = [{frame_stem(frame) for frame, _ in each} for each in objects.values()]
    shared = len(objects) > 1 and len(set.union(*frames)) < len(files)
    return objects if by_image or shared else {}


def _have_a_folder_each(files: list[str], video: Frames) -> bool:
    """Whether folders are the frame numbers of a video, each with the same few files."""
    folders: dict[str, set[str]] = {}
    for name in files:
        path = PurePosixPath(name)
        folders.setdefault(path.parent.name, set()).add(path.name)
    numbers = {last_number(folder) for folder in folders if folder}
    return (
        video.names is None
        and len(folders) == video.count
        and numbers in ({*range(video.count)}, {*range(1, video.count + 1)})
        and max(map(len, folders.values())) < video.count
        and len(set.union(*folders.values())) == max(map(len, folders.values()))
    )


ENTRIES = (
    Format(
        "davis",
        "davis",
        DavisWriter,
        needs_frames=True,
        holds=Holds(masks="visible", max_id=65535, void_ids=(255, 65535), empty=True),
        sniff=lambda files: 0.3 if files.masks else 0.0,
        read=_read,
        endings=IMAGES,
        title="DAVIS folder",
        about="indexed PNG, JPEG and image sets; read ids with PIL, not OpenCV",
        group=DATA_SETS,
        known_only=True,
    ),
)
