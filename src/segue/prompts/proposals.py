"""Detections of a frame, and the rules that select objects from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from segue.entries.detectors import Detector as Detector
from segue.errors import PromptError
from segue.masks import ObjectExtent, measure
from segue.types import Box, Frame, IndexMask, ObjectInfo, ObjectMaps, Segmentation, log_odds
from segue.utils.arrays import BoolArray, FloatingArray, id_type
from segue.utils.inputs import whole_number
from segue.video.decoding.readers import FrameLike, as_frame


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules that select objects from detections."""

    score: float = 0.5  # at least, in 0..1
    probability: float = 0.5  # pixels of at least this probability belong to a mask
    min_area: float = 0.0005  # masks of fewer pixels are dropped; a share of the image
    covered: float = 0.8  # so is one that shares more than this of the smaller of both with a better one
    max_objects: int = 10
    classes: frozenset[str] | None = None  # labels that are wanted; None is all

    def checked(self, names: Mapping[int, str]) -> Rules:
        """Check the rules against the class names of a detector; empty names allow any class."""
        names_of_detector, classes = set(names.values()), self.classes
        if not names_of_detector or classes is None:
            return self
        classes = frozenset(
            each if each in names_of_detector else names.get(_number(each), each) for each in classes
        )
        if unknown := sorted(classes - names_of_detector):
            raise PromptError(
                f"class {unknown[0]!r} is unknown to this detector; it knows "
                f"{', '.join(sorted(names_of_detector))}"
            )
        return replace(self, classes=classes)


def _number(text: str) -> int:
    number = whole_number(text)
    return -1 if number is None else number


def found_in(frame: Frame, mask: IndexMask) -> Segmentation:
    """Objects of an index mask (H, W), the best first; their scores only define the order."""
    extents = measure(mask)
    objects = _objects(extents, [None] * len(extents), 1.0 / np.array(list(extents), int))
    return Segmentation(frame.index, frame.time, mask, objects)


def select(
    frame: Frame,
    probabilities: FloatingArray,
    scores: FloatingArray,
    labels: Collection[str | None],
    rules: Rules | None = None,
) -> Segmentation:
    """Apply the rules to the detections of a frame: probabilities (N, H, W) and scores (N,), both in 0..1.

    A pixel that several objects claim goes to the most probable of them, of equals to the better one; the
    probabilities of the result are the masks (K+1, H, W) before that, in 0 and 1.
    """
    rules = rules or Rules()
    names, size = list(labels), probabilities.shape[1:]
    min_pixels = max(1, rules.min_area * size[0] * size[1])
    keep_indices: list[int] = []
    planes: list[BoolArray] = []
    areas: list[int] = []
    for i in np.argsort(-scores, kind="stable").tolist():
        if scores[i] < rules.score or not (rules.classes is None or names[i] in rules.classes):
            continue
        plane = probabilities[i] >= rules.probability
        area = int(np.count_nonzero(plane))
        if area < min_pixels or any(
            np.count_nonzero(plane & other) / min(area, other_area) > rules.covered
            for other, other_area in zip(planes, areas, strict=True)
        ):
            continue
        keep_indices.append(i)
        planes.append(plane)
        areas.append(area)
        if len(keep_indices) == rules.max_objects:
            break
    if not keep_indices:
        return Segmentation(frame.index, frame.time, np.zeros(size, np.uint8))
    owner, highest = np.zeros(size, np.intp), np.full(size, -1, probabilities.dtype)
    for number, (i, plane) in enumerate(zip(keep_indices, planes, strict=True), start=1):
        claimed = plane & (probabilities[i] > highest)
        owner[claimed] = number
        np.copyto(highest, probabilities[i], where=claimed)
    alive = np.bincount(owner.ravel(), minlength=len(keep_indices) + 1)[1:] >= min_pixels
    ids: IndexMask = np.append(0, alive.cumsum() * alive).astype(id_type(len(keep_indices)))
    mask, numbers = ids[owner], np.array(keep_indices)[alive]
    objects = _objects(measure(mask), [names[i] for i in numbers], scores[numbers])
    claims = np.stack([mask == 0, *np.asarray(planes)[alive]])
    maps = ObjectMaps(partial(log_odds, claims[1:]), partial(claims.astype, np.float32))
    return Segmentation(frame.index, frame.time, mask, objects, maps)


def _objects(
    extents: Mapping[int, ObjectExtent], labels: Iterable[str | None], scores: FloatingArray
) -> tuple[ObjectInfo, ...]:
    return tuple(
        ObjectInfo(id, label, float(score), extent.box, extent.area)
        for (id, extent), label, score in zip(extents.items(), labels, scores, strict=True)
    )


@dataclass(frozen=True)
class Proposals:
    """Detections of a frame, best first."""

    boxes: tuple[Box, ...]
    scores: tuple[float, ...]  # in 0..1
    labels: tuple[str | None, ...]
    mask: Callable[[int], npt.NDArray[np.float32]]  # probabilities (H, W) by number, made when asked for
    quality: Callable[[int], float] = lambda _: 1.0  # expected IoU of that mask, 1 where nobody says

    def take(self, numbers: list[int], labels: list[str | None]) -> Proposals:
        """Select detections by index with new labels."""
        return Proposals(
            tuple(self.boxes[number] for number in numbers),
            tuple(self.scores[number] for number in numbers),
            tuple(labels),
            lambda number: self.mask(numbers[number]),
            lambda number: self.quality(numbers[number]),
        )


class ProposingDetector(ABC):
    """Detector of single frames that selects objects from its proposals by rules."""

    names: Mapping[int, str]
    rules: Rules
    lookahead = 0

    @abstractmethod
    def propose(self, frame: Frame, min_score: float) -> Proposals:
        """Detect objects and prepare their masks; see :func:`propose`.

        Args:
            frame: the frame.
            min_score: score in [0, 1] below which finds are left out.

        Returns:
            Boxes, scores and class names, best first; masks are computed on access.
        """

    def __call__(self, frame: FrameLike, *_: FrameLike) -> Segmentation:
        """Objects of a frame, best first: box score times the expected IoU of the mask."""
        frame = as_frame(frame)
        proposals = self.propose(frame, self.rules.score)
        masks = [proposals.mask(number) for number in range(len(proposals.boxes))]
        scores = np.array(
            [score * proposals.quality(number) for number, score in enumerate(proposals.scores)]
        )
        # The rules' score is for boxes, which have been chosen by it.
        rules = replace(self.rules, score=0.0, classes=None)
        return select(frame, np.reshape(masks, (-1, *frame.size)), scores, proposals.labels, rules)


def propose(detector: Detector, frame: Frame, min_score: float) -> Proposals:
    """Proposals of a detector for one frame, also below its threshold if it has them."""
    if isinstance(detector, ProposingDetector):
        return detector.propose(frame, min_score)
    result = detector(frame)
    visible_objects = [(item, place) for place, item in enumerate(result.objects, start=1) if item.box]
    planes = result.probabilities
    return Proposals(
        tuple(item.box for item, _ in visible_objects if item.box),
        tuple(item.score for item, _ in visible_objects),
        tuple(item.label for item, _ in visible_objects),
        lambda number: planes[visible_objects[number][1]],
    )
