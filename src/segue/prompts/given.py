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


def as_prompts(value: PromptsLike, where: str = "prompts", *, keep_paths: bool = False) -> list[Prompt]:
    """Prompts of a caller for one frame.

    ``value``: one of - an index mask (H, W), or masks (N, H, W) whose objects get the ids 1 to N: an array, a
    tensor, a PIL image, or the path of a mask file; boxes; prompts; or masks and boxes by their ids. With
    ``keep_paths`` prompts name mask files, as a record does, instead of holding what is in them.
    """
    if isinstance(value, Prompt):
        return [_checked(value, where)]
    if isinstance(value, Mapping):
        return [_of_object(key, item, f"{where}[{key!r}]", keep_paths) for key, item in value.items()]
    box = as_box(value)
    if box is not None:
        return [BoxPrompt(1, box)]
    if is_mask_like(value):
        masks = as_masks(value, where)
        if masks.ndim == 3:
            return [MaskPrompt(number, mask != 0) for number, mask in enumerate(masks, 1)]
        if not masks.any():
            raise PromptError(f"{where}: the mask is empty; draw at least one object")
        if keep_paths and isinstance(value, (str, os.PathLike)):
            return [MaskPrompt(0, os.fspath(value))]
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
        mask = prompt.mask
        if isinstance(mask, (str, os.PathLike)) or not is_mask_like(mask):
            raise PromptError(
                f"{where}: mask: {kind_of(mask)}; give a mask (H, W), or {{id: path}} for a file"
            )
        return replace(prompt, mask=_plane(mask, f"{where}: mask"))
    return prompt


def _of_object(number: object, value: Any, where: str, keep_paths: bool) -> Prompt:
    """The prompts of the object with an id."""
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)):
        raise PromptError(
            f"{where}: the key ({kind_of(number)}) is no id; the ids of objects are whole numbers from 1 on"
        )
    own = int(number)
    if isinstance(value, Prompt):
        return _checked(replace(value, id=own), where)
    box = as_box(value)
    if box is not None:
        return BoxPrompt(own, box)
    if not is_mask_like(value):
        raise PromptError(f"{where}: {kind_of(value)}; give a mask (H, W), a box (x0, y0, x1, y1) or a path")
    path = isinstance(value, (str, os.PathLike))
    mask = as_masks(value, where) if path else _plane(value, where)
    if mask.ndim != 2:
        raise PromptError(f"{where}: {kind_of(value)}; the mask of one object is (H, W)")
    return MaskPrompt(own, os.fspath(value) if path and keep_paths else mask != 0)


def _plane(value: Any, where: str) -> Any:
    """The mask of one object, whose values say nothing but where it is."""
    value = as_array(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biu":
        value = value != 0
    return as_masks(value, where)


def _marks(box: Any, points: Any, negative: Any, labels: Any) -> list[Prompt]:
    """The prompts of the object with the id 1 from its box and its points."""
    marks: list[Prompt] = []
    if labels is not None:
        if points is None or negative is not None:
            raise PromptError("labels: goes with points and without negative: 1 on the object, 0 beside it")
        placed, signs = as_points(points, "points"), np.asarray(as_array(labels)).reshape(-1).tolist()
        if len(signs) != len(placed) or not set(signs) <= {0, 1}:
            raise PromptError(f"labels: {kind_of(labels)}; give 1 (on the object) or 0 (beside it) per point")
        points = [point for point, sign in zip(placed, signs, strict=True) if sign]
        negative = [point for point, sign in zip(placed, signs, strict=True) if not sign]
        if not points and box is None:
            raise PromptError("labels: no point lies on the object; give one with the label 1, or a box")
    if box is not None:
        marks.append(BoxPrompt(1, box_of(box, "box")))
    if points is not None:
        on = as_points(points, "points") if labels is None or len(points) else ()
        marks.append(PointPrompt(1, on, points_of(negative, "negative")))
    elif negative is not None:
        raise PromptError("negative: goes with points; give a point on the object as well")
    return marks


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
        found = _said(masks, None, "masks")
    if isinstance(prompts, Mapping):
        for index, value in prompts.items():
            if isinstance(index, bool) or not isinstance(index, (int, np.integer)) or index < 0:
                raise PromptError(
                    f"prompts: the key {index!r} ({kind_of(index)}) is no frame index; prompts are given "
                    "by frame index, as in {0: mask}"
                )
            found += _said(value, int(index), f"prompts[{index}]")
        if not {0, start} & prompts.keys():
            _check_meaning(prompts)
    elif prompts is not None:
        if found:
            raise PromptError("give prompts, or box and points, for the first frame, not both")
        found = _said(prompts, None, "prompts")
    if not found:
        raise PromptError(
            "prompts: say what to follow, for example {0: first_mask}, box=(x0, y0, x1, y1), "
            "points=[(x, y)], masks={1: mask}, text='person' or Auto()"
        )
    return found


def _said(value: PromptsLike, frame: int | None, where: str) -> list[Prompt]:
    """Prompts of a caller for one frame, as a record has them."""
    given = as_prompts(value, where, keep_paths=True)
    return given if frame is None else [replace(item, frame=frame) for item in given]
