"""The prompts of a frame in the form of trackers."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt
import torch

from segue.errors import PromptError
from segue.masks import fill_boxes
from segue.models.base import FramePrompts
from segue.prompt_inputs import (
    check_id,
    check_pixels,
    check_points,
    clip_box,
    errors_name,
    fit_mask,
    read_masks,
)
from segue.prompts.answers import ImagePrompter, ImagePrompts, MakePrompter, as_image_prompter
from segue.prompts.correction import Click, correct, refine
from segue.prompts.prompter import Prompter
from segue.registry import PromptKind
from segue.types import (
    BoxPrompt,
    Frame,
    MaskPrompt,
    PointPrompt,
    Prompt,
    RemovePrompt,
)


def resolve_prompts(
    frame: Frame,
    prompts: Sequence[Prompt],
    *,
    fit: bool = False,
    native: Collection[PromptKind] = (),
    prompter: MakePrompter | None = None,
    previous_masks: Mapping[int, npt.NDArray[np.generic]] | None = None,
    clicked: Mapping[int, Sequence[Click]] | None = None,
) -> FramePrompts:
    """Turn a list of prompts into the form that trackers take.

    Several prompts of one id describe one object: its points are joined, and points correct its box or its
    mask. Where objects overlap, the later one wins.

    Args:
        frame: the frame of the prompts, whose image is (H, W, 3), uint8.
        prompts: at least one; :meth:`MaskPrompt.each` makes them of an index mask.
        fit: resize masks of another size (nearest neighbour) instead of refusing them.
        native: kinds of prompts that the network understands itself: objects without other prompts
            get no mask here.
        prompter: what turns boxes and points into masks; None is segue-prompt.
        previous_masks: masks of this frame so far, by id, (H, W): probability in [0, 1], or booleans;
            points of such an id, without a box or mask, correct that.
        clicked: the clicks that alone have made masks of ``previous_masks``, by id; further points of such an
            id may change the whole mask, as :func:`segue.prompts.refine` does.

    Returns:
        The prompts of the frame. Their mask is (H, W), int32, at the size of the frame, on the CPU. Ids of
        :class:`RemovePrompt` are in ``removed``, and prompts that the network understands itself in
        ``prompts``.

    Raises:
        PromptError: a mask is empty or of the wrong size, a box or point lies outside the image, nothing
            is found there, prompts contradict each other, or an id is not in 1..65535.

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
        for id, group in groups.items():
            with errors_name(f"object {id}"):
                if _understood(group, native, frame.size):
                    native_prompts += group
                else:
                    object_mask, iou = _mask(
                        frame,
                        group,
                        fit,
                        get_prompter,
                        (previous_masks or {}).get(id),
                        (clicked or {}).get(id, ()),
                    )
                    mask[object_mask] = id
                    if not math.isnan(iou):
                        expected[id] = iou
        present = {*np.unique(mask).tolist(), *(prompt.id for prompt in native_prompts)}
        for id in groups:
            if id not in present:
                raise PromptError(f"object {id} is completely covered by later objects; change their order")
        labels = {id: item.label for id, group in groups.items() for item in group if item.label is not None}
        masked = tuple(id for id in groups if id not in {prompt.id for prompt in native_prompts})
        visible_ids = [
            i
            for i, plane in (previous_masks or {}).items()
            if i in groups and np.any(plane.astype(np.float32) > 0.5)
        ]
        corrected = frozenset(id for id in visible_ids if _only_corrects(groups[id]))
        return FramePrompts(
            torch.from_numpy(mask), masked, tuple(native_prompts), labels, removed, expected, corrected
        )


def _only_corrects(group: Sequence[Prompt]) -> bool:
    """Whether prompts of an object change some regions of its mask and leave the others as they are."""
    return all(isinstance(prompt, PointPrompt) and not prompt.whole for prompt in group)


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


def _understood(
    group: list[Prompt], native: Collection[PromptKind], size: tuple[int, int]
) -> TypeGuard[list[BoxPrompt | PointPrompt]]:
    """Whether the network itself understands all prompts of an object; it lies in the image then."""
    for prompt in group:
        check_pixels(prompt)
    for prompt in group:
        if isinstance(prompt, BoxPrompt) and "box" in native and not prompt.fill:
            clip_box(prompt.box, size)
        elif isinstance(prompt, PointPrompt) and "point" in native:
            check_points([*prompt.positive, *prompt.negative], size)
        else:
            return False
    return True


def _mask(
    frame: Frame,
    group: list[Prompt],
    fit: bool,
    prompter: Callable[[], ImagePrompter],
    previous_mask: npt.NDArray[np.generic] | None,
    clicked: Sequence[Click] = (),
) -> tuple[npt.NDArray[np.bool_], float]:
    """The mask of an object, given or made by a prompter, and its predicted IoU; NaN where nobody says."""
    masks = [prompt for prompt in group if isinstance(prompt, MaskPrompt)]
    boxes = [prompt for prompt in group if isinstance(prompt, BoxPrompt)]
    points = [prompt for prompt in group if isinstance(prompt, PointPrompt)]
    if len(masks) + len(boxes) > 1:
        raise PromptError("give one mask or one box for an id, with or without points")
    if boxes and boxes[0].fill:
        if points:
            raise PromptError("a filled box cannot be corrected by points; leave fill out")
        return fill_boxes({1: clip_box(boxes[0].box, frame.size)}, frame.size) > 0, math.nan
    mask: npt.NDArray[Any] | None = None if boxes else previous_mask
    if masks:
        mask = fit_mask(np.asarray(masks[0].mask) != 0, frame.size, fit)
        if not mask.any():
            raise PromptError("the mask is empty; draw the object, or remove it with RemovePrompt")
        expected = masks[0].iou
        if expected is not None and not 0 <= expected <= 1:
            raise PromptError(f"the mask's iou is {expected}, but must be in [0, 1]")
        if not points:
            return mask, math.nan if expected is None else float(expected)
    box = clip_box(boxes[0].box, frame.size) if boxes else None
    on = [point for prompt in points for point in prompt.positive]
    for x, y in on:
        if box is not None and not (box[0] <= x < box[2] and box[1] <= y < box[3]):
            raise PromptError(f"positive point ({x:g}, {y:g}) is outside the box")
    off = [point for prompt in points for point in prompt.negative]
    if mask is None:
        answer = prompter().answer(ImagePrompts(box, on, off))
    else:
        clicks = [*((*at, True) for at in on), *((*at, False) for at in off)]
        replaces = any(prompt.whole for prompt in points)
        if clicked and previous_mask is not None and not masks and not replaces:
            answer = refine(prompter(), previous_mask, [*clicked, *clicks])
        else:
            answer = correct(prompter(), mask, clicks, new=len(clicks), whole=replaces)
    if not answer.mask.any():
        raise PromptError(
            "nothing is found in the box; give a mask, or fill the box (fill=True)"
            if boxes
            else "nothing is found at the points; add points, or give a box or a mask"
        )
    return answer.mask, float(answer.iou[0])
