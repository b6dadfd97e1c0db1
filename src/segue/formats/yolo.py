"""Labels of YOLO: a text file per image, a line per object, in shares of width and height."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from math import dist
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt
import yaml

from segue.entries.formats import Format, Holds, SinkOptions
from segue.errors import DatasetError
from segue.formats.files import MAX_LINES, NUMBER, Files, Tree
from segue.formats.folders import DATA_SETS, FolderWriter
from segue.formats.frames import FrameObjects, frame_name
from segue.formats.labels import Frames, Labels, Numbering, by_frame
from segue.masks.measure import UNNAMED, ResultLike, visible_objects
from segue.masks.outlines import single_outline
from segue.masks.shapes import Canvas
from segue.types import Frame, Segmentation
from segue.utils.inputs import first_line
from segue.utils.naming import frame_stem

LIST = "data.yaml"

HEADER = "# written by segue\n"
"""First line of the list of classes; a folder with it may be replaced."""

_OWN_FILE = r"data\.yaml|images/train/[^/]+\.jpg|labels/train/[^/]+\.txt|labels/train\.cache"
"""Files that may be in the folder: written ones, and the cache of ultralytics."""

_MAX_YAML = 256 << 10
"""Characters of a .yaml file, whose reader is slow."""

_ROUNDED = 5e-3
"""Rounding error of a corner in pixels: coordinates relative to large images have six digits."""


def read_yolo(labels: Labels, tree: Tree, files: list[str], video: Frames) -> None:
    """Read polygons, boxes and turned boxes; without ids, class and position identify an object."""
    classes = _classes(tree)
    canvas = Canvas.of(video.size)
    height, width = video.size
    rows = {name: _rows(tree.text(name), name) for name in files}
    with_ids = {
        odd_length
        for odd_length in (False, True)
        if _have_ids([_lines(each, odd_length) for each in rows.values()])
    }
    per_class = any(_has_ids_in_several_classes(each, with_ids) for each in rows.values())
    numbering = Numbering()
    for index, name in by_frame(_counted_from_zero(files, video), video).items():
        for row in rows[name]:
            kind, *values = map(float, row)
            track_id = int(values.pop()) if len(values) > 4 and _has_odd_length(row) in with_ids else None
            counts = _counts(values, canvas, (width, height), name)
            number = numbering.number(
                index, int(kind), (kind, track_id) if track_id and per_class else track_id
            )
            label = classes.get(int(kind), f"class {int(kind)}")
            labels.add_object(number, label, track_id, category=label)
            labels.add_mask(index, number, counts)
        labels.masks.setdefault(index, {})


def read_outlines(labels: Labels, text: str, name: str) -> None:
    """Read the outlines of an image of a data set, each a separate object."""
    canvas = Canvas.of(labels.size)
    height, width = labels.size
    for number, row in enumerate(_rows(text, name), 1):
        kind, *values = map(float, row)
        if len(values) < 6:
            raise DatasetError(f"{name}: a box is no mask; export outlines")
        if len(values) % 2:
            raise DatasetError(f"{name}: a line has {len(values)} numbers after its class, not pairs")
        labels.add_object(number, f"class {int(kind)}")
        labels.add_mask(0, number, _counts(values, canvas, (width, height), name))


def _rows(text: str, name: str) -> list[list[str]]:
    """Split the lines of a file into numbers, as texts."""
    rows = [line.split() for line in text.splitlines() if line.strip()]
    if len(rows) > MAX_LINES:
        raise DatasetError(f"{name} has more than {MAX_LINES} lines")
    for row in rows:
        if not all(NUMBER.fullmatch(one) for one in row):
            raise DatasetError(f"{name}: {' '.join(row)[:40]!r} is no line of numbers")
        if _is_pose([float(one) for one in row[1:]]):
            raise DatasetError(f"{name}: a line is a pose, which has no area; import boxes or outlines")
    return rows


def _is_pose(values: list[float]) -> bool:
    """Whether values are a box and at least three joints, with visible ones near the box.

    An outline along the border of the image has values of 0 and 1, too.
    """
    x, y, w, h = (*values, 0, 0, 0, 0)[:4]
    joints = [*zip(values[4::3], values[5::3], values[6::3], strict=False)]
    if len(joints) < 3 or not {visible for _, _, visible in joints} <= {0, 1, 2} or not _is_box(x, y, w, h):
        return False
    return all(abs(u - x) <= w and abs(v - y) <= h for u, v, visible in joints if visible)


def _is_box(x: float, y: float, w: float, h: float) -> bool:
    """Whether shares are a centred box inside the image."""
    return 0 < w <= 2.001 * min(x, 1 - x) and 0 < h <= 2.001 * min(y, 1 - y)


def _has_odd_length(row: Sequence[str]) -> bool:
    """Whether an odd number of values follows the class: shapes are even, score and id add one each."""
    return len(row) % 2 == 0


def _lines(rows: list[list[str]], odd_length: bool) -> list[list[str]]:
    """Parse the lines of a file; the number of values tells whether an id follows."""
    return [row for row in rows if len(row) > 5 and _has_odd_length(row) == odd_length]


def _has_ids_in_several_classes(rows: list[list[str]], with_ids: set[bool]) -> bool:
    """Whether one id occurs in several classes on a frame, so that each class counts separately."""
    tracks = {(row[0], row[-1]) for row in rows if len(row) > 5 and _has_odd_length(row) in with_ids}
    return len({track_id for _, track_id in tracks}) < len(tracks)


def _have_ids(files: list[list[list[str]]]) -> bool:
    """Whether all lines end with a track id, as ultralytics saves them.

    An id is a whole number from 1 on; so is 1 as a score or as a share of the image.
    """
    rows = [row for file in files for row in file]
    if not all(row[-1].isdecimal() and 0 < len(row[-1].lstrip("0")) < 10 for row in rows):
        return False
    if any(int(row[-1]) > 1 for row in rows):
        return True
    # Either way an odd number of values gives the same masks, and no track has two of them on a frame.
    return bool(rows) and max(map(len, files)) == 1 and all(_has_score(row) for row in rows)


def _has_score(row: list[str]) -> bool:
    """Whether the last two values are a score and an id, not a corner."""
    values = [float(one) for one in row[1:]]
    if len(values) % 2 or not 0 <= values[-2] <= 1:
        return False
    if len(values) == 6:  # a box by its middle lies in the image
        return values[-2] < 1 and _is_box(*values[:4])
    # They are no corner of the outline if they lie far from the corners beside them.
    return _detours(values)[-1] > 2 * max(_detours(values[:-2]))


def _detours(values: list[float]) -> list[float]:
    """Extra length that each corner adds to an outline."""
    corners = [*zip(values[::2], values[1::2], strict=True)]
    closed = [corners[-1], *corners, corners[0]]
    return [dist(a, b) + dist(b, c) - dist(a, c) for (a, b), (_, c) in pairwise(pairwise(closed))]


def _counted_from_zero(files: list[str], video: Frames) -> dict[str, str]:
    """Files by name that count frames from 0; ultralytics begins at 1, as in ``video_1.txt``."""
    video_name = getattr(video, "name", None)
    counted = {
        name: re.fullmatch(rf"{re.escape(video_name or '')}_([1-9][0-9]*)", frame_stem(name))
        for name in files
    }
    if not video_name or video.names is not None or not all(counted.values()):
        return {name: name for name in files}
    return {f"{int(match[1]) - 1}.txt": name for name, match in counted.items() if match}


def _counts(values: list[float], canvas: Canvas, sides: tuple[int, int], name: str) -> bytes:
    """Run lengths of a line without class and id: a box or corners, perhaps with a score."""
    if len(values) in (4, 5):
        x, y, w, h = (value * sides[i % 2] for i, value in enumerate(values[:4]))
        return canvas.box(x - w / 2, y - h / 2, w, h)
    if len(values) % 2 and 0 <= values[-1] <= 1:
        values = values[:-1]  # the score of an outline
    if len(values) < 6 or len(values) % 2:
        raise DatasetError(f"{name}: a line has {len(values)} numbers after its class; 4, or pairs from 6 on")
    if not all(-1 <= value <= 2 for value in values):
        raise DatasetError(f"{name}: a line has corners far outside the image; they are shares of its sides")
    # The corners are pixels of the object, as ultralytics fills them; shares are rounded to six digits.
    corners = np.floor(np.array(values).reshape(-1, 2) * sides + _ROUNDED).astype(np.int32)
    return canvas.plane(cv2.fillPoly(np.zeros(canvas.image_size, np.uint8), [corners], 1))


def _classes(tree: Tree) -> dict[int, str]:
    """Class names: ``names`` of a .yaml file, or the lines of classes.txt or obj.names."""
    for name in tree.files_with_suffix(".txt", ".names"):
        if PurePosixPath(name).name in ("classes.txt", "obj.names"):
            lines = enumerate(map(str.strip, tree.text(name).splitlines()))  # an empty one has a number, too
            return {number: line for number, line in lines if line}
    for name in tree.files_with_suffix(".yaml", ".yml"):
        text = tree.text(name)
        if "names" in text and (names := _names(text, name)):
            return names
    return {}


class _TextLoader(yaml.SafeLoader):  # type: ignore[misc]
    """Safe YAML loader that keeps values as texts: ``no`` and ``1`` may be class names."""

    yaml_implicit_resolvers: ClassVar = {
        first: [one for one in resolvers if one[0].endswith(":merge")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _names(text: str, where: str) -> dict[int, str]:
    """Class names by number from ``names`` of a .yaml file; empty without them."""
    if len(text) > _MAX_YAML:
        raise DatasetError(f"{where} has more than {_MAX_YAML >> 10} KiB; leave its `names` alone")
    try:
        content: Any = yaml.load(text, Loader=_TextLoader)
    except yaml.YAMLError as error:
        raise DatasetError(f"{where}: is no YAML ({first_line(error)})") from None
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict):
        return {}
    if invalid := [key for key in names if not re.fullmatch(r"[0-9]{1,6}", str(key))]:
        raise DatasetError(f"{where}: {str(invalid[0])[:40]!r} of `names` is no number of a class")
    return {int(key): value.strip() for key, value in names.items() if isinstance(value, str)}


def yolo_line(number: int, mask: npt.NDArray[np.bool_]) -> str:
    """Format the line of an object for ultralytics, class from 0; empty for an empty mask."""
    height, width = mask.shape
    corners = single_outline(mask) + 0.5
    if len(corners) < 3:
        if not mask.any():
            return ""
        corners = _bounding_rectangle(mask)
    shares = np.clip(corners / (width, height), 0, 1)
    return f"{number} {' '.join(f'{value:.6f}' for value in shares.ravel().tolist())}\n"


def _bounding_rectangle(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Corners (4, 2) of the smallest rectangle around the pixels of a mask that is one pixel thin."""
    pixels = np.argwhere(mask)[:, ::-1]
    edges = np.concatenate([pixels + np.array(corner) for corner in ((0, 0), (0, 1), (1, 0), (1, 1))]).astype(
        np.float32
    )
    return np.asarray(cv2.boxPoints(cv2.minAreaRect(edges)), np.float32)


def yolo_yaml(names: Mapping[int, str]) -> str:
    """Create ``data.yaml`` of a data set of ultralytics with images and labels in ``train``."""
    # Without "path", which ultralytics takes from the working directory, all begins beside this file.
    content = {"train": "images/train", "val": "images/train", "names": dict(names)}
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def yolo_text(result: ResultLike, names: Mapping[int, str], *, scores: bool) -> str:
    """Format a line per visible object; see :meth:`segue.Segmentation.save_txt`."""
    places = {name: place for place, name in enumerate(names.values())}
    lines = []
    for item in visible_objects(result):
        line = yolo_line(places[item.label or UNNAMED], result.mask == item.id)
        lines.append(f"{line.rstrip()} {item.score:.6f}\n" if line and scores else line)
    return "".join(lines)


class YoloSink(FolderWriter):
    """Writes frames and one polygon per object, for training segmentation models of ultralytics.

    Lines join the parts and holes of an object. Classes count from 0 in the order of ``categories``, then in
    that of their first object; one without a label is an "object".

    Args:
        folder: folder to write; it appears when it is complete.
        names: name of each frame without ending, if it has one; others are called ``00012``.
        categories: number of each label that the run knows.
        whole: write the outline of the whole mask of each object, including hidden parts; else of its
            visible part.
        header: first lines of the list of classes, by which a later run may replace the folder.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        names: Sequence[str] | None = None,
        categories: Mapping[str, int] | None = None,
        whole: bool = False,
        header: str = HEADER,
    ) -> None:
        super().__init__(folder, _OWN_FILE, marks=False, was_written_by_segue=_has_header)
        self._names, self._whole_masks, self._header = names, whole, header
        numbers = categories or {}
        self._classes = {label: place for place, label in enumerate(sorted(numbers, key=numbers.__getitem__))}
        self._images, self._labels = (self.subfolder(part, "train") for part in ("images", "labels"))

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        self.add(FrameObjects.of_result(segmentation, frame, frame.size, whole=self._whole_masks))

    def add(self, objects: FrameObjects) -> None:
        lines = [
            yolo_line(self._class(item.label), plane)
            for item, (_, plane) in zip(objects.objects, objects.planes(), strict=True)
            if item.area or plane.any()
        ]
        name = frame_name(self._names, objects.index)
        self.put(self._images / f"{name}.jpg", objects.jpeg())
        self.put(self._labels / f"{name}.txt", "".join(lines).encode())

    def _complete(self) -> None:
        names = {number: label for label, number in self._classes.items()}
        (self._partial / LIST).write_text(self._header + yolo_yaml(names), "utf-8")

    def _class(self, label: str | None) -> int:
        return self._classes.setdefault(UNNAMED if label is None else label, len(self._classes))


def _has_header(folder: Path) -> bool:
    """Whether a folder is a data set of segue."""
    with suppress(OSError, UnicodeDecodeError):
        return (folder / LIST).read_text("utf-8").startswith(HEADER)
    return False


def _open(path: Path, run: SinkOptions) -> YoloSink:
    if run.labels is not None:
        return YoloSink(path, names=run.names, categories=run.labels.categories(), header="")
    return YoloSink(path, names=run.names, categories=run.categories, whole=run.whole)


def _read(files: Files, video: Frames) -> Labels:
    labels = Labels(video.size)
    read_yolo(labels, files, files.texts, video)
    return labels


ENTRIES = (
    Format(
        "yolo",
        "yolo",
        _open,
        needs_frames=True,
        holds=Holds(masks="outlines", tracks=False, classes=True, empty=True),
        sniff=lambda files: 0.4 if files.texts and not files.masks and not files.is_file else 0.0,
        read=_read,
        title="YOLO segmentation",
        about="images and outlines for Ultralytics",
        group=DATA_SETS,
        known_only=True,
    ),
)
