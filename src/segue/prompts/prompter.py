"""segue-prompt on one image: crop around prompts, run the network, compose the mask."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segue.models.segue_prompt import BOX, NEGATIVE, PLANES, POSITIVE, PREVIOUS, SeguePrompt
from segue.prompt_types import ImagePrompts
from segue.prompts.answers import (
    ImagePrompter,
    MaskPrediction,
    PixelWindow,
    calibration_of,
    checked_prompts,
    covering,
    distinct,
)
from segue.prompts.correction import as_levels
from segue.prompts.objects import SURE_SCORE, boxes_with_clicks, detected_boxes, holds_clicks, is_part
from segue.prompts.planes import (
    box_window,
    clipped,
    draw_disk,
    draw_stroke,
    enclosing_box,
    grown,
    pixels,
    tight_box,
)
from segue.types import Box, BoxLike, Frame, Point, PointsLike, SupportsArray
from segue.utils.arrays import Float32Array
from segue.utils.devices import to_device
from segue.video.decoding.readers import Colour, FrameLike, as_rgb
from segue.weights import Prepared, prepare

if TYPE_CHECKING:
    from segue.models.detection.detections import TensorDetections

SIDE = 192
"""Side of the crops that segue-prompt sees, in pixels. On left-out stills 192 gave better masks than 256,
which is more than it mostly learned on, in half the time. Crop and mirror image are asked together."""

BOX_MARGIN = 0.25  # what a crop shows around a box, as a share of its sides
MASK_MARGIN = 0.3  # the same around an earlier mask
CLOSE_MARGIN = 0.1  # the same where a mask that was found is looked at closely
MIN_MARGIN, MIN_CLOSE_MARGIN = 0.05, 0.02  # the same where such a crop is used again
WIDER = 2  # how often a mask that reaches the edge of its crop is looked at once more, in a wider one
CROPS = 8  # crops whose features are kept, and those that a further click may use again
MAX_ANSWERS = 64  # answers whose crops are known

CLICK_SIDE = 160  # side of the crops where only clicks are given, in pixels: they only find the object

CropPurpose = Literal["find", "around", "close"]
"""Purpose of a crop: find the clicked object, show it with context, or show it alone."""

Crop = tuple[CropPurpose, PixelWindow]

CLICK_CROPS = (0.5, 0.25)
"""Squares around clicks that are looked at in addition to the whole image, their sides as shares of its
longer side. On the whole image alone, small objects are merged with their surroundings or missed."""

PART_CROP = 0.125
"""A further one, for candidates: it shows parts."""

WHOLE_MARGIN = 0.05
"""Maximum loss of predicted IoU, before calibration, for preferring a larger crop to the best one."""

WHOLE_AREA, WHOLE_SHARE = 1.2, 0.8  # how much larger it is, and the share of the surest mask that it holds

NEAR_MARGIN = 0.12  # what a crop shows around a mask that a click corrects, as a share of its sides
DEPTHS, LONGS = 10.0, 0.3
"""Half the sides of the squares around such a click: in its distances to the outline, and as a share of the
longer side of the mask."""

MIN_HALF = 24.0  # the same at least, in pixels


class Prompter(ImagePrompter):
    """segue-prompt on one image; features stay cached between clicks.

    Args:
        image: a frame, or RGB (H, W, 3), uint8: an array, a tensor or a PIL image.
        network: a network; its name, ``segue-prompt`` or ``segue-prompt-free``; or one that is prepared, as
            ``segue.load(name, device="cpu")`` gives it.
        device: device; None selects a GPU if there is one.
        fast: half precision, where the device is faster with it; for the detector, too.
        objects: whether first clicks may mean a whole object that NanoDet-Plus finds, which learned on COCO;
            None is yes, but for ``segue-prompt-free``, whose training data are known.
        colour: order of the channels of an array or tensor; ``bgr`` is that of ``cv2.imread``.

    Example:
        >>> prompter = segue.Prompter(frame)  # doctest: +SKIP
        >>> first = prompter(points=[(300, 200)])
        >>> better = prompter(points=[(300, 200)], negative=[(420, 260)], mask=first.probability)
        >>> better.mask.shape, better.iou
    """

    def __init__(
        self,
        image: FrameLike,
        network: SeguePrompt | Prepared[SeguePrompt] | str = "segue-prompt",
        *,
        device: str | int | torch.device | None = None,
        fast: bool = False,
        objects: bool | None = None,
        colour: Colour = "rgb",
    ) -> None:
        bgr = colour == "bgr"
        super().__init__(image.image if isinstance(image, Frame) else as_rgb(image, "image", bgr=bgr))
        prepared: Prepared[SeguePrompt] = prepare(network, task="prompt", device=device, fast=fast)
        self._objects = prepared.name != "segue-prompt-free" if objects is None else objects
        self._fast = prepared.precision != torch.float32
        self._network, self._device, self._dtype = prepared.network, prepared.device, prepared.dtype
        self._guard = prepared.inference_guard
        # What was asked last is the last.
        self._crops: dict[Crop, tuple[Tensor, ...]] = {}
        self._used: tuple[Crop, ...] = ()  # by the question that is answered
        self._crops_of: dict[bytes, tuple[Crop, ...]] = {}  # by what identifies the mask of an answer

    def __call__(
        self,
        *,
        box: BoxLike | None = None,
        points: PointsLike = (),
        negative: PointsLike = (),
        scribble: Sequence[PointsLike] = (),
        mask: SupportsArray | None = None,
    ) -> MaskPrediction:
        """Call :meth:`answer` with :class:`ImagePrompts`."""
        return self.answer(ImagePrompts(box, points, negative, scribble, mask))

    def _segment(self, prompts: ImagePrompts) -> MaskPrediction:
        """Segment the object that prompts point at.

        Without an earlier mask the answer depends on the image and the prompts alone. A correction of an
        answer may use the crops of that answer again, and none of what was asked of other objects meanwhile.
        Crops show the object, not negative clicks: those far from it have nothing to take away.
        """
        self._used = () if prompts.mask is None else self._crops_of.get(_identity(prompts.mask), ())
        if _says_how_much(prompts):
            answer = self._predict_crop(prompts, calibration_of(prompts), new=prompts.box is not None)
        else:
            clicked, *_ = self._find(prompts)
            ways = self._ways(prompts, clicked)
            answer = self._refine(ways[0][0]) if ways else clicked
        identity = _identity(answer.probability)
        self._crops_of.pop(identity, None)  # what was answered last is the last
        self._crops_of[identity] = self._used
        for oldest in list(self._crops_of)[:-MAX_ANSWERS]:
            del self._crops_of[oldest]
        return answer

    def candidates(self, prompts: ImagePrompts) -> list[MaskPrediction]:
        """Predict several masks for the same prompts: whole objects, the click alone, and single crops.

        Args:
            prompts: prompts of one object.

        Returns:
            Different masks, the answer first.
        """
        prompts = checked_prompts(prompts, self.size)
        if _says_how_much(prompts):
            return super().candidates(prompts)
        self._used = ()
        predictions = self._find(prompts)
        ways = self._ways(prompts, predictions[0], every=True)
        answer = (self._refine(ways[0][0]) if ways else predictions[0]).one(0)
        predictions += self._ask(prompts, "find", _square(prompts.positive, PART_CROP, self.size))
        calibrated = [prediction.calibrated(calibration_of(prompts)) for prediction in predictions]
        pool: list[tuple[MaskPrediction, ImagePrompts | None]]
        pool = [(prediction.one(k), None) for prediction in calibrated for k in range(len(prediction))]
        pool += [
            (prediction_of_box.calibrated("box").one(0), way) for way, prediction_of_box in ways if way.box
        ]
        selected = [pool[k - 1] for k in covering([answer, *(mask for mask, _ in pool)])[1:]]
        close = [
            self._refine(way or replace(prompts, mask=mask.probability)).one(0)
            for mask, way in selected
            if mask.mask.any()
        ]
        # Where close looks become the same, the first ones are still different.
        return distinct([answer, *close, *(mask for mask, _ in selected)])

    def _find(self, prompts: ImagePrompts) -> list[MaskPrediction]:
        """Predict a first click on the whole image and on squares around it; the best comes first."""
        squares = (_square(prompts.positive, share, self.size) for share in CLICK_CROPS)
        tried = self._ask(prompts, "find", (0.0, 0.0, float(self.size[1]), float(self.size[0])), *squares)
        best = _whole_of([one.small() for one in tried], [float(one.iou[0]) for one in tried])
        return [tried.pop(best), *tried]

    def _ways(
        self, prompts: ImagePrompts, clicked: MaskPrediction, *, every: bool = False
    ) -> list[tuple[ImagePrompts, MaskPrediction]]:
        """Interpretations of first clicks, as prompts and a first prediction; the best comes first.

        It is the mask of the clicks alone, and the first object around them, or ``every`` one.
        """
        ways = [(replace(prompts, mask=clicked.probability), clicked)] if clicked.mask.any() else []
        has_object = False
        for score, box in boxes_with_clicks(self._detected, prompts, self.size) if self._objects else ():
            boxed = replace(prompts, box=box)
            [prediction] = self._ask(boxed, "around", self._window(boxed))
            if holds_clicks(prediction, prompts):
                first = (
                    not has_object
                    and score >= SURE_SCORE
                    and is_part(clicked, prediction, calibration_of(prompts))
                )
                ways.insert(0 if first else len(ways), (boxed, prediction))
                has_object = True
                if not every:
                    break
        return ways

    def _refine(self, way: ImagePrompts) -> MaskPrediction:
        """Refine a first prediction in a closer crop."""
        self._used = ()  # none depends on the crops of another
        return self._predict_crop(way, calibration_of(replace(way, mask=None)), new=True)

    @cached_property
    def _detected(self) -> TensorDetections:
        """Detected objects of the image."""
        return detected_boxes(prepare("nanodet", device=self._device, fast=self._fast), self.image)

    def _predict_crop(self, prompts: ImagePrompts, kind: str, *, new: bool) -> MaskPrediction:
        """Predict in a crop around prompts; a ``new`` object's mask is refined once more."""
        [prediction] = self._ask(prompts, "around", self._window(prompts))
        if new and prediction.mask.any():
            [prediction] = self._ask(
                replace(prompts, mask=prediction.probability), "around", prediction.window
            )
        for _ in range(WIDER):
            if prompts.box is not None or not prediction.cut_off:
                break
            prompts = replace(prompts, mask=prediction.probability)
            [prediction] = self._ask(prompts, "around", self._window(prompts))
        if prediction.mask.any():
            prediction = prediction.joined(self._closer(prompts, prediction))
        return prediction.calibrated(kind)

    def predict_near(self, prompts: ImagePrompts, click: Point, reach: float) -> list[MaskPrediction]:
        """Predict the whole mask with a click, and the region near the click.

        Args:
            prompts: prompts of one object, with its mask.
            click: point (x, y) in pixels.
            reach: distance of the click from the outline of the mask, in pixels.

        Returns:
            The prediction of the whole object, then those of windows around the click; the answer alone
            without a mask.
        """
        prompts = checked_prompts(prompts, self.size)
        if prompts.mask is None:
            return [self.answer(prompts)]
        x, y = click[0] + 0.5, click[1] + 0.5
        enclosing = enclosing_box([tight_box(prompts.mask > 0.5), (*click, click[0] + 1, click[1] + 1)])
        long = max(enclosing[2] - enclosing[0], enclosing[3] - enclosing[1])
        halves = (max(MIN_HALF, DEPTHS * reach), max(MIN_HALF, LONGS * long))
        squares = [(x - half, y - half, x + half, y + half) for half in halves]
        windows = [box_window(window, self.size) for window in (grown(enclosing, NEAR_MARGIN), *squares)]
        first, *more = self._ask(prompts, "around", *windows)
        return [first.calibrated("mask"), *more]

    def objects_at(self, point: Point) -> Iterator[MaskPrediction]:
        """Segment the objects that NanoDet-Plus detects at a point.

        Args:
            point: (x, y) in pixels.

        Yields:
            The mask of each box with the point, the best score first.
        """
        if not self._objects:
            return
        for score, box in boxes_with_clicks(self._detected, ImagePrompts(points=[point]), self.size):
            if score >= SURE_SCORE:
                yield self.answer(ImagePrompts(box))

    def _closer(self, prompts: ImagePrompts, prediction: MaskPrediction) -> MaskPrediction:
        """Predict again in a tight crop around the result, after each click."""
        box = tight_box(prediction.mask)
        window = box_window(grown(box, CLOSE_MARGIN), self.size)
        if prompts.box is None:
            min_window = clipped(grown(box, MIN_CLOSE_MARGIN), self.size)
            window = self._cached_crop("close", window, min_window) or window
        else:  # which says how far the object may reach
            low, high = (
                np.maximum(window[:2], prediction.window[:2]),
                np.minimum(window[2:], prediction.window[2:]),
            )
            window = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        return self._ask(replace(prompts, mask=prediction.probability), "close", window)[0]

    def _window(self, prompts: ImagePrompts) -> Box:
        """Crop around box, mask and points with some margin; reuses a known crop if it fits."""
        boxes = [] if prompts.box is None else [prompts.box]
        if prompts.mask is not None:
            boxes.append(tight_box(prompts.mask > 0.5))

        def with_margin(margin: float) -> Box:
            places = [(x, y, x + 1, y + 1) for x, y in prompts.positive]
            return enclosing_box([*places, *(grown(box, margin) for box in boxes)])

        window = box_window(with_margin(MASK_MARGIN if prompts.box is None else BOX_MARGIN), self.size)
        if prompts.mask is None:
            return window
        return self._cached_crop("around", window, clipped(with_margin(MIN_MARGIN), self.size)) or window

    def _cached_crop(self, purpose_needed: CropPurpose, window: Box, min_window: Box) -> Box | None:
        """A cached crop that can replace ``window``; it contains ``min_window``."""
        crops = (place for purpose, place in reversed(self._used) if purpose == purpose_needed)
        return next((place for place in crops if _serves(place, window, min_window)), None)

    @torch.inference_mode()
    def _ask(self, prompts: ImagePrompts, purpose: CropPurpose, *windows: Box) -> list[MaskPrediction]:
        """Predictions of the network in several windows, as one batch."""
        side = CLICK_SIDE if purpose == "find" else SIDE
        places = [pixels(window, self.size) for window in windows]
        asked = [(purpose, place) for place in places]
        self._used = (*(crop for crop in self._used if crop not in asked), *asked)[-CROPS:]
        prompt_planes = [torch.from_numpy(_draw(prompts, place, side)) for place in places]
        planes = [to_device(each, self._device)[None].to(self._dtype) for each in prompt_planes]
        with self._guard():
            logits, quality = self._network.decode(
                self._features(purpose, places, side), _views(planes, side)
            )
        answers = []
        for place, masks, scores in zip(
            places, logits.chunk(len(places)), quality.chunk(len(places)), strict=True
        ):
            mask = masks[0] if len(masks) == 1 else (masks[0] + masks[1].flip(2)) / 2
            iou, probabilities = (values.float().sigmoid().cpu().numpy() for values in (scores.mean(0), mask))
            answers.append(MaskPrediction(self.size, place, iou, probabilities))
        return answers

    def _features(self, purpose: CropPurpose, places: Sequence[PixelWindow], side: int) -> tuple[Tensor, ...]:
        """Feature maps of crops; new crops are encoded as one batch."""
        new = list(dict.fromkeys(place for place in places if (purpose, place) not in self._crops))
        if new:
            crops = [resized(self.image[y0:y1, x0:x1], side) for x0, y0, x1, y1 in new]
            pixels = [to_device(torch.from_numpy(crop), self._device) for crop in crops]
            images = [each.permute(2, 0, 1)[None].to(self._dtype) / 255 for each in pixels]
            planes = _views(images, side).contiguous(memory_format=torch.channels_last)
            maps = (level.chunk(len(new)) for level in self._network.encode(planes))
            self._crops.update(zip(((purpose, place) for place in new), zip(*maps, strict=True), strict=True))
        for place in places:  # what was asked last is the last
            self._crops[purpose, place] = self._crops.pop((purpose, place))
        for oldest in list(self._crops)[:-CROPS]:
            del self._crops[oldest]
        if len(places) == 1:
            return self._crops[purpose, places[0]]
        levels_of_crops = (self._crops[purpose, place] for place in places)
        return tuple(torch.cat(levels) for levels in zip(*levels_of_crops, strict=True))


def _identity(probability: Float32Array) -> bytes:
    """Key of a mask, (H, W), that is stable after quantisation to levels."""
    return hashlib.blake2b(np.ascontiguousarray(as_levels(probability)).data, digest_size=16).digest()


def _says_how_much(prompts: ImagePrompts) -> bool:
    """Whether prompts define the extent of the object: a box or an earlier mask."""
    return prompts.box is not None or prompts.mask is not None


def _views(planes: Iterable[Tensor], side: int) -> Tensor:
    """Input planes (1, C, side, side) of crops; large crops also mirrored."""
    return torch.cat([view for one in planes for view in ((one, one.flip(3)) if side == SIDE else (one,))])


def resized(image: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    """Resize an image (h, w) or (h, w, C) to a square of ``side`` pixels; area-averaged when smaller."""
    shrinks = min(image.shape[:2]) > side
    flags = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (side, side), interpolation=flags))


def _square(points: Sequence[Point], share: float, size: tuple[int, int]) -> Box:
    """Square around points, its side a share of the longer side of the image."""
    x0, y0, x1, y1 = enclosing_box([(x, y, x + 1, y + 1) for x, y in points])
    x, y, reach = (x0 + x1) / 2, (y0 + y1) / 2, share * max(size) / 2
    return box_window((min(x - reach, x0), min(y - reach, y0), max(x + reach, x1), max(y + reach, y1)), size)


def _whole_of(masks: Sequence[npt.NDArray[np.bool_]], scores: Sequence[float]) -> int:
    """Choose the mask of the whole object among masks of a click, each (h, w), by score and size."""
    scored = [score if mask.any() else -1.0 for mask, score in zip(masks, scores, strict=True)]
    surest = selected = int(np.argmax(scored))
    required_area = WHOLE_SHARE * masks[surest].sum()
    for number, mask in enumerate(masks):
        larger = (
            mask.sum() > WHOLE_AREA * masks[selected].sum() and (mask & masks[surest]).sum() > required_area
        )
        if larger and scored[number] >= scored[surest] - WHOLE_MARGIN:
            selected = number
    return selected


def _draw(prompts: ImagePrompts, place: PixelWindow, side: int) -> Float32Array:
    """Prompt planes (4, side, side), in [0, 1], of a crop."""
    x0, y0, x1, y1 = place
    sx, sy = side / (x1 - x0), side / (y1 - y0)

    def at(points: Sequence[Point]) -> list[Point]:
        return [((x + 0.5 - x0) * sx, (y + 0.5 - y0) * sy) for x, y in points]

    marks = np.zeros((PLANES, side, side), np.uint8)
    for point in at(prompts.points):
        draw_disk(marks[POSITIVE], point)
    for point in at(prompts.negative):
        draw_disk(marks[NEGATIVE], point)
    for stroke in prompts.scribble:
        draw_stroke(marks[POSITIVE], at(stroke))
    planes: Float32Array = np.divide(marks, 255, dtype=np.float32)
    if prompts.box is not None:
        left, top, right, bottom = prompts.box
        columns = slice(max(0, round((left - x0) * sx)), max(0, round((right - x0) * sx)))
        planes[BOX, max(0, round((top - y0) * sy)) : max(0, round((bottom - y0) * sy)), columns] = 1
    if prompts.mask is not None:
        planes[PREVIOUS] = resized(prompts.mask[y0:y1, x0:x1], side)
    return planes


def _serves(cached: Box, requested: Box, minimum: Box) -> bool:
    """Whether a cached crop contains ``minimum`` at nearly the scale of the wanted crop."""
    holds = (
        cached[0] <= minimum[0]
        and cached[1] <= minimum[1]
        and cached[2] >= minimum[2]
        and cached[3] >= minimum[3]
    )
    (w0, h0), (w1, h1) = ((w[2] - w[0], w[3] - w[1]) for w in (cached, requested))
    return holds and w0 * h0 <= 1.6 * w1 * h1
