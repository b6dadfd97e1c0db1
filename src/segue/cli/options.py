"""Commands made from signatures: what a dataclass or function says of its parameters stands only there.

Types, defaults and docstrings of parameters become those of the options: bounds come from
``annotated_types`` (``Annotated[int, Ge(1)]``), choices from ``Literal``, and the help is the entry under
``Attributes`` or ``Args``.
"""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin, get_type_hints

import typer
from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.core import TyperCommand

from segue.options import PANELS, Place, flags_of, offered

Values = dict[str, Any]
ChosenOptions = dict[Place, Any]  # values of options by their places in a job

_SECTION = re.compile(r"^(?:Args|Attributes):\n((?:    .*\n?|\n)*)", re.MULTILINE)
_ENTRY = re.compile(r"^    (\w+(?:, \w+)*): (.*(?:\n {5,}.*)*)", re.MULTILINE)

_DEFAULT = re.compile(r"; None is ([^;]*)\.$")


@dataclass(frozen=True, slots=True)
class Options:
    """Parameters of a dataclass or function that a command offers, by their ``names``.

    Of these, ``trunk:init`` is offered as ``--init``, ``out:out,o`` as ``--out`` and ``-o``, and ``scene!``
    as an argument; ``defaults``, ``types`` and ``help`` differ from the signature: ``...`` is required.
    """

    of: Any
    names: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    types: Mapping[str, Any] = field(default_factory=dict)
    help: Mapping[str, str] = field(default_factory=dict)
    panel: str | None = None

    def parameters(self) -> Iterator[tuple[str, inspect.Parameter]]:
        """Name in the signature, and the parameter as Typer takes it."""
        known = inspect.signature(self.of).parameters
        plain_class = isinstance(self.of, type) and not is_dataclass(self.of)
        hints = get_type_hints(
            self.of.__init__ if plain_class else self.of,
            localns={"KW_ONLY": Any},  # which Python 3.10 does not take for a type
            include_extras=True,
        )
        types, helps = {**hints, **self.types}, described(self.of)
        for word in self.names.split():
            name, _, given = word.rstrip("!").partition(":")
            default = self.defaults.get(name, known[name].default)
            annotated = get_origin(types[name]) is Annotated
            kind, *metadata = get_args(types[name]) if annotated else (types[name],)
            flags = (given or name.replace("_", "-")).split(",")
            text = self.help.get(name, helps.get(name))
            panel = None if word.endswith("!") else self.panel
            rules = {"help": text, "rich_help_panel": panel} | _bounds(metadata)
            yield name, _parameter(flags, kind, default, argument=word.endswith("!"), **rules)


@dataclass(frozen=True, slots=True)
class Fields:
    """Options of a job as a command offers them; what differs is by the names of options."""

    of: type[BaseModel]
    without: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    help: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def parameters(self) -> Iterator[tuple[Place, inspect.Parameter]]:
        """Place in the job, and the parameter as Typer takes it."""
        for place, item in offered(self.of):
            flags, extra = flags_of(place, item), cast(dict[str, Any], item.json_schema_extra)
            if flags[0] in self.without:
                continue
            kind, bounds = _typed(item)
            default = self.defaults.get(flags[0], item.default)
            argument = extra["flags"].endswith("!")
            if argument:
                default = inspect.Parameter.empty
            elif not isinstance(default, (bool, int, float, str)) or (
                kind is int and isinstance(default, str)
            ):
                default = None  # the help says which it is
            panel = None if argument else extra["panel"]
            rules = {"help": self.help.get(flags[0], item.description), "rich_help_panel": panel} | bounds
            flags[0] = self.names.get(flags[0], flags[0])
            yield place, _parameter(flags, kind, default, argument=argument, **rules)


def _parameter(
    flags: Sequence[str], kind: Any, default: Any, *, argument: bool, **rules: Any
) -> inspect.Parameter:
    """A parameter as Typer takes it; ``rules`` are those of an argument or option."""
    if argument:
        info: Any = typer.Argument(show_default=False, **rules)
    else:
        words = [f"{'-' if len(name) == 1 else '--'}{name}" for name in flags]
        if kind == bool | None or (kind is bool and default is not False):
            words[0] += f"/--no-{flags[0]}"
        shown = default not in (None, "")
        info = typer.Option(*words, show_default=shown, **rules)
        kind = kind if shown else kind | None
    annotation: Any = Annotated[kind, info]
    name = flags[0].replace("-", "_") + ("_" if keyword.iskeyword(flags[0]) else "")
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _typed(item: FieldInfo) -> tuple[Any, dict[str, Any]]:
    """The type of a field without None, and its bounds, as Typer takes them."""
    kinds, extra = _kinds(item.annotation), cast(dict[str, Any], item.json_schema_extra)
    bounds = _bounds(item.metadata)
    if extra["text"] or str in kinds:
        return str, bounds
    return list[str] if get_origin(kinds[0]) in (tuple, Mapping) else kinds[0], bounds


def _kinds(kind: Any) -> list[Any]:
    """The types of a union, without None and what is annotated."""
    if get_origin(kind) is Annotated:
        return _kinds(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [part for each in get_args(kind) if each is not NoneType for part in _kinds(each)]
    return [kind]


def _bounds(metadata: Sequence[Any]) -> dict[str, Any]:
    """The bounds of a type as Typer takes them."""
    least = [item.ge for item in metadata if isinstance(item, Ge)]
    most = [item.le for item in metadata if isinstance(item, Le)]
    return {name: values[0] for name, values in (("min", least), ("max", most)) if values}


def described(of: Any) -> dict[str, str]:
    """Description of each parameter in the docstring of a dataclass, its bases, or a function."""
    found: dict[str, str] = {}
    own = {f"``{name}``": f"`--{name.replace('_', '-')}`" for name in inspect.signature(of).parameters}
    for part in reversed(of.__mro__ if isinstance(of, type) else (of,)):
        section = _SECTION.search(inspect.cleandoc(part.__doc__ or ""))
        for names, text in _ENTRY.findall(section[1] if section else ""):
            line = re.sub(r"``\w+``", lambda code: own.get(code[0], code[0]), " ".join(text.split()))
            line = _DEFAULT.sub(r".  [default: \1]", line.replace("``", "`"))
            first = line[0] if "=" in line.split()[0] else line[0].upper()
            found |= dict.fromkeys(names.split(", "), first + line[1:])
    return found


def _panel(parameter: inspect.Parameter) -> int:
    """Position of the group of an option in the help; options without a group come first."""
    panel = getattr(getattr(parameter.annotation, "__metadata__", (None,))[0], "rich_help_panel", None)
    return PANELS.index(panel) if panel in PANELS else -1


def command(
    run: Callable[..., Any], *groups: Options | Fields, kind: type[TyperCommand] | None = None
) -> Callable[..., None]:
    """A function for Typer: its parameters are the keyword-only ones of ``run`` and those of the groups.

    ``run`` is given a dictionary of each group, in order.
    """
    hints, signature = get_type_hints(run, include_extras=True), inspect.signature(run).parameters
    own = [
        item.replace(annotation=hints[name])
        for name, item in signature.items()
        if item.kind is item.KEYWORD_ONLY
    ]
    parameters = [list(group.parameters()) for group in groups]
    shown = sorted((*(item for group in parameters for _, item in group), *own), key=_panel)

    def called(**given: Any) -> Any:
        values = {item.name: item.default for item in shown} | given
        wanted = [{name: values[item.name] for name, item in group} for group in parameters]
        return run(*wanted, **{item.name: values[item.name] for item in own})

    called.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    called.__annotations__ = {item.name: item.annotation for item in shown}
    called.__doc__ = run.__doc__
    called.command_class = kind  # type: ignore[attr-defined]
    return called
