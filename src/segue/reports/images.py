"""Images of frames for reports: ground truth, results, and their errors."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from segue.errors import SegueError
from segue.masks.drawing import overlay
from segue.metrics.evaluation import FrameView, Series
from segue.types import Image, IndexMask

LONG_SIDE = 640
"""Longer side of an image in a report, in pixels, at most; small ones are enlarged up to it."""

PANEL_SIDE = 420
"""Width of each of several images of one frame."""

ENLARGED = 4
"""Largest magnification of a part of a frame."""

PER_SEQUENCE = 2
"""Images of one sequence at most."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "true positive": (255, 255, 255),
    "false positive": (0, 158, 115),
    "false negative": (213, 94, 0),
    "wrong object": (204, 121, 167),
    "not scored": (128, 128, 128),
}
"""RGB by kind of pixel. As in the figures of HOFAM, false positives are green and false negatives red, in the
colour-blind safe shades of Okabe and Ito."""

_WEIGHTS = (0.6, 0.75, 0.75, 0.75, 0.5)
"""Opacity of the colours over the image."""

_DIMMED = 0.5
"""Factor on the brightness of the image, so that white stands out."""


class Worst(NamedTuple):
    """A low-scored frame by name, and its score."""

    sequence: str
    frame: str
    measure: str
    value: float


class Changed(NamedTuple):
    """A frame scored differently for two results, with both scores."""

    sequence: str
    frame: str
    measure: str
    first: float
    second: float


def changed_frames(
    first: Mapping[str, Mapping[str, Series]], second: Mapping[str, Mapping[str, Series]], count: int
) -> list[Changed]:
    """Frames with the largest differences of the first measure, then the lowest values."""
    changed = []
    for sequence in first.keys() & second.keys():
        for measure, one in list(first[sequence].items())[:1]:
            other = second[sequence].get(measure)
            if other is None or other.frames != one.frames:
                continue
            changes = np.abs(other.values - one.values)
            lower = np.fmin(one.values, other.values)
            changed += [
                Changed(sequence, one.frames[i], measure, float(one.values[i]), float(other.values[i]))
                for i in _lowest(-changes, lower)
            ]
    return sorted(changed, key=_by_change)[:count]


def _by_change(item: Changed) -> tuple[float, float, str, str]:
    return -abs(item.second - item.first), min(item.first, item.second), item.sequence, item.frame


def worst_frames(series: Mapping[str, Mapping[str, Series]], count: int) -> list[Worst]:
    """Frames with the lowest values of their sequence's first measure, lowest first."""
    worst = []
    for sequence, measures in series.items():
        for measure, item in list(measures.items())[:1]:
            indices = _lowest(item.values)
            worst += [Worst(sequence, item.frames[i], measure, float(item.values[i])) for i in indices]
    return sorted(worst, key=lambda worst: worst.value)[:count]


def _lowest(values: npt.NDArray[np.float64], then: npt.NDArray[np.float64] | None = None) -> list[int]:
    """Indices of the lowest values, ties broken by ``then``, at a distance from each other."""
    min_distance = max(len(values) // 10, 1)
    selected: list[int] = []
    for i in np.lexsort((values if then is None else then, values)):  # NaN comes last
        if np.isnan(values[i]) or len(selected) == PER_SEQUENCE:
            break
        if all(abs(int(i) - other) >= min_distance for other in selected):
            selected.append(int(i))
    return selected


def colour_errors(view: FrameView) -> Image:
    """Colour every pixel by its outcome (:data:`COLOURS`), over the dimmed image if given."""
    truth, result = view.truth, view.result
    if not truth.shape == result.shape == view.ignored.shape:
        raise SegueError(f"truth is {truth.shape}, result {result.shape}; they must have one size")
    inside, predicted = truth > 0, result > 0
    cases = [view.ignored, predicted & ~inside, inside & ~predicted, truth != result, inside]
    kinds: npt.NDArray[np.intp] = np.select(cases, [5, 2, 3, 4, 1])  # as in COLOURS, from 1
    table = np.array([(0, 0, 0), *COLOURS.values()], np.uint8)
    flat = table[kinds]
    if view.image is None:
        return flat
    grey = cv2.cvtColor(cv2.cvtColor(view.image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if grey.shape != flat.shape:
        raise SegueError(f"image is {grey.shape[:2]}, its masks {truth.shape}; they must have one size")
    weight = np.array([0, *_WEIGHTS], np.float32)[kinds][..., None]
    return np.asarray(np.rint(grey * _DIMMED * (1 - weight) + flat * weight), np.uint8)


def panels(views: Mapping[str, FrameView]) -> tuple[list[tuple[str, Image]], bool]:
    """Panels of a frame: truth, result and its errors, or the errors of two; whether a part is enlarged."""
    some = next(iter(views.values()))
    part = closer(views.values())
    shape = some.truth[part].shape
    factor = max(1, PANEL_SIDE // max(shape))
    ids = any(view.truth.max(initial=0) > 1 or view.result.max(initial=0) > 1 for view in views.values())

    def enlarged(plane: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        return plane[part].repeat(factor, axis=0).repeat(factor, axis=1)

    def draw(mask: IndexMask) -> Image:
        under = np.zeros((*some.truth.shape, 3), np.uint8) if some.image is None else some.image
        return overlay(enlarged(under), enlarged(mask), alpha=0.6, ids=ids)  # type: ignore[arg-type]

    images = [("truth", draw(some.truth))]
    if len(views) == 1:
        images.append(("result", draw(some.result)))
    for name, view in views.items():
        images.append((name, np.asarray(enlarged(colour_errors(view)), np.uint8)))
    return images, shape != some.truth.shape


def closer(views: Iterable[FrameView]) -> tuple[slice, slice]:
    """Crop around truth and results of a frame, in the aspect of the frame."""
    marked = np.logical_or.reduce(
        [((view.truth > 0) | (view.result > 0)) & ~view.ignored for view in views], axis=0
    )
    height, width = marked.shape
    x, y, w, h = cv2.boundingRect(marked.astype(np.uint8))
    share = max(1.5 * max(w / width, h / height), 1 / ENLARGED)
    if w == 0 or share > 2 / 3:
        return slice(0, height), slice(0, width)
    return _span(y + h / 2, share * height, height), _span(x + w / 2, share * width, width)


def _span(centre: float, length: float, size: int) -> slice:
    """An interval around ``centre``, shifted inside a side."""
    start = min(max(round(centre - length / 2), 0), size - math.ceil(length))
    return slice(start, start + math.ceil(length))


def data_uri(image: Image, long_side: int = LONG_SIDE) -> str:
    """Encode an image (H, W, 3) as a JPEG data URI, its longer side near ``long_side``."""
    height, width = image.shape[:2]
    scale = long_side / max(height, width)
    if scale < 1:
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    else:
        image = image.repeat(int(scale), axis=0).repeat(int(scale), axis=1)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 85]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
    if not done:
        raise SegueError(f"an image of {width}x{height} cannot be encoded")
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode('ascii')}"
