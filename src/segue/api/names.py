"""Names of arguments that a caller has mistyped."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from functools import wraps
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def suggests_names(function: F) -> F:
    """Have a TypeError about an unknown argument name the one that was meant."""
    parameters = inspect.signature(function).parameters

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        unknown = next((name for name in kwargs if name not in parameters), None)
        if unknown is not None:
            close = get_close_matches(unknown, parameters, 1, 0.7)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise TypeError(f"{function.__name__}() got an unexpected keyword argument {unknown!r}{hint}")
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]
