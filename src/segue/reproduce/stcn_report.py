"""First frames of the STCN report: they come from a detector instead of a person.

Where the ground truth is masks, masks are followed; where it is boxes, as in Something-Else, whole boxes are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from segue.datasets.davis import Sequence
from segue.datasets.something import BoxSequence
from segue.errors import DatasetError
from segue.masks import fill_boxes, measure
from segue.metrics.davis import VOID
from segue.models.detection.mask_rcnn import MaskRCNN
from segue.models.detection.pointrend import PointRend
from segue.models.dino import FeatureName
from segue.prompts.detectors import Detector, NetworkDetector, Refinement
from segue.prompts.grabcut import refine_box
from segue.prompts.selection import nearest_detections
from segue.sessions.base import choose_device
from segue.sessions.detecting import detector
from segue.types import Box, Frame, IndexMask
from segue.weights import load

LEAST_SCORE = 0.01
"""Detections of less are not chosen from."""

MANY = 100
"""Detections of a picture that are chosen from."""

INSTANCES = {"Mask R-CNN": "maskrcnn-v1", "Mask R-CNN v2": "maskrcnn", "PointRend": "pointrend"}
"""Rows of detectors of instances, and their names; the report's Mask R-CNN is version 1."""

DISCOVERIES: Mapping[str, tuple[str, FeatureName | None]] = {
    **{
        f"LOST {size}, {features}": (name, features)
        for size, name in (("B/16", "lost-b16"), ("S/16", "lost"))
        for features in get_args(FeatureName)
    },
    "LOST stcn-lite": ("lost-lite", None),
}
"""Rows of LOST: its detector, and what of the last attention is compared. The report's are B/16, keys."""

Floats = npt.NDArray[np.floating]
Mask = npt.NDArray[np.uint8]
Truth = Literal["masks", "boxes"]


@dataclass(frozen=True)
class Start:
    """How a video begins.

    Attributes:
        frames: the first one, and the next two as far as there are any.
        truth: annotation of the first.
        boxes: boxes of its objects.
    """

    frames: tuple[Frame, ...]
    truth: IndexMask
    boxes: Mapping[int, Box]


@dataclass(frozen=True)
class Candidate:
    """What stands for one object on the first frame.

    Attributes:
        box: its box.
        plane: probability of each pixel, (H, W).
    """

    box: Box
    plane: Floats


Chosen = Mapping[int, Candidate]
"""Candidates by id of the ground truth; objects without one begin without a mask."""

Choose = Callable[[Start], Chosen]
Draw = Callable[[Start, Chosen], Mask]


@dataclass(frozen=True)
class FirstFrame:
    """A source of first frames.

    Attributes:
        choose: finds what stands for each object.
        draw: makes one index mask of it.
    """

    choose: Choose
    draw: Draw

    def __call__(self, start: Start) -> Mask:
        """Index mask of the first frame, (H, W), with ids of the ground truth."""
        return self.draw(start, self.choose(start))


def first_frame(
    name: str, truth: Truth, weights: Mapping[str, str | os.PathLike[str]], device: str | None = None
) -> FirstFrame:
    """A source of first frames.

    Args:
        name: its name, one of :func:`source_names`.
        truth: what is known of the objects, and so what is followed.
        weights: weight files of detectors by name, where they are not those that `segue weights get` made.
        device: where it runs.

    Raises:
        CheckpointError: its weights are not there or do not fit.
    """
    return _makers(truth, weights, device)[name]()


def source_names(truth: Truth) -> tuple[str, ...]:
    """Names of all sources for masks or for boxes."""
    return tuple(_makers(truth, {}, None))


def _makers(
    truth: Truth, files: Mapping[str, str | os.PathLike[str]], device: str | None
) -> dict[str, Callable[[], FirstFrame]]:
    """What makes each source."""
    boxes = truth == "boxes"
    draw = draw_boxes if boxes else draw_masks

    def instances(name: str) -> FirstFrame:
        network = cast("MaskRCNN | PointRend", load(name, files.get(name)))
        network.least_score = LEAST_SCORE
        find = NetworkDetector(network, {}, device=choose_device(device))
        return FirstFrame(partial(nearest_instances, find), draw)

    def regions() -> FirstFrame:
        file = files.get("deeplab")
        find = detector("deeplab", weights=file, score=LEAST_SCORE, max_objects=MANY, device=device)
        return FirstFrame(partial(nearest_regions, find), draw)

    def discoveries(name: str, features: FeatureName | None) -> FirstFrame:
        # Where boxes are wanted, the report takes those of LOST itself, without CRF.
        refine: Refinement = "none" if boxes else "crf"
        find = detector(name, weights=files.get(name), features=features, refine=refine, device=device)
        return FirstFrame(partial(discovered, find), draw)

    makers: dict[str, Callable[[], FirstFrame]] = {"ground truth": partial(FirstFrame, truth_itself, draw)}
    makers |= {} if boxes else {"boxes, filled": partial(FirstFrame, truth_itself, draw_boxes)}
    makers["boxes, GrabCut"] = partial(FirstFrame, truth_itself, cut_boxes)
    makers |= {row: partial(instances, name) for row, name in INSTANCES.items()}
    makers["DeepLabV3"] = regions
    makers |= {row: partial(discoveries, *how) for row, how in DISCOVERIES.items()}
    makers["motion"] = lambda: FirstFrame(partial(discovered, detector("motion", device=device)), draw)
    return makers


def truth_itself(start: Start) -> Chosen:
    """Each object stands for itself."""
    return {
        number: Candidate(box, (start.truth == number).astype(np.float32))
        for number, box in start.boxes.items()
    }


def nearest_instances(find: NetworkDetector, start: Start) -> Chosen:
    """For each object the instance whose box is nearest to its own."""
    found = find.detections(start.frames[0].image)
    planes, boxes, scores = (item.cpu().numpy() for item in (found.masks, found.boxes, found.scores))
    return _nearest(start, planes, boxes, scores)


def nearest_regions(find: Detector, start: Start) -> Chosen:
    """For each object the region whose box is nearest to its own."""
    found = find(start.frames[0])
    boxes = np.array([item.box for item in found.objects], np.float64)
    return _nearest(
        start, found.planes.astype(np.float32), boxes, np.array([item.score for item in found.objects])
    )


def _nearest(start: Start, planes: Floats, boxes: Floats, scores: Floats) -> Chosen:
    wanted = np.array(list(start.boxes.values()))
    chosen = nearest_detections(wanted, boxes, scores, least=LEAST_SCORE)
    return {
        number: Candidate(_as_box(boxes[i]), planes[i])
        for number, i in zip(start.boxes, chosen, strict=True)
        if i is not None
    }


def discovered(find: Detector, start: Start) -> Chosen:
    """What is found stands for the object whose box is nearest; an object is found once."""
    found = find(start.frames[0], *start.frames[1 : 1 + find.lookahead])
    left = dict(start.boxes)
    chosen: dict[int, Candidate] = {}
    for item in found.objects:
        if left and item.box is not None:
            box = np.array(item.box)
            number = min(left, key=lambda i: float(np.linalg.norm(np.array(left[i]) - box)))
            chosen[number] = Candidate(item.box, (found.mask == item.id).astype(np.float32))
            del left[number]
    return chosen


def draw_masks(start: Start, chosen: Chosen) -> Mask:
    """Masks of probability 0.5 and more; the more probable one wins a pixel, of equals the first."""
    mask = np.zeros(start.truth.shape, np.uint8)
    best = np.full(mask.shape, 0.5, np.float32)
    for number, candidate in chosen.items():
        won = (candidate.plane > best) | ((candidate.plane == best) & (mask == 0))
        mask[won], best[won] = number, candidate.plane[won]
    return mask


def draw_boxes(start: Start, chosen: Chosen) -> Mask:
    """Whole boxes; later ones cover earlier ones."""
    return fill_boxes({number: item.box for number, item in chosen.items()}, start.frames[0].size)


def cut_boxes(start: Start, chosen: Chosen) -> Mask:
    """What GrabCut finds in each box, as where a person gives a box; later ones cover earlier ones."""
    image = start.frames[0].image
    mask = np.zeros(image.shape[:2], np.uint8)
    for number, item in chosen.items():
        inside = measure(fill_boxes({1: item.box}, start.frames[0].size))
        if inside:  # else the box lies beside the picture
            mask[refine_box(image, _as_pixels(inside[1].box))] = number
    return mask


def start_of(video: Sequence | BoxSequence) -> Start:
    """How a video begins.

    Raises:
        DatasetError: its first frame is not annotated.
    """
    if 0 not in video.annotations:
        raise DatasetError(
            f"sequence {video.name}: its first frame is not annotated; nothing says what to follow"
        )
    truth = video.read_mask(0)
    known = np.where(truth == VOID, 0, truth)
    return Start(tuple(_frame(video, i) for i in range(min(3, len(video)))), known, video.read_boxes(0))


def _frame(video: Sequence | BoxSequence, i: int) -> Frame:
    return Frame(i, float(i), video.read_image(i))


def _as_box(values: Floats) -> Box:
    x0, y0, x1, y1 = (float(value) for value in values)
    return x0, y0, x1, y1


def _as_pixels(box: Box) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (int(side) for side in box)
    return x0, y0, x1, y1
