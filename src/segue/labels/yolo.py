"""Labels of YOLO: one text file an image, one line an object, in shares of width and height."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import PurePosixPath

import cv2
import numpy as np

from segue.errors import DatasetError
from segue.labels.labels import Frames, Labels, Numbering, by_frame
from segue.labels.opening import Tree
from segue.masks.shapes import Canvas
from segue.naming import frame_stem

_MOST_LINES = 10_000
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_NAMED = re.compile(r"^\s*(?:-\s+|['\"]?([0-9]{1,6})['\"]?\s*:\s*)(.+?)\s*$", re.DOTALL)
_COMMENT = re.compile(r"(?:^|(?<=[ \t]))#.*$", re.MULTILINE)
_IN_LIST = re.compile(r"""(?:"[^"]*"|'[^']*'|[^,'"]+)+""")
_NO_LABELS = frozenset(
    {"classes.txt", "labels.txt", "train.txt", "val.txt", "valid.txt", "test.txt", "README.txt"}
)


def is_label(name: str) -> bool:
    """Whether a text file holds labels by its name: all but lists of classes and of images."""
    return PurePosixPath(name).name not in _NO_LABELS


def read_yolo(labels: Labels, tree: Tree, files: list[str], video: Frames) -> None:
    """Polygons, boxes and turned boxes; without ids the n-th of a class on each frame is one object."""
    classes = _classes(tree)
    canvas = Canvas.of(video.size)
    height, width = video.size
    rows = {name: _rows(tree.text(name), name) for name in files}
    have_ids = _have_ids(row for each in rows.values() for row in each)
    numbering = Numbering()
    for index, name in by_frame(_from_zero(files, video), video).items():
        for row in rows[name]:
            kind, *values = map(float, row)
            own = int(values.pop()) if have_ids else None
            if have_ids and len(values) > 5 and len(values) % 2:
                values.pop()  # the score of an outline
            counts = _counts(values, canvas, (width, height), name)
            number = numbering.number(index, int(kind), own)
            label = classes.get(int(kind), f"class {int(kind)}")
            labels.add_object(number, label, own, category=label)
            labels.add_mask(index, number, counts)
        labels.masks.setdefault(index, {})


def _rows(text: str, name: str) -> list[list[str]]:
    """The numbers of each line of a file, as texts."""
    rows = [line.split() for line in text.splitlines() if line.strip()]
    if len(rows) > _MOST_LINES:
        raise DatasetError(f"{name} has more than {_MOST_LINES} lines")
    for row in rows:
        if not all(_NUMBER.fullmatch(one) for one in row):
            raise DatasetError(f"{name}: {' '.join(row)[:40]!r} is no line of numbers")
        if len(row) > 13 and {float(one) for one in row[7::3]} <= {0, 1, 2}:  # whether a joint is visible
            raise DatasetError(f"{name}: a line is a pose, which has no area; import boxes or outlines")
    return rows


def _have_ids(rows: Iterable[list[str]]) -> bool:
    """Whether all lines end with the id of a track, as ultralytics saves them: a whole number from 1 on."""
    # A share of the image or a score may be 1, but not on each of several lines and never more.
    last = [row[-1] if len(row) > 5 and row[-1].isdecimal() else "0" for row in rows]
    ids = [int(one) if len(one) < 10 else 0 for one in last]
    return bool(ids) and min(ids) > 0 and (max(ids) > 1 or len(ids) > 2)


def _from_zero(files: list[str], video: Frames) -> dict[str, str]:
    """Files by names that count frames from 0; ultralytics begins at 1, as ``video_1.txt``."""
    own = getattr(video, "name", None)
    counted = {
        name: re.fullmatch(rf"{re.escape(own or '')}_([1-9][0-9]*)", frame_stem(name)) for name in files
    }
    if not own or video.names is not None or not all(counted.values()):
        return {name: name for name in files}
    return {f"{int(match[1]) - 1}.txt": name for name, match in counted.items() if match}


def _counts(values: list[float], canvas: Canvas, sides: tuple[int, int], name: str) -> bytes:
    """Run lengths of a line without its class: a box by its middle, perhaps with a score, or corners."""
    if len(values) in (4, 5):
        x, y, w, h = (value * sides[i % 2] for i, value in enumerate(values[:4]))
        return canvas.box(x - w / 2, y - h / 2, w, h)
    if len(values) < 6 or len(values) % 2:
        raise DatasetError(f"{name}: a line has {len(values)} numbers after its class; 4, or pairs from 6 on")
    if not all(-1 <= value <= 2 for value in values):
        raise DatasetError(f"{name}: a line has corners far outside the image; they are shares of its sides")
    # The corners are pixels of the object, as ultralytics fills them.
    corners = (np.array(values).reshape(-1, 2) * sides).astype(np.int32)
    return canvas.plane(cv2.fillPoly(np.zeros(canvas.own, np.uint8), [corners], 1))


def _classes(tree: Tree) -> dict[int, str]:
    """Names of classes: ``names`` of a .yaml file, or the lines of classes.txt or obj.names."""
    for name in tree.ending(".txt", ".names"):
        if PurePosixPath(name).name in ("classes.txt", "obj.names"):
            return dict(enumerate(line.strip() for line in tree.text(name).splitlines() if line.strip()))
    found: dict[int, str] = {}
    for name in tree.ending(".yaml", ".yml"):
        text = _COMMENT.sub("", tree.text(name))
        _, _, rest = text.partition("names:")
        rest = rest.lstrip(" ")
        if rest[:1] in ("[", "{"):
            inside = rest[1:].partition("]" if rest[0] == "[" else "}")[0]
            lines = [f"- {one}" if rest[0] == "[" else one for one in _IN_LIST.findall(inside) if one.strip()]
        else:
            lines = rest.splitlines()
        for line in filter(str.strip, lines):
            match = _NAMED.match(line)
            if match is None:
                break
            found[len(found) if match[1] is None else int(match[1])] = _plain(match[2])
    return found


def _plain(text: str) -> str:
    """A text of YAML without its quotes."""
    text = text.strip()
    if text[:1] == text[-1:] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            pass
    return text.strip("'\"")
