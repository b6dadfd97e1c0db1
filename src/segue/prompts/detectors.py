"""Detectors: find the objects of an image without prompts, behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segue.errors import PromptError
from segue.formats.supervision import labels_of
from segue.masks import fill_boxes
from segue.models.deeplab import VOC_NAMES, DeepLabV3
from segue.models.detection.boxes import SAME_OBJECT, suppress
from segue.models.detection.classes import COCO_ORDER
from segue.models.detection.detections import Detections, TensorDetections, on_cpu, take
from segue.prompt_inputs.checks import clip_box
from segue.prompt_inputs.values import PromptWarning
from segue.prompt_types import ImagePrompts
from segue.prompts.answers import MakePrompter
from segue.prompts.phrases import Phrase, unmatched
from segue.prompts.planes import tight_box
from segue.prompts.proposals import Detector as Detector
from segue.prompts.proposals import Proposals, ProposingDetector, Rules, found_in, propose, select
from segue.types import FeatureName, Frame, Image, Refinement, Segmentation
from segue.utils.arrays import BoolArray, Float32Array, FloatingArray, as_array
from segue.utils.devices import to_device
from segue.utils.inputs import check_choice, kind_of
from segue.utils.notices import warn_caller
from segue.video.decoding.readers import FrameLike, as_frame
from segue.weights.prepared import Prepared

if TYPE_CHECKING:
    from segue.models.detection.mask_rcnn import MaskRCNN
    from segue.models.detection.nanodet import NanoDetPlus
    from segue.models.detection.pointrend import PointRend
    from segue.models.dino import DINO

POTENTIAL = 100  # patches of lowest degree among which the seed's companions are sought; k of the paper

NamedDetections = Detections[FloatingArray, Sequence[str | None]]
"""Objects with names, or None, as arrays; in any order."""


class NetworkDetector:
    """Mask R-CNN or PointRend in evaluation mode, with its class names.

    Raises:
        PromptError: the rules ask for a class that the network does not know.
    """

    lookahead = 0

    def __init__(
        self,
        network: MaskRCNN | PointRend,
        names: Mapping[int, str],
        rules: Rules | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.names = names
        self.rules = (rules or Rules()).checked(names)
        self._device = device or torch.device("cpu")
        self._network = network.to(self._device)

    def __call__(self, frame: FrameLike, *_: FrameLike) -> Segmentation:
        frame = as_frame(frame)
        detections = self.detections(frame.image)
        labels = [self.names.get(int(label), str(int(label))) for label in detections.labels]
        assert detections.masks is not None
        return select(
            frame, detections.masks.cpu().numpy(), detections.scores.cpu().numpy(), labels, self.rules
        )

    @torch.inference_mode()
    def detections(self, image: Image) -> TensorDetections:
        """Detect objects in an image; no rule is applied.

        Args:
            image: RGB (H, W, 3), uint8.

        Returns:
            Boxes in pixels, scores in [0, 1], class numbers and masks of all that the network finds.
        """
        detections: TensorDetections = self._network(as_planes(image, self._device)[0])
        return detections


class BoxDetector(ProposingDetector):
    """A box detector with a prompter that segments its boxes.

    Args:
        find: takes RGB (H, W, 3), uint8, and the rules of the detector; detections below their score, and of
            other classes, may be left in.
        names: the label of each class number.
        prompter: segments boxes without masks; None uses whole boxes.
        rules: rules that select objects.

    Raises:
        PromptError: the rules ask for a class that the network does not know.
    """

    def __init__(
        self,
        find: Callable[[Image, Rules], NamedDetections],
        names: Mapping[int, str],
        prompter: MakePrompter | None,
        rules: Rules | None = None,
    ) -> None:
        self.names, self.rules = names, (rules or Rules()).checked(names)
        self._find, self._prompter = find, prompter

    def propose(self, frame: Frame, min_score: float) -> Proposals:
        detections = self._find(frame.image, replace(self.rules, score=min_score))
        boxes, scores, labels, masks = (
            detections.boxes,
            detections.scores,
            detections.labels,
            detections.masks,
        )
        height, width = frame.size
        valid = _valid(boxes, scores)
        boxes = np.clip(boxes, 0, (width, height, width, height))
        sized = valid & np.all(boxes[:, 2:] > boxes[:, :2], axis=1)
        classes = self.rules.classes
        keep_indices = [
            int(i)
            for i in np.argsort(-scores, kind="stable")
            if sized[i] and scores[i] >= min_score and (classes is None or labels[i] in classes)
        ][: self.rules.max_objects]
        visible_boxes = tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in boxes[keep_indices].tolist())
        prompter = None if self._prompter is None else self._prompter(frame.image)

        @cache
        def answer(number: int) -> tuple[npt.NDArray[np.float32], float]:
            if masks is not None:
                return masks[keep_indices[number]], 1.0
            if prompter is None:
                box = clip_box(visible_boxes[number], frame.size)
                return fill_boxes({1: box}, frame.size).astype(np.float32), 1.0
            answer_of_box = prompter.answer(ImagePrompts(box=visible_boxes[number]))
            return answer_of_box.probability, float(np.nan_to_num(answer_of_box.iou[0], nan=1.0))

        return Proposals(
            visible_boxes,
            tuple(scores[keep_indices].tolist()),
            tuple(labels[i] for i in keep_indices),
            lambda number: answer(number)[0],
            lambda number: answer(number)[1],
        )


def _valid(boxes: FloatingArray, scores: FloatingArray) -> npt.NDArray[np.bool_]:
    """Mask of valid boxes (N, 4) with scores (N,); invalid ones are dropped with a warning."""
    finite = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    upright = (boxes[:, 2:] >= boxes[:, :2]).all(axis=1)
    if not finite.all():
        warn_caller(
            "the detector gives boxes or scores that are no numbers; they are left out", PromptWarning
        )
    if not (upright | ~finite).all():
        warn_caller(
            "the detector gives boxes whose second corner is left of or above the first; they are left out. "
            "Boxes are x0, y0, x1, y1 in pixels",
            PromptWarning,
        )
    return finite & upright


def detections_of(value: object, size: tuple[int, int]) -> NamedDetections:
    """Convert the detections of another library for an image of this height and width.

    ``value``: ``Detections`` of supervision; a dictionary with ``boxes`` or ``masks`` and perhaps ``scores``
    and ``labels``, as torchvision's models give it; boxes alone, (N, 4); or a tuple of these in this order.
    Arrays may be tensors; masks are (N, H, W) or (N, 1, H, W), booleans or in [0, 1].
    """
    boxes, scores, labels, masks = _columns(value, size)
    try:
        box_array = np.asarray(as_array(boxes), np.float64)
    except (TypeError, ValueError):
        box_array = np.zeros((1, 1))  # neither boxes nor nothing
    box_array = box_array.reshape(-1, 4) if not box_array.size else box_array
    if box_array.ndim != 2 or box_array.shape[1] != 4:
        expected = "boxes (N, 4) or supervision.Detections"
        raise PromptError(f"the detector gave {kind_of(value)}; expected {expected}")
    count = len(box_array)
    score_array = np.ones(count) if scores is None else np.asarray(as_array(scores), np.float64).reshape(-1)
    called = [None] * count if labels is None else np.asarray(as_array(labels)).tolist()
    names = [None if label is None else str(label) for label in called]
    planes = None if masks is None or not count else _planes(masks, (count, *size))
    if len(score_array) != count or len(names) != count:
        raise PromptError(
            f"the detector gave {count} boxes, {len(score_array)} scores and {len(names)} labels"
        )
    return Detections(box_array, score_array, names, planes)


def _columns(value: Any, size: tuple[int, int]) -> tuple[Any, Any, Any, Any]:
    """Boxes, scores, labels and masks of a detector's output; None for missing ones."""
    if hasattr(value, "xyxy"):
        return value.xyxy, value.confidence, labels_of(value), value.mask
    if isinstance(value, Mapping):
        boxes: Any
        masks: Any
        boxes, scores, labels, masks = (value.get(name) for name in ("boxes", "scores", "labels", "masks"))
        if boxes is None and masks is None:
            raise PromptError(
                f"the detector gave a dictionary with {', '.join(map(str, value))}, neither boxes nor masks"
            )
        if boxes is None:
            planes = [np.asarray(as_array(mask)).reshape(size) > 0.5 for mask in masks]
            boxes = [tight_box(plane) if plane.any() else (0.0, 0.0, 0.0, 0.0) for plane in planes]
        return boxes, scores, labels, masks
    if isinstance(value, tuple) and len(value) in (2, 3, 4) and np.ndim(as_array(value[0])) == 2:
        boxes, scores, labels, masks = (*value, None, None)[:4]
        return boxes, scores, labels, masks
    return value, None, None, None


def _planes(masks: Any, shape: tuple[int, int, int]) -> npt.NDArray[np.float32]:
    """Masks of a detector as (N, H, W)."""
    planes = np.asarray(as_array(masks), np.float32)
    planes = planes[:, 0] if planes.ndim == 4 and planes.shape[1] == 1 else planes
    if planes.shape != shape:
        raise PromptError(f"the detector gave masks of {planes.shape} for {shape[0]} boxes; expected {shape}")
    return planes


def detect_boxes(prepared: Prepared[NanoDetPlus], tiles: int, image: Image, rules: Rules) -> NamedDetections:
    """Run NanoDet-Plus for :class:`BoxDetector`.

    For ``tiles`` see :meth:`segue.models.detection.nanodet.NanoDetPlus.detect`.
    """
    with prepared.inference_guard():
        detections = on_cpu(prepared.network.detect(image, rules.score, tiles))
    if rules.classes is not None:
        is_requested = [COCO_ORDER[label] in rules.classes for label in detections.labels.tolist()]
        detections = take(detections, torch.tensor(is_requested, dtype=torch.bool))
    # An object that two classes claim, as car and truck do, is one object.
    same_class = torch.zeros_like(detections.labels)
    one = take(detections, suppress(detections.boxes, detections.scores, same_class, SAME_OBJECT))
    names = [COCO_ORDER[i] for i in one.labels.tolist()]
    return Detections(one.boxes.numpy(), one.scores.numpy(), names)


class PhraseDetector(ProposingDetector):
    """Detections that match phrases; the phrases become the labels.

    A detection gets the first phrase that matches its label and the colour of its mask.

    Raises:
        PromptError: a phrase fits none of the labels that the detector knows.
    """

    def __init__(self, detector: Detector, phrases: Sequence[Phrase], rules: Rules | None = None) -> None:
        if detector.names and (strange := unmatched(phrases, detector.names)):
            names = ", ".join(sorted(set(detector.names.values())))
            raise PromptError(f"text {strange[0].text!r} names no class of this detector; it knows {names}")
        self.names = {number: phrase.text for number, phrase in enumerate(phrases, start=1)}
        self.rules = rules or Rules()
        self._detector, self._phrases = detector, phrases

    def propose(self, frame: Frame, min_score: float) -> Proposals:
        proposals = propose(self._detector, frame, min_score)
        matched: dict[int, str | None] = {}
        for number, label in enumerate(proposals.labels):
            for phrase in self._phrases:
                if phrase.fits(label) and (
                    phrase.colour is None
                    or label == phrase.text  # the detector was asked for it
                    or phrase.has_colour(frame.image, proposals.mask(number) > 0.5)
                ):
                    matched[number] = phrase.text
                    break
        return proposals.take([*matched], [*matched.values()])


class SemanticDetector:
    """Connected regions of each class of DeepLabV3.

    The score of an object is the mean probability of its class inside it.
    """

    names: Mapping[int, str] = dict(enumerate(VOC_NAMES[1:], start=1))
    lookahead = 0

    def __init__(
        self, network: DeepLabV3, rules: Rules | None = None, device: torch.device | None = None
    ) -> None:
        self.rules = (rules or Rules()).checked(self.names)
        self._device = device or torch.device("cpu")
        self._network = network.to(self._device)

    @torch.inference_mode()
    def __call__(self, frame: FrameLike, *_: FrameLike) -> Segmentation:
        from scipy import ndimage  # late, for a quick start

        frame = as_frame(frame)
        probabilities = self._network(as_planes(frame.image, self._device))[0].softmax(0).cpu().numpy()
        winner = probabilities.argmax(0)
        planes, scores, labels = [], [], []
        for label in np.unique(winner[winner > 0]).tolist():
            regions, count = ndimage.label(winner == label)
            for region in range(1, count + 1):
                plane = regions == region
                planes.append(plane.astype(np.float32))
                scores.append(float(probabilities[label][plane].mean()))
                labels.append(self.names[label])
        return select(frame, np.reshape(planes, (-1, *frame.size)), np.array(scores), labels, self.rules)


def pixels_of_patches(mask: BoolArray, patch: int, size: tuple[int, int]) -> BoolArray:
    """Scale an object's patches (gh, gw) to the image. Returns (H, W)."""
    return np.ascontiguousarray(mask.repeat(patch, 0).repeat(patch, 1)[: size[0], : size[1]])


def discover(features: Float32Array, grid: tuple[int, int], *, k: int = POTENTIAL) -> BoolArray:
    """Find the most prominent object as patches (gh, gw) from one feature row per patch, (N, d).

    Features are neither normalised nor centred.
    """
    from scipy import ndimage  # late, for a quick start

    correlation = features @ features.T
    positive = correlation > 0
    degree = positive.sum(1) - np.diagonal(positive)
    order = np.argsort(degree, kind="stable")
    candidates = order[:k]
    similar = candidates[correlation[order[0], candidates] > 0]
    votes = correlation[similar].sum(0)
    components, _ = ndimage.label((votes > 0).reshape(grid))
    label = components.flat[order[0]]
    if label == 0:
        raise PromptError("object discovery: the features of the seed are zero; is the image empty?")
    return np.asarray(components == label)


class DiscoveryDetector:
    """LOST: finds the object whose patches correlate least with the rest, and refines its edges.

    Siméoni et al., "Localizing Objects with Self-Supervised Transformers and no Labels" (BMVC 2021).

    Args:
        network: computes a feature for each patch.
        which: keys, queries or values of the last attention.
        refine: ``crf`` as in the STCN report, or ``none``.
        device: device of the network.
    """

    names: Mapping[int, str] = {}
    lookahead = 0

    def __init__(
        self,
        network: DINO,
        *,
        which: FeatureName = "keys",
        refine: Refinement = "crf",
        device: torch.device | None = None,
    ) -> None:
        check_choice("refine", refine, Literal["crf", "none"], PromptError)
        check_choice("features", which, FeatureName, PromptError)
        self.which, self.refine = which, refine
        self._device = device or torch.device("cpu")
        self._network = network.to(self._device)

    @torch.inference_mode()
    def __call__(self, frame: FrameLike, *_: FrameLike) -> Segmentation:
        """Find the most prominent object of a frame."""
        frame = as_frame(frame)
        features, grid = self._network.dense(as_planes(frame.image, self._device), self.which)
        rows = features[0].float().cpu().numpy()
        discovered = pixels_of_patches(discover(rows, grid), self._network.patch, frame.size)
        mask = discovered.astype(np.uint8)
        if self.refine == "crf":
            from segue.masks import dense_crf  # late, for a quick start

            mask = dense_crf.refine(mask, frame.image).astype(np.uint8)
        return found_in(frame, mask)


def as_planes(image: Image, device: torch.device) -> Tensor:
    """Image (H, W, 3), uint8 → (1, 3, H, W) on a device, float32 in [0, 1]."""
    pixels = to_device(torch.from_numpy(np.ascontiguousarray(image)), device)
    return pixels.permute(2, 0, 1)[None].float() / 255
