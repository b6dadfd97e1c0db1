"""Prompts of an object on a frame: masks, boxes, points, scribbles and removals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Interval

from segue.errors import PromptError
from segue.utils import arrays
from segue.utils.arrays import (
    Box,
    BoxLike,
    IndexMask,
    Point,
    PointsLike,
    SupportsArray,
    same_values,
)

MAX_OBJECTS = 1000
"""Maximum number of objects in one session."""


def check_count(objects: int) -> None:
    """Refuse more objects than one session can track, before they are processed.

    Args:
        objects: number of objects.

    Raises:
        PromptError: there are more than :data:`MAX_OBJECTS`.
    """
    if objects > MAX_OBJECTS:
        raise PromptError(
            f"{objects} objects are more than the {MAX_OBJECTS} that one session can follow; "
            "is this an index mask, whose values are ids?"
        )


STROKE_POINTS = 5
"""Clicks that replace a stroke for networks without strokes."""


def _thinned(stroke: Sequence[Point]) -> list[Point]:
    """Up to :data:`STROKE_POINTS` points of a stroke at even distances, including both ends."""
    indices = np.linspace(0, len(stroke) - 1, min(STROKE_POINTS, len(stroke))).round().astype(int)
    return [stroke[i] for i in indices]


@dataclass(frozen=True)
class ImagePrompts:
    """All prompts of one object on one image, in pixels.

    Attributes:
        box: ``(x0, y0, x1, y1)`` around the object, ends exclusive.
        points: clicks on the object, ``(x, y)`` each; also a single one, an array or a tensor (N, 2).
        negative: clicks off the object.
        scribble: strokes on the object, each a sequence of points.
        mask: the object's mask so far, (H, W): probability in [0, 1], booleans, or whole numbers that are 0
            outside.
        order: for each click, in the order in which they were given, whether it is on the object. Clicks
            without an order come last, those on the object first.
    """

    box: Box | None = None
    points: Sequence[Point] = ()
    negative: Sequence[Point] = ()
    scribble: Sequence[Sequence[Point]] = ()
    mask: npt.NDArray[Any] | None = None
    order: Sequence[bool] = field(default=(), kw_only=True)

    if TYPE_CHECKING:  # callers may have arrays and tensors

        def __init__(
            self,
            box: BoxLike | None = None,
            points: PointsLike = (),
            negative: PointsLike = (),
            scribble: Sequence[PointsLike] = (),
            mask: SupportsArray | None = None,
            *,
            order: Sequence[bool] = (),
        ) -> None: ...

    @property
    def positive(self) -> list[Point]:
        """All points on the object, those of strokes included."""
        return [*self.points, *(point for stroke in self.scribble for point in stroke)]

    @property
    def clicks(self) -> list[tuple[float, float, bool]]:
        """Clicks ``(x, y, is_positive)`` in their order, then a few points of each stroke."""
        points, negative = iter(self.points), iter(self.negative)
        ordered = [(*next(points if inside else negative), inside) for inside in self.order]
        strokes = (point for stroke in self.scribble for point in _thinned(stroke))
        on = ((*at, True) for at in (*points, *strokes))
        return [*ordered, *on, *((*at, False) for at in negative)]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt by a person or a detector for one object on a frame; use one of the subclasses.

    Python, the JSON of a job and the networks use the same value.

    Attributes:
        id: id of the object, 1 to 65535. An existing id is corrected, a new id adds an object.
        label: class or name, copied to the results.
        frame: index of its frame; None is the frame of the call, in a job the first frame of the source.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid",
        "allow_inf_nan": False,
        "revalidate_instances": "always",
    }

    id: Annotated[int, Interval(ge=1, le=65535)]
    label: str | None = field(default=None, kw_only=True)
    frame: Annotated[int, Ge(0)] | None = field(default=None, kw_only=True)

    corrects: ClassVar[bool] = False
    """Whether it corrects the existing mask of its object instead of replacing it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", arrays.check_id(self.id))

    @property
    def replaces(self) -> bool:
        """Whether the whole existing mask of its object may change; otherwise only the corrected regions."""
        return True

    def to_image(self, prompts: ImagePrompts) -> ImagePrompts:
        """Add the prompt to those of its object.

        Args:
            prompts: other prompts of the object, in the same pixels.

        Returns:
            All prompts; the same ones for a prompt that a prompter does not process, such as a mask.

        Raises:
            PromptError: the prompts contradict each other.
        """
        return prompts

    def scaled(self, across: float, down: float) -> Prompt:
        """Scale the prompt to an image of another size.

        Args:
            across: factor on the width.
            down: factor on the height.

        Returns:
            The same prompt in pixels of that image.
        """
        return self


class _StoredMask:
    """Checks the mask of a prompt in a job; JSON has the run lengths of an array."""

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: Any) -> Any:
        from pydantic_core import core_schema

        from segue.masks.rle import stored_mask

        def checked(value: object) -> object:
            is_mask = isinstance(value, np.ndarray) and value.ndim == 2
            return value if is_mask else stored_mask(value)

        serializer = core_schema.plain_serializer_function_ser_schema(stored_mask)
        return core_schema.no_info_plain_validator_function(checked, serialization=serializer)


@dataclass(frozen=True, slots=True, eq=False)
class MaskPrompt(Prompt):
    """The object covers the pixels where ``mask`` is true or non-zero.

    Attributes:
        id: id of the object; with 0, the values of a mask file are the ids of its objects.
        mask: (H, W), or the path of a mask file; in a job also COCO's compressed run lengths.
        iou: IoU expected by the prompter that predicted the mask, in [0, 1]; None for a person's mask.
        digest: SHA-256 of the file when the job was planned; None if not computed.
    """

    id: Annotated[int, Interval(ge=0, le=65535)]
    mask: Annotated[Any, _StoredMask]
    iou: Annotated[float, Interval(ge=0, le=1)] | None = None
    digest: str | None = field(default=None, kw_only=True)
    kind: Literal["mask"] = field(default="mask", kw_only=True, repr=False)

    def __post_init__(self) -> None:
        if self.id != 0:  # the values of a mask file are ids
            Prompt.__post_init__(self)

    def __eq__(self, other: object) -> Any:
        if isinstance(other, MaskPrompt) and type(self.mask) is not type(other.mask):
            from segue.masks.rle import stored_mask  # an array and its run lengths are equal

            return replace(self, mask=stored_mask(self.mask)) == replace(other, mask=stored_mask(other.mask))
        return same_values(self, other)

    @property
    def path(self) -> str | None:
        """The mask file; None if the prompt contains the mask."""
        return self.mask if isinstance(self.mask, str) else None

    @classmethod
    def each(cls, mask: IndexMask, frame: int | None = None) -> list[MaskPrompt]:
        """Make one prompt for each object of an index mask.

        Args:
            mask: index mask (H, W).
            frame: index of their frame; None is the first frame.

        Returns:
            Prompts by ascending id.

        Raises:
            PromptError: it has more objects than one session can track.
        """
        ids = np.unique(mask)
        ids = ids[ids != 0]
        check_count(len(ids))
        return [cls(int(i), mask == i, frame=frame) for i in ids]


def _plain(value: Any) -> Any:
    """Convert arrays, tensors and lists to tuples of numbers, to compare prompts; others stay."""
    value = arrays.as_array(value)
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    return tuple(map(_plain, value)) if isinstance(value, (list, tuple)) else value


def _has_items(value: object) -> bool:
    return isinstance(value, tuple)


@dataclass(frozen=True, slots=True)
class BoxPrompt(Prompt):
    """The object is inside a box.

    Attributes:
        box: ``(x0, y0, x1, y1)`` in pixels; ``x1`` and ``y1`` are exclusive.
        fill: use the whole box as the mask, without a prompter.
    """

    box: Box
    fill: bool = False
    kind: Literal["box"] = field(default="box", kw_only=True, repr=False)

    if TYPE_CHECKING:  # callers may have arrays and lists

        def __init__(
            self,
            id: int,
            box: BoxLike,
            fill: bool = False,
            *,
            label: str | None = None,
            frame: int | None = None,
            kind: Literal["box"] = "box",
        ) -> None: ...

    def __post_init__(self) -> None:
        Prompt.__post_init__(self)
        object.__setattr__(self, "box", _plain(self.box))

    def to_image(self, prompts: ImagePrompts) -> ImagePrompts:
        if prompts.box is not None:
            raise PromptError("give one mask or one box for an id, with or without points")
        return replace(prompts, box=self.box)

    def scaled(self, across: float, down: float) -> BoxPrompt:
        x0, y0, x1, y1 = self.box
        return replace(self, box=(x0 * across, y0 * down, x1 * across, y1 * down))


@dataclass(frozen=True, slots=True)
class PointPrompt(Prompt):
    """The object is under every point of ``positive`` and under none of ``negative``.

    Points of a tracked object, or of an object with a mask, correct the mask: each point changes only the
    region under it. With ``whole``, the prompter segments the whole object again.

    Attributes:
        positive: points ``(x, y)`` on the object, in pixels; also a single one, an array or a tensor (N, 2).
        negative: points off the object.
        whole: segment the whole object again instead of the region under each point.
    """

    positive: tuple[Point, ...] = ()
    negative: tuple[Point, ...] = ()
    whole: bool = field(default=False, kw_only=True)
    kind: Literal["point"] = field(default="point", kw_only=True, repr=False)

    corrects: ClassVar[bool] = True

    if TYPE_CHECKING:

        def __init__(
            self,
            id: int,
            positive: PointsLike = (),
            negative: PointsLike = (),
            *,
            whole: bool = False,
            label: str | None = None,
            frame: int | None = None,
            kind: Literal["point"] = "point",
        ) -> None: ...

    def __post_init__(self) -> None:
        Prompt.__post_init__(self)
        for name in ("positive", "negative"):
            points = _plain(getattr(self, name))
            single = isinstance(points, tuple) and len(points) == 2 and not any(map(_has_items, points))
            object.__setattr__(self, name, (points,) if single else points)

    @property
    def replaces(self) -> bool:
        return self.whole

    def to_image(self, prompts: ImagePrompts) -> ImagePrompts:
        positive, negative = [*prompts.points, *self.positive], [*prompts.negative, *self.negative]
        order = [*prompts.order, *(True for _ in self.positive), *(False for _ in self.negative)]
        return replace(prompts, points=positive, negative=negative, order=order)

    def scaled(self, across: float, down: float) -> PointPrompt:
        on, off = (
            tuple((float(x) * across, float(y) * down) for x, y in points)
            for points in (self.positive, self.negative)
        )
        return replace(self, positive=on, negative=off)


@dataclass(frozen=True, slots=True)
class ScribblePrompt(Prompt):
    """The object is under every stroke of ``strokes``, each of several points.

    Strokes on a tracked object, or on an object with a mask, correct the mask like clicks on their points.

    Attributes:
        strokes: strokes on the object, each a sequence of points ``(x, y)`` in pixels.
        whole: segment the whole object again instead of the regions under the strokes.
    """

    strokes: tuple[tuple[Point, ...], ...] = ()
    whole: bool = field(default=False, kw_only=True)
    kind: Literal["scribble"] = field(default="scribble", kw_only=True, repr=False)

    corrects: ClassVar[bool] = True

    if TYPE_CHECKING:

        def __init__(
            self,
            id: int,
            strokes: Sequence[PointsLike],
            *,
            whole: bool = False,
            label: str | None = None,
            frame: int | None = None,
            kind: Literal["scribble"] = "scribble",
        ) -> None: ...

    def __post_init__(self) -> None:
        Prompt.__post_init__(self)
        object.__setattr__(self, "strokes", _plain(self.strokes))

    @property
    def replaces(self) -> bool:
        return self.whole

    def to_image(self, prompts: ImagePrompts) -> ImagePrompts:
        return replace(prompts, scribble=[*prompts.scribble, *self.strokes])

    def scaled(self, across: float, down: float) -> ScribblePrompt:
        strokes = tuple(tuple((x * across, y * down) for x, y in stroke) for stroke in self.strokes)
        return replace(self, strokes=strokes)


@dataclass(frozen=True, slots=True)
class RemovePrompt(Prompt):
    """From this frame on, the object with this id is no longer tracked."""

    kind: Literal["remove"] = field(default="remove", kw_only=True, repr=False)


AnyPrompt: TypeAlias = MaskPrompt | BoxPrompt | PointPrompt | ScribblePrompt | RemovePrompt
"""A prompt of any kind; each kind is entered here."""

PROMPTS: tuple[type[Prompt], ...] = get_args(AnyPrompt)
