"""Prompts as callers write them: index masks, paths and prompts, of the first frame or by frame."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from segue.arrays import as_array
from segue.errors import PromptError
from segue.inputs import kind_of
from segue.masks.given import EXPECTED, as_box, as_masks, as_points, is_mask_like, shape_of
from segue.prompts.parse import points_of
from segue.types import BoxPrompt, MaskPrompt, PointPrompt, Prompt, check_count

PromptsLike = Any
"""The prompts of one frame: see :func:`as_prompts`."""


def as_prompts(value: PromptsLike, where: str = "prompts") -> list[Prompt]:
    """Prompts of a caller for one frame.

    ``value``: one of - an index mask (H, W), or masks (N, H, W) whose objects get the ids 1 to N: an array, a
    tensor, a PIL image, or the path of a mask file, which is read when the frame comes; a prompt; prompts.
    """
    if isinstance(value, (str, os.PathLike)):
        return [MaskPrompt(0, os.fspath(value))]
    if is_mask_like(value):
        masks = as_masks(value, where)
        if masks.ndim == 3:
            check_count(len(masks))
            return [MaskPrompt(number, mask != 0) for number, mask in enumerate(masks, 1)]
        if not masks.any():
            raise PromptError(f"{where}: the mask is empty; draw at least one object")
        return [*MaskPrompt.each(masks)]
    given = [value] if isinstance(value, Prompt) else value
    if not isinstance(given, Sequence) or not all(isinstance(item, Prompt) for item in given):
        raise PromptError(
            f"{where}: {kind_of(value)}; give {EXPECTED}; or prompts in a list, such as MaskPrompt(1, mask), "
            "BoxPrompt(2, (x0, y0, x1, y1)) or PointPrompt(3, [(x, y)])"
        )
    return [_checked(item, where) for item in given]


def _checked(prompt: Prompt, where: str) -> Prompt:
    """A prompt with a box, points or a mask of plain numbers, as sessions and records take them."""
    where = f"{where}: {type(prompt).__name__}({prompt.id!r}, ...)"
    if isinstance(prompt, BoxPrompt):
        return replace(prompt, box=as_box(prompt.box, f"{where}: box"))
    if isinstance(prompt, PointPrompt):
        on = points_of(prompt.positive, f"{where}: positive")
        return replace(prompt, positive=on, negative=points_of(prompt.negative, f"{where}: negative"))
    if isinstance(prompt, MaskPrompt):
        return replace(prompt, mask=_plane(prompt.mask, f"{where}: mask"))
    return prompt


def _plane(value: Any, where: str) -> Any:
    """The mask of one object, (H, W), bool, or its path."""
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value)
    value = as_array(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biu":
        value = shape_of(value, where) if value.ndim == 2 else value != 0
    mask = as_masks(value, where)
    if mask.ndim != 2:
        raise PromptError(f"{where}: {kind_of(value)}; the mask of one object is (H, W)")
    return mask != 0


def given_prompts(
    prompts: Any = None, box: Any = None, points: Any = None, negative: Any = None
) -> list[Prompt]:
    """All prompts of a caller for a video by frame; None is the first frame.

    ``prompts`` is for the first frame what :func:`as_prompts` takes, or has it by frame index; the others are
    of one object on the first frame, as :func:`segue.track` has them.
    """
    found: list[Prompt] = [] if box is None else [BoxPrompt(1, as_box(box, "box"))]
    if points is not None:
        found.append(PointPrompt(1, as_points(points, "points"), points_of(negative, "negative")))
    elif negative is not None:
        raise PromptError("negative goes with points; give a point on the object as well")
    if prompts is not None and found:
        raise PromptError("give prompts, or box and points, for the first frame, not both")
    for index, value in (prompts if isinstance(prompts, Mapping) else {}).items():
        found += (replace(item, frame=index) for item in as_prompts(value, f"prompts[{index}]"))
    if prompts is not None and not isinstance(prompts, Mapping):
        found = as_prompts(prompts)
    if not found:
        raise PromptError(
            "prompts: say what to follow, for example {0: first_mask}, box=(x0, y0, x1, y1), "
            "points=[(x, y)], text='person' or Auto()"
        )
    return found
