"""Commands made from signatures: what a dataclass or function says of its parameters stands only there.

The types, defaults and docstring of a parameter become those of the option: bounds are those of
``annotated_types`` (``Annotated[int, Ge(1)]``), choices are those of ``Literal``, the help is its entry under
``Attributes`` or ``Args``.
"""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from annotated_types import Ge, Le
from typer.core import TyperCommand

Values = dict[str, Any]

_SECTION = re.compile(r"^(?:Args|Attributes):\n((?:    .*\n?|\n)*)", re.MULTILINE)
_ENTRY = re.compile(r"^    (\w+(?:, \w+)*): (.*(?:\n {5,}.*)*)", re.MULTILINE)

_DEFAULT = re.compile(r"; None is ([^;]*)\.$")


@dataclass(frozen=True, slots=True)
class Options:
    """Parameters of a dataclass or function that a command offers.

    Attributes:
        of: the dataclass, function, or class by its constructor.
        names: which of them, separated by spaces; ``trunk:init`` is offered as ``--init``, ``out:out,o`` as
            ``--out`` and ``-o``, and ``scene!`` is an argument.
        defaults, types, help: what is otherwise than the signature says; a default of ``...`` has none.
    """

    of: Any
    names: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    types: Mapping[str, Any] = field(default_factory=dict)
    help: Mapping[str, str] = field(default_factory=dict)

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
            kind, bounds = _bounds(types[name])
            text = self.help.get(name, helps.get(name))
            shown, *short = (given or name.replace("_", "-")).split(",")
            if word.endswith("!"):
                info: Any = typer.Argument(help=text, show_default=False)
            elif kind == bool | None or (kind is bool and default is True):
                info = typer.Option(f"--{shown}/--no-{shown}", help=text)
            else:
                flags = [f"--{shown}", *(f"{'-' if len(name) == 1 else '--'}{name}" for name in short)]
                info = typer.Option(*flags, help=text, show_default=default not in (None, ""), **bounds)
            called = shown.replace("-", "_") + ("_" if keyword.iskeyword(shown) else "")
            annotation: Any = Annotated[kind, info]
            yield (
                name,
                inspect.Parameter(
                    called, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
                ),
            )


def _bounds(kind: Any) -> tuple[Any, dict[str, Any]]:
    """A type without its bounds, and these as Typer takes them."""
    if get_origin(kind) is not Annotated:
        return kind, {}
    plain, *metadata = get_args(kind)
    least = [item.ge for item in metadata if isinstance(item, Ge)]
    most = [item.le for item in metadata if isinstance(item, Le)]
    return plain, {name: values[0] for name, values in (("min", least), ("max", most)) if values}


def described(of: Any) -> dict[str, str]:
    """What the docstring of a dataclass, its bases, or a function says of each parameter."""
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


def command(
    run: Callable[..., Any], *groups: Options, kind: type[TyperCommand] | None = None
) -> Callable[..., None]:
    """A function for Typer with the parameters of all groups.

    Args:
        run: given the values of each group in a dictionary of its own, by the names in the signature, after
            the ``context`` of Typer if it has that parameter; its docstring is the help.
        groups: the options, in the order of the help.
        kind: class of the command.
    """
    parameters = [list(group.parameters()) for group in groups]
    flat = [item for group in parameters for _, item in group]
    asks = "context" in inspect.signature(run).parameters

    def called(**given: Any) -> Any:
        values = {item.name: item.default for item in flat} | given
        wanted = [{name: values[item.name] for name, item in group} for group in parameters]
        return run(*([given["context"]] if asks else []), *wanted)

    context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    shown = [context, *flat] if asks else flat
    called.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    called.__annotations__ = {item.name: item.annotation for item in shown}
    called.__doc__ = run.__doc__
    called.command_class = kind  # type: ignore[attr-defined]
    return called
