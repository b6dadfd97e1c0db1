"""Prompts from the arguments of Python functions."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any, Protocol, SupportsFloat, TypeAlias, TypedDict

import numpy as np
from PIL.Image import Image as PillowImage

from segue.errors import DatasetError, PromptError
from segue.formats.supervision import labels_of
from segue.masks.rle import check_size
from segue.masks.tracks import RleTrack
from segue.prompt_inputs.checks import check_frame
from segue.prompt_inputs.values import (
    EXPECTED,
    as_box,
    as_masks,
    as_points,
    as_strokes,
    is_mask_like,
    points_of,
    shape_of,
)
from segue.prompt_types import (
    PROMPTS,
    BoxPrompt,
    ImagePrompts,
    MaskPrompt,
    PointPrompt,
    Prompt,
    ScribblePrompt,
    check_count,
)
from segue.types import (
    BoxesLike,
    BoxLike,
    LabelsLike,
    PointsLike,
    Segmentation,
    SupportsArray,
)
from segue.utils.arrays import as_array, check_id
from segue.utils.inputs import kind_of


class DetectionsLike(Protocol):
    """Interface of supervision's ``Detections``."""

    @property
    def xyxy(self) -> Any:
        """Boxes (N, 4)."""

    @property
    def mask(self) -> Any:
        """Masks (N, H, W), or None."""

    @property
    def tracker_id(self) -> Any:
        """Ids (N,), or None."""


MaskLike: TypeAlias = SupportsArray | PillowImage | str | os.PathLike[str]
"""An array, a tensor, a PIL image, or the path of a mask file."""

MaskObject: TypeAlias = Sequence[Sequence[SupportsFloat]] | Mapping[str, object]
"""Polygons, or run lengths of COCO."""

MasksLike: TypeAlias = Mapping[int, MaskLike | MaskObject] | Sequence[MaskLike | MaskObject] | MaskLike
"""Masks of several objects: by id, in a sequence for the ids 1 to N, or (N, H, W) in one array."""

PromptsLike: TypeAlias = (
    MaskLike
    | Mapping[int, MaskLike]
    | Sequence[MaskLike]
    | Prompt
    | Sequence[Prompt]
    | Segmentation
    | DetectionsLike
)
"""Prompts of one frame: see :func:`as_prompts`."""


class PromptArguments(TypedDict, total=False):
    """Prompts of a frame by kind, as keyword arguments.

    Attributes:
        box: a box ``(x0, y0, x1, y1)`` around one object, in pixels.
        boxes: boxes by id, or (N, 4) for the ids 1 to N.
        masks: masks by id, or (N, H, W) for the ids 1 to N. They may overlap; the last one is shown in front.
        points: points ``(x, y)`` on one object.
        labels: for each of ``points`` 1 if it is on the object and 0 if it is not.
        negative: points that are not on the object.
        scribble: strokes on one object, each of several points ``(x, y)``.
    """

    box: BoxLike | None
    boxes: BoxesLike | None
    masks: MasksLike | None
    points: PointsLike | None
    labels: LabelsLike | None
    negative: PointsLike | None
    scribble: Sequence[PointsLike] | None


def as_prompts(value: PromptsLike, where: str = "prompts") -> list[Prompt]:
    """Convert a caller's value to the prompts of one frame.

    Args:
        value: an index mask (H, W), or masks (N, H, W) whose objects get the ids 1 to N: an array, a tensor,
            a PIL image, or the path of a mask file, which is read when the frame arrives; masks by id,
            ``{1: mask}``, or in a list for the ids 1 to N; a prompt; prompts; an earlier
            :class:`segue.Segmentation`; or ``Detections`` of supervision, whose boxes are prompts if there
            are no masks.
        where: name of the argument for errors.

    Returns:
        A prompt for each object. Masks are (H, W), bool; boxes and points are tuples of numbers in pixels.

    Raises:
        PromptError: the value is none of these, or a mask is empty or has another shape.

    Example:
        >>> as_prompts({1: dog, 7: ball})  # doctest: +SKIP
        [MaskPrompt(1, ...), MaskPrompt(7, ...)]
    """
    if isinstance(value, (str, os.PathLike)):
        return [MaskPrompt(0, os.fspath(value))]
    if isinstance(value, Segmentation):
        return [*value.prompts]
    if isinstance(value, (list, tuple)) and value and all(map(is_mask_like, value)):
        value = dict(enumerate(value, 1))
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
    items = value if isinstance(value, Sequence) else [value]
    prompts = [item for item in items if isinstance(item, Prompt)]
    if len(prompts) != len(items):
        raise PromptError(
            f"{where}: {kind_of(value)}; give {EXPECTED}; or prompts in a list, such as MaskPrompt(1, mask), "
            "BoxPrompt(2, (x0, y0, x1, y1)) or PointPrompt(3, [(x, y)])"
        )
    return [_checked(each, where) for item in prompts for each in _as_known_kinds(item, where)]


def _detected(detections: Any) -> list[Prompt]:
    """Prompts from supervision's ``Detections``: masks, or boxes."""
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


def _as_known_kinds(prompt: Prompt, where: str) -> list[Prompt]:
    """Convert a user-defined prompt to box, points and strokes."""
    if isinstance(prompt, PROMPTS):
        return [prompt]
    marks = prompt.to_image(ImagePrompts())
    about: dict[str, Any] = {"label": prompt.label, "frame": prompt.frame}
    prompts: list[Prompt] = []
    if marks.box is not None:
        prompts.append(BoxPrompt(prompt.id, marks.box, **about))
    if marks.points or marks.negative:
        prompts.append(PointPrompt(prompt.id, marks.points, marks.negative, **about))
    if marks.scribble:
        prompts.append(ScribblePrompt(prompt.id, marks.scribble, **about))
    if not prompts:
        name = type(prompt).__name__
        raise PromptError(f"{where}: {name}.to_image gives no box, no points and no strokes")
    return prompts


def _checked(prompt: Prompt, where: str) -> Prompt:
    """Convert the values of a prompt to plain numbers."""
    where = f"{where}: {type(prompt).__name__}({prompt.id!r}, ...)"
    fields = {
        name: read(getattr(prompt, name), f"{where}: {name}")
        for name, read in _FIELDS.items()
        if hasattr(prompt, name)
    }
    return replace(prompt, **fields)


def _plane(value: Any, where: str) -> Any:
    """Convert the mask of one object to (H, W), bool; a path stays a path."""
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value)
    value = as_array(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biu":
        value = shape_of(value, where) if value.ndim == 2 else value != 0
    mask = as_masks(value, where)
    if mask.ndim != 2:
        raise PromptError(f"{where}: {kind_of(value)}; the mask of one object is (H, W)")
    return mask != 0


_FIELDS: Mapping[str, Callable[[Any, str], Any]] = {
    "mask": _plane,
    "box": as_box,
    "positive": points_of,
    "negative": points_of,
    "strokes": as_strokes,
}
"""Functions that convert the values of prompts to plain ones, by field."""


def collect_prompts(
    prompts: Any = None,
    *,
    box: Any = None,
    boxes: Any = None,
    points: Any = None,
    labels: Any = None,
    negative: Any = None,
    masks: Any = None,
    scribble: Any = None,
    size: tuple[int, int] | None = None,
    id: int = 1,
    corrects: bool = False,
    needed: bool = True,
) -> list[Prompt]:
    """Collect all prompts of a caller by frame; None is the first frame.

    ``prompts`` is for the first frame what :func:`as_prompts` takes, or has it by frame index; the others are
    for the first frame, as :func:`segue.track` has them. ``size`` is height and width of the frames, which
    polygons need. ``box``, points, strokes and a single mask are of the object ``id``; where it has a mask to
    correct, all points may be beside it. Only where prompts are ``needed``, none is an error.
    """
    id = check_id(id)
    first: list[Prompt] = [] if box is None else [BoxPrompt(id, as_box(box, "box"))]
    if boxes is not None:
        each_box = [BoxPrompt(i, as_box(each, f"boxes[{i}]")) for i, each in _by_id(boxes, "boxes")]
        first += _of_object(each_box, boxes, id)
    if masks is not None:
        first += _of_object(_masks(masks, size), masks, id)
    if scribble is not None:
        first.append(ScribblePrompt(id, as_strokes(scribble, "scribble")))
        corrects = True
    if points is not None or (corrects and negative is not None):
        first += _point_prompts(points, labels, negative, id, corrects)
    elif negative is not None or labels is not None:
        raise PromptError(f"{'labels' if negative is None else 'negative'} goes with points; give points")
    if prompts is not None and first:
        raise PromptError("give prompts, or boxes, masks and points, for the first frame, not both")
    collected = first
    if isinstance(prompts, Mapping):
        _check_frames(prompts)
        for index, value in prompts.items():
            of_frame = as_prompts(value, f"prompts[{index}]")
            check_frame(of_frame, index)
            collected += (replace(item, frame=index) for item in of_frame)
    elif prompts is not None:
        collected = [*_of_object(as_prompts(prompts), prompts, id)]
    if not collected and needed:
        raise PromptError(
            "prompts: say what to follow, for example masks={1: mask}, box=(x0, y0, x1, y1), "
            "points=[(x, y)], text='person' or Auto()"
        )
    return collected


def _of_object(prompts: Sequence[Prompt], value: Any, id: int) -> Sequence[Prompt]:
    """Assign prompts of a single mask or box to the object ``id``; 1 changes nothing."""
    if id == 1:
        return prompts
    if is_mask_like(value) and len(prompts) == 1:
        return [replace(prompts[0], id=id)]
    ids = sorted({prompt.id for prompt in prompts})
    if ids not in ([], [id]):
        raise PromptError(
            f"id: {id}, but these prompts are of the objects {', '.join(map(str, ids))}; leave out id, or "
            "give one object"
        )
    return prompts


def _point_prompts(points: Any, labels: Any, negative: Any, id: int, corrects: bool) -> list[PointPrompt]:
    """Prompts of an object's points in order; labels are 1 on the object and 0 outside."""
    places = () if points is None else as_points(points, "points")
    if labels is None:
        return [PointPrompt(id, places, points_of(negative, "negative"))]
    if negative is not None:
        raise PromptError("labels say which points are beside the object; leave out negative")
    kinds = np.asarray(as_array(labels)).reshape(-1)
    if len(kinds) != len(places) or not np.isin(kinds, (0, 1)).all():
        corners = (
            "; 2 and 3 are corners of a box: give box=(x0, y0, x1, y1)" if {2, 3} & {*kinds.tolist()} else ""
        )
        raise PromptError(
            f"labels: give 1 (on the object) or 0 (beside it) for each of {len(places)} points{corners}"
        )
    if not kinds.any() and not corrects:
        raise PromptError("labels: all points are beside the object; give one on it as well")
    prompts: list[PointPrompt] = []
    for label, group in itertools.groupby(zip(kinds.tolist(), places, strict=True), itemgetter(0)):
        at = tuple(place for _, place in group)
        prompts.append(PointPrompt(id, at) if label else PointPrompt(id, (), at))
    if len(prompts) == 2 and prompts[0].positive:  # those on the object first, as in one prompt
        return [PointPrompt(id, prompts[0].positive, prompts[1].negative)]
    return prompts


def _by_id(value: Any, where: str) -> Iterator[tuple[int, Any]]:
    """Iterate over values by object id; items of a list or array get 1 to N."""
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
    """Prompts from masks by id, masks (N, H, W) or (N, 1, H, W), or an index mask."""
    planes = as_array(value)
    if isinstance(planes, np.ndarray) and planes.ndim == 4 and planes.shape[1] == 1:
        planes = planes[:, 0]  # SAM's masks of N objects, and a channel
    if isinstance(planes, np.ndarray) and planes.ndim == 3 and not len(planes):
        return []
    if not isinstance(planes, (Mapping, list, tuple)):
        return as_prompts(planes, "masks")
    check_count(len(planes))
    return [
        MaskPrompt(i, _plane(_rasterised(each, size, f"masks[{i}]"), f"masks[{i}]"))
        for i, each in _by_id(planes, "masks")
    ]


def _rasterised(value: Any, size: tuple[int, int] | None, where: str) -> Any:
    """Rasterise COCO run lengths and polygons; other values stay as they are."""
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
    """Whether a value is the mask of one object, not an index mask."""
    plane = as_array(value)
    return isinstance(value, PillowImage) or (
        isinstance(plane, np.ndarray) and plane.ndim == 2 and len(np.unique(plane)) <= 2
    )


def _check_frames(prompts: Mapping[Any, Any]) -> None:
    """Raise PromptError for masks by id where prompts by frame are expected."""
    if set(prompts) == {*range(1, len(prompts) + 1)} and all(map(_is_one_mask, prompts.values())):
        some = ", ".join(f"{number}: mask{number}" for number in prompts)
        raise PromptError(
            f"prompts: the keys {', '.join(map(str, prompts))} are indices of frames. For objects of the "
            f"first frame give masks={{{some}}}; for frames give lists, {{0: [MaskPrompt(1, mask)]}}"
        )
