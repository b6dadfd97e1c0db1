"""Prompts as callers write them: index masks, boxes, paths, prompts, or objects by their ids."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from segue.arrays import as_array
from segue.errors import PromptError
from segue.inputs import kind_of
from segue.masks.files import read_index_mask
from segue.masks.given import EXPECTED, as_box, as_masks, as_points, is_mask_like
from segue.prompts.parse import box_of, points_of
from segue.types import BoxPrompt, MaskPrompt, PointPrompt, Prompt

PromptsLike = Any
"""The prompts of one frame: see :func:`as_prompts`."""


def as_prompts(value: PromptsLike, where: str = "prompts") -> list[Prompt]:
    """Prompts of a caller for one frame.

    ``value``: one of - an index mask (H, W), or masks (N, H, W) whose objects get the ids 1 to N: an array, a
    tensor, a PIL image, or the path of a mask file, which is read when the frame comes; boxes; prompts; or
    masks and boxes by their ids.
    """
    if isinstance(value, Prompt):
        return [_checked(value, where)]
    if isinstance(value, Mapping):
        return [_of_object(key, item, f"{where}[{key!r}]") for key, item in value.items()]
    box = as_box(value)
    if box is not None:
        return [BoxPrompt(1, box)]
    if isinstance(value, (str, os.PathLike)):
        return [MaskPrompt(0, os.fspath(value))]
    if is_mask_like(value):
        masks = as_masks(value, where)
        if masks.ndim == 3:
            return [MaskPrompt(number, mask != 0) for number, mask in enumerate(masks, 1)]
        if not masks.any():
            raise PromptError(f"{where}: the mask is empty; draw at least one object")
        return [*MaskPrompt.each(masks)]
    if isinstance(value, Sequence):
        return list(_listed(value, where))
    raise PromptError(
        f"{where}: {kind_of(value)}; give {EXPECTED}; a box (x0, y0, x1, y1), prompts such as BoxPrompt, or "
        "a mapping from ids to masks or boxes"
    )


def _listed(values: Sequence[Any], where: str) -> Iterator[Prompt]:
    boxes = [as_box(value) for value in values]
    if values and all(boxes):
        yield from (BoxPrompt(number, box) for number, box in enumerate(boxes, 1) if box is not None)
        return
    if values and all(not isinstance(value, str) and is_mask_like(value) for value in values):
        raise PromptError(
            f"{where}: {kind_of(values)} masks; N objects are one array (N, H, W), as of np.stack(masks), or "
            "a mapping from ids to masks; masks of several frames are a mapping from frame indices to masks"
        )
    for place, value in enumerate(values):
        if not isinstance(value, Prompt):
            raise PromptError(
                f"{where}[{place}]: {kind_of(value)}; expected prompts such as MaskPrompt, BoxPrompt or "
                "PointPrompt, or only boxes (x0, y0, x1, y1); masks are arrays, tensors or PIL images"
            )
        yield _checked(value, f"{where}[{place}]")


def _checked(prompt: Prompt, where: str) -> Prompt:
    """A prompt with a box, points or a mask of plain numbers, as sessions and records take them."""
    where = f"{where}: {type(prompt).__name__}({prompt.id!r}, ...)"
    if isinstance(prompt, BoxPrompt):
        return replace(prompt, box=box_of(prompt.box, f"{where}: box"))
    if isinstance(prompt, PointPrompt):
        on = points_of(prompt.positive, f"{where}: positive")
        return replace(prompt, positive=on, negative=points_of(prompt.negative, f"{where}: negative"))
    if isinstance(prompt, MaskPrompt):
        return replace(prompt, mask=_plane(prompt.mask, f"{where}: mask"))
    return prompt


def _of_object(number: object, value: Any, where: str) -> Prompt:
    """The prompt of the object with an id."""
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
        raise PromptError(
            f"{where}: the key ({kind_of(number)}) is no id; the ids of objects are whole numbers from 1 on"
        )
    own = int(number)
    if isinstance(value, Prompt):
        return _checked(replace(value, id=own), where)
    box = as_box(value)
    return MaskPrompt(own, _plane(value, where)) if box is None else BoxPrompt(own, box)


def _plane(value: Any, where: str) -> Any:
    """The mask of one object, (H, W), bool, or its path."""
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value)
    if not is_mask_like(value):
        raise PromptError(f"{where}: {kind_of(value)}; give a mask (H, W), a box (x0, y0, x1, y1) or a path")
    value = as_array(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biu":
        value = value != 0  # its values say nothing but where the object is
    mask = as_masks(value, where)
    if mask.ndim != 2:
        raise PromptError(f"{where}: {kind_of(value)}; the mask of one object is (H, W)")
    return mask != 0


def _marks(box: Any, points: Any, negative: Any, labels: Any) -> list[Prompt]:
    """The prompts of the object with the id 1 from its box and its points."""
    marks: list[Prompt] = [] if box is None else [BoxPrompt(1, box_of(box, "box"))]
    if points is None:
        if negative is not None or labels is not None:
            raise PromptError("negative and labels go with points; give a point on the object as well")
        return marks
    on, off = as_points(points, "points"), points_of(negative, "negative")
    if labels is not None:
        signs = np.asarray(as_array(labels)).reshape(-1).tolist()
        if off or len(signs) != len(on) or not set(signs) <= {0, 1}:
            raise PromptError(f"labels: {kind_of(labels)}; give 1 (on the object) or 0 (beside it) per point")
        off = tuple(point for point, sign in zip(on, signs, strict=True) if not sign)
        on = tuple(point for point, sign in zip(on, signs, strict=True) if sign)
        if not on and box is None:
            raise PromptError("labels: no point lies on the object; give one with the label 1, or a box")
    return [*marks, PointPrompt(1, on, off)]


def _check_meaning(prompts: Mapping[Any, Any]) -> None:
    """Refuse a mapping whose keys may be frames as well as ids: each value is a mask or box of one object."""
    for key, value in prompts.items():
        if as_box(value) is not None:
            continue
        if not is_mask_like(value):
            return
        path = isinstance(value, (str, os.PathLike))
        mask = read_index_mask(Path(value)) if path else np.asarray(as_array(value))
        if mask.ndim != 2 or {*np.unique(mask).tolist()} - {0} not in ({1}, {255}, {key}):
            return
    if prompts:
        keys = list(prompts)
        objects = ", ".join(f"{key}: m{key}" for key in keys)
        frames = ", ".join(f"{key}: {{1: m{key}}}" for key in keys)
        raise PromptError(
            f"prompts: the keys {keys} may be ids or frames; write masks={{{objects}}} for objects of the "
            f"first frame, or {{{frames}}} for one object on these frames"
        )


def given_prompts(
    prompts: Any = None,
    box: Any = None,
    points: Any = None,
    negative: Any = None,
    labels: Any = None,
    masks: Any = None,
    start: object = 0,
) -> list[Prompt]:
    """All prompts of a caller for a video by frame; None is the first frame.

    ``prompts`` has by frame index what :func:`as_prompts` takes; the others are for the first frame, as
    :func:`segue.track` has them. ``start`` is the index of the first frame, where it is known.
    """
    found = _marks(box, points, negative, labels)
    if masks is not None:
        if prompts is not None or found:
            raise PromptError("masks: give them, or prompts, or box and points, for the first frame")
        found = as_prompts(masks, "masks")
    if isinstance(prompts, Mapping):
        for index, value in prompts.items():
            if isinstance(index, bool) or not isinstance(index, (int, np.integer)) or index < 0:
                raise PromptError(
                    f"prompts: the key {index!r} ({kind_of(index)}) is no frame index; prompts are given "
                    "by frame index, as in {0: mask}"
                )
            given = as_prompts(value, f"prompts[{index}]")
            found += (replace(item, frame=int(index)) for item in given)
        if not {0, start} & prompts.keys():
            _check_meaning(prompts)
    elif prompts is not None:
        if found:
            raise PromptError("give prompts, or box and points, for the first frame, not both")
        found = as_prompts(prompts)
    if not found:
        raise PromptError(
            "prompts: say what to follow, for example {0: first_mask}, box=(x0, y0, x1, y1), "
            "points=[(x, y)], masks={1: mask}, text='person' or Auto()"
        )
    return found
