"""Commands made from models of options: what a field says of itself stands only there.

Types, bounds, defaults and docstrings of the fields become those of the options, see
:func:`segue.options.option`.
"""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin, get_type_hints

import typer
from annotated_types import Ge, Le
from pydantic.fields import FieldInfo
from typer.core import TyperCommand

from segue.options import PANELS, Place, flags_of, inherited_help, nested, offered

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a model as a command offers them: all, ``only`` some, or all ``without`` some.

    ``defaults`` and ``help`` replace those of the model. Fields are named by their place: ``finding.every``.
    """

    of: type[Any]
    only: Collection[str] = ()
    without: Collection[str] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    help: Mapping[str, str] = field(default_factory=dict)

    def parameters(self) -> Iterator[tuple[Place, inspect.Parameter]]:
        """The place of each option in the model, and the parameter as Typer takes it."""
        for place, item in offered(self.of):
            name = ".".join(place)
            if name in (self.only or (name,)) and name not in self.without:
                yield place, self._parameter(name, place, item)

    def _parameter(self, name: str, place: Place, item: FieldInfo) -> inspect.Parameter:
        """A field as Typer takes it."""
        extra, kinds = cast(dict[str, Any], item.json_schema_extra), _kinds(item.annotation)
        kind: Any = str if extra["text"] or str in kinds else kinds[0]
        kind = list[str] if get_origin(kind) in (tuple, frozenset, Mapping) else kind
        default = self.defaults.get(name, ... if item.is_required() else item.default)
        said = isinstance(default, (bool, int, float, str)) and not (kind is int and isinstance(default, str))
        if not said and default is not ...:
            default = None  # the help says which it is
        flags = flags_of(place, item)
        about = item.description or inherited_help(self.of, place[-1])
        rules = {"help": self.help.get(name, about), **_bounds(item.metadata)}
        if extra["argument"]:
            info: Any = typer.Argument(show_default=False, **rules)
        else:
            words = [f"{'-' if len(flag) == 1 else '--'}{flag}" for flag in flags]
            if kind is bool and default is not False:
                words[0] += f"/--no-{flags[0]}"
            shown = default not in (None, "")
            info = typer.Option(*words, show_default=shown, rich_help_panel=extra["panel"], **rules)
            kind = kind if shown else kind | None
        name = flags[0].replace("-", "_") + ("_" if keyword.iskeyword(flags[0]) else "")
        return inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info]
        )


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


def _panel(parameter: inspect.Parameter) -> int:
    """Position of the group of an option in the help; options without a group come first."""
    panel = getattr(getattr(parameter.annotation, "__metadata__", (None,))[0], "rich_help_panel", None)
    return PANELS.index(panel) if panel in PANELS else -1


def command(
    run: Callable[..., Any], *groups: Options, kind: type[TyperCommand] | None = None
) -> Callable[..., None]:
    """A function for Typer: its parameters are the keyword-only ones of ``run`` and those of the groups.

    ``run`` is given a dictionary for each group, in order: the fields of its model that are typed or have a
    default, nested as the model takes them.
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
        fields = [
            nested({place: values[item.name] for place, item in group if values[item.name] is not None})
            for group in parameters
        ]
        return run(*fields, **{item.name: values[item.name] for item in own})

    called.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    called.__annotations__ = {item.name: item.annotation for item in shown}
    called.__doc__ = run.__doc__
    called.command_class = kind  # type: ignore[attr-defined]
    return called
