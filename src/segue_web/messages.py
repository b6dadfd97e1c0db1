"""Requests of a page; every field is bounded."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
)

from segue.errors import DatasetError, PromptError, SegueError
from segue.masks import Rle, decode_rle
from segue.masks.rle import check_runs
from segue.prompts.granularity import Granularity
from segue.types import Box
from segue_web.text import first_problem, without_controls

MAX_BYTES = 4 << 20
"""Longest message."""

Number = Annotated[int, Field(ge=1, le=65535)]
Index = Annotated[int, Field(ge=0, le=2**31)]
Revision = Annotated[int, Field(ge=0)]
Coordinate = Annotated[float, Field(ge=-1e5, le=1e5, allow_inf_nan=False)]


def _without_controls(text: str) -> str:
    if without_controls(text) != text:
        raise ValueError("holds control characters")
    return text


Text = Annotated[str, AfterValidator(_without_controls)]
Name = Annotated[Text, Field(min_length=1, max_length=80)]
Runs = Annotated[str, Field(max_length=MAX_BYTES)]
"""Run lengths of a mask, compressed as COCO does."""


def plane_of(counts: Runs, what: str, height: int, width: int) -> npt.NDArray[np.bool_]:
    """The mask of run lengths that a page sent, (H, W)."""
    try:
        check_runs([counts.encode("utf-8", "surrogatepass")], height * width)
    except DatasetError as error:
        raise SegueError(f"{what} is damaged: {error}") from None
    return decode_rle(Rle(size=[height, width], counts=counts))


class Message(BaseModel):
    """A request; the answer has the same ``id``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: int


class Hello(Message):
    """All that a page needs to begin."""

    op: Literal["hello"]


class Look(Message):
    """Masks and prompts of frames."""

    op: Literal["look"]
    frames: Annotated[list[Index], Field(max_length=64)]


class Prepare(Message):
    """The frame that is looked at, and where the pointer rests: the next click will be there."""

    op: Literal["prepare"]
    frame: Index
    at: tuple[Coordinate, Coordinate] | None = None


class Before(Message):
    """The masks of a frame before the last step that changed it."""

    op: Literal["before"]
    frame: Index


class Edit(Message):
    """A change of one object on one frame; ``object`` None makes a new one."""

    frame: Index
    object: Number | None
    seen: Revision


class ClickEdit(Edit):
    """All clicks and the box of the object on this frame, earlier ones included, and their granularity."""

    op: Literal["click"]
    points: Annotated[list[tuple[Coordinate, Coordinate, bool]], Field(max_length=200)] = []
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate] | None = None
    granularity: Granularity = "whole"

    def within(self, height: int, width: int) -> tuple[list[tuple[float, float, bool]], Box | None]:
        """Points and box inside a frame of that size."""
        if not self.points and self.box is None:
            raise PromptError("give a point or a box")
        points = [(min(max(x, 0), width - 1), min(max(y, 0), height - 1), on) for x, y, on in self.points]
        if self.box is None:
            return points, None
        x0, x1 = sorted(min(max(x, 0.0), float(width)) for x in self.box[::2])
        y0, y1 = sorted(min(max(y, 0.0), float(height)) for y in self.box[1::2])
        if x1 - x0 < 2 or y1 - y0 < 2:
            raise PromptError("the box is smaller than two pixels")
        return points, (x0, y0, x1, y1)


class StrokeEdit(Edit):
    """Pixels added to the object or taken from it: along a path, or without a width the area inside."""

    op: Literal["stroke"]
    add: bool
    path: Annotated[list[tuple[Coordinate, Coordinate]], Field(min_length=1, max_length=100_000)]
    width: Annotated[float, Field(ge=1, le=1000)] | None


class PolygonEdit(Edit):
    """A polygon that becomes the object's mask on this frame, and is interpolated to other frames."""

    op: Literal["polygon"]
    corners: Annotated[list[tuple[Coordinate, Coordinate]], Field(min_length=3, max_length=500)]

    def within(self, height: int, width: int) -> npt.NDArray[np.float64]:
        """The corners inside a frame of that size, (N, 2)."""
        return np.clip(np.array(self.corners, np.float64), 0, (width, height))


class ForgetEdit(Edit):
    """The object's mask on this frame goes; ``hidden``: and it is known to be out of sight."""

    op: Literal["forget"]
    object: Number
    hidden: bool


class ObjectEdit(Message):
    """Changes of an object and those in ``also``; empty removes a class or group, None an attribute."""

    op: Literal["object"]
    object: Number
    also: Annotated[list[Number], Field(max_length=1000)] = []
    name: Name | None = None
    category: Annotated[Text, Field(max_length=80)] | None = None
    group: Annotated[Text, Field(max_length=80)] | None = None
    attributes: Annotated[
        dict[Name, Annotated[Text, Field(max_length=200)] | None], Field(max_length=40)
    ] = {}
    colour: Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")] | None = None
    visible: bool | None = None
    locked: bool | None = None

    @field_validator("attributes")
    @classmethod
    def _not_the_group(cls, attributes: dict[str, str | None]) -> dict[str, str | None]:
        if attributes.get("group") is not None:
            raise ValueError("files have the group of an object under this name; put the object into a group")
        return attributes


class Remove(Message):
    """Remove an object everywhere."""

    op: Literal["remove"]
    object: Number


class Undo(Message):
    """Undo or redo."""

    op: Literal["undo", "redo"]


class Track(Message):
    """Follow unlocked objects from the nearest corrected frame; ``resume`` continues the last tracking."""

    op: Literal["track"]
    direction: Literal["forward", "back", "between"]
    frame: Index
    resume: bool = False
    first: Index = 0
    last: Index | None = None
    objects: Annotated[list[Number], Field(max_length=1000)] | None = None


class Stop(Message):
    """Stop what is computed."""

    op: Literal["stop"]


class Find(Message):
    """Propose objects of a frame; with a text, what its phrases name."""

    op: Literal["find"]
    frame: Index
    detector: Annotated[str, Field(max_length=40)]
    text: Annotated[str, Field(max_length=200)] = ""


class Suggestion(BaseModel):
    """An object that a detector found; its score is None where that is unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    counts: Runs
    label: Annotated[Text, Field(max_length=200)] | None
    score: Annotated[float, Field(allow_inf_nan=False)] | None


class Adopt(Message):
    """Make objects of what was proposed."""

    op: Literal["adopt"]
    frame: Index
    chosen: Annotated[list[Suggestion], Field(min_length=1, max_length=1000)]


class Export(Message):
    """Write the masks of some frames for another program; ``soft`` gives cut-outs soft edges."""

    op: Literal["export"]
    format: Annotated[str, Field(pattern="^[a-z0-9_]{1,40}$")]
    objects: Annotated[list[Number], Field(max_length=1000)] | None = None
    all_frames: bool = False
    first: Index = 0
    last: Index | None = None
    soft: bool = False


class Import(Message):
    """Import an upload into the objects that its own are to be, or only say what would change."""

    op: Literal["import"]
    upload: Index
    targets: Annotated[dict[Index, Number | None], Field(max_length=10_000)]
    preview: bool = False


class Settings(Message):
    """View settings that the server stores."""

    op: Literal["settings"]
    values: Annotated[dict[str, str | int | float | bool], Field(max_length=40)]

    @field_validator("values")
    @classmethod
    def _short(cls, values: dict[str, Any]) -> dict[str, Any]:
        if any(len(key) > 40 or len(str(value)) > 200 for key, value in values.items()):
            raise ValueError("too long to be a setting")
        return values


class Score(Message):
    """Agreement of two results on a frame."""

    op: Literal["score"]
    frame: Index


AnyMessage = (
    Hello | Look | Prepare | Before | ClickEdit | StrokeEdit | PolygonEdit | ForgetEdit | ObjectEdit | Remove
    | Undo | Track | Stop | Find | Adopt | Export | Import | Settings | Score
)  # fmt: skip

_ADAPTER: TypeAdapter[AnyMessage] = TypeAdapter(Annotated[AnyMessage, Field(discriminator="op")])


def parse(text: str) -> AnyMessage:
    """A message of the page."""
    if len(text) > MAX_BYTES:
        raise SegueError(f"a message of {len(text)} characters is refused; the limit is {MAX_BYTES}")
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        raise SegueError(f"the request is not valid: {first_problem(error)}") from None
