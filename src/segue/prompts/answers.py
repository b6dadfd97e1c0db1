"""Prompts, predictions and the interface of prompters.

A prompter, such as segue-prompt or a third-party network, encodes an image once and answers every prompt
on it.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.errors import PromptError
from segue.masks.measure import iou
from segue.prompt_inputs.checks import check_points, clip_box
from segue.prompt_inputs.values import as_box, as_strokes, points_of
from segue.prompt_types import ImagePrompts
from segue.prompts.planes import pixels
from segue.types import Image, Point
from segue.utils.arrays import Float32Array, as_array
from segue.utils.inputs import kind_of

PixelWindow = tuple[int, int, int, int]  # a window in whole pixels


CANDIDATES = 3
"""Maximum number of candidate masks."""

MIN_WEIGHT = 0.01
"""Minimum weight of a mask with a low predicted IoU."""

SAME = 0.7
"""IoU from which on two masks are one candidate."""

COMPARED_SIDE = 160
"""Long side in pixels to which masks are reduced for comparison."""

CLOSER_WEIGHT = 2.0
"""Weight of a closer view in the mean of two."""

CALIBRATION = {
    "box": (0.17, 0.68, 0.2, -0.72),
    "click": (1.7, 0.0, 0.0, -2.61),
    "mask": (0.58, 0.39, 0.52, -2.07),
}
"""Weights of the evidence of :meth:`MaskPrediction.calibrated` and an offset, whose sum is the log-odds of
the IoU, for a box, a first click, and a mask so far: least squares (soft beyond 0.1, weights at least 0.1)
on 102 objects of left-out stills and 26 frames of DAVIS val. Of a first click only the prediction of the
network counts, fitted to 154 objects of left-out stills; other evidence helped some clicks and harmed
others. The network alone is overconfident on first clicks, since the most confident of several crops is used.
"""


def checked_prompts(prompts: ImagePrompts, size: tuple[int, int]) -> ImagePrompts:
    """Check prompts against an image, and clip their box to it.

    Args:
        prompts: the prompts of a caller.
        size: height and width of the image in pixels.

    Returns:
        The same prompts, the mask as float32 in [0, 1], or None where it was empty.

    Raises:
        PromptError: nothing says where the object is, something lies outside the image, or has another form
            than is expected.
    """
    checked = replace(
        prompts,
        box=None if prompts.box is None else clip_box(as_box(prompts.box, "box"), size),
        points=points_of(prompts.points, "points"),
        negative=points_of(prompts.negative, "negative"),
        scribble=as_strokes(prompts.scribble, "scribble"),
        mask=_mask(prompts.mask, size),
    )
    check_points([*checked.positive, *checked.negative], size)
    if checked.box is None and checked.mask is None and not checked.positive:
        raise PromptError("needs at least one positive point, a box or a mask that is not empty")
    return checked


def calibration_of(prompts: ImagePrompts) -> str:
    """Line of :data:`CALIBRATION` for prompts."""
    if prompts.box is not None:
        return "box"
    clicks = [*prompts.points, *prompts.negative, *(stroke[0] for stroke in prompts.scribble)]
    if len(clicks) != 1 or not prompts.positive:
        return "mask"
    is_confirmed = prompts.mask is None or all(
        prompts.mask[int(y), int(x)] > 0.5 for x, y in prompts.positive
    )
    return "click" if is_confirmed else "mask"


def _mask(value: Any, size: tuple[int, int]) -> Float32Array | None:
    """Check an earlier mask; returns probabilities, float32 in [0, 1], or None if it is empty."""
    if value is None:
        return None
    mask = np.asarray(as_array(value))
    if mask.shape != size:
        raise PromptError(f"the mask has shape {mask.shape}, the image {size}")
    if mask.dtype.kind != "f":
        mask = mask != 0
    elif not ((mask >= 0) & (mask <= 1)).all():
        raise PromptError(f"mask: {kind_of(value)}; probabilities lie in 0..1")
    return mask.astype(np.float32) if (mask > 0.5).any() else None


@dataclass(frozen=True)
class MaskPrediction:
    """Masks of an object, the best first.

    Attributes:
        size: height and width of the image.
        window: part of the image ``(x0, y0, x1, y1)`` in pixels that contains all masks.
        iou: predicted IoU of each mask with what was meant, (K,), in [0, 1].
        planes: probability of each mask in the window, at any resolution, (K, h, w).
    """

    size: tuple[int, int]
    window: PixelWindow
    iou: Float32Array
    planes: Float32Array = field(repr=False)

    def __len__(self) -> int:
        return len(self.iou)

    @functools.cached_property
    def probability(self) -> Float32Array:
        """Probability of the first mask, (H, W)."""
        return self.probability_of(0)

    @functools.cached_property
    def mask(self) -> npt.NDArray[np.bool_]:
        """The first mask, (H, W)."""
        return np.asarray(self.probability > 0.5)

    @functools.cached_property
    def masks(self) -> npt.NDArray[np.bool_]:
        """All masks, (K, H, W)."""
        return np.stack([self.probability_of(k) > 0.5 for k in range(len(self))])

    def joined(self, closer: MaskPrediction) -> MaskPrediction:
        """Average two predictions at the resolution of the closer one, which has twice the weight."""
        x0, y0 = np.minimum(self.window[:2], closer.window[:2]).tolist()
        x1, y1 = np.maximum(self.window[2:], closer.window[2:]).tolist()
        left, top, right, bottom = closer.window
        columns = max(1, round((x1 - x0) * closer.planes.shape[2] / (right - left)))
        rows = max(1, round((y1 - y0) * closer.planes.shape[1] / (bottom - top)))
        # Centres of the pixels.
        across = x0 + (np.arange(columns, dtype=np.float32) + 0.5) * (x1 - x0) / columns
        down = y0 + (np.arange(rows, dtype=np.float32) + 0.5) * (y1 - y0) / rows
        total, count = np.zeros((len(self), rows, columns), np.float32), np.zeros((rows, columns), np.float32)
        for prediction, weight in ((self, 1.0), (closer, CLOSER_WEIGHT)):
            left, top, right, bottom = prediction.window
            height, width = prediction.planes.shape[1:]
            place_x = ((across - left) * width / (right - left) - 0.5).astype(np.float32)
            place_y = ((down - top) * height / (bottom - top) - 0.5).astype(np.float32)
            map_x, map_y = np.meshgrid(place_x, place_y)
            inside = ((down >= top) & (down < bottom))[:, None] & (across >= left) & (across < right)
            weights = np.where(inside, np.float32(weight), np.float32(0))
            for number, plane in enumerate(prediction.planes):
                warped = cv2.remap(plane, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
                total[number] += weights * warped
            count += weights
        planes = np.asarray(total / np.maximum(count, 1), np.float32)
        iou = np.asarray((self.iou + closer.iou) / 2, np.float32)
        return replace(self, window=(x0, y0, x1, y1), planes=planes, iou=iou)

    def one(self, k: int) -> MaskPrediction:
        """Prediction with only one of the masks."""
        return replace(self, iou=self.iou[k : k + 1], planes=self.planes[k : k + 1])

    def small(self) -> npt.NDArray[np.bool_]:
        """The first mask, reduced for comparisons, (h, w)."""
        shrunk = COMPARED_SIDE / max(COMPARED_SIDE, *self.size)
        size = max(1, round(self.size[0] * shrunk)), max(1, round(self.size[1] * shrunk))
        left, top, right, bottom = (edge * shrunk for edge in self.window)
        x0, y0, x1, y1 = pixels((left, top, right, bottom), size)
        mask = np.zeros(size, np.bool_)
        plane = cv2.resize(self.planes[0], (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
        mask[y0:y1, x0:x1] = plane > 0.5
        return mask

    @property
    def cut_off(self) -> bool:
        """Whether the first mask reaches a border of its window that is not a border of the image."""
        inside = self.planes[0] > 0.5
        x0, y0, x1, y1 = self.window
        return bool(
            (x0 > 0 and inside[:, 0].any())
            or (y0 > 0 and inside[0].any())
            or (x1 < self.size[1] and inside[:, -1].any())
            or (y1 < self.size[0] and inside[-1].any())
        )

    def calibrated(self, kind: str) -> MaskPrediction:
        """Replace predicted IoUs by calibrated ones, see :data:`CALIBRATION`.

        The evidence are log-odds of numbers in [0.01, 0.99]: what the network predicts; what the
        probabilities of the mask let one expect, as in
        :func:`segue.sessions.track_results.expected_overlap`; and the least IoU with one of the other masks.
        If the guesses differ, the click is ambiguous, and the network alone is overconfident.
        """
        planes = self.planes.reshape(len(self), -1)
        inside = planes > 0.5
        certainty = (planes * inside).sum(1) / np.maximum((inside + planes * ~inside).sum(1), 1e-6)
        shared = inside.astype(np.float32) @ inside.T.astype(np.float32)
        areas = inside.sum(1)
        agreed = (shared / np.maximum(areas[:, None] + areas - shared, 1)).min(1)
        shares = np.stack([self.iou, certainty, agreed]).clip(0.01, 0.99)
        *weights, offset = CALIBRATION[kind]
        odds = np.array(weights) @ np.log(shares / (1 - shares)) + offset
        return replace(self, iou=np.asarray(1 / (1 + np.exp(-odds)), np.float32))

    def probability_of(self, k: int) -> Float32Array:
        """Probability of one mask at the size of the image.

        Args:
            k: number of the mask, from 0.

        Returns:
            (H, W), float32 in [0, 1].
        """
        x0, y0, x1, y1 = self.window
        full = np.zeros(self.size, np.float32)
        full[y0:y1, x0:x1] = cv2.resize(self.planes[k], (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
        return full


def covering(answers: Sequence[MaskPrediction]) -> list[int]:
    """Select indices of the first answer and of a few others that together represent all.

    Each answer may be the intended one, with a probability in proportion to its predicted IoU. Each further
    selected answer raises the expected IoU of the best selected answer most: the greedy selection of
    Nemhauser, Wolsey and Fisher, "An analysis of approximations for maximizing submodular set functions",
    1978. Only the first masks count, and masks too similar to a selected one are skipped.
    """
    masks = np.stack([answer.small().ravel() for answer in answers]).astype(np.float32)
    shared, areas = masks @ masks.T, masks.sum(1)
    overlaps = shared / np.maximum(areas[:, None] + areas - shared, 1)
    expected = np.nan_to_num([answer.iou[0] for answer in answers], nan=1.0).clip(MIN_WEIGHT)
    selected, coverage = [0], overlaps[0]
    while len(selected) < CANDIDATES:
        gains = np.where(coverage < SAME, np.maximum(overlaps - coverage, 0) @ expected, 0)
        best = int(gains.argmax())
        if not gains[best]:
            break
        selected.append(best)
        coverage = np.maximum(coverage, overlaps[best])
    return selected


def distinct(answers: Iterable[MaskPrediction]) -> list[MaskPrediction]:
    """Select the first answer and a few others that differ from each other."""
    selected, masks = list[MaskPrediction](), list[npt.NDArray[np.bool_]]()
    for answer in answers:
        mask = answer.small()
        if not selected or (
            len(selected) < CANDIDATES and mask.any() and all(iou(mask, each) < SAME for each in masks)
        ):
            selected.append(answer)
            masks.append(mask)
    return selected


class ImagePrompter(ABC):
    """Answers prompts on one image, RGB (H, W, 3), uint8.

    Attributes:
        image: the image.
        size: its height and width in pixels.
    """

    def __init__(self, image: Image) -> None:
        self.image, self.size = image, (image.shape[0], image.shape[1])

    def answer(self, prompts: ImagePrompts) -> MaskPrediction:
        """Segment the object that prompts point at.

        Args:
            prompts: box, points, strokes and earlier mask of one object; they are checked.

        Returns:
            One or more masks with their predicted IoU, the one to take first.

        Raises:
            PromptError: see :func:`segue.prompts.answers.checked_prompts`.
        """
        return self._segment(checked_prompts(prompts, self.size))

    def candidates(self, prompts: ImagePrompts) -> list[MaskPrediction]:
        """Segment different objects that the prompts may mean: whole, part, smaller or larger.

        Args:
            prompts: box, points, strokes and earlier mask of one object; they are checked.

        Returns:
            At most :data:`CANDIDATES` answers of one mask each with its predicted IoU. The first is that of
            :meth:`answer`, the others are those that with it come nearest to all that may be meant.

        Raises:
            PromptError: see :func:`segue.prompts.answers.checked_prompts`.
        """
        answer = self.answer(prompts)
        masks = [answer.one(k) for k in range(len(answer))]
        return [masks[k] for k in covering(masks)]

    def predict_near(self, prompts: ImagePrompts, click: Point, reach: float) -> list[MaskPrediction]:
        """Answer a click that corrects a mask; one answer for each window.

        Args:
            prompts: the mask so far and all clicks on the object.
            click: the new one of them.
            reach: its distance to the outline of the mask, in pixels.

        Returns:
            At least one answer; :func:`segue.prompts.correct` takes the mean of their log-odds.
        """
        return [self.answer(prompts)]

    def objects_at(self, point: Point) -> Iterator[MaskPrediction]:
        """Masks of detected objects at a point, the most likely first; empty without a detector.

        Args:
            point: in the image, ``(x, y)``.

        Returns:
            One mask per object, segmented on access.
        """
        return iter(())

    @abstractmethod
    def _segment(self, prompts: ImagePrompts) -> MaskPrediction:
        """Answer checked prompts."""


class AnswerPrompter(ImagePrompter):
    """Adapts a prompter that only answers prompts, such as one of a user.

    Args:
        prompter: has ``answer``.
        image: its image.
    """

    def __init__(self, prompter: Any, image: Image) -> None:
        super().__init__(image)
        self._prompter = prompter

    def _segment(self, prompts: ImagePrompts) -> MaskPrediction:
        answer: MaskPrediction = self._prompter.answer(prompts)
        return answer


def as_image_prompter(prompter: Any, image: Image) -> ImagePrompter:
    """Return an image prompter; adapt one that only answers prompts."""
    return prompter if isinstance(prompter, ImagePrompter) else AnswerPrompter(prompter, image)


MakePrompter = Callable[[Image], ImagePrompter]
"""Makes a prompter for an image, RGB (H, W, 3), uint8."""
