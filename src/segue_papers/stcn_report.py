"""The STCN report: first frames from a detector instead of a person.

Objects are given by masks, or by whole boxes if the ground truth has boxes, as in Something-Else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np

from segue.batch.places import SUBFOLDER
from segue.batch.plan import Task
from segue.dataset_runs.protocols import with_job
from segue.datasets.davis import Sequence
from segue.datasets.something import BoxSequence
from segue.errors import DatasetError
from segue.inference.running import choose_device
from segue.jobs.values import TrackJob
from segue.masks import fill_boxes, overlay, read_index_mask, write_index_mask
from segue.masks.files import encode_index_mask
from segue.metrics.davis import VOID
from segue.models.detection.mask_rcnn import MaskRCNN
from segue.models.detection.pointrend import PointRend
from segue.prompt_types import MaskPrompt
from segue.prompts.detectors import Detector, NetworkDetector
from segue.prompts.prompter import Prompter
from segue.registry import DETECTORS
from segue.sessions.detecting import detector
from segue.types import Box, Frame, Image, IndexMask, Refinement
from segue.utils.arrays import FloatingArray, UInt8Array
from segue.utils.files import write_complete
from segue.video.sources.images import write_image
from segue.weights import load
from segue_papers.papers import SOURCES, Front, Truth

MIN_SCORE = 0.01
"""Detections of less are not chosen from."""

MANY = 100
"""Detections of an image that are chosen from."""


@dataclass(frozen=True)
class Start:
    """Beginning of a video: up to three frames, the first annotation, and boxes of its objects."""

    frames: tuple[Frame, ...]
    truth: IndexMask
    boxes: Mapping[int, Box]


@dataclass(frozen=True)
class Candidate:
    """Candidate object on the first frame: box, and probability of each pixel, (H, W)."""

    box: Box
    plane: FloatingArray


Candidates = Mapping[int, Candidate]
"""Candidates by id of the ground truth; objects without one begin without a mask."""


@dataclass(frozen=True)
class FirstMask:
    """First mask of a source.

    Attributes:
        mask: index mask (H, W) of the selected objects, with ids of the ground truth.
        planes: probabilities (N, H, W) of all detections; None without a detector.
        unrefined: the mask before CRF, if any.
    """

    mask: UInt8Array
    planes: FloatingArray | None = None
    unrefined: UInt8Array | None = None


FirstFrame = Callable[[Start], FirstMask]
"""Gives the mask of a first frame."""


def first_frame(
    name: str, truth: Truth, weights: Mapping[str, str | os.PathLike[str]], device: str | None = None
) -> FirstFrame:
    """Make a source of first frames."""
    source = SOURCES[name]
    if source.detector is None:
        fill = (
            partial(cut_boxes, device=device)
            if source.front is None
            else partial(draw_boxes, front=source.front)
        )
        return lambda start: FirstMask(fill(start, start.boxes))
    file = weights.get(source.detector, weights.get(DETECTORS.find(source.detector).network or ""))
    find: Callable[[Start], tuple[FloatingArray, Candidates]]
    find_unrefined: Callable[[Start], tuple[FloatingArray, Candidates]] | None = None
    if source.detector in ("maskrcnn-v1", "maskrcnn", "pointrend"):
        network = cast("MaskRCNN | PointRend", load(source.detector, file))
        network.min_score = MIN_SCORE
        find = partial(nearest_instances, NetworkDetector(network, {}, device=choose_device(device)))
    elif source.detector == "deeplab":
        regions = detector("deeplab", weights=file, score=MIN_SCORE, max_objects=MANY, device=device)
        find = partial(nearest_regions, regions)
    else:
        # Where boxes are wanted, the report takes those of LOST itself, without CRF.
        refine: Refinement | None = source.features and ("none" if truth == "boxes" else "crf")
        detect = partial(detector, source.detector, weights=file, features=source.features, device=device)
        find = partial(discovered, detect(refine=refine))
        if refine == "crf":
            find_unrefined = partial(discovered, detect(refine="none"))

    def draw(start: Start) -> FirstMask:
        planes, candidates = find(start)
        if truth == "boxes":
            boxes = {number: item.box for number, item in candidates.items()}
            return FirstMask(draw_boxes(start, boxes), planes)
        unrefined = None if find_unrefined is None else draw_masks(start, find_unrefined(start)[1])
        return FirstMask(draw_masks(start, candidates), planes, unrefined)

    return draw


def nearest_instances(find: NetworkDetector, start: Start) -> tuple[FloatingArray, Candidates]:
    """Match each object with the instance of the nearest box."""
    detections = find.detections(start.frames[0].image)
    assert detections.masks is not None
    planes, boxes, scores = (
        item.cpu().numpy() for item in (detections.masks, detections.boxes, detections.scores)
    )
    return planes[np.argsort(-scores, kind="stable")], _nearest(start, planes, boxes, scores)


def nearest_regions(find: Detector, start: Start) -> tuple[FloatingArray, Candidates]:
    """Match each object with the region of the nearest box."""
    detections = find(start.frames[0])
    boxes = np.array([item.box for item in detections.objects], np.float64)
    scores = np.array([item.score for item in detections.objects])
    return detections.probabilities[1:], _nearest(start, detections.probabilities[1:], boxes, scores)


def nearest_detections(
    targets: FloatingArray, boxes: FloatingArray, scores: FloatingArray
) -> list[int] | list[None]:
    """Index of the detection nearest to each ground-truth box (K, 4), by the report's rule.

    Of the detections, boxes (N, 4), those that score less than :data:`MIN_SCORE` are left out.
    """
    usable = np.flatnonzero(scores >= MIN_SCORE)
    if len(usable) == 0 or len(targets) == 0:
        return [None] * len(targets)
    distance = np.linalg.norm(targets[:, None] - boxes[usable][None], axis=-1)
    return [int(i) for i in usable[distance.argmin(1)]]


def _nearest(start: Start, planes: FloatingArray, boxes: FloatingArray, scores: FloatingArray) -> Candidates:
    targets = np.array(list(start.boxes.values()))
    nearest = nearest_detections(targets, boxes, scores)
    candidates = {}
    for number, i in zip(start.boxes, nearest, strict=True):
        if i is not None:
            x0, y0, x1, y1 = (float(side) for side in boxes[i])
            candidates[number] = Candidate((x0, y0, x1, y1), planes[i])
    return candidates


def discovered(find: Detector, start: Start) -> tuple[FloatingArray, Candidates]:
    """Assign each candidate to the object with the nearest box; each object once."""
    detections = find(start.frames[0], *start.frames[1 : 1 + find.lookahead])
    left = dict(start.boxes)
    candidates: dict[int, Candidate] = {}
    for item in detections.objects:
        if left and item.box is not None:
            box = np.array(item.box)
            number = min(left, key=lambda i: float(np.linalg.norm(np.array(left[i]) - box)))
            candidates[number] = Candidate(item.box, (detections.mask == item.id).astype(np.float32))
            del left[number]
    return detections.probabilities[1:], candidates


def draw_masks(start: Start, candidates: Candidates) -> UInt8Array:
    """Masks of probability above 0.5; the more probable object wins a pixel, the first of equals."""
    mask = np.zeros(start.truth.shape, np.uint8)
    best = np.full(mask.shape, 0.5, np.float32)
    for number, candidate in candidates.items():
        won = (candidate.plane > best) | ((candidate.plane == best) & (mask == 0))
        mask[won], best[won] = number, candidate.plane[won]
    return mask


def draw_boxes(start: Start, boxes: Mapping[int, Box], front: Front = "later") -> UInt8Array:
    """Filled boxes; front ones cover the others."""
    return fill_boxes(back_to_front(boxes, front), start.frames[0].size)


def back_to_front(boxes: Mapping[int, Box], front: Front) -> dict[int, Box]:
    """Boxes by id in drawing order; of equals the later one is in front."""

    def depth(number: int) -> float:
        x0, y0, x1, y1 = boxes[number]
        return {"later": 0.0, "smaller": -(x1 - x0) * (y1 - y0), "lower": y1}[front]

    return {number: boxes[number] for number in sorted(boxes, key=depth)}


def cut_boxes(start: Start, boxes: Mapping[int, Box], *, device: str | None = None) -> UInt8Array:
    """Segment boxes with segue-prompt; later ones cover earlier ones."""
    first = start.frames[0]
    prompter = Prompter(first, device=device)
    mask = np.zeros(first.size, np.uint8)
    for number, box in boxes.items():
        if fill_boxes({1: box}, first.size).any():  # else the box is outside of the image
            mask[prompter(box=box).mask] = number
    return mask


def filtering_image(start: Start, planes: FloatingArray, first: FirstMask) -> Image:
    """Three views of a first frame, as in figure 3 of the report: detections, selection, truth.

    With CRF, the mask before it is shown in between, as in figure 4.
    """
    everything = np.zeros(start.truth.shape, np.uint16)
    for i in reversed(range(len(planes))):
        everything[planes[i] >= 0.5] = i + 1
    unrefined = () if first.unrefined is None else (first.unrefined,)
    image, masks = start.frames[0].image, (everything, *unrefined, first.mask, start.truth)
    return np.concatenate([overlay(image, mask) for mask in masks], axis=1)


def start_of(video: Sequence | BoxSequence) -> Start:
    """Read the beginning of a video; its first frame must be annotated."""
    if 0 not in video.annotations:
        raise DatasetError(
            f"sequence {video.name}: its first frame is not annotated; nothing says what to follow"
        )
    truth = video.read_mask(0)
    labels = np.where(truth == VOID, 0, truth)
    frames = tuple(Frame(i, float(i), video.read_image(i)) for i in range(min(3, len(video))))
    return Start(frames, labels, video.read_boxes(0))


def with_first_frames(
    videos: Iterator[Task],
    draw: FirstFrame,
    sequences: Mapping[str, Sequence | BoxSequence],
    folder: Path,
    images: Path,
) -> Iterator[Task]:
    """Videos with the first masks of a source; without a mask, results are empty."""
    for video in videos:
        sequence = sequences[video.name]
        mask_file = folder / SUBFOLDER / "prompts" / video.name / "found.png"
        if not mask_file.exists():
            mask_file.parent.mkdir(parents=True, exist_ok=True)
            start = start_of(sequence)
            first = draw(start)
            if first.planes is not None:
                write_image(images / f"{video.name}.png", filtering_image(start, first.planes, first))
            if first.unrefined is not None:
                path = images / "before-crf" / f"{video.name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_complete(path, encode_index_mask(first.unrefined))
            write_complete(mask_file, encode_index_mask(first.mask))
        mask = read_index_mask(mask_file)
        if mask.any():
            assert isinstance(video.job, TrackJob)
            yield with_job(video, prompts=tuple(MaskPrompt.each(mask, video.job.prompts[0].frame)))
            continue
        (folder / video.name).mkdir(parents=True, exist_ok=True)
        for frame in sequence.frames:
            write_index_mask(folder / video.name / f"{frame.stem}.png", mask)
