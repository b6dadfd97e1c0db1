"""Build commands from option models; each field describes itself once.

Types, bounds, defaults and docstrings of the fields become those of the options, see
:func:`segue.options.option`.
"""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin, get_type_hints

import typer
from annotated_types import Ge, Le
from pydantic.fields import FieldInfo
from typer.core import TyperCommand

from segue.errors import SegueError
from segue.options import PANELS, Place, flags_of, inherited_help, is_argument, nested, offered
from segue.utils.inputs import kind_of

Values = dict[str, Any]

CERTFILE = Annotated[Path | None, typer.Option(help="Certificate for HTTPS, in PEM, with its chain.")]
KEYFILE = Annotated[
    Path | None, typer.Option(help="Private key of the certificate.  [default: in the same file]")
]
PLAIN_HTTP = Annotated[
    bool,
    typer.Option(
        "--plain-http",
        help="With --host: disable HTTPS. Use it behind a proxy that encrypts, or if everyone in the network "
        "may read passwords, tokens and images.",
    ),
]
"""Options of commands that other machines may reach, used by ``segue_web.access.encryption``."""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a model for a command: all, ``only`` some, or ``without`` some.

    ``defaults`` and ``help`` replace those of the model. Fields are named by their place: ``finding.every``.
    """

    of: type[Any]
    only: Collection[str] = ()
    without: Collection[str] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    help: Mapping[str, str] = field(default_factory=dict)

    def parameters(self) -> Iterator[tuple[Place, inspect.Parameter]]:
        """Place of each option in the model, and its Typer parameter."""
        for place, item in offered(self.of):
            name = ".".join(place)
            if name in (self.only or (name,)) and name not in self.without:
                yield place, self._parameter(name, place, item)

    def _parameter(self, name: str, place: Place, item: FieldInfo) -> inspect.Parameter:
        """Convert a field to a Typer parameter."""
        extra, kind = cast(dict[str, Any], item.json_schema_extra), _kind(item)
        default = self.defaults.get(name, ... if item.is_required() else item.default)
        is_plain = isinstance(default, (bool, int, float, str)) and not (
            kind is int and isinstance(default, str)
        )
        if not is_plain and default is not ...:
            default = None  # the help says which it is
        flags = flags_of(place, item)
        about = item.description or inherited_help(self.of, place[-1])
        rules = {"help": self.help.get(name, about), **_bounds(item.metadata)}
        if is_argument(item):
            info: Any = typer.Argument(show_default=False, **rules)
        else:
            words = [f"{'-' if len(flag) == 1 else '--'}{flag}" for flag in flags]
            if kind is bool and default is not False:
                words[0] += f"/--no-{flags[0]}"
            show_default = default not in (None, "")
            info = typer.Option(*words, show_default=show_default, rich_help_panel=extra["panel"], **rules)
            kind = kind if show_default else kind | None
        name = flags[0].replace("-", "_") + ("_" if keyword.iskeyword(flags[0]) else "")
        return inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info]
        )


def _kind(item: FieldInfo) -> Any:
    """Command-line type of a field: a value, or a list of texts."""
    extra, kinds = cast(dict[str, Any], item.json_schema_extra), _kinds(item.annotation)
    kind: Any = str if extra["text"] or str in kinds else kinds[0]
    return list[str] if get_origin(kind) in (tuple, frozenset, Mapping) else kind


def _kinds(kind: Any) -> list[Any]:
    """Types of a union, without None and annotations."""
    if get_origin(kind) is Annotated:
        return _kinds(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [part for each in get_args(kind) if each is not NoneType for part in _kinds(each)]
    return [kind]


def _bounds(metadata: Sequence[Any]) -> dict[str, Any]:
    """Bounds of a type for Typer."""
    minima = [item.ge for item in metadata if isinstance(item, Ge)]
    maxima = [item.le for item in metadata if isinstance(item, Le)]
    return {name: values[0] for name, values in (("min", minima), ("max", maxima)) if values}


def _panel(parameter: inspect.Parameter) -> int:
    """Position of an option group in the help; ungrouped options come first."""
    panel = getattr(getattr(parameter.annotation, "__metadata__", (None,))[0], "rich_help_panel", None)
    return PANELS.index(panel) if panel in PANELS else -1


class Form:
    """Option groups by name, and conversion of their values to fields."""

    def __init__(self, *groups: Options) -> None:
        self._groups = groups
        self._parameters = [list(group.parameters()) for group in groups]

    def fields(self, values_by_name: Mapping[str, Any]) -> list[Values]:
        """Fields of each group with values or defaults, nested as in its model.

        ``values_by_name`` are values by the names of the parameters of a command.
        """
        values = [
            {place: values_by_name.get(item.name, item.default) for place, item in group}
            for group in self._parameters
        ]
        return [
            nested({place: value for place, value in group.items() if value is not None}) for group in values
        ]

    def parse(self, values: Mapping[str, Any]) -> Values:
        """Convert values by option names, as in a file, to parameter names.

        An empty list is an option that is not given.

        Raises:
            SegueError: there is no such option, or its value has another type.
        """
        parsed = {}
        for key, value in values.items():
            flag = key.replace("_", "-")
            name, item, negated = self._find(flag)
            if value != []:
                read = _value(flag if is_argument(item) else f"--{flag}", item, value)
                parsed[name] = not read if negated else read
        return parsed

    def by_option(self, groups: Iterable[Values]) -> Values:
        """Values of :meth:`fields` by option names, as in a file."""
        by_option = {}
        for group, values in zip(self._groups, groups, strict=True):
            for place, item in offered(group.of):
                value: Any = values
                for name in place:
                    value = value.get(name) if isinstance(value, Mapping) else None
                if value is not None:
                    by_option[flags_of(place, item)[0]] = value
        return by_option

    def _find(self, flag: str) -> tuple[str, FieldInfo, bool]:
        """Parameter and field of an option, and whether its name negates it."""
        if flag in self._by_flag:
            return *self._by_flag[flag], False
        entry = self._by_flag.get(flag.removeprefix("no-"))
        if entry is not None and _kind(entry[1]) is bool and entry[1].default is not False:
            return *entry, True  # as on a command line
        from difflib import get_close_matches  # late to keep start-up short

        close = get_close_matches(flag, self._by_flag, 1)
        raise SegueError(f"there is no option --{flag}" + (f"; did you mean --{close[0]}?" if close else ""))

    @cached_property
    def _by_flag(self) -> dict[str, tuple[str, FieldInfo]]:
        """Parameter name and field of each option."""
        by_flag: dict[str, tuple[str, FieldInfo]] = {}
        for group, parameters in zip(self._groups, self._parameters, strict=True):
            fields = dict(offered(group.of))
            for place, parameter in parameters:
                flags = flags_of(place, fields[place])
                by_flag |= {flag: (parameter.name, fields[place]) for flag in flags if len(flag) > 1}
        return by_flag

    @cached_property
    def names(self) -> dict[str, str]:
        """Option names of the last group's fields, by dotted place."""
        return {
            ".".join(place): ("" if is_argument(item) else "--") + flags_of(place, item)[0]
            for place, item in offered(self._groups[-1].of)
        }

    def command(self, run: Callable[..., Any], kind: type[TyperCommand] | None = None) -> Callable[..., None]:
        """Make a Typer function, see :func:`command`."""
        hints, signature = get_type_hints(run, include_extras=True), inspect.signature(run).parameters
        extra = [
            item.replace(annotation=hints[name])
            for name, item in signature.items()
            if item.kind is item.KEYWORD_ONLY
        ]
        parameters = sorted((*(item for group in self._parameters for _, item in group), *extra), key=_panel)

        def called(**values: Any) -> Any:
            return run(
                *self.fields(values), **{item.name: values.get(item.name, item.default) for item in extra}
            )

        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {item.name: item.annotation for item in parameters}
        called.__doc__ = run.__doc__
        called.command_class = kind  # type: ignore[attr-defined]
        return called


def _value(name: str, item: FieldInfo, value: object) -> Any:
    """Convert a file's value to the command-line type of a field; the model validates it."""
    kind = _kind(item)
    if kind is bool:
        if not isinstance(value, bool):
            raise SegueError(f"{name} is {value!r}, but must be true or false")
        return value
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    for each in values:
        if isinstance(each, bool) or not isinstance(each, (str, int, float)):
            text = str(each).lower() if isinstance(each, bool) else kind_of(each)
            raise SegueError(f"{name} is {text}, but must be a text or a number")
    if kind == list[str]:
        return [*map(str, values)]
    if cast(dict[str, Any], item.json_schema_extra)["text"]:
        return ",".join(map(str, values))
    if len(values) != 1:
        raise SegueError(f"{name} has {len(values)} values, but takes one")
    return values[0] if kind in (int, float) else str(values[0])


def command(
    run: Callable[..., Any], *groups: Options, kind: type[TyperCommand] | None = None
) -> Callable[..., None]:
    """Make a Typer function whose parameters are those of ``run`` and of the groups.

    ``run`` is given a dictionary for each group, in order: the fields of its model that are typed or have a
    default, nested as the model takes them.
    """
    return Form(*groups).command(run, kind)
