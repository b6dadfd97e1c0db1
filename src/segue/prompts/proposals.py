"""Boxes that a detector finds, whose masks are made when they are asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from segue.prompts.selection import Rules, select
from segue.types import Box, Frame, Segmentation
from segue.video.readers import FrameLike, as_frame


class Detector(Protocol):
    """Finds objects in a frame."""

    names: Mapping[int, str]
    """Labels that it gives, by class number; empty where it knows none."""

    lookahead: int
    """Frames after a frame that it looks at as well."""

    def __call__(self, frame: Frame, *following: Frame) -> Segmentation:
        """The objects of a frame, best first; ``lookahead`` frames follow, fewer at the end of a video."""


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
    """A detector of single frames that gives proposals, from which it selects objects by its rules."""

    names: Mapping[int, str]
    rules: Rules
    lookahead = 0

    @abstractmethod
    def propose(self, frame: Frame, least_score: float) -> Proposals:
        """Find objects and prepare their masks; see :func:`propose`.

        Args:
            frame: the frame.
            least_score: score in [0, 1] below which finds are left out.

        Returns:
            Boxes, scores and class names, best first; a mask is computed when it is asked for.
        """

    def __call__(self, frame: FrameLike, *_: FrameLike) -> Segmentation:
        """The objects of a frame, best first: by the score of the box times the expected IoU of the mask."""
        frame = as_frame(frame)
        found = self.propose(frame, self.rules.score)
        masks = [found.mask(number) for number in range(len(found.boxes))]
        scores = np.array([score * found.quality(number) for number, score in enumerate(found.scores)])
        # The rules' score is for boxes, which have been chosen by it.
        rules = replace(self.rules, score=0.0, classes=None)
        return select(frame, np.reshape(masks, (-1, *frame.size)), scores, found.labels, rules)


def propose(detector: Detector, frame: Frame, least_score: float) -> Proposals:
    """The finds of a detector that needs no further frames, below its own threshold too if it can tell."""
    if isinstance(detector, ProposingDetector):
        return detector.propose(frame, least_score)
    found = detector(frame)
    seen = [(item, place) for place, item in enumerate(found.objects, start=1) if item.box]
    planes = found.probabilities
    return Proposals(
        tuple(item.box for item, _ in seen if item.box),
        tuple(item.score for item, _ in seen),
        tuple(item.label for item, _ in seen),
        lambda number: planes[seen[number][1]],
    )
