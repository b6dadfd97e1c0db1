"""Options of the runs as values: checked for their types where they are made, and the same in every face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from segue.errors import ArgumentError
from segue.inputs import kind_of, parse_json
from segue.models.base import MemoryPolicy
from segue.types import FollowCamera


class Value(BaseModel):
    """Base of all values of jobs: they cannot be changed, and have no fields but their own."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


V = TypeVar("V", bound=Value)


Setting = str | int | float | bool | None


def _settings(value: object) -> object:
    """Settings as a mapping, also of texts ``NAME=VALUE`` from a command line."""
    if value is None or isinstance(value, Mapping):
        return value or {}
    if not isinstance(value, Sequence) or not all(isinstance(text, str) for text in value):
        raise ValueError("must be a mapping from names to values")
    pairs = [text.partition("=") for text in value]
    if wrong := [name for name, sign, _ in pairs if not (name and sign)]:
        raise ValueError(f"must be NAME=VALUE; {wrong[0]} has no value")
    return {name: setting_of(text) for name, _, text in pairs}


def setting_of(text: str) -> Setting:
    """The value that is written in a text: a number, true, false, none, or the text itself."""
    try:
        value = parse_json({"none": "null"}.get(text.lower(), text.lower()))
    except ValueError:
        return text
    return value if value is None or isinstance(value, (bool, int, float)) else text


def _names(value: object) -> object:
    """Names as a tuple, also of a text with commas between them."""
    if value is None or isinstance(value, str):
        return tuple(name.strip() for name in (value or "").split(",") if name.strip())
    return value


class TrackOptions(Value):
    """Options of tracking; None is as published for the network. See :func:`segue.track`."""

    mem_every: int | None = None
    top_k: int | Literal["published"] | None = "published"
    include_last: bool | None = None
    memory_frames: int | None = None
    memory_policy: MemoryPolicy | None = None
    max_jump: float | None = None
    short_side: int | None = None
    flip_tta: bool = False
    reverse: bool = False
    settings: Annotated[Mapping[str, Setting], BeforeValidator(_settings)] = Field(default_factory=dict)


class ForegroundOptions(Value):
    """Options of foreground segmentation; see :func:`segue.foreground`."""

    threshold: float | None = None
    min_area: int | None = None
    objects: bool = False
    shadows: bool = False
    short_side: int | None = None
    without: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()
    follow_camera: FollowCamera | None = None
    warm_up: int = 0
    fps: float | None = None
    passes: Literal[1, 2] | None = None


class InstanceOptions(Value):
    """Options of instance segmentation; None is what suits the network. See :func:`segue.instances`."""

    score: float | None = None
    top: int = 10
    window: int | None = None
    overlap: Annotated[int, Field(ge=0)] = 3
    short_side: Annotated[int, Field(ge=1)] | None = None


def checked(kind: type[V], values: Mapping[str, Any]) -> V:
    """Options of a caller as a value."""
    try:
        return kind(**values)
    except ValidationError as errors:
        raise ArgumentError(error_text(errors)) from None


def error_text(errors: ValidationError) -> str:
    """The first of the errors that pydantic found, for people: which field, what it is, what is expected."""
    first = errors.errors(include_url=False)[0]
    # Of a field with several types pydantic adds the one that it tried first.
    place = ".".join(
        str(part) for part in first["loc"] if not str(part).startswith(("literal[", "function-", "int"))
    )
    value = first["input"]
    if first["type"] == "extra_forbidden":
        return f"{place}: there is no such field"
    if first["type"] == "missing":
        return f"{place}: is missing"
    shown = repr(value) if isinstance(value, (str, int, float)) and len(repr(value)) < 60 else kind_of(value)
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ").partition(", unable")[0]
    if first["type"] == "value_error" and isinstance(value, Mapping):  # the message names what it is about
        return message
    return f"{place} is {shown}, but {message}".replace("but should", "but must").replace(
        "should be", "must be"
    )
