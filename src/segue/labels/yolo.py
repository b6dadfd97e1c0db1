"""Labels of YOLO: one text file an image, one line an object, in shares of width and height."""

from __future__ import annotations

import json
import re
from collections import Counter

import cv2
import numpy as np

from segue.errors import DatasetError
from segue.labels.labels import Frames, Labels, by_frame
from segue.labels.opening import Tree
from segue.masks.shapes import Canvas

_MOST_LINES = 10_000
_NAMED = re.compile(r"^\s*(?:-\s+|(\d{1,6})\s*:\s*)(.+?)\s*$")


def read_yolo(labels: Labels, tree: Tree, files: list[str], video: Frames) -> None:
    """Polygons, boxes and turned boxes. YOLO names no objects: the n-th of a class on each frame is one."""
    classes = _classes(tree)
    canvas = Canvas.of(video.size)
    height, width = video.size
    numbers: dict[tuple[int, int], int] = {}
    for index, name in by_frame({name: name for name in files}, video).items():
        seen: Counter[int] = Counter()
        lines = tree.text(name).splitlines()
        if len(lines) > _MOST_LINES:
            raise DatasetError(f"{name} has more than {_MOST_LINES} lines")
        for line in filter(str.strip, lines):
            try:
                kind, *values = (float(text) for text in line.split())
            except ValueError:
                raise DatasetError(f"{name}: {line[:40]!r} is no line of numbers") from None
            counts = _counts(values, canvas, (width, height), name)
            number = numbers.setdefault((int(kind), seen[int(kind)]), len(numbers) + 1)
            seen[int(kind)] += 1
            label = classes.get(int(kind), f"class {int(kind)}")
            labels.add_object(number, label, category=label)
            labels.add_mask(index, number, counts)
        labels.masks.setdefault(index, {})


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
    """Names of classes: ``names`` of a .yaml file, or the lines of classes.txt."""
    for name in tree.ending(".txt"):
        if name.rpartition("/")[2] in ("classes.txt", "obj.names"):
            return dict(enumerate(line.strip() for line in tree.text(name).splitlines() if line.strip()))
    found: dict[int, str] = {}
    for name in tree.ending(".yaml", ".yml"):
        text = tree.text(name)
        _, _, rest = text.partition("names:")
        if rest.lstrip(" ").startswith("["):
            texts = rest.lstrip(" ")[1:].partition("]")[0].split(",")
            return {i: _plain(one) for i, one in enumerate(texts)}
        for line in rest.splitlines()[1:]:
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
