"""Options of a run as fields of models, from which commands and functions are built."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeGuard, get_args

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, PrivateAttr
from pydantic.fields import FieldInfo

from segue.utils.inputs import kind_of, type_name, user_path

PANELS = ("Objects and events", "Output", "Source", "Model", "Advanced")
"""Groups of options in the help of a command, in their order."""


class OptionModel(BaseModel):
    """Base of values with options: they cannot be changed, and have no fields but their own."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        defer_build=True,  # a command uses few of them
    )


class RuntimeObject(OptionModel):
    """An object of a Python program in a field of a job: an array, a network, a function.

    The job holds the object itself. JSON says what it was, and the job can be run again by a program that
    has it.

    Attributes:
        type: its class, with the module; of a function, its own name.
        digest: SHA-256, hexadecimal, in records: of an array over its values; of a network over its weights,
            see :func:`segue.weights.identity.network_digest`. None for frames, and before the job has run.
    """

    type: str
    digest: str | None = None
    _value: Any = PrivateAttr(None)

    @classmethod
    def of(cls, value: Any, *, hold: bool = True) -> RuntimeObject:
        """Describe an object of a program.

        Args:
            value: the object.
            hold: whether the field holds it too; else it says what it was, as of frames, which go once.

        Returns:
            The field of a job.
        """
        name = type_name(value)
        if callable(value) and hasattr(value, "__qualname__"):
            name = f"{value.__module__}.{value.__qualname__}"
        instance = cls(type=name)
        instance._value = value if hold else None
        return instance

    @property
    def value(self) -> Any:
        """The object; None in a job that was read from JSON."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RuntimeObject) and (self.type, self.digest) == (other.type, other.digest)

    def __hash__(self) -> int:
        return hash((self.type, self.digest))


def unwrap(value: Any) -> Any:
    """Return the value of a field, or the object of a :class:`RuntimeObject`."""
    return value.value if isinstance(value, RuntimeObject) else value


def _text(value: object) -> str:
    # pydantic refuses what is no valid Unicode, but names of files need not be.
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError(f"must be a text or a path, not {kind_of(value)}")
    if "\0" in str(value):
        raise ValueError("has a null character, which no name of a file has")
    return str(user_path(value)) if str(value).startswith("~") else str(value)


Text = Annotated[str, PlainValidator(_text)]
"""A text that may be the name of a file."""


def _path(value: object) -> Path:
    if isinstance(value, str) and not value:  # of an unset variable; it would mean the working directory
        raise ValueError("must not be empty")
    return Path(_text(value))


FilePath = Annotated[Path, PlainValidator(_path)]


def by_commas(value: object) -> object:
    """Split a text, or the texts of a list, at commas, without duplicates; other values stay."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        return value
    return tuple(dict.fromkeys(part.strip() for text in texts for part in text.split(",") if part.strip()))


def option(
    default: Any = ...,
    panel: str | None = None,
    flags: str = "",
    *,
    argument: bool = False,
    text: bool = False,
    **rules: Any,
) -> Any:
    """A field that commands offer as an option; its docstring is the help.

    ``flags`` are its names, with commas, where they are not that of the field. An ``argument`` is typed
    without a name; with ``text`` it is typed as one text, which a validator reads. ``rules`` are those of a
    field.
    """
    default_rule = {} if "default_factory" in rules else {"default": default}
    extra: dict[str, Any] = {"panel": panel, "flags": flags, "argument": argument, "text": text}
    return Field(**default_rule, json_schema_extra=extra, **rules)


Place = tuple[str, ...]
"""Path of a field in a job: names from the outside in."""


def offered(kind: type[Any], above: Place = ()) -> Iterator[tuple[Place, FieldInfo]]:
    """Options of a model or pydantic dataclass and of the models in it, with their places."""
    fields: dict[str, FieldInfo] = kind.model_fields if is_model(kind) else kind.__pydantic_fields__
    for name, field in fields.items():
        models = [part for part in (field.annotation, *get_args(field.annotation)) if is_model(part)]
        if field.json_schema_extra:
            yield (*above, name), field
        elif models:
            yield from offered(models[0], (*above, name))


def inherited_help(kind: type[Any], name: str) -> str | None:
    """Docstring of a field in a base class, which dataclasses of pydantic do not inherit."""
    fields = (base.__dict__.get("__pydantic_fields__", {}).get(name) for base in kind.__mro__)
    return next((field.description for field in fields if field is not None and field.description), None)


def flags_of(place: Place, field: FieldInfo) -> list[str]:
    """Command-line flags of an option; the first one is shown in the help."""
    extra: Any = field.json_schema_extra
    return (extra["flags"] or place[-1].replace("_", "-")).split(",")


def is_argument(field: FieldInfo) -> bool:
    """Whether an option is typed without its name."""
    extra: Any = field.json_schema_extra
    return bool(extra["argument"])


def nested(values: Mapping[Place, Any]) -> dict[str, Any]:
    """Convert values by place to the nested mapping of a model."""
    tree: dict[str, Any] = {}
    for place, value in values.items():
        part = tree
        for name in place[:-1]:
            part = part.setdefault(name, {})
        part[place[-1]] = value
    return tree


def by_arguments(kind: type[BaseModel], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Convert arguments of a function, named as options or as fields, to the nested mapping of a job."""
    fields = dict(offered(kind))
    places = {place[-1]: place for place in reversed(fields)}
    places |= {flags_of(place, field)[0].replace("-", "_"): place for place, field in fields.items()}
    return nested({places[name]: value for name, value in arguments.items()})


_OPTION = re.compile(r"(?<![^\s(])--([a-z]+(?:-[a-z]+)*)(?: \(\w+=True\))?")


def with_argument_names(text: str, kind: type[BaseModel]) -> str:
    """A message about options of a job as one about arguments: ``overwrite=True`` for ``--overwrite``."""
    names = {
        flag: f"{place[-1]}=True" if field.annotation is bool else place[-1]
        for place, field in offered(kind)
        for flag in flags_of(place, field)
    }
    return _OPTION.sub(lambda match: str(names.get(match[1], match[0])), text)


_ARGUMENT = re.compile(r'(?<![^\s(])(?:open_source\(\.\.\., )?(\w+)=(?:True|"(\w+)"\)?)(?![\w.])')


def with_option_names(text: str, kinds: Iterable[type[BaseModel]]) -> str:
    """A message about arguments as one about options of jobs: ``--overwrite`` for ``overwrite=True``."""
    names = {place[-1]: flags_of(place, field)[0] for kind in kinds for place, field in offered(kind)}

    def option(match: re.Match[str]) -> str:
        name, value = match.groups()
        if name not in names:
            return match[0]
        return f"--{names[name]}" if value is None else f"--{names[name]} {value}"

    return _ARGUMENT.sub(option, text)


def is_model(kind: object) -> TypeGuard[type[BaseModel]]:
    """Whether it is a class of pydantic models."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)
