"""Options of a run as fields of models, and where they stand: what commands and functions are made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard, get_args

from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

PANELS = ("Source", "Objects and events", "Output", "Model", "Advanced")
"""Groups of options in the help of a command, in their order."""


def option(
    default: Any, panel: str | None = "Advanced", flags: str = "", *, text: bool = False, **rules: Any
) -> Any:
    """A field that commands offer as an option; its docstring is the help.

    ``flags`` are ``name``, ``name,other`` or ``name!`` for an argument, where the name is not that of the
    field; with ``text`` it is typed as one text, which a validator reads. ``rules`` are those of a field.
    """
    made = {} if "default_factory" in rules else {"default": default}
    return Field(**made, json_schema_extra={"panel": panel, "flags": flags, "text": text}, **rules)


Place = tuple[str, ...]
"""The names that lead to a field of a job."""


def offered(kind: type[BaseModel], above: Place = ()) -> Iterator[tuple[Place, FieldInfo]]:
    """The options of a job and of the models in it, with their places."""
    for name, field in kind.model_fields.items():
        models = [part for part in (field.annotation, *get_args(field.annotation)) if is_model(part)]
        if field.json_schema_extra:
            yield (*above, name), field
        elif models:
            yield from offered(models[0], (*above, name))


def flags_of(place: Place, field: FieldInfo) -> list[str]:
    """How an option is called on a command line, first what its help shows."""
    extra: Any = field.json_schema_extra
    return (extra["flags"].rstrip("!") or place[-1].replace("_", "-")).split(",")


def nested(values: Mapping[Place, Any]) -> dict[str, Any]:
    """Values by their places as the mapping that a model takes."""
    found: dict[str, Any] = {}
    for place, value in values.items():
        part = found
        for name in place[:-1]:
            part = part.setdefault(name, {})
        part[place[-1]] = value
    return found


def by_arguments(kind: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a function as the mapping that a job takes; they are called as options or as fields."""
    fields = dict(offered(kind))
    places = {place[-1]: place for place in reversed(fields)}
    places |= {flags_of(place, field)[0].replace("-", "_"): place for place, field in fields.items()}
    return nested({places[name]: value for name, value in given.items()})


def is_model(kind: object) -> TypeGuard[type[BaseModel]]:
    """Whether it is a class of pydantic models."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def value_of(words: Sequence[str], name: str) -> str | None:
    """The value that an option has among the words of a command line; None where it is not there."""
    for place, word in enumerate(words):
        if word == name and place + 1 < len(words):
            return words[place + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None
