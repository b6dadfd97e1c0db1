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
from segue.types import BoxPrompt, Frame, IndexMask, MaskPrompt, PointPrompt, Prompt

PromptsLike = Any
"""The prompts of one frame: see :func:`as_prompts`."""

FrameSaid = PromptsLike  # the former name, kept for one release


def as_prompts(value: PromptsLike, where: str = "prompts") -> IndexMask | list[Prompt]:
    """What a caller says of one frame, as sessions take it.

    Args:
        value: one of

            - an index mask (H, W), or masks (N, H, W) whose objects get the ids 1 to N: an array, a tensor,
              a PIL picture, or the path of a mask file;
            - a prompt, such as ``BoxPrompt(1, (x0, y0, x1, y1))``, or a list of prompts;
            - a box ``(x0, y0, x1, y1)`` in pixels of the frame, whose object gets the id 1, or a list of
              boxes, whose objects get the ids 1, 2, ...;
            - a mapping from the id of an object to its mask, box or path.
        where: its name for messages.

    Returns:
        An index mask (H, W), or prompts.

    Raises:
        PromptError: it is none of these.
        SourceError: a mask file is missing or is no mask.
    """
    if isinstance(value, Prompt):
        return [_checked(value, where)]
    if isinstance(value, Mapping):
        return [_of_object(key, item, f"{where}[{key!r}]") for key, item in value.items()]
    box = as_box(value)
    if box is not None:
        return [BoxPrompt(1, box)]
    if is_mask_like(value):
        masks = as_masks(value, where)
        if isinstance(value, (str, os.PathLike)) and masks.any():
            # A file says itself whether 255 is an id; of an array that is guessed, see `one_object`.
            return [MaskPrompt(int(i), masks == i) for i in np.unique(masks) if i]
        return as_objects(masks)
    if isinstance(value, Sequence):
        return list(_listed(value, where))
    raise PromptError(
        f"{where}: {kind_of(value)}; give {EXPECTED}; a box (x0, y0, x1, y1), prompts such as BoxPrompt, or "
        "a mapping from ids to masks or boxes"
    )


def as_objects(masks: Any) -> IndexMask | list[Prompt]:
    """An index mask (H, W) as it is; of masks (N, H, W) one prompt an object, with the ids 1 to N."""
    if masks.ndim == 2:
        return masks  # type: ignore[no-any-return]
    return [MaskPrompt(number, mask != 0) for number, mask in enumerate(masks, 1)]


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
                "PointPrompt, or only boxes (x0, y0, x1, y1); masks are arrays, tensors or PIL pictures"
            )
        yield _checked(value, f"{where}[{place}]")


def _checked(prompt: Prompt, where: str) -> Prompt:
    """A prompt with a box, points or a mask of plain numbers, as sessions and records take them."""
    where = f"{where}: {type(prompt).__name__}({prompt.id!r}, ...)"
    if isinstance(prompt, BoxPrompt):
        box = as_box(prompt.box)
        if box is None:
            raise PromptError(f"{where}: box: {kind_of(prompt.box)}; give four numbers (x0, y0, x1, y1)")
        return replace(prompt, box=box)
    if isinstance(prompt, PointPrompt):
        on, off = (
            as_points(points, f"{where}: {name}") if len(points) else ()
            for name, points in (("positive", prompt.positive), ("negative", prompt.negative))
        )
        return replace(prompt, positive=on, negative=off)
    if isinstance(prompt, MaskPrompt):
        mask = prompt.mask
        if isinstance(mask, (str, os.PathLike)) or not is_mask_like(mask):
            raise PromptError(
                f"{where}: mask: {kind_of(mask)}; give a mask (H, W), or {{id: path}} for a file"
            )
        return replace(prompt, mask=_plane(mask, f"{where}: mask"))
    return prompt


def _of_object(number: object, value: Any, where: str) -> Prompt:
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
    mask = (
        as_masks(value, where)
        if isinstance(value, str) or hasattr(value, "__fspath__")
        else _plane(value, where)
    )
    if mask.ndim != 2:
        raise PromptError(f"{where}: {kind_of(value)}; the mask of one object is (H, W)")
    return MaskPrompt(own, mask != 0)


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
        found = as_box(box)
        if found is None:
            raise PromptError(f"box: {kind_of(box)}; give four numbers (x0, y0, x1, y1) in pixels")
        marks.append(BoxPrompt(1, found))
    if points is not None:
        beside = as_points(negative, "negative") if negative is not None and len(negative) else ()
        on = as_points(points, "points") if labels is None or len(points) else ()
        marks.append(PointPrompt(1, on, beside))
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


class PromptPlan:
    """The prompts of each frame of a video.

    Args:
        prompts: by frame index what :func:`as_prompts` takes; anything but a mapping is for the first frame.
        box: ``(x0, y0, x1, y1)`` around the object with the id 1 on the first frame.
        points: ``(x, y)`` on that object, one or several, on the first frame.
        negative: points beside it, which go with ``points``.
        labels: 1 for each of ``points`` on the object, 0 for each beside it, in place of ``negative``.
        masks: objects of the first frame by their ids, or an index mask.
        start: index of the first frame, where it is known.

    Raises:
        PromptError: there are no prompts, or one cannot be read.
        SourceError: a mask file is missing or is no mask.
    """

    def __init__(
        self,
        prompts: Any = None,
        box: Any = None,
        points: Any = None,
        negative: Any = None,
        labels: Any = None,
        masks: Any = None,
        start: object = 0,
    ) -> None:
        self._first: IndexMask | list[Prompt] | None = None
        self._by_frame: dict[int, IndexMask | list[Prompt]] = {}
        self._files: dict[int | None, dict[int | None, str]] = {}
        marks = _marks(box, points, negative, labels)
        if marks:
            self._first = marks
        if masks is not None:
            if prompts is not None or marks:
                raise PromptError("masks: give them, or prompts, or box and points, for the first frame")
            self._first = as_prompts(masks, "masks")
            self._files[None] = _files(masks)
        if isinstance(prompts, Mapping):
            for index, value in prompts.items():
                if isinstance(index, bool) or not isinstance(index, (int, np.integer)) or index < 0:
                    raise PromptError(
                        f"prompts: the key {index!r} ({kind_of(index)}) is no frame index; prompts are given "
                        "by frame index, as in {0: mask}"
                    )
                self._by_frame[int(index)] = as_prompts(value, f"prompts[{index}]")
                self._files[int(index)] = _files(value)
            if not {0, start} & prompts.keys():
                _check_meaning(prompts)
        elif prompts is not None:
            if marks:
                raise PromptError("give prompts, or box and points, for the first frame, not both")
            self._first = as_prompts(prompts)
            self._files[None] = _files(prompts)
        if self._first is None and not self._by_frame:
            raise PromptError(
                "no prompts: say what to follow, for example {0: first_mask}, box=(x0, y0, x1, y1) or "
                "points=[(x, y)]"
            )

    def begin(self, index: int) -> None:
        """Make the prompts of the first frame those of a frame by its index."""
        first, self._first = self._first, None
        if first is None:
            return
        if index in self._by_frame:
            raise PromptError(
                f"frame {index}: has prompts, and box or points are for it as well; give one of them"
            )
        self._by_frame = {index: first, **self._by_frame}
        self._files[index] = self._files.pop(None, {})

    def pass_over(self, index: int) -> None:
        """Drop the prompts of a frame whose result is there from before."""
        self._by_frame.pop(index, None)

    def __call__(self, frame: Frame) -> IndexMask | list[Prompt] | None:
        """The prompts of a frame, or None; without :meth:`begin` the first call is for the first frame."""
        self.begin(frame.index)
        return self._by_frame.pop(frame.index, None)

    def statements(
        self,
    ) -> Iterator[tuple[int | None, IndexMask | list[Prompt], Mapping[int | None, str]]]:
        """The prompts of frames that have not come yet.

        Returns:
            For each frame its index (None is the first one, whichever that is), its prompts, and which mask
            files that was read from: by the id of the object, or under None a file that holds all of it.
        """
        if self._first is not None:
            yield None, self._first, self._files.get(None, {})
        for index, given in self._by_frame.items():
            yield index, given, self._files[index]

    def by_frame(self, first: Frame) -> dict[int, IndexMask | list[Prompt]]:
        """The prompts of frames that have not come yet, by frame index; see :meth:`begin`.

        Args:
            first: first frame of the video.

        Returns:
            An index mask (H, W), or prompts, by frame index.
        """
        self.begin(first.index)
        return dict(self._by_frame)

    def check_reached(self) -> None:
        """Check that every frame with prompts has come."""
        if self._by_frame:
            raise PromptError(
                f"there is a prompt for frame {min(self._by_frame)}, but the source has no such frame"
            )


def _files(value: PromptsLike) -> dict[int | None, str]:
    """The mask files among the prompts of a frame, by the ids of their objects; None holds all of them."""
    if isinstance(value, (str, os.PathLike)):
        return {None: os.fspath(value)}
    if isinstance(value, Mapping):
        items = value.items()
        return {int(key): os.fspath(item) for key, item in items if isinstance(item, (str, os.PathLike))}
    return {}
