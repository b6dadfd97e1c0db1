"""One annotation of a frame out of all that was said of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from segue.errors import PromptError
from segue.masks import resize_mask
from segue.prompts.checks import check_id, wrong_size
from segue.prompts.grabcut import refine_box, refine_points
from segue.types import Box, BoxPrompt, Frame, IndexMask, MaskPrompt, Point, PointPrompt, Prompt, RemovePrompt

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Annotation:
    """What was said of one frame, as a memory network takes it.

    Attributes:
        mask: index mask of the objects given on this frame, (H, W), int32; 0 elsewhere.
        ids: ids of these objects, in the order in which they were given; each has at least one pixel.
        labels: label of every object that has one.
        removed: ids that are followed no longer from this frame on.
    """

    mask: npt.NDArray[np.int32]
    ids: tuple[int, ...]
    labels: dict[int, str] = field(default_factory=dict)
    removed: tuple[int, ...] = ()


def resolve(frame: Frame, prompts: IndexMask | Sequence[Prompt], *, fit: bool = False) -> Annotation:
    """Turn an index mask or a list of prompts into one annotation of ``frame``.

    Several prompts of one id describe one object: its points are joined, and points correct its box. Where
    objects overlap, the later one wins.

    Args:
        frame: the frame that the prompts speak of.
        prompts: index mask, (H, W), or prompts.
        fit: resize masks of another size (nearest neighbour) instead of refusing them.

    Raises:
        PromptError: a mask is empty or of the wrong size, a box or point lies outside the picture, GrabCut
            finds nothing, prompts contradict each other, or an id is not in 1..65535.

    Example:
        >>> frame = Frame(0, 0.0, np.zeros((4, 6, 3), np.uint8))
        >>> resolve(frame, [BoxPrompt(7, (1, 1, 3, 2), fill=True)]).mask
        array([[0, 0, 0, 0, 0, 0],
               [0, 7, 7, 0, 0, 0],
               [0, 0, 0, 0, 0, 0],
               [0, 0, 0, 0, 0, 0]], dtype=int32)
    """
    try:
        if isinstance(prompts, Sequence):
            return _resolve_list(frame, prompts, fit)
        return _resolve_index_mask(frame, np.asarray(prompts), fit)
    except PromptError as error:
        raise PromptError(f"frame {frame.index}: {error}") from None


def _resolve_index_mask(frame: Frame, mask: npt.NDArray[np.generic], fit: bool) -> Annotation:
    if mask.dtype.kind not in "biu":
        raise PromptError(f"an index mask holds integers, not {mask.dtype}; give ids, 0 is background")
    fitted = _fit(mask, frame.size, fit).astype(np.int64)
    ids = tuple(check_id(int(id)) for id in np.unique(fitted) if id != 0)
    if not ids:
        raise PromptError("the mask is empty; draw at least one object")
    return Annotation(fitted.astype(np.int32), ids)


def _resolve_list(frame: Frame, prompts: Sequence[Prompt], fit: bool) -> Annotation:
    groups, removed = _group(prompts)
    mask = np.zeros(frame.size, np.int32)
    for id, group in groups.items():
        try:
            mask[_object_mask(frame, group, fit)] = id
        except PromptError as error:
            raise PromptError(f"object {id}: {error}") from None
    present = set(np.unique(mask).tolist())
    for id in groups:
        if id not in present:
            raise PromptError(f"object {id} is completely covered by later objects; change their order")
    labels = {item.id: item.label for item in prompts if item.label is not None}
    return Annotation(mask, tuple(groups), labels, removed)


def _group(prompts: Sequence[Prompt]) -> tuple[dict[int, list[Prompt]], tuple[int, ...]]:
    groups: dict[int, list[Prompt]] = {}
    removed: list[int] = []
    for prompt in prompts:
        if not isinstance(prompt, Prompt):
            raise PromptError(f"expected an index mask or prompts, not {type(prompt).__name__}")
        check_id(prompt.id)
        if isinstance(prompt, RemovePrompt):
            removed.append(prompt.id)
        else:
            groups.setdefault(prompt.id, []).append(prompt)
    if not groups and not removed:
        raise PromptError("no prompt given; give a mask, a box or points")
    for id in removed:
        if id in groups:
            raise PromptError(f"object {id} is given and removed on the same frame")
    return groups, tuple(dict.fromkeys(removed))


def _object_mask(frame: Frame, group: list[Prompt], fit: bool) -> Mask:
    masks = [prompt for prompt in group if isinstance(prompt, MaskPrompt)]
    boxes = [prompt for prompt in group if isinstance(prompt, BoxPrompt)]
    points = [prompt for prompt in group if isinstance(prompt, PointPrompt)]
    if len(masks) + len(boxes) > 1 or (masks and points):
        raise PromptError("give one mask, or one box with or without points, for each id")
    if masks:
        return _given_mask(frame, masks[0], fit)
    positive = _inside([point for prompt in points for point in prompt.positive], frame.size)
    negative = _inside([point for prompt in points for point in prompt.negative], frame.size)
    if boxes:
        return _box_mask(frame, boxes[0], positive, negative)
    if not positive:
        raise PromptError("needs at least one positive point, or a box")
    found = refine_points(frame.image, positive, negative)
    if not found.any():
        raise PromptError("GrabCut finds nothing at the points; add points, or give a box or a mask")
    return found


def _given_mask(frame: Frame, prompt: MaskPrompt, fit: bool) -> Mask:
    mask = _fit(np.asarray(prompt.mask) != 0, frame.size, fit)
    if not mask.any():
        raise PromptError("the mask is empty; draw the object, or remove it with RemovePrompt")
    return mask.astype(np.bool_)


def _box_mask(frame: Frame, prompt: BoxPrompt, positive: list[Point], negative: list[Point]) -> Mask:
    x0, y0, x1, y1 = _clip(prompt.box, frame.size)
    if prompt.fill:
        if positive or negative:
            raise PromptError("a filled box cannot be corrected by points; leave fill out")
        mask = np.zeros(frame.size, np.bool_)
        mask[y0:y1, x0:x1] = True
        return mask
    for x, y in positive:
        if not (x0 <= x < x1 and y0 <= y < y1):
            raise PromptError(f"positive point ({x:g}, {y:g}) is outside the box")
    mask = refine_box(frame.image, (x0, y0, x1, y1), positive, negative)
    if not mask.any():
        raise PromptError("GrabCut finds nothing in the box; give a mask, or fill the box (fill=True)")
    return mask


def _clip(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    name = "box (" + ", ".join(f"{value:g}" for value in box) + ")"
    if len(box) != 4 or not all(math.isfinite(value) for value in box):
        raise PromptError(f"{name} does not have four finite numbers x0, y0, x1, y1")
    if box[2] <= box[0] or box[3] <= box[1]:
        raise PromptError(f"{name} is empty: x1 must be larger than x0, and y1 than y0")
    height, width = size
    x0, x1 = (min(max(round(value), 0), width) for value in (box[0], box[2]))
    y0, y1 = (min(max(round(value), 0), height) for value in (box[1], box[3]))
    if x1 <= x0 or y1 <= y0:
        raise PromptError(f"{name} covers no pixel of the {width}x{height} picture")
    return x0, y0, x1, y1


def _inside(points: list[Point], size: tuple[int, int]) -> list[Point]:
    height, width = size
    for x, y in points:
        if not (0 <= x < width and 0 <= y < height):
            raise PromptError(f"point ({x:g}, {y:g}) is outside the {width}x{height} picture")
    return points


def _fit(mask: npt.NDArray[np.generic], size: tuple[int, int], fit: bool) -> npt.NDArray[np.generic]:
    if mask.ndim != 2:
        raise PromptError(f"a mask has two dimensions (height, width), not shape {mask.shape}")
    if mask.shape == size:
        return mask
    if not fit:
        raise PromptError(wrong_size(mask.shape, size))
    return resize_mask(mask, size)
