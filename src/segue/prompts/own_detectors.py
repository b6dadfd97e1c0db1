"""Detectors from a Python function, and detectors that filter by phrases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from segue.arrays import FloatingArray, as_array
from segue.errors import PromptError
from segue.inputs import kind_of
from segue.masks import fill_boxes
from segue.prompts.answers import MakePrompter, Prompts
from segue.prompts.parse import clip_box
from segue.prompts.phrases import Phrase, unmatched
from segue.prompts.proposals import Detector, Proposals, ProposingDetector, Rules, propose
from segue.types import Frame, Image

Finds = tuple[FloatingArray, FloatingArray, list[str | None], npt.NDArray[np.float32] | None]
"""Boxes (N, 4), scores (N,), labels, and masks (N, H, W) in [0, 1] where there are any."""


class FunctionDetector(ProposingDetector):
    """Asks a function of a program for the objects of an image.

    Args:
        function: takes RGB (H, W, 3), uint8. It returns ``supervision.Detections``; or boxes, scores and
            labels in a tuple; or a mapping with ``boxes``, ``scores``, ``labels`` and perhaps ``masks``, as
            models of torchvision do. Boxes are (N, 4), x0, y0, x1, y1 in pixels; scores (N,) in [0, 1];
            labels (N,) are texts, or numbers that ``names`` names; masks (N, H, W) are bool or in [0, 1].
        prompter: makes the mask of a box, where the function gives no masks; None takes whole boxes.
        rules: what becomes an object.
        names: the label of each class number; empty where the labels are texts.
    """

    def __init__(
        self,
        function: Callable[[Image], Any],
        prompter: MakePrompter | None,
        rules: Rules | None = None,
        names: Mapping[int, str] | None = None,
    ) -> None:
        self.names = names or {}
        self.rules = (rules or Rules()).checked(self.names)
        self._function, self._prompter = function, prompter

    def find(self, image: Image, least_score: float) -> Finds:
        """Find objects in an image.

        Args:
            image: RGB (H, W, 3), uint8.
            least_score: least score of a wanted object, in [0, 1]; lower ones may be left in.

        Returns:
            What the function found.
        """
        return _finds(self._function(image), self.names, image.shape[:2])

    def propose(self, frame: Frame, least_score: float) -> Proposals:
        boxes, scores, labels, masks = self.find(frame.image, least_score)
        height, width = frame.size
        boxes = np.clip(boxes, 0, (width, height, width, height))
        sized = np.all(boxes[:, 2:] > boxes[:, :2], axis=1)
        wanted = self.rules.classes
        kept = [
            int(i)
            for i in np.argsort(-scores, kind="stable")
            if sized[i] and scores[i] >= least_score and (wanted is None or labels[i] in wanted)
        ][: self.rules.max_objects]
        shown = tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in boxes[kept].tolist())
        prompter = None if self._prompter is None else self._prompter(frame.image)

        @cache
        def answer(number: int) -> tuple[npt.NDArray[np.float32], float]:
            if masks is not None:
                return masks[kept[number]], 1.0
            if prompter is None:
                box = clip_box(shown[number], frame.size)
                return fill_boxes({1: box}, frame.size).astype(np.float32), 1.0
            found = prompter.answer(Prompts(box=shown[number]))
            return found.probability, float(np.nan_to_num(found.iou[0], nan=1.0))

        return Proposals(
            shown,
            tuple(scores[kept].tolist()),
            tuple(labels[i] for i in kept),
            lambda number: answer(number)[0],
            lambda number: answer(number)[1],
        )


class PhraseDetector(ProposingDetector):
    """Detections that match phrases; the phrases become the labels.

    A detection gets the first phrase that matches its label and the colour of its mask.

    Raises:
        PromptError: a phrase fits none of the labels that the detector knows.
    """

    def __init__(self, detector: Detector, phrases: Sequence[Phrase], rules: Rules | None = None) -> None:
        if detector.names and (strange := unmatched(phrases, detector.names)):
            known = ", ".join(sorted(set(detector.names.values())))
            raise PromptError(f"text {strange[0].text!r} names no class of this detector; it knows {known}")
        self.names = {number: phrase.text for number, phrase in enumerate(phrases, start=1)}
        self.rules = rules or Rules()
        self._detector, self._phrases = detector, phrases

    def propose(self, frame: Frame, least_score: float) -> Proposals:
        found = propose(self._detector, frame, least_score)
        meant: dict[int, str | None] = {}
        for number, label in enumerate(found.labels):
            for phrase in self._phrases:
                if phrase.fits(label) and (
                    phrase.colour is None
                    or label == phrase.text  # the detector was asked for it
                    or phrase.has_colour(frame.image, found.mask(number) > 0.5)
                ):
                    meant[number] = phrase.text
                    break
        return found.take([*meant], [*meant.values()])


def _finds(given: Any, names: Mapping[int, str], size: tuple[int, ...]) -> Finds:
    """Boxes (N, 4), scores (N,), labels and masks (N, H, W) of what a function gave."""
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    if hasattr(given, "xyxy"):
        named = (getattr(given, "data", None) or {}).get("class_name", given.class_id)
        boxes, scores, listed, masks = given.xyxy, given.confidence, named, given.mask
    elif isinstance(given, Mapping):
        boxes, scores, listed, masks = (given.get(key) for key in ("boxes", "scores", "labels", "masks"))
    elif isinstance(given, tuple) and len(given) == 3:
        boxes, scores, listed, masks = *given, None
    else:
        raise PromptError(
            f"detector: the function gave {kind_of(given)}; give supervision.Detections, or boxes, "
            "scores and labels"
        )
    boxes = _array(boxes)
    boxes = boxes if boxes.size else boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise PromptError(f"detector: boxes of shape {boxes.shape}; give finite numbers, (N, 4)")
    scores = np.ones(len(boxes)) if scores is None else _array(scores)
    if scores.shape != (len(boxes),) or not ((scores >= 0) & (scores <= 1)).all():
        raise PromptError(f"detector: scores of shape {scores.shape}; give ({len(boxes)},), each in 0..1")
    every = [None] * len(boxes) if listed is None else as_array(listed)
    texts = [_label(label, names) for label in every]
    if len(texts) != len(boxes):
        raise PromptError(f"detector: {len(texts)} labels for {len(boxes)} boxes")
    if masks is None:
        return boxes, scores, texts, None
    planes = _array(masks, np.float32)
    if planes.ndim == 4 and planes.shape[1] == 1:
        planes = planes[:, 0]
    if planes.shape != (len(boxes), *size):
        raise PromptError(f"detector: masks of shape {planes.shape}; give {(len(boxes), *size)}")
    return boxes, scores, texts, planes


def _array(values: Any, kind: Any = np.float64) -> Any:
    try:
        return np.asarray(as_array(values), kind)
    except (TypeError, ValueError):
        raise PromptError(f"detector: {kind_of(values)}; give arrays of numbers") from None


def _label(label: Any, names: Mapping[int, str]) -> str | None:
    if isinstance(label, str) or label is None:
        return str(label) if label else None
    return names.get(int(label), str(int(label)))
