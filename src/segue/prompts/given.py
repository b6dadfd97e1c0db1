"""Prompts as callers write them: index masks, paths and prompts, of the first frame or by frame."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL.Image import Image as PillowImage

from segue.arrays import as_array
from segue.conversions.supervision import labels_of
from segue.errors import DatasetError, PromptError
from segue.inputs import kind_of
from segue.masks.given import EXPECTED, as_box, as_masks, as_points, is_mask_like, shape_of
from segue.masks.rle import check_size
from segue.masks.tracks import RleTrack
from segue.prompts.parse import points_of
from segue.types import BoxPrompt, MaskPrompt, PointPrompt, Prompt, Segmentation, check_count

PromptsLike = Any
"""The prompts of one frame: see :func:`as_prompts`."""


def as_prompts(value: PromptsLike, where: str = "prompts") -> list[Prompt]:
    """Prompts of a caller for one frame.

    ``value``: one of - an index mask (H, W), or masks (N, H, W) whose objects get the ids 1 to N: an array, a
    tensor, a PIL image, or the path of a mask file, which is read when the frame comes; masks by
    id, ``{1: mask}``; a prompt; prompts; an earlier :class:`segue.Segmentation`; ``Detections`` of
    supervision, whose boxes are prompts where there are no masks.
    """
    if isinstance(value, (str, os.PathLike)):
        return [MaskPrompt(0, os.fspath(value))]
    if isinstance(value, Segmentation):
        labels = {item.id: item.label for item in value.objects}
        return [replace(item, label=labels.get(item.id)) for item in MaskPrompt.each(value.mask)]
    if isinstance(value, Mapping):
        return [MaskPrompt(i, _plane(mask, f"{where}[{i}]")) for i, mask in _by_id(value, where)]
    if hasattr(value, "xyxy") and hasattr(value, "tracker_id"):
        return _detected(value)
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


def _detected(detections: Any) -> list[Prompt]:
    """Prompts of supervision's ``Detections``: masks, or boxes."""
    count = len(detections.xyxy)
    check_count(count)
    ids = range(1, count + 1) if detections.tracker_id is None else [int(i) for i in detections.tracker_id]
    names = labels_of(detections)
    labels = [None] * count if names is None else [str(name) for name in names]
    if detections.mask is not None:
        planes = zip(ids, detections.mask, labels, strict=True)
        return [MaskPrompt(i, np.asarray(mask) != 0, label=label) for i, mask, label in planes]
    boxes = zip(ids, detections.xyxy, labels, strict=True)
    return [BoxPrompt(i, as_box(box, "prompts: box"), label=label) for i, box, label in boxes]


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
    prompts: Any = None,
    *,
    box: Any = None,
    boxes: Any = None,
    points: Any = None,
    labels: Any = None,
    negative: Any = None,
    masks: Any = None,
    size: tuple[int, int] | None = None,
) -> list[Prompt]:
    """All prompts of a caller for a video by frame; None is the first frame.

    ``prompts`` is for the first frame what :func:`as_prompts` takes, or has it by frame index; the others are
    for the first frame, as :func:`segue.track` has them. ``size`` is height and width of the frames, which
    polygons need.
    """
    first: list[Prompt] = [] if box is None else [BoxPrompt(1, as_box(box, "box"))]
    if boxes is not None:
        first += (BoxPrompt(i, as_box(each, f"boxes[{i}]")) for i, each in _by_id(boxes, "boxes"))
    if masks is not None:
        first += _masks(masks, size)
    if points is not None:
        first.append(_point_prompt(points, labels, negative))
    elif negative is not None or labels is not None:
        raise PromptError(f"{'labels' if negative is None else 'negative'} goes with points; give points")
    if prompts is not None and first:
        raise PromptError("give prompts, or boxes, masks and points, for the first frame, not both")
    found = first
    if isinstance(prompts, Mapping):
        _check_frames(prompts)
        for index, value in prompts.items():
            found += (replace(item, frame=index) for item in as_prompts(value, f"prompts[{index}]"))
    elif prompts is not None:
        found = as_prompts(prompts)
    if not found:
        raise PromptError(
            "prompts: say what to follow, for example masks={1: mask}, box=(x0, y0, x1, y1), "
            "points=[(x, y)], text='person' or Auto()"
        )
    return found


def _point_prompt(points: Any, labels: Any, negative: Any) -> PointPrompt:
    """Points of object 1; labels are 1 on the object and 0 beside it."""
    places = as_points(points, "points")
    if labels is None:
        return PointPrompt(1, places, points_of(negative, "negative"))
    if negative is not None:
        raise PromptError("labels say which points are beside the object; leave out negative")
    known = np.asarray(as_array(labels)).reshape(-1)
    if len(known) != len(places) or not np.isin(known, (0, 1)).all():
        raise PromptError(f"labels: give 1 (on the object) or 0 (beside it) for each of {len(places)} points")
    on, off = (tuple(at for at, label in zip(places, known, strict=True) if label == kind) for kind in (1, 0))
    if not on:
        raise PromptError("labels: all points are beside the object; give one on it as well")
    return PointPrompt(1, on, off)


def _by_id(value: Any, where: str) -> Iterator[tuple[int, Any]]:
    """The values of objects by their id; of a list or an array the first one has the id 1."""
    if isinstance(value, Mapping):
        for number in value:
            if not isinstance(number, (int, np.integer)) or isinstance(number, bool):
                raise PromptError(f"{where}: the key {number!r} is no id; give whole numbers from 1 on")
        yield from ((int(number), each) for number, each in value.items())
        return
    value = as_array(value)
    if not isinstance(value, (Sequence, np.ndarray)) or isinstance(value, str):
        raise PromptError(f"{where}: {kind_of(value)}; give a mapping from ids, or a list or array")
    if isinstance(value, np.ndarray) and value.ndim == 1 and len(value):
        value = value[None]  # one box
    yield from enumerate(value, 1)


def _masks(value: Any, size: tuple[int, int] | None) -> list[Prompt]:
    """Prompts of masks by id, of masks (N, H, W) or (N, 1, H, W), or of an index mask."""
    planes = as_array(value)
    if isinstance(planes, np.ndarray) and planes.ndim == 4 and planes.shape[1] == 1:
        planes = planes[:, 0]  # SAM's masks of N objects, and a channel
    if not isinstance(planes, (Mapping, list, tuple)):
        return as_prompts(planes, "masks")
    check_count(len(planes))
    return [
        MaskPrompt(i, _plane(_drawn(each, size, f"masks[{i}]"), f"masks[{i}]"))
        for i, each in _by_id(planes, "masks")
    ]


def _drawn(value: Any, size: tuple[int, int] | None, where: str) -> Any:
    """Run lengths and polygons of COCO, and one polygon, as a mask; anything else as it is."""
    corners = as_array(value)
    if isinstance(corners, np.ndarray) and _is_polygon(corners) and corners.shape != size:
        value = [corners.astype(np.float64).ravel().tolist()]
    elif isinstance(value, (list, tuple)) and len(value) > 2 and tuple(np.shape(value)) == (len(value), 2):
        value = [np.asarray(value, np.float64).ravel().tolist()]
    if isinstance(value, Mapping) and {"size", "counts"} <= value.keys():
        size = check_size(*value["size"]) if len(value["size"]) == 2 else None
    elif not (isinstance(value, (list, tuple)) and value and isinstance(value[0], (list, tuple))):
        return value
    if size is None:
        raise PromptError(f"{where}: a polygon needs the size of the frames, which this source does not tell")
    try:
        return RleTrack.parse([value], size).decode(0)
    except DatasetError as error:
        raise PromptError(f"{where}: {error}") from None


def _is_polygon(corners: np.ndarray) -> bool:
    """Whether an array is a polygon: corners (N, 2), or a contour of OpenCV, (N, 1, 2)."""
    return corners.shape[-1:] == (2,) and corners.shape[1:-1] in ((), (1,)) and corners.dtype.kind in "fiu"


def _is_one_mask(value: Any) -> bool:
    """Whether a value is the mask of a single object, and not an index mask of several."""
    plane = as_array(value)
    return isinstance(value, PillowImage) or (
        isinstance(plane, np.ndarray) and plane.ndim == 2 and len(np.unique(plane)) <= 2
    )


def _check_frames(prompts: Mapping[Any, Any]) -> None:
    """Refuse masks by id where prompts by frame are expected."""
    if set(prompts) == {*range(1, len(prompts) + 1)} and all(map(_is_one_mask, prompts.values())):
        some = ", ".join(f"{number}: mask{number}" for number in prompts)
        raise PromptError(
            f"prompts: the keys {', '.join(map(str, prompts))} are indices of frames. For objects of the "
            f"first frame give masks={{{some}}}; for frames give lists, {{0: [MaskPrompt(1, mask)]}}"
        )
