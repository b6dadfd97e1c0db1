"""Convert the prompts of a frame to the format of trackers."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from segue.errors import PromptError
from segue.masks import fill_boxes
from segue.models.base import FramePrompts
from segue.prompt_inputs.checks import check_pixels, check_points, clip_box, errors_name, fit_mask
from segue.prompt_inputs.mask_files import read_masks
from segue.prompt_types import BoxPrompt, ImagePrompts, MaskPrompt, PointPrompt, Prompt, RemovePrompt
from segue.prompts.answers import ImagePrompter, MakePrompter, MaskPrediction, as_image_prompter
from segue.prompts.correction import ClickHistory, correct
from segue.prompts.prompter import Prompter
from segue.registry import PromptKind
from segue.types import Box, Frame
from segue.utils.arrays import check_id


def resolve_prompts(
    frame: Frame,
    prompts: Sequence[Prompt],
    *,
    fit: bool = False,
    native: Collection[PromptKind] = (),
    prompter: MakePrompter | None = None,
    previous_masks: Mapping[int, npt.NDArray[np.generic]] | None = None,
    clicked: Mapping[int, ClickHistory] | None = None,
) -> FramePrompts:
    """Convert a list of prompts to the format of trackers.

    Several prompts with the same id describe one object: its points are combined, and points correct its box
    or its mask. Masks of objects that overlap stay whole; where they do, the later one is shown.

    Args:
        frame: the frame of the prompts, whose image is (H, W, 3), uint8.
        prompts: at least one; :meth:`MaskPrompt.each` converts an index mask.
        fit: resize masks of another size (nearest neighbour) instead of refusing them.
        native: kinds of prompts that the network accepts directly; objects with only these prompts get no
            mask here.
        prompter: converts boxes and points to masks; None is segue-prompt.
        previous_masks: masks of this frame so far, by id, (H, W): probability in [0, 1], or booleans;
            points of such an id, without a box or mask, correct that.
        clicked: the clicks on objects of ``previous_masks`` so far, by id; further points of a mask that
            they have made may change all of it, as :func:`segue.prompts.refine` does.

    Returns:
        The prompts of the frame. Their mask is (H, W), int32, at the size of the frame, on the CPU. Ids of
        :class:`RemovePrompt` are in ``removed``, and prompts that the network understands itself in
        ``prompts``.

    Raises:
        PromptError: a mask is empty or of the wrong size, a box or point is outside the image, no object is
            found there, prompts contradict each other, or an id is not in 1..65535.

    Example:
        >>> frame = Frame(0, 0.0, np.zeros((4, 6, 3), np.uint8))
        >>> resolve_prompts(frame, [BoxPrompt(7, (1, 1, 3, 2), fill=True)]).mask
        tensor([[0, 0, 0, 0, 0, 0],
                [0, 7, 7, 0, 0, 0],
                [0, 0, 0, 0, 0, 0],
                [0, 0, 0, 0, 0, 0]], dtype=torch.int32)
    """

    @cache
    def get_prompter() -> ImagePrompter:
        return as_image_prompter((prompter or Prompter)(frame.image), frame.image)

    with errors_name(f"frame {frame.index}"):
        groups, removed = _group(prompts, frame.size)
        mask = np.zeros(frame.size, np.int32)
        native_prompts: list[BoxPrompt | PointPrompt] = []
        expected: dict[int, float] = {}
        object_masks: dict[int, npt.NDArray[np.bool_]] = {}
        for id, group in groups.items():
            with errors_name(f"object {id}"):
                if (understood := _native(group, native, frame.size)) is not None:
                    native_prompts += understood
                else:
                    object_mask, iou = _mask(
                        frame,
                        group,
                        fit,
                        get_prompter,
                        (previous_masks or {}).get(id),
                        (clicked or {}).get(id, ClickHistory(mends=True)),
                    )
                    mask[object_mask] = id
                    object_masks[id] = object_mask
                    if not math.isnan(iou):
                        expected[id] = iou
        labels = {id: item.label for id, group in groups.items() for item in group if item.label is not None}
        masked = tuple(id for id in groups if id not in {prompt.id for prompt in native_prompts})
        visible_ids = [
            i
            for i, plane in (previous_masks or {}).items()
            if i in groups and np.any(plane.astype(np.float32) > 0.5)
        ]
        corrected = frozenset(id for id in visible_ids if _only_corrects(groups[id]))
        areas = np.bincount(mask.ravel(), minlength=1 + max(object_masks, default=0))
        whole = {
            id: torch.from_numpy(each)
            for id, each in object_masks.items()
            if areas[id] < np.count_nonzero(each)
        }
        planes = torch.from_numpy(mask)
        return FramePrompts(
            planes, masked, tuple(native_prompts), labels, removed, expected, corrected, whole
        )


def _only_corrects(group: Sequence[Prompt]) -> bool:
    """Whether all prompts of an object correct regions of its mask and none replaces it."""
    return not any(prompt.replaces for prompt in group)


def _group(
    prompts: Sequence[Prompt], size: tuple[int, int]
) -> tuple[dict[int, list[Prompt]], tuple[int, ...]]:
    groups: dict[int, list[Prompt]] = {}
    removed: list[int] = []
    for prompt in prompts:
        if not isinstance(prompt, Prompt):
            raise PromptError(f"expected prompts, not {type(prompt).__name__}")
        if isinstance(prompt, RemovePrompt):
            removed.append(check_id(prompt.id))
            continue
        read = read_masks(prompt, size) if isinstance(prompt, MaskPrompt) else [prompt]
        for item in read:
            groups.setdefault(check_id(item.id), []).append(item)
    if not groups and not removed:
        raise PromptError("no prompt given; give a mask, a box or points")
    for id in removed:
        if id in groups:
            raise PromptError(f"object {id} is given and removed on the same frame")
    return groups, tuple(dict.fromkeys(removed))


def _native(
    group: list[Prompt], native: Collection[PromptKind], size: tuple[int, int]
) -> list[BoxPrompt | PointPrompt] | None:
    """Prompts of an object in the form that the network accepts; None if it does not accept all of them."""
    for prompt in group:
        check_pixels(prompt)
    prompts: list[BoxPrompt | PointPrompt] = []
    for prompt in group:
        marks = prompt.to_image(ImagePrompts())
        if isinstance(prompt, BoxPrompt) and "box" in native and not prompt.fill:
            clip_box(prompt.box, size)
            prompts.append(prompt)
        elif prompt.corrects and "point" in native:
            check_points([*marks.positive, *marks.negative], size)
            prompts.append(prompt if isinstance(prompt, PointPrompt) else _as_points(prompt, marks))
        else:
            return None
    return prompts


def _as_points(prompt: Prompt, marks: ImagePrompts) -> PointPrompt:
    """Replace a prompt by clicks."""
    on, off = (
        [(x, y) for x, y, inside in marks.clicks if inside is is_positive] for is_positive in (True, False)
    )
    return PointPrompt(prompt.id, on, off, label=prompt.label, frame=prompt.frame)


class _ObjectPrompt(NamedTuple):
    """All prompts of one object on a frame; at most one mask or box."""

    mask: MaskPrompt | None
    fill: bool  # whether the filled box is the mask
    image: ImagePrompts
    replaces: bool  # whether clicks may change the whole mask

    @classmethod
    def of(cls, group: Sequence[Prompt]) -> _ObjectPrompt:
        masks = [prompt for prompt in group if isinstance(prompt, MaskPrompt)]
        image = ImagePrompts()
        for prompt in group:
            image = prompt.to_image(image)
        if len(masks) + (image.box is not None) > 1:
            raise PromptError("give one mask or one box for an id, with or without points")
        fill = any(isinstance(prompt, BoxPrompt) and prompt.fill for prompt in group)
        if fill and len(group) > 1:
            raise PromptError("a filled box cannot be corrected by points; leave fill out")
        return cls(
            mask=masks[0] if masks else None,
            fill=fill,
            image=image,
            replaces=any(prompt.replaces for prompt in group if prompt.corrects),
        )


def _mask(
    frame: Frame,
    group: list[Prompt],
    fit: bool,
    prompter: Callable[[], ImagePrompter],
    previous_mask: npt.NDArray[np.generic] | None,
    history: ClickHistory,
) -> tuple[npt.NDArray[np.bool_], float]:
    """Mask of an object, from the prompt or a prompter, and its predicted IoU; NaN if unknown."""
    prompt = _ObjectPrompt.of(group)
    box, clicks = prompt.image.box, prompt.image.clicks
    if box is not None and prompt.fill:
        return fill_boxes({1: clip_box(box, frame.size)}, frame.size) > 0, math.nan
    if prompt.mask is not None:
        mask, iou = _given_mask(prompt.mask, frame.size, fit)
        if not clicks:
            return mask, iou
        answer = correct(prompter(), mask, clicks, new=len(clicks), whole=prompt.replaces)
    elif box is None and previous_mask is not None:
        answer = _corrected(prompt, prompter(), previous_mask, history)
    else:
        answer = prompter().answer(replace(prompt.image, box=_bounding_box(prompt.image, frame.size)))
    if not answer.mask.any():
        raise PromptError(
            "nothing is found in the box; give a mask, or fill the box (fill=True)"
            if box is not None
            else "nothing is found at the points; add points, or give a box or a mask"
        )
    return answer.mask, float(answer.iou[0])


def _given_mask(prompt: MaskPrompt, size: tuple[int, int], fit: bool) -> tuple[npt.NDArray[np.bool_], float]:
    """Mask prompt at the size of the frame, and its predicted IoU; NaN if unknown."""
    mask = fit_mask(np.asarray(prompt.mask) != 0, size, fit)
    if not mask.any():
        raise PromptError("the mask is empty; draw the object, or remove it with RemovePrompt")
    if prompt.iou is not None and not 0 <= prompt.iou <= 1:
        raise PromptError(f"the mask's iou is {prompt.iou}, but must be in [0, 1]")
    return mask, math.nan if prompt.iou is None else float(prompt.iou)


def _bounding_box(prompts: ImagePrompts, size: tuple[int, int]) -> Box | None:
    """Clip the box of prompts to the image; raise PromptError if a positive point is outside it."""
    if prompts.box is None:
        return None
    box = clip_box(prompts.box, size)
    for x, y in prompts.positive:
        if not (box[0] <= x < box[2] and box[1] <= y < box[3]):
            raise PromptError(f"positive point ({x:g}, {y:g}) is outside the box")
    return box


def _corrected(
    prompt: _ObjectPrompt,
    prompter: ImagePrompter,
    previous_mask: npt.NDArray[np.generic],
    history: ClickHistory,
) -> MaskPrediction:
    """Correct the current mask of an object by points and strokes."""
    clicks = prompt.image.clicks
    if prompt.replaces:
        return replace(history, mends=False).answer(prompter, previous_mask, clicks)
    if prompt.image.scribble:
        return correct(prompter, previous_mask, clicks, new=len(clicks))
    if previous_mask.dtype.kind != "f":
        previous_mask = history.recall(prompter, previous_mask.astype(np.bool_))
    return history.answer(prompter, previous_mask, clicks)


def extended_history(history: ClickHistory, group: Sequence[Prompt]) -> ClickHistory:
    """Add further prompts of an object to its clicks.

    Args:
        history: its clicks so far.
        group: prompts of the object on the same frame.

    Returns:
        All clicks since the last mask or box.
    """
    prompt = _ObjectPrompt.of(group)
    if prompt.mask is not None or prompt.fill:
        history = ClickHistory(mends=True)
    elif prompt.image.box is not None:
        x0, y0, x1, y1 = map(float, prompt.image.box)
        history = ClickHistory(box=(x0, y0, x1, y1))
    elif prompt.image.scribble:
        history = replace(history, mends=True)
    elif prompt.replaces:
        history = replace(history, mends=False)
    points = replace(prompt.image, scribble=[])
    return replace(history, clicks=(*history.clicks, *points.clicks))
