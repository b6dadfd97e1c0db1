"""From a box or points to a mask with GrabCut (Rother, Kolmogorov, Blake, SIGGRAPH 2004), as OpenCV has it.

GrabCut learns colours from a first guess and cuts where colours change. What the guess is decides most of
the result: a box alone lets thin or dark objects vanish, so the middle of the box counts as certain; points
say nothing of the extent, so geodesic distance, to the points and to the rim of the image, makes a guess.
Everything runs on a small copy of the image, so that the time does not depend on its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from segue.masks.pieces import Pieces
from segue.models.geometry import reduced_to
from segue.prompts.answers import Answer, PicturePrompter, Prompts
from segue.prompts.planes import around, pixels, tight_box
from segue.types import Image, Point

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Labels = npt.NDArray[np.uint8]
Pixels = tuple[npt.NDArray[np.intp], ...]  # rows and columns

ITERATIONS = 4
BOX_SIDE = 320  # longest side of the working image around a box, in pixels
POINT_SIDE = 240  # longest side of the working image for points, which is the whole frame, in pixels
MARGIN = 0.3  # background around a box, as a share of its longer side
CORE = 0.3
"""Certain part of a box: an ellipse with this share of its width and height. Without it GrabCut lost whole
objects on DAVIS images; with points, the region this much nearer to them than to the background."""
FAR = 3.0  # certain background with points: this many times nearer to the background than to a point
STEP = 4.0  # price of one pixel of way, in units of Lab distance: how much distance counts beside colour
SPECK = 0.05  # pieces smaller than this share of the largest piece are dropped


def refine_box(
    image: Image,
    box: tuple[int, int, int, int],
    positive: Sequence[Point] = (),
    negative: Sequence[Point] = (),
) -> npt.NDArray[np.bool_]:
    """Mask (H, W) of the object in a box ``(x0, y0, x1, y1)`` of an image, RGB (H, W, 3); it may be empty."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = box
    margin = round(MARGIN * max(x1 - x0, y1 - y0)) + 4
    left, top = max(0, x0 - margin), max(0, y0 - margin)
    right, bottom = min(width, x1 + margin), min(height, y1 + margin)
    crop = image[top:bottom, left:right]
    small, scale = _shrink(crop, BOX_SIDE)
    labels = _box_labels(small.shape[:2], [(x0 - left, y0 - top), (x1 - left, y1 - top)], scale)
    _draw_points(labels, [(x - left, y - top) for x, y in positive], scale, cv2.GC_FGD)
    _draw_points(labels, [(x - left, y - top) for x, y in negative], scale, cv2.GC_BGD)
    pieces = Pieces.of(_cut(small, labels))
    found = _enlarge(pieces.where(pieces.areas >= SPECK * pieces.areas.max()), crop.shape[:2])
    mask = np.zeros((height, width), np.bool_)
    mask[y0:y1, x0:x1] = found[y0 - top : y1 - top, x0 - left : x1 - left]
    return mask


def refine_points(
    image: Image, positive: Sequence[Point], negative: Sequence[Point]
) -> npt.NDArray[np.bool_]:
    """Mask (H, W) of the object under at least one positive point of an image, RGB (H, W, 3), uint8."""
    small, scale = _shrink(image, POINT_SIDE)
    size = small.shape[:2]
    graph = _colour_graph(small)
    seeds = _pixels(positive, scale, size)
    to_object = _distance(graph, seeds, size)
    beside = np.hstack([_rim(size), _pixels(negative, scale, size)])
    to_background = _distance(graph, tuple(beside), size)
    labels = np.where(to_object < to_background, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[to_object > FAR * to_background] = cv2.GC_BGD
    labels[to_object < CORE * to_background] = cv2.GC_FGD
    _draw_points(labels, negative, scale, cv2.GC_BGD)
    _draw_points(labels, positive, scale, cv2.GC_FGD)
    clicked = np.zeros(size, np.bool_)
    clicked[seeds] = True
    pieces = Pieces.of(_cut(small, labels))
    return _enlarge(pieces.where(pieces.count(clicked) > 0), image.shape[:2])


def _shrink(image: Image, side: int) -> tuple[Image, float]:
    return reduced_to(image, side), min(1.0, side / max(image.shape[:2]))


def _enlarge(mask: npt.NDArray[np.bool_], size: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    if mask.shape == size:
        return mask
    soft = cv2.resize(mask.astype(np.float32), (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(soft > 0.5)


def _box_labels(size: tuple[int, ...], corners: Sequence[Point], scale: float) -> Labels:
    labels = np.full(size, cv2.GC_BGD, np.uint8)
    (x0, y0), (x1, y1) = np.array(corners) * scale
    inside = labels[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))]
    inside[:] = cv2.GC_PR_FGD
    height, width = inside.shape
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    inside[(x * x + y * y) <= CORE**2] = cv2.GC_FGD
    if not (labels == cv2.GC_BGD).any():
        # A box over the whole image leaves no background to learn from: the rim has to do.
        labels[_rim(size)] = cv2.GC_PR_BGD
    return labels


def _draw_points(labels: Labels, points: Sequence[Point], scale: float, value: int) -> None:
    radius = max(1, round(0.015 * max(labels.shape)))
    for y, x in zip(*_pixels(points, scale, labels.shape), strict=True):
        cv2.circle(labels, (int(x), int(y)), radius, int(value), -1)


def _cut(image: Image, labels: Labels) -> npt.NDArray[np.bool_]:
    """Run GrabCut from ``labels``; the same input gives the same mask."""
    first_guess = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if first_guess.all() or not first_guess.any():
        return first_guess
    cv2.setRNGSeed(0)
    background, foreground, no_box = np.zeros((1, 65)), np.zeros((1, 65)), (0, 0, 0, 0)
    cv2.grabCut(image, labels, no_box, background, foreground, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))


def _colour_graph(image: Image) -> csr_matrix:
    """Eight-neighbour graph of the pixels, each way priced by its length and its change of colour."""
    from scipy.sparse import coo_matrix  # late, for a quick start

    lab = cv2.cvtColor(cv2.bilateralFilter(image, 7, 30, 5), cv2.COLOR_RGB2LAB).astype(np.float32)
    height, width = lab.shape[:2]
    numbers = np.arange(height * width).reshape(height, width)
    rows, columns, prices = [], [], []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = np.s_[: height - dy, max(0, -dx) : width - max(0, dx)]
        there = np.s_[dy:, max(0, dx) : width + min(0, dx)]
        change = np.linalg.norm(lab[here] - lab[there], axis=-1)
        rows.append(numbers[here].ravel())
        columns.append(numbers[there].ravel())
        prices.append((np.hypot(dy, dx) * (STEP + change)).ravel())
    entries = np.concatenate(prices), (np.concatenate(rows), np.concatenate(columns))
    return coo_matrix(entries, shape=(numbers.size, numbers.size)).tocsr()


def _distance(graph: csr_matrix, pixels: Pixels, size: tuple[int, ...]) -> npt.NDArray[np.float64]:
    from scipy.sparse.csgraph import dijkstra  # late, for a quick start

    numbers = np.ravel_multi_index(pixels, size)
    distances: npt.NDArray[np.float64] = dijkstra(graph, directed=False, indices=numbers, min_only=True)
    return distances.reshape(size)


def _pixels(points: Sequence[Point], scale: float, size: tuple[int, ...]) -> Pixels:
    place = (np.array(points, np.float64).reshape(-1, 2) * scale).astype(np.intp)
    return place[:, 1].clip(0, size[0] - 1), place[:, 0].clip(0, size[1] - 1)


def _rim(size: tuple[int, ...]) -> Pixels:
    rim = np.ones(size, np.bool_)
    rim[1:-1, 1:-1] = False
    return np.nonzero(rim)


class GrabCut(PicturePrompter):
    """GrabCut as a prompter; of an earlier mask it knows nothing but the box.

    It gives one mask with probabilities 0 and 1, whose ``iou`` is not known (NaN); it may be empty.
    """

    def _segment(self, prompts: Prompts) -> Answer:
        box = prompts.box
        if box is None and prompts.mask is not None:
            box = around(
                [tight_box(prompts.mask > 0.5), *((x, y, x + 1, y + 1) for x, y in prompts.positive)]
            )
        if box is None:
            found = refine_points(self.image, prompts.positive, prompts.negative)
        else:
            x0, y0, x1, y1 = pixels(box, self.size)
            inside = [(x, y) for x, y in prompts.positive if x0 <= x < x1 and y0 <= y < y1]
            found = refine_box(self.image, (x0, y0, x1, y1), inside, prompts.negative)
        whole = (0, 0, self.size[1], self.size[0])
        return Answer(self.size, whole, np.array([np.nan], np.float32), found[None].astype(np.float32))
