"""Label schemas: classes with colours, keys and attributes, as annotation tools define them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from segue.errors import PromptError, SegueError
from segue.formats.text import first_problem, without_controls
from segue.utils.inputs import check_file

MAX_NAME_LENGTH = 80
"""Characters of the name of an object; the page has no room for more."""

MAX_VALUE_LENGTH = 200
"""Characters of an attribute of an object."""

MAX_ATTRIBUTES = 40
"""Attributes of an object."""

MAX_CLASSES = 1000
"""Classes of a schema."""

MAX_BYTES = 4 << 20
"""Bytes of the file of a schema."""

CHECKED, UNCHECKED = "true", "false"
"""Values of a check box."""

OCCLUDED = "occluded"
"""Check box of every shape in CVAT files."""

Kind = Literal["choice", "text", "check"]
Owner = Literal["object", "frame"]


def _printable(text: str) -> str:
    if without_controls(text) != text:
        raise ValueError("holds control characters")
    return text


def _free(name: str) -> str:
    if name == "group":
        raise ValueError("files have the group of an object under this name; choose another one")
    return name


_Stripped = StringConstraints(strip_whitespace=True)
_Name = Annotated[str, _Stripped, Field(min_length=1, max_length=MAX_NAME_LENGTH), AfterValidator(_printable)]
_Value = Annotated[
    str, _Stripped, Field(min_length=1, max_length=MAX_VALUE_LENGTH), AfterValidator(_printable)
]
_Colour = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$"), AfterValidator(str.lower)]
_Key = Annotated[str, Field(pattern="^[0-9a-zA-Z]$"), AfterValidator(str.lower)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AttributeDefinition(_Part):
    """An attribute: its values, and whether they belong to an object or to each frame.

    The value of a frame holds on the frames after it, up to the next one that has a value.

    Attributes:
        name: its name.
        type: kind of its values.
        of: whether values belong to an object or to each frame.
        values: allowed values, for a choice.
    """

    name: Annotated[_Name, AfterValidator(_free)]
    type: Kind = "text"
    of: Owner = "object"
    values: Annotated[tuple[_Value, ...], Field(max_length=MAX_CLASSES)] = ()

    @model_validator(mode="after")
    def _has_values(self) -> AttributeDefinition:
        if (self.type == "choice") != bool(self.values):
            raise ValueError(f"{self.name}: give values for a choice, and for nothing else")
        if twice := _twice(self.values):
            raise ValueError(f"{self.name}: has the value {twice} twice")
        return self

    def check(self, value: str) -> None:
        """Raise PromptError if a value is not allowed; the empty value always is."""
        allowed = (CHECKED, UNCHECKED) if self.type == "check" else self.values
        if value and allowed and value not in allowed:
            raise PromptError(f"{self.name}: {value} is none of {', '.join(allowed)}")


class ClassDefinition(_Part):
    """A class of objects.

    Attributes:
        name: its name, unique in the schema.
        colour: ``#rrggbb``; None uses the palette.
        key: key of the page that selects it.
        attributes: attributes of objects of this class.
    """

    name: _Name
    colour: _Colour | None = None
    key: _Key | None = None
    attributes: Annotated[tuple[AttributeDefinition, ...], Field(max_length=MAX_ATTRIBUTES)] = ()


class LabelSchema(_Part):
    """Classes and attributes of objects.

    Attributes:
        classes: the classes; without any, every class is allowed.
        attributes: attributes of objects of every class.
    """

    classes: Annotated[tuple[ClassDefinition, ...], Field(max_length=MAX_CLASSES)] = ()
    attributes: Annotated[tuple[AttributeDefinition, ...], Field(max_length=MAX_ATTRIBUTES)] = ()

    @model_validator(mode="after")
    def _is_unambiguous(self) -> LabelSchema:
        if twice := _twice([one.name for one in self.classes]):
            raise ValueError(f"the class {twice} is defined twice")
        if twice := _twice([one.key for one in self.classes if one.key]):
            raise ValueError(f"two classes have the key {twice}")
        for category in (None, *(one.name for one in self.classes)):
            if twice := _twice([one.name for one in self.attributes_of(category)]):
                raise ValueError(
                    f"the attribute {twice} is defined twice" + f" for {category}" * bool(category)
                )
        return self

    def __bool__(self) -> bool:
        return bool(self.classes or self.attributes)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(one.name for one in self.classes)

    def attributes_of(self, category: str | None) -> tuple[AttributeDefinition, ...]:
        """Attributes of a class; common ones come first."""
        class_attributes = (one.attributes for one in self.classes if one.name == category)
        return (*self.attributes, *next(class_attributes, ()))

    def attribute(self, category: str | None, name: str) -> AttributeDefinition | None:
        """Definition of an attribute of a class, if there is one."""
        return next((one for one in self.attributes_of(category) if one.name == name), None)

    def all_attributes(self) -> Iterator[tuple[str | None, AttributeDefinition]]:
        """Every attribute with its class, or None for common ones."""
        yield from ((None, one) for one in self.attributes)
        yield from ((each.name, one) for each in self.classes for one in each.attributes)

    def check_class(self, category: str) -> None:
        """Raise SegueError if a class is not allowed; the empty class always is."""
        if category and self.classes and category not in self.names:
            raise SegueError(f"{category} is not one of the classes: {', '.join(self.names)}")

    def check(self, category: str | None, values: Mapping[str, str | None], of: Owner) -> None:
        """Raise PromptError if defined attributes of a class have invalid values."""
        for name, value in values.items():
            if (defined := self.attribute(category, name)) is None:
                continue
            if defined.of != of:
                raise PromptError(f"{name} is an attribute of {'a frame' if of == 'object' else 'an object'}")
            defined.check(value or "")

    def with_classes(self, names: Sequence[str]) -> LabelSchema:
        """Reduce the schema to these classes; new ones get no attributes."""
        by_name = {one.name: one for one in self.classes}
        classes = [by_name.get(name.strip(), {"name": name}) for name in names]
        return schema_of({"classes": classes, "attributes": self.attributes})

    def with_additions(self, other: LabelSchema) -> LabelSchema:
        """Add what another schema defines beyond this one; SegueError if there is no room."""
        by_name = {one.name: one for one in self.classes}
        keys = {one.key for one in self.classes}
        used_names = {one.name for _, one in self.all_attributes()}
        general = [one for one in other.attributes if one.name not in used_names]
        barred = {one.name for one in (*self.attributes, *general)}
        for each in other.classes:
            old = by_name.get(each.name) or each.model_copy(
                update={"attributes": (), "key": None if each.key in keys else each.key}
            )
            names = barred | {one.name for one in old.attributes}
            added = tuple(one for one in each.attributes if one.name not in names)
            by_name[each.name] = old.model_copy(update={"attributes": (*old.attributes, *added)})
        values = {"classes": tuple(by_name.values()), "attributes": (*self.attributes, *general)}
        return schema_of(values)

    def as_json(self) -> dict[str, Any]:
        """Convert to JSON values, without defaults."""
        return self.model_dump(mode="json", exclude_defaults=True)


def _twice(names: Sequence[str | None]) -> str | None:
    """First name that a list has twice."""
    return next((name for place, name in enumerate(names) if name in names[:place]), None)


def schema_of(values: object, where: str = "label schema") -> LabelSchema:
    """Parse a schema from JSON values; errors name ``where`` they are."""
    try:
        return LabelSchema.model_validate(values)
    except ValidationError as error:
        raise SegueError(f"{where}: {first_problem(error.errors())}") from None


def read_schema(path: Path) -> LabelSchema:
    """Read a label schema from a JSON file.

    Args:
        path: the file, at most 4 MiB.

    Returns:
        The schema.

    Raises:
        SegueError: if the file cannot be read or is no label schema.
    """
    check_file(path, SegueError, MAX_BYTES)
    try:
        return LabelSchema.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise SegueError(f"{path}: no label schema ({first_problem(error.errors())})") from None
    except OSError as error:
        raise SegueError(f"{path}: cannot be read ({error.strerror})") from None


def found_schema(
    classes: Sequence[ClassDefinition], attributes: Sequence[AttributeDefinition]
) -> LabelSchema:
    """Schema implied by a file of another program; attributes of all classes become common."""
    by_name = {one.name: one for one in reversed(classes)}
    shared = (
        set.intersection(*(set(one.attributes) for one in by_name.values())) if len(by_name) > 1 else set()
    )
    general = {one.name: one for one in attributes}
    general |= {one.name: one for each in classes for one in each.attributes if one in shared}
    reduced = [
        each.model_copy(
            update={"attributes": tuple(one for one in each.attributes if one.name not in general)}
        )
        for each in reversed(by_name.values())
    ]
    return LabelSchema().with_additions(
        LabelSchema.model_construct(classes=tuple(reduced), attributes=tuple(general.values()))
    )


def found_class(
    name: str, colour: str | None, key: str | None, attributes: Sequence[AttributeDefinition | None]
) -> ClassDefinition | None:
    """Class of another program, within the limits of a schema; None without a usable name."""
    by_name = {one.name: one for one in attributes if one is not None}
    about: dict[str, Any] = {"attributes": tuple(by_name.values())[:MAX_ATTRIBUTES]}
    for field, value in (("colour", colour), ("key", key)):
        if value and _or_none(ClassDefinition, {"name": "name", field: value}):
            about[field] = value
    return _or_none(ClassDefinition, {"name": without_controls(name), **about})


def found_attribute(**about: Any) -> AttributeDefinition | None:
    """Attribute of another program; None beyond the limits of a schema."""
    return _or_none(AttributeDefinition, {**about, "name": without_controls(about["name"])})


Part = TypeVar("Part", bound=_Part)


def _or_none(kind: type[Part], values: object) -> Part | None:
    try:
        return kind.model_validate(values)
    except ValidationError:
        return None


def texts_of(values: Mapping[str, str | bool]) -> dict[str, str]:
    """Convert attribute values to texts."""
    return {
        name: value if isinstance(value, str) else CHECKED if value else UNCHECKED
        for name, value in values.items()
    }
