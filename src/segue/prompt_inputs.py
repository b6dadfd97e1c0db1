"""Prompts of calls, of a command line and of files become the prompts of ``segue.types``.

Masks, boxes and points may be arrays, tensors, lists, PIL images, COCO records or paths. The last functions
check prompts against an image.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol, SupportsFloat, TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt
from PIL.Image import Image as PillowImage
from PIL.Image import fromarray

from segue.entries import SQUARE
from segue.errors import DatasetError, PromptError, SegueError, SourceError
from segue.formats.supervision import labels_of
from segue.masks import decode_rle, read_index_mask, resize_mask
from segue.masks.files import MaskStack, index_values, stack_text
from segue.masks.rle import check_size
from segue.masks.tracks import RleTrack
from segue.masks.values import as_white, warn_of_void, without_void
from segue.types import (
    PROMPTS,
    Box,
    BoxesLike,
    BoxLike,
    BoxPrompt,
    ImageMarks,
    LabelsLike,
    MaskPrompt,
    Point,
    PointPrompt,
    PointsLike,
    Prompt,
    RemovePrompt,
    ScribblePrompt,
    Segmentation,
    SupportsArray,
    check_count,
)
from segue.utils.arrays import BoolArray, IndexMask, as_array
from segue.utils.arrays import check_id as check_id
from segue.utils.inputs import kind_of, user_path
from segue.utils.lazy import LazyCallable
from segue.utils.notices import warn_caller
from segue.video.sources.kinds import FILM_SUFFIXES

EXPECTED = (
    "an index mask (H, W) of whole numbers (0 background, other values ids of objects), a mask (H, W) of "
    "booleans, masks (N, H, W) of N objects, colours (H, W, 3) of objects on black, a PIL image, or "
    "the path of a mask file"
)


class PromptWarning(UserWarning):
    """A prompt was read in the likely one of two ways; the message names the prompt and the other way."""


def is_mask_like(value: object) -> bool:
    """Whether a value is an array, a tensor, a PIL image or a path, which :func:`as_masks` reads."""
    if isinstance(value, (np.ndarray, PillowImage, str, os.PathLike)) or hasattr(value, "detach"):
        return True
    return hasattr(type(value), "__array__") and not isinstance(value, np.generic)


def as_masks(value: Any, where: str) -> npt.NDArray[Any]:
    """A caller's mask as whole numbers or booleans, by the rules of :func:`segue.masks.read_index_mask`."""
    if isinstance(value, (str, os.PathLike)):
        return read_index_mask(user_path(value))
    original = value
    if isinstance(value, PillowImage):
        return _index_values(value, where)
    value = as_array(value)
    if not isinstance(value, np.ndarray):
        raise PromptError(f"{where}: {kind_of(original)}; give {EXPECTED}")
    if value.dtype.kind not in "biu":
        hint = (
            "; compare probabilities with a threshold first, as in mask > 0.5"
            if value.dtype.kind == "f"
            else ""
        )
        raise PromptError(f"{where}: {kind_of(original)}; a mask holds whole numbers or booleans{hint}")
    if value.ndim == 3 and value.shape[-1] in (1, 3, 4) and value.shape[0] not in (1, 3, 4):
        if value.dtype == np.uint8 and value.shape[-1] > 1 and value.size:
            return _index_values(fromarray(value), where)
        hint = "take one channel, mask[..., 0]" if value.shape[-1] == 1 else "that is a colour image"
        raise PromptError(f"{where}: {kind_of(original)}; {hint}. Give {EXPECTED}")
    if value.ndim not in (2, 3) or not value.size:
        raise PromptError(f"{where}: {kind_of(original)}; give {EXPECTED}")
    return (
        one_object(value, where) if value.ndim == 2 else np.stack([shape_of(plane, where) for plane in value])
    )


def _index_values(image: PillowImage, where: str) -> IndexMask:
    try:
        return index_values(image, where)
    except SourceError as error:
        raise PromptError(str(error)) from None


def shape_of(mask: npt.NDArray[Any], where: str) -> BoolArray:
    """Where a mask (H, W) of one object is not 0; soft edges of a white one are cut at half."""
    white = as_white(mask, where, PromptError)
    return np.asarray((mask if white is None else white) != 0)


def one_object(mask: IndexMask, where: str) -> IndexMask:
    """An index mask (H, W); one white object, as images have them, gets the id 1.

    Soft edges of it are cut at half, with a warning.
    """
    white = as_white(mask, where, PromptError)
    if white is None:
        return without_void(mask, where)
    if not np.isin(mask, (0, mask.max())).all():
        warn_caller(
            f"{where}: a mask of greys from 0 to {mask.max()}, with soft edges, is taken as one object with "
            f"the id 1; for an object with the id {mask.max()} give MaskPrompt({mask.max()}, mask)",
            PromptWarning,
        )
    return (white > 0).astype(np.uint8)


def as_box(value: Any, where: str) -> Box:
    """Four numbers as a box."""
    try:
        numbers = np.asarray(as_array(value), np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    numbers = numbers[0] if numbers.shape == (1, 4) else numbers
    if numbers.shape != (4,):
        raise PromptError(f"{where}: {kind_of(value)}; give four numbers (x0, y0, x1, y1) in pixels")
    x0, y0, x1, y1 = numbers.tolist()
    return x0, y0, x1, y1


def as_points(value: Any, where: str) -> tuple[Point, ...]:
    """One point or several as pairs of numbers."""
    try:
        numbers = np.asarray(as_array(value), np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    numbers = numbers[None] if numbers.shape == (2,) else numbers
    numbers = numbers[0] if numbers.ndim == 3 and len(numbers) == 1 else numbers  # with a batch, as in SAM
    if numbers.ndim != 2 or numbers.shape[1] != 2 or not len(numbers):
        raise PromptError(f"{where}: {kind_of(value)}; give points in pixels, as in [(x, y), (x, y)]")
    return tuple((float(x), float(y)) for x, y in numbers)


def as_strokes(value: Any, where: str) -> tuple[tuple[Point, ...], ...]:
    """Strokes, each of several points, as pairs of numbers."""
    value = as_array(value)
    if not isinstance(value, (Sequence, np.ndarray)) or any(
        np.ndim(as_array(stroke)) < 2 for stroke in value
    ):
        raise PromptError(f"{where}: give strokes, each of several points, as in [[(x, y), (x, y)]]")
    return tuple(as_points(stroke, where) for stroke in value)


def points_of(value: Any, where: str) -> tuple[Point, ...]:
    """Points of a caller as pairs of numbers; there may be none."""
    return as_points(value, where) if value is not None and len(value) else ()


class DetectionsLike(Protocol):
    """The ``Detections`` of supervision."""

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
"""The prompts of one frame: see :func:`as_prompts`."""


class PromptArguments(TypedDict, total=False):
    """Prompts of a frame by their kinds, as keywords of a function.

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


def _as_known_kinds(prompt: Prompt, where: str) -> list[Prompt]:
    """A prompt of a class of the caller as the box, points and strokes that it says of an image."""
    if isinstance(prompt, PROMPTS):
        return [prompt]
    marks = prompt.to_image(ImageMarks())
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
    """A prompt with a box, points or a mask of plain numbers, as sessions and records take them."""
    where = f"{where}: {type(prompt).__name__}({prompt.id!r}, ...)"
    fields = {
        name: read(getattr(prompt, name), f"{where}: {name}")
        for name, read in _FIELDS.items()
        if hasattr(prompt, name)
    }
    return replace(prompt, **fields)


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


_FIELDS: Mapping[str, Callable[[Any, str], Any]] = {
    "mask": _plane,
    "box": as_box,
    "positive": points_of,
    "negative": points_of,
    "strokes": as_strokes,
}
"""What makes the values of prompts plain, by field."""


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
    """All prompts of a caller for a video by frame; None is the first frame.

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
            collected += (replace(item, frame=index) for item in as_prompts(value, f"prompts[{index}]"))
    elif prompts is not None:
        collected = [*_of_object(as_prompts(prompts), prompts, id)]
    if not collected and needed:
        raise PromptError(
            "prompts: say what to follow, for example masks={1: mask}, box=(x0, y0, x1, y1), "
            "points=[(x, y)], text='person' or Auto()"
        )
    return collected


def _of_object(prompts: Sequence[Prompt], value: Any, id: int) -> Sequence[Prompt]:
    """Prompts of a value for the object ``id``, that of a single mask or box; 1 has no effect."""
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
    """Points of an object in their order; labels are 1 on the object and 0 beside it."""
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


_VALUE = r"(?:[0-9]{1,40}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,3})?"
"""A number above 0 as Python and JSON print it."""
_NUMBER = rf"\s*([+-]?{_VALUE})\s*"
_POSITIVE = rf"\s*({_VALUE})\s*"
_DEGREES = ("0°", "90° to the left", "180°", "90° to the right")

_AT = re.compile(r"([0-9]{1,15})@(.+)", re.DOTALL)

_Typed = tuple[int | None, int | None, list[str]]
"""The frame, the id and the values of a text; None where they are not named."""


@dataclass(frozen=True)
class PromptForm:
    """How prompts of one kind are typed.

    Attributes:
        pattern: what stands after the frame: an id and further values.
        text: the form as errors show it.
        read: gives the prompts of all texts of the kind; it is also told whether boxes are filled.
    """

    pattern: str
    text: str
    read: Callable[[list[_Typed], bool], Iterator[Prompt]]


def _typed_masks(typed: list[_Typed], fill: bool) -> Iterator[Prompt]:
    """Masks with their id; a single one of a frame has the ids of its values."""
    frames = [frame for frame, _, _ in typed]
    for (frame, given_id, (path,)), id in zip(typed, _ids(typed), strict=True):
        yield MaskPrompt(id if given_id or frames.count(frame) > 1 else 0, path, frame=frame)


def _typed_boxes(typed: list[_Typed], fill: bool) -> Iterator[Prompt]:
    for (frame, _, (x0, y0, x1, y1)), id in zip(typed, _ids(typed), strict=True):
        yield BoxPrompt(id, (float(x0), float(y0), float(x1), float(y1)), fill, frame=frame)


def _typed_points(typed: list[_Typed], fill: bool) -> Iterator[Prompt]:
    for frame, given_id, (sign, x, y) in typed:
        on, off = ((), ((float(x), float(y)),)) if sign == "-" else (((float(x), float(y)),), ())
        yield PointPrompt(given_id or 1, on, off, frame=frame)


def _typed_strokes(typed: list[_Typed], fill: bool) -> Iterator[Prompt]:
    for frame, given_id, (text,) in typed:
        points = [tuple(map(float, point.split(","))) for point in text.split()]
        yield ScribblePrompt(given_id or 1, [points], frame=frame)


def _typed_removals(typed: list[_Typed], fill: bool) -> Iterator[Prompt]:
    return (RemovePrompt(id or 0, frame=frame) for frame, id, _ in typed)


PROMPT_FORMS: Mapping[str, PromptForm] = {
    "mask": PromptForm(r"(?:(\d{1,9})=)?(.+)", "PATH or id=PATH", _typed_masks),
    "box": PromptForm(
        r"\s*(?:(\d{1,9}):)?" + ",".join([_NUMBER] * 4), "x0,y0,x1,y1 or id:x0,y0,x1,y1", _typed_boxes
    ),
    "point": PromptForm(
        rf"\s*(?:(\d{{1,9}}):)?\s*([+-]?){_POSITIVE},{_POSITIVE}",
        "x,y, +x,y, -x,y or id:+x,y",
        _typed_points,
    ),
    "scribble": PromptForm(
        rf"\s*(?:(\d{{1,9}}):)?\s*({_VALUE},{_VALUE}(?:\s+{_VALUE},{_VALUE}){{1,10000}})\s*",
        "x,y x,y ... or id:x,y x,y ...",
        _typed_strokes,
    ),
    "remove": PromptForm(r"\s*(\d{1,9})\s*", "FRAME@ID, for example 120@2", _typed_removals),
}
"""Prompts as they are typed, by kind; a kind is an option of ``segue track``."""


def typed_prompts(texts: Mapping[str, Iterable[str]], *, fill: bool = False) -> tuple[Prompt, ...]:
    """Prompts as they are typed, by kind, as values; what names no frame is for the first one.

    Masks and boxes without an id get the smallest ids of their frame that are free, in their order. A single
    mask of a frame has the ids of its values.
    """
    return tuple(
        prompt
        for kind, form in PROMPT_FORMS.items()
        for prompt in form.read(list(_typed(kind, texts.get(kind, ()))), fill)
    )


def _typed(kind: str, texts: Iterable[str]) -> Iterator[_Typed]:
    form = PROMPT_FORMS[kind]
    for text in texts:
        at = _AT.fullmatch(text)
        match = re.fullmatch(form.pattern, text if at is None else at[2], re.DOTALL)
        if match is None:
            raise PromptError(f"{kind} '{text}' is not of the form {form.text}")
        id, *values = match.groups()
        yield None if at is None else int(at[1]), None if id is None else check_id(int(id)), values


def split_mask(text: str) -> tuple[str, str]:
    """The frame and id before a mask as it is typed, ``[FRAME@][ID=]``, and its path."""
    at = _AT.fullmatch(text)
    typed = text if at is None else at[2]
    match = re.fullmatch(PROMPT_FORMS["mask"].pattern, typed, re.DOTALL)
    path = typed if match is None else match[2]
    return text[: len(text) - len(path)], path


def _ids(typed: Iterable[_Typed]) -> Iterator[int]:
    """The id of each text, or the smallest one that is free on its frame."""
    used_ids = {(frame, id) for frame, id, _ in typed}
    for frame, given_id, _ in typed:
        id = given_id or next(number for number in itertools.count(1) if (frame, number) not in used_ids)
        used_ids.add((frame, id))
        yield id


ANNOTATIONS = frozenset({".json", ".xml"})
"""Files of annotation programs, by their suffix."""

_READ_LABELS = LazyCallable("segue.formats.reading:read_labels")
_MASK_OF_MATTE = LazyCallable("segue.formats.mattes:mask_of_matte")
"""By their names: the readers of annotation files and of videos stand above prompts."""


@dataclass(frozen=True)
class _OneImage:
    """What readers of annotations must know of the frame of a prompt."""

    size: tuple[int, int]
    count: int = 1
    names: None = None
    fps: None = None

    def time(self, index: int) -> float:
        return 0.0


def read_masks(
    prompt: MaskPrompt, size: tuple[int, int], frame: int = 0, frames: int | None = 1
) -> list[MaskPrompt]:
    """Prompts with their masks as arrays, (H, W); a file with ids becomes one for each of its objects.

    ``size`` is height and width of the frame, which polygons of annotations need. Its index ``frame`` and the
    number of ``frames`` of the source choose the page of a stack.
    """
    if isinstance(prompt.mask, np.ndarray):
        return [prompt]
    if prompt.path is None:
        return [replace(prompt, mask=decode_rle(prompt.mask))]
    path = user_path(prompt.path)
    if path.is_dir():
        raise PromptError("is a folder; give the mask of the frame, as FRAME@FILE where it is not the first")
    suffix = path.suffix.lower()
    if suffix in ANNOTATIONS:
        mask_prompts = _annotated(path, size)
    elif suffix in FILM_SUFFIXES:
        mask_prompts = MaskPrompt.each(_MASK_OF_MATTE(path, frame, frames))
    else:
        mask_prompts = MaskPrompt.each(_stored(path, frame, frames))
    if not prompt.id:
        return mask_prompts
    if len(mask_prompts) > 1:
        raise PromptError(
            f"holds {len(mask_prompts)} objects, but one is expected; give it as the only file, without id"
        )
    if not mask_prompts:
        raise PromptError("the mask is empty; draw at least one object")
    return [replace(prompt, mask=mask_prompts[0].mask, label=prompt.label or mask_prompts[0].label)]


def _stored(path: Path, frame: int, frames: int | None) -> IndexMask:
    """The index mask of a file, or of the page of a frame in a stack that has a page for each frame."""
    with MaskStack.opened(path) as stack:
        count = len(stack.pages)
        if count > 1 and count != frames:
            source = "" if frames is None else f", the source {frames} frame{'s' if frames > 1 else ''}"
            pages = stack_text(count, stack.axes)
            raise PromptError(f"holds {pages}{source}; give one page, or one for each frame")
        return stack.read(frame if count > 1 else 0, {}, warn_of_void)


def _annotated(path: Path, size: tuple[int, int]) -> list[MaskPrompt]:
    """The objects of a file that annotates one image, each with its name; they may overlap."""
    try:
        labels = _READ_LABELS(path, _OneImage(size))
    except SegueError as error:
        raise PromptError(str(error).removeprefix(f"{path}: ")) from None
    return [MaskPrompt(id, mask, label=labels.names[id]) for id, mask in labels.planes(0).items()]


def check_frame(prompts: Iterable[Prompt], index: int) -> None:
    """Refuse prompts that name another frame."""
    for prompt in prompts:
        if prompt.frame not in (None, index):
            raise PromptError(
                f"object {prompt.id}: the prompt is for frame {prompt.frame}, but was given on frame {index}"
            )


@contextmanager
def errors_name(what: object) -> Iterator[None]:
    """Errors from within begin with what they are about."""
    try:
        yield
    except PromptError as error:
        raise PromptError(f"{what}: {error}") from None


def check_ids(ids: Any) -> frozenset[int]:
    """The ids of several objects, or of one."""
    several = isinstance(ids, Iterable) and not isinstance(ids, (str, bytes))
    return frozenset(map(check_id, ids if several else (ids,)))


def fit_mask(
    mask: npt.NDArray[Any], size: tuple[int, int], fit: bool, turns: int = 0, pixel_aspect: Fraction = SQUARE
) -> npt.NDArray[Any]:
    """A mask, (h, w), at ``size`` (H, W); only with ``fit`` may it have had another one.

    A mask of the image as stored is turned as metadata turn the image. Another shape than that of the frame,
    as stored or as shown with pixels of ``pixel_aspect``, is refused.
    """
    if mask.ndim != 2:
        raise PromptError(f"a mask has two dimensions (height, width), not shape {mask.shape}")
    if mask.shape == size:
        return mask
    sizes = f"the mask is {mask.shape[1]}x{mask.shape[0]} pixels, the frame {size[1]}x{size[0]}"
    display_size = (size[0], size[1] * float(pixel_aspect))
    if not _same_shape(mask.shape, size) and not _same_shape(mask.shape, display_size):
        if turns % 2 and _same_shape(mask.shape[::-1], size):
            if fit:
                return resize_mask(np.ascontiguousarray(np.rot90(mask, turns)), size)
            raise PromptError(
                f"{sizes}: metadata of the source turn its images by {_DEGREES[turns % 4]}, and the mask is "
                "not turned; use fit=True to turn the mask, too"
            )
        raise PromptError(
            f"{sizes}: another shape, so that it is of another image or a part; draw it on the frame"
        )
    if not fit:
        raise PromptError(f"{sizes}; use fit=True to resize the mask")
    return resize_mask(mask, size)


def _same_shape(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two sizes have one shape, but for rounding to whole pixels."""
    (height, width), (tall, wide) = one, other
    scale = min(height / tall, width / wide)
    return max(abs(height - tall * scale), abs(width - wide * scale)) <= max(1.0, scale, 0.02 * max(one))


def check_pixels(prompt: Prompt) -> None:
    """Refuse a box, points or strokes that must be shares of the image: all their values lie in 0 to 1."""
    marks = prompt.to_image(ImageMarks())
    places = [*marks.points, *marks.negative, *(point for stroke in marks.scribble for point in stroke)]
    values = [float(value) for place in (marks.box or (), *places) for value in place]
    # A click on the corner of an image is one in pixels.
    shares = marks.box is not None or any(value % 1 for value in values)
    if values and shares and all(0 <= value <= 1 for value in values):
        coordinates = ", ".join(f"{value:g}" for value in values[:4])
        what = "box" if marks.box else "scribble" if marks.scribble else "point"
        raise PromptError(f"{what} ({coordinates}): these are shares of the image; give pixels")


def check_points(points: Sequence[Point], size: tuple[int, int]) -> None:
    """Raise PromptError unless all points lie in an image of ``size`` (H, W)."""
    height, width = size
    for x, y in points:
        if not (0 <= x < width and 0 <= y < height):
            raise PromptError(f"point ({x:g}, {y:g}) is outside the {width}x{height} image")


def clip_box(box: Box, size: tuple[int, int]) -> Box:
    """``box`` in whole pixels inside an image of ``size`` (H, W)."""
    name = "box (" + ", ".join(f"{value:g}" for value in box) + ")"
    if len(box) != 4 or not all(math.isfinite(value) for value in box):
        raise PromptError(f"{name} does not have four finite numbers x0, y0, x1, y1")
    if box[2] <= box[0] or box[3] <= box[1]:
        raise PromptError(f"{name} is empty: x1 must be larger than x0, and y1 than y0")
    height, width = size
    x0, x1 = (min(max(round(value), 0), width) for value in (box[0], box[2]))
    y0, y1 = (min(max(round(value), 0), height) for value in (box[1], box[3]))
    if x1 <= x0 or y1 <= y0:
        raise PromptError(f"{name} covers no pixel of the {width}x{height} image")
    return x0, y0, x1, y1
