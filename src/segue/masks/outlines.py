"""Outlines of masks, for formats that know polygons only."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import cv2
import numpy as np
import numpy.typing as npt

Corners = npt.NDArray[np.int32]
"""Corners of a closed polygon, (N, 2), x before y, in pixels; the pixels on its edges belong to it."""

COMPARED = 512
"""Corners of each of two outlines that are compared with one another to find where they are nearest."""


def parts_of(mask: npt.NDArray[np.bool_]) -> list[list[Corners]]:
    """The connected parts of a mask (H, W), bool: the outline of each, and then those of its holes."""
    contours, tree = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    outlines = [np.asarray(contour, np.int32).reshape(-1, 2) for contour in contours]
    parents = [] if tree is None else np.asarray(tree)[0, :, 3].tolist()
    parts = {number: [outlines[number]] for number, parent in enumerate(parents) if parent < 0}
    for number, parent in enumerate(parents):
        if parent >= 0:
            parts[parent].append(outlines[number])
    return sorted(parts.values(), key=lambda part: -cv2.contourArea(part[0][:, None]))


def single_outline(mask: npt.NDArray[np.bool_]) -> Corners:
    """One polygon (M, 2), int32, of a mask (H, W), bool; lines join its parts and holes."""
    outlines = [outline for part in parts_of(mask) for outline in part]
    return reduce(_bridged, outlines) if outlines else np.zeros((0, 2), np.int32)


def yolo_line(number: int, mask: npt.NDArray[np.bool_]) -> str:
    """The line of an object of a class, counted from 0, for ultralytics; empty where it has no area."""
    height, width = mask.shape
    corners = (single_outline(mask) + 0.5) / (width, height)
    if len(corners) < 3:
        return ""
    return f"{number} {' '.join(f'{value:.6f}' for value in corners.ravel().tolist())}\n"


def yolo_list(names: Mapping[int, str]) -> str:
    """``data.yaml`` of a data set of ultralytics with images and labels in ``train`` beside it."""
    import yaml  # imported late to keep start-up short

    # Without "path", which ultralytics takes from the working directory, all begins beside this file.
    content = {"train": "images/train", "val": "images/train", "names": dict(names)}
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _bridged(one: Corners, other: Corners) -> Corners:
    """Two outlines as one, by a line there and back where they are nearest."""
    first, second = (np.arange(0, len(way), max(1, len(way) // COMPARED)) for way in (one, other))
    gaps = one[first, None].astype(np.int64) - other[None, second]
    nearest = np.unravel_index(int((gaps**2).sum(-1).argmin()), (len(first), len(second)))
    start, end = int(first[nearest[0]]), int(second[nearest[1]])
    around = np.roll(other, -end, axis=0)
    return np.concatenate([one[: start + 1], around, around[:1], one[start:]])


def coco_polygons(mask: npt.NDArray[np.bool_]) -> list[list[float]]:
    """The parts of a mask (H, W), bool, as polygons of COCO; lines join holes to the outline around them."""
    # The outline lies a quarter of a pixel inside, so that filling it gives the mask back.
    fine = np.repeat(np.repeat(mask, 2, axis=0), 2, axis=1)
    polygons = [reduce(_bridged, part) for part in parts_of(fine)]
    return [((corners / 2) + 0.25).ravel().tolist() for corners in polygons if len(corners) > 2]
