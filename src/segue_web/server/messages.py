"""Requests of a page: each names a backend method, whose parameters validate its fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from segue.errors import DatasetError, SegueError
from segue.formats.text import first_problem, without_controls
from segue.masks import Rle, decode_rle
from segue.masks.rle import check_runs

MAX_BYTES = 4 << 20
"""Longest message."""


def _printable(text: str) -> str:
    if without_controls(text) != text:
        raise ValueError("holds control characters")
    return text


def _attributes(values: dict[str, str | None]) -> dict[str, str | None]:
    if values.get("group") is not None:
        raise ValueError("this name is reserved for the group; set the object's group instead")
    return values


Number = Annotated[int, Field(ge=1, le=65535)]
Numbers = Annotated[tuple[Number, ...], Field(max_length=1000)]
Index = Annotated[int, Field(strict=True, ge=0, le=2**31)]
Indices = Annotated[list[Index], Field(max_length=64)]
Revision = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Coordinate = Annotated[float, Field(ge=-1e5, le=1e5, allow_inf_nan=False)]
Place = tuple[Coordinate, Coordinate]
BoxCorners = tuple[Coordinate, Coordinate, Coordinate, Coordinate]
Click = tuple[Coordinate, Coordinate, bool]
"""Point in the video, and whether it is on the object."""

Clicks = Annotated[tuple[Click, ...], Field(max_length=200)]
Path = Annotated[list[Place], Field(min_length=1, max_length=100_000)]
Width = Annotated[float, Field(ge=1, le=1000)]
Text = Annotated[str, AfterValidator(_printable)]
Name = Annotated[Text, Field(min_length=1, max_length=80)]
ShortText = Annotated[Text, Field(max_length=80)]
LongText = Annotated[Text, Field(max_length=200)]
CommentText = Annotated[Text, Field(min_length=1, max_length=1000)]
Colour = Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]
Setting = Annotated[str, Field(max_length=200)] | bool | int | Annotated[float, Field(allow_inf_nan=False)]
Settings = Annotated[dict[Annotated[str, Field(max_length=40)], Setting], Field(max_length=40)]
Attributes = Annotated[dict[Name, LongText | None], Field(max_length=40), AfterValidator(_attributes)]
Targets = Annotated[dict[Annotated[int, Field(ge=0)], Number | None], Field(max_length=10_000)]
Runs = Annotated[str, Field(max_length=MAX_BYTES)]
"""Run lengths of a mask, compressed as COCO does."""


class Suggestion(BaseModel):
    """A detected object; its score is None if unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    counts: Runs
    label: LongText | None
    score: Annotated[float, Field(allow_inf_nan=False)] | None


Suggestions = Annotated[list[Suggestion], Field(min_length=1, max_length=1000)]


class PageRequest(BaseModel):
    """A request: ``op`` names the method, other fields are its parameters; the answer has its ``id``."""

    model_config = ConfigDict(extra="allow", frozen=True)
    id: int
    op: Annotated[str, Field(max_length=20)]


@contextmanager
def checked() -> Iterator[None]:
    """Convert pydantic's errors inside the block to one line."""
    try:
        yield
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        raise SegueError(f"the request is not valid: {first_problem(problems)}") from None


def parse(text: str) -> PageRequest:
    """Parse a request of the page; its method validates the parameters."""
    if len(text) > MAX_BYTES:
        raise SegueError(f"a message of {len(text)} characters is refused; the limit is {MAX_BYTES}")
    with checked():
        return PageRequest.model_validate_json(text)


def plane_of(counts: Runs, what: str, height: int, width: int) -> npt.NDArray[np.bool_]:
    """Decode run lengths from a page to a mask, (H, W)."""
    try:
        check_runs([counts.encode("utf-8", "surrogatepass")], height * width)
    except DatasetError as error:
        raise SegueError(f"{what} is damaged: {error}") from None
    return decode_rle(Rle(size=[height, width], counts=counts))


def clicks_within(points: Sequence[Click], height: int, width: int) -> list[Click]:
    """Clip points to a frame of a size."""
    return [(min(max(x, 0), width - 1), min(max(y, 0), height - 1), on) for x, y, on in points]
