"""Correct a mask by clicks: only the region under a click changes.

An answer of a prompter is a whole mask, whose outline is often worse than that of a tracked mask where
nobody clicked. So a click may only add or only take away, and only the connected region that it lies in.
Near the click the mask is known to be wrong, and the answer decides; with the distance, the log-odds of the
mask count more. How far a click reaches follows from its distance to the outline: one on a border that
slipped is meant for a strip, one in the middle of a lost limb for the limb.

If half of an object is lost, its outline is too far away for this. A detector shows how far the object
extends: if a detected object contains the mask, and the click is near the centre of the rest, the rest is
added. If the click is near the centre of an area of another detected object, this area is removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from segue.masks import measure
from segue.masks.measure import iou
from segue.masks.pieces import Pieces
from segue.prompt_types import ImagePrompts
from segue.prompts.answers import ImagePrompter, MaskPrediction, as_image_prompter, checked_prompts
from segue.types import Box, IndexMask, Point
from segue.utils.arrays import BoolArray, Float32Array, UInt8Array

Click = tuple[float, float, bool]
"""Position (x, y) in pixels, and whether it is on the object."""

REACH = 4.0
"""Distance to a click, in its distances to the outline, beyond which the previous mask has full weight."""

MIN_REACH = 24.0
"""Minimum reach in pixels."""

MIN_TRUST = 0.3
"""Weight of the previous mask's log-odds at the click; it is 1 beyond the reach."""

MIN_PROBABILITY = 0.002
"""Bound on probabilities, and on 1 minus them."""

SOFT = 0.02
"""Probability outside of a binary mask; inside it is 1 minus this."""

OUTSIDE = np.float32(127 / 255)  # the largest level outside of a mask
MIN_DISK = 2.0
"""Radius in pixels that a click changes at most if the answer changes nothing there."""

MIN_DEPTH = 0.1
"""Minimum distance of a click to the outline, in square roots of the mask's area, for detecting objects."""

MIN_COVERED = 0.9
"""Share of a mask inside a detected object, for the mask to be a part of it."""

MAX_SHARED, MAX_INSIDE = 0.3, 0.5  # shares of the mask in another object, and of that in the mask, at most
SAME = 0.98
"""IoU from which on two interpretations of a correction are equal."""

MIN_CENTRAL = 0.8
"""Minimum distance of a central click to the outline of a region, relative to the largest distance."""


def clicked_regions(
    inside: BoolArray, index_mask: IndexMask, clicks: Iterable[Click]
) -> dict[int, BoolArray]:
    """Connected regions (H, W) inside of a mask that positive clicks hit, by the displayed object.

    Args:
        inside: the mask, (H, W).
        index_mask: index mask (H, W) of all objects.
        clicks: those on the mask.
    """
    index_mask, clicked = np.where(inside, index_mask, 0), np.zeros(index_mask.shape, np.bool_)
    for x, y, is_inside in clicks:
        clicked[int(y), int(x)] |= is_inside
    regions = {}
    for number in sorted({*index_mask[clicked].tolist()} - {0}):
        pieces = Pieces.of(index_mask == number)
        regions[number] = pieces.where(pieces.count(clicked) > 0)
    return regions


def correct(
    prompter: ImagePrompter,
    mask: npt.NDArray[np.generic],
    clicks: Sequence[Click],
    *,
    new: int = 1,
    whole: bool = False,
) -> MaskPrediction:
    """Correct a mask by clicks; each changes only the region under it.

    Args:
        prompter: answers prompts on the image.
        mask: the mask so far, (H, W): probability in [0, 1], or booleans.
        clicks: all clicks on the object so far, the latest last.
        new: number of new clicks at the end. The others are known to agree with the mask; without a new one
            it stays as it is.
        whole: use the whole answer of the prompter to all clicks.

    Returns:
        One mask. Each new click has the label that it asks for, unless a later one took that away; pixels in
        no region under a new click are as before. For an empty mask, it is the whole answer.

    Raises:
        PromptError: see :func:`segue.prompts.answers.checked_prompts`.

    Example:
        >>> prompter = segue.Prompter(frame)  # doctest: +SKIP
        >>> better = correct(prompter, result.probabilities[1], [(300, 200, True)])
    """
    prompter = as_image_prompter(prompter, np.broadcast_to(np.uint8(0), (*np.shape(mask), 3)))  # only asked
    prompts = checked_prompts(_prompts(clicks, mask), prompter.size)
    current = prompts.mask
    if whole or current is None:
        return prompter.answer(prompts)
    minimum = MIN_PROBABILITY if np.asarray(mask).dtype.kind == "f" else SOFT
    iou = np.float32(np.nan)
    for count in range(max(len(clicks) - new, 0) + 1, len(clicks) + 1):
        x, y, inside = clicks[count - 1]
        if (current[int(y), int(x)] > 0.5) == inside:
            continue
        current, iou = _after_click(
            prompter, _prompts(clicks[:count], current), current, clicks[count - 1], minimum
        )
    height, width = prompter.size
    return MaskPrediction(prompter.size, (0, 0, width, height), np.array([iou], np.float32), current[None])


def _after_click(
    prompter: ImagePrompter, prompts: ImagePrompts, current: Float32Array, click: Click, minimum: float
) -> tuple[Float32Array, np.float32]:
    """Probability, (H, W), after a click that disagrees with the mask, and its predicted IoU."""
    mask = current > 0.5
    if not mask.any():  # the clicks before took all of it away
        answer = prompter.answer(prompts)
        return answer.probability, answer.iou[0]
    depth = depth_at(mask, click[:2])
    predictions = prompter.predict_near(prompts, click[:2], depth)
    probability = mended(current, predictions, click, depth, minimum)
    if depth >= MIN_DEPTH * np.sqrt(np.count_nonzero(mask)):
        probability = by_object(probability, mask, prompter.objects_at(click[:2]), click)
    return probability, predictions[0].iou[0]


def as_levels(probability: Float32Array) -> UInt8Array:
    """Quantise probabilities to 255 levels; each pixel stays on its side of 0.5."""
    levels = np.rint(probability * 255).astype(np.uint8)
    return np.where(probability > 0.5, np.maximum(levels, 128), np.minimum(levels, 127))


def from_levels(levels: UInt8Array) -> Float32Array:
    """Probabilities, (H, W), float32, from :func:`as_levels`."""
    return np.divide(levels, 255, dtype=np.float32)


def refine(
    prompter: ImagePrompter,
    mask: npt.NDArray[np.generic],
    clicks: Sequence[Click],
    *,
    box: Box | None = None,
    new: int = 1,
) -> MaskPrediction:
    """Apply further clicks, one after another, to a mask made by clicks.

    The whole answer to all clicks is used if it agrees with each of them, else the correction by the last
    click. Of 54 left-out images the mean IoU after two, three and four clicks is .902, .925, .939, of
    whole answers alone .899, .922, .937, and of corrections alone .884, .898, .906. A click beside the object
    adds nothing to its mask.

    Args:
        prompter: answers prompts on the image.
        mask: the mask of the clicks before the new ones, (H, W): probability in [0, 1], or booleans.
        clicks: all clicks on the object, the latest last.
        box: a box around the object, which was given with them.
        new: number of new clicks at the end.

    Returns:
        One mask or several, the one to take first.

    Raises:
        PromptError: see :func:`segue.prompts.answers.checked_prompts`.
    """
    answer: MaskPrediction | None = None
    for count in range(max(len(clicks) - new, 0) + 1, len(clicks) + 1):
        answer = _refined(prompter, mask if answer is None else answer.probability, clicks[:count], box)
    return prompter.answer(ImagePrompts(box, mask=mask)) if answer is None else answer


def _refined(
    prompter: ImagePrompter, mask: npt.NDArray[np.generic], clicks: Sequence[Click], box: Box | None
) -> MaskPrediction:
    """Apply one click as :func:`refine` does."""
    if np.asarray(mask).dtype.kind == "f":  # so that what was saved as levels has the same answer
        mask = from_levels(as_levels(np.asarray(mask, np.float32)))
    answer = prompter.answer(replace(_prompts(clicks, mask), box=box))
    if any(answer.mask[int(y), int(x)] != inside for x, y, inside in clicks):
        answer = correct(prompter, mask, clicks)
    return answer if clicks[-1][2] else _within(answer, np.asarray(mask) > 0.5)


def _within(answer: MaskPrediction, mask: BoolArray) -> MaskPrediction:
    """Keep the part of an answer's first mask that another mask has too."""
    outside = answer.mask & ~mask
    if not outside.any():
        return answer
    height, width = answer.size
    probability = np.where(outside, OUTSIDE, answer.probability)
    return MaskPrediction(answer.size, (0, 0, width, height), answer.iou[:1], probability[None])


def replay(
    prompter: ImagePrompter, clicks: Sequence[Click], *, box: Box | None = None, together: int | None = None
) -> MaskPrediction:
    """Apply clicks in their original order.

    Args:
        prompter: answers prompts on the image.
        clicks: the clicks in their order; without a box the first one lies on the object.
        box: a box around the object, which was given first.
        together: number of first clicks given at once; None is none with a box, else one.

    Returns:
        The prediction after the last click.

    Raises:
        PromptError: see :func:`segue.prompts.answers.checked_prompts`.
    """
    first = (0 if box is not None else 1) if together is None else together
    answer = prompter.answer(replace(_prompts(clicks[:first], None), box=box))
    return _replayed_from(prompter, answer, clicks, first, box)


def _replayed_from(
    prompter: ImagePrompter, answer: MaskPrediction, clicks: Sequence[Click], first: int, box: Box | None
) -> MaskPrediction:
    """Apply the remaining clicks to the prediction of the first ones."""
    new = len(clicks) - first
    return refine(prompter, answer.probability, clicks, box=box, new=new) if new else answer


def _replays(prompter: ImagePrompter, clicks: Sequence[Click], box: Box | None) -> Iterator[MaskPrediction]:
    """Predictions that the clicks may have made, the most likely first."""
    first = 0 if box is not None else 1
    for together in range(first, len(clicks) + 1):
        if box is not None or any(inside for _, _, inside in clicks[:together]):
            yield replay(prompter, clicks, box=box, together=together)
    if box is None and clicks and clicks[0][2]:  # a person may choose another mask of a first click
        for candidate in prompter.candidates(ImagePrompts(points=[clicks[0][:2]]))[1:]:
            yield _replayed_from(prompter, candidate, clicks, 1, box)


@dataclass(frozen=True, slots=True)
class ClickHistory:
    """Clicks on an object in a frame.

    Attributes:
        clicks: in their order.
        box: around the object, which was given before them or with the first ones.
        mends: whether they correct a mask that neither they nor the box have made.
    """

    clicks: tuple[Click, ...] = ()
    box: Box | None = None
    mends: bool = False

    def recall(self, prompter: ImagePrompter, mask: BoolArray) -> Float32Array | BoolArray:
        """Recover the probability of a mask made by these clicks, such as one of a saved project.

        Args:
            prompter: answers prompts on the image.
            mask: the mask, (H, W).

        Returns:
            Probability, (H, W), float32, beyond 0.5 in the mask alone; the mask where something else made it.
        """
        if self.mends or not (self.clicks or self.box):
            return mask
        answers = (a for a in _replays(prompter, self.clicks, self.box) if np.array_equal(a.mask, mask))
        return next((answer.probability for answer in answers), mask)

    def answer(
        self, prompter: ImagePrompter, mask: npt.NDArray[np.generic], new: Sequence[Click]
    ) -> MaskPrediction:
        """Apply new clicks to the mask of these.

        Args:
            prompter: answers prompts on the image.
            mask: result of :meth:`recall`, (H, W).
            new: the clicks, the latest last.

        Returns:
            One mask or several, the one to take first.
        """
        clicks = [*self.clicks, *new]
        if self.mends:
            return correct(prompter, mask, clicks, new=len(new))
        return refine(prompter, mask, clicks, box=self.box, new=len(new))


def _prompts(clicks: Sequence[Click], mask: npt.NDArray[np.generic] | None) -> ImagePrompts:
    on, off = ([(x, y) for x, y, inside in clicks if inside is is_positive] for is_positive in (True, False))
    return ImagePrompts(points=on, negative=off, mask=mask)


def depth_at(mask: BoolArray, place: Point) -> float:
    """Distance in pixels from a place to the outline of a mask, in or outside of it."""
    x, y = int(place[0]), int(place[1])
    same = (mask == mask[y, x]).astype(np.uint8)
    return float(cv2.distanceTransform(same, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[y, x])


def mended(
    current: Float32Array,
    predictions: Sequence[MaskPrediction],
    click: Click,
    depth: float,
    minimum: float = MIN_PROBABILITY,
) -> Float32Array:
    """Change a mask where the answers to a click agree.

    Args:
        current: probability of the mask so far, (H, W).
        predictions: answers to the click, each in a window of its own.
        click: one that does not agree with the mask.
        depth: its distance to the outline of the mask, in pixels; see :func:`depth_at`.
        minimum: the mask is taken for no surer than this and 1 minus this.

    Returns:
        Probability, (H, W): beyond 0.5 by the answers where the mask changes, else as given.
    """
    x, y, inside = int(click[0]), int(click[1]), click[2]
    mask = current > 0.5
    answer, is_covered = _mean(predictions, current.shape)
    rows, columns = np.ogrid[: current.shape[0], : current.shape[1]]
    distance = np.hypot(rows - y, columns - x).astype(np.float32)
    share = np.minimum(1, distance / max(MIN_REACH, REACH * depth))
    trust = MIN_TRUST + (1 - MIN_TRUST) * share
    odds = answer + trust * _log_odds(current, minimum)
    agrees = (odds > 0) == inside
    changes = agrees & is_covered & (mask != inside)
    if not changes[y, x]:
        changes = (distance <= min(MIN_DISK, depth / 2)) & (mask != inside)
    region = _component(changes, (x, y))
    signed_odds = np.abs(odds) if inside else -np.abs(odds)
    return np.where(
        region, np.clip(1 / (1 + np.exp(-signed_odds)), MIN_PROBABILITY, 1 - MIN_PROBABILITY), current
    ).astype(np.float32)


def by_object(
    current: Float32Array, mask: BoolArray, objects: Iterable[MaskPrediction], click: Click
) -> Float32Array:
    """Add the rest of a detected object to its mask, or remove the part of another object.

    Args:
        current: probability after the click, (H, W).
        mask: the mask before the click, (H, W).
        objects: detected around the click; the first that fits is used.
        click: one that does not agree with the mask.

    Returns:
        Probability, (H, W): that of the object in the region around the click, unchanged elsewhere.
    """
    x, y, inside = int(click[0]), int(click[1]), click[2]
    area = np.count_nonzero(mask)
    for instance in objects:
        shared = np.count_nonzero(instance.mask & mask)
        if inside:
            fits = shared >= MIN_COVERED * area
        else:
            fits = shared <= min(MAX_SHARED * area, MAX_INSIDE * np.count_nonzero(instance.mask))
        changes = instance.mask & (mask != inside)
        if not fits or not changes[y, x]:
            continue
        region = _component(changes, (x, y))
        distances = cv2.distanceTransform(
            np.pad(region.view(np.uint8), 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
        )
        if distances[y + 1, x + 1] >= MIN_CENTRAL * distances.max():
            probability = instance.probability
            changed = np.maximum(current, probability) if inside else np.minimum(current, 1 - probability)
            return np.where(region, changed, current)
    return current


def _component(plane: BoolArray, place: tuple[int, int]) -> BoolArray:
    """Connected region of a plane, (H, W), at a point (x, y)."""
    labels = cv2.connectedComponents(plane.astype(np.uint8), connectivity=4)[1]
    return np.asarray((labels == labels[place[1], place[0]]) & plane)


def _mean(predictions: Sequence[MaskPrediction], size: tuple[int, ...]) -> tuple[Float32Array, BoolArray]:
    """Mean log-odds of the first masks inside their windows, and the union of the windows."""
    total, count = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for prediction in predictions:
        x0, y0, x1, y1 = prediction.window
        total[y0:y1, x0:x1] += _log_odds(prediction.probability[y0:y1, x0:x1])
        count[y0:y1, x0:x1] += 1
    return np.asarray(total / np.maximum(count, 1), np.float32), count > 0


def _log_odds(probability: Float32Array, minimum: float = MIN_PROBABILITY) -> Float32Array:
    clipped = np.clip(probability, minimum, 1 - minimum)
    return np.asarray(np.log(clipped / (1 - clipped)), np.float32)


def readings(prompter: ImagePrompter, mask: BoolArray, prompts: ImagePrompts) -> list[MaskPrediction]:
    """Alternatives to a corrected mask: the whole object, segmented again.

    Args:
        prompter: prompter of the image.
        mask: the corrected mask, (H, W), bool.
        prompts: all clicks on it, and its box; without one it is that of the mask.

    Returns:
        Up to two answers that differ from the mask and each other: to the box, the clicks and the mask, and
        to the box and the clicks alone.
    """
    extents = measure(mask.astype(np.uint8))
    box = extents[1].box if prompts.box is None and 1 in extents else prompts.box
    predictions: list[MaskPrediction] = []
    for previous in (mask, None):
        answer = prompter.answer(replace(prompts, box=box, mask=previous))
        masks = [mask, *(each.mask for each in predictions)]
        if answer.mask.any() and all(iou(answer.mask, each) < SAME for each in masks):
            predictions.append(answer)
    return predictions
