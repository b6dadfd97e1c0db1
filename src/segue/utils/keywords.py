"""Suggestions for mistyped keyword arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from functools import cache, wraps
from typing import Any, TypeVar, get_args, get_type_hints

F = TypeVar("F", bound=Callable[..., Any])


def suggests_names(function: F) -> F:
    """Decorate a function to suggest similar names for an unknown keyword."""
    accepted = cache(lambda: frozenset(_keywords(function)))

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs and not kwargs.keys() <= accepted():
            unknown = next(name for name in kwargs if name not in accepted())
            close = get_close_matches(unknown, sorted(accepted() - {"self", "cls"}), 2, 0.7)
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            name = function.__qualname__.removesuffix(".__init__")
            raise TypeError(f"{name}() got an unexpected keyword argument {unknown!r}{hint}")
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]


def _keywords(function: Callable[..., Any]) -> Iterator[str]:
    """Names of all parameters; ``**arguments: Unpack[T]`` stands for the keys of ``T``."""
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is not parameter.VAR_KEYWORD:
            yield parameter.name
            continue
        hint = get_type_hints(inspect.unwrap(function))[parameter.name]
        yield from get_type_hints(*get_args(hint))
