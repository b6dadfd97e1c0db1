"""Commands made from signatures: what a dataclass or function says of its parameters stands only there.

Types, defaults and docstrings of parameters become those of the options: bounds come from
``annotated_types`` (``Annotated[int, Ge(1)]``), choices from ``Literal``, and the help is the entry under
``Attributes`` or ``Args``.
"""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin, get_type_hints

import typer
from annotated_types import Ge, Le
from pydantic.fields import FieldInfo
from typer.core import TyperCommand

from segue.options import PANELS, Place, flags_of, is_model, nested, offered, option

Values = dict[str, Any]

_SECTION = re.compile(r"^(?:Args|Attributes):\n((?:    .*\n?|\n)*)", re.MULTILINE)
_ENTRY = re.compile(r"^    (\w+(?:, \w+)*): (.*(?:\n {5,}.*)*)", re.MULTILINE)

_DEFAULT = re.compile(r"; None is ([^;]*)\.$")


@dataclass(frozen=True, slots=True)
class Options:
    """What a command offers of a model of pydantic, or of the parameters of a dataclass or function.

    A model offers all its options, ``without`` some. Of a signature ``names`` are offered: ``trunk:init`` as
    ``--init``, ``out:out,o`` as ``--out`` and ``-o``, and ``scene!`` as an argument. ``defaults``, ``types``,
    ``help`` and ``flags`` differ from the definition, by the names of parameters, or of a model's options.
    """

    of: Any
    names: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    types: Mapping[str, Any] = field(default_factory=dict)
    help: Mapping[str, str] = field(default_factory=dict)
    panel: str | None = None
    without: Collection[str] = ()
    flags: Mapping[str, str] = field(default_factory=dict)

    def parameters(self) -> Iterator[tuple[Any, inspect.Parameter]]:
        """Place in the model, or name in the signature, and the parameter as Typer takes it."""
        if not is_model(self.of):
            for name, item in self._fields():
                yield name, self._parameter(name, (name,), item)
            return
        for place, item in offered(self.of):
            name = flags_of(place, item)[0]
            if name not in self.without:
                yield place, self._parameter(name, place, item)

    def _fields(self) -> Iterator[tuple[str, FieldInfo]]:
        """Parameters of the signature as fields of a model."""
        known, helps = inspect.signature(self.of).parameters, described(self.of)
        plain_class = isinstance(self.of, type) and not is_dataclass(self.of)
        hints = get_type_hints(self.of.__init__ if plain_class else self.of, include_extras=True)
        for word in self.names.split():
            name, _, flags = word.partition(":")
            name = name.rstrip("!")
            default = known[name].default
            made = option(
                ... if default is inspect.Parameter.empty else default,
                self.panel,
                flags or word.replace("_", "-"),
                description=helps.get(name),
            )
            yield name, FieldInfo.from_annotated_attribute(self.types.get(name, hints[name]), made)

    def _parameter(self, name: str, place: Place, item: FieldInfo) -> inspect.Parameter:
        """A field as Typer takes it."""
        extra, kinds = cast(dict[str, Any], item.json_schema_extra), _kinds(item.annotation)
        kind: Any = str if extra["text"] or str in kinds else kinds[0]
        kind = list[str] if get_origin(kind) in (tuple, Mapping) else kind
        default = self.defaults.get(name, ... if item.is_required() else item.default)
        said = isinstance(default, (bool, int, float, str)) and not (kind is int and isinstance(default, str))
        if not said and default is not ...:
            default = None  # the help says which it is
        flags, argument = flags_of(place, item), extra["flags"].endswith("!")
        flags[0] = self.flags.get(name, flags[0])
        rules = {"help": self.help.get(name, item.description), **_bounds(item.metadata)}
        if argument:
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


def _fields_of(group: Options, typed: Mapping[Any, Any]) -> Values:
    """What a model or signature takes of the values that are typed."""
    if not is_model(group.of):
        return dict(typed)
    return nested({place: value for place, value in typed.items() if value is not None})


def _panel(parameter: inspect.Parameter) -> int:
    """Position of the group of an option in the help; options without a group come first."""
    panel = getattr(getattr(parameter.annotation, "__metadata__", (None,))[0], "rich_help_panel", None)
    return PANELS.index(panel) if panel in PANELS else -1


def command(
    run: Callable[..., Any], *groups: Options, kind: type[TyperCommand] | None = None
) -> Callable[..., None]:
    """A function for Typer: its parameters are the keyword-only ones of ``run`` and those of the groups.

    ``run`` is given a dictionary of each group, in order: the fields of a model that are typed, nested as it
    takes them, or the values of a signature by their names.
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
        typed = [{name: values[item.name] for name, item in group} for group in parameters]
        fields = map(_fields_of, groups, typed)
        return run(*fields, **{item.name: values[item.name] for item in own})

    called.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    called.__annotations__ = {item.name: item.annotation for item in shown}
    called.__doc__ = run.__doc__
    called.command_class = kind  # type: ignore[attr-defined]
    return called
