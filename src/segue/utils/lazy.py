"""Lazy imports of public names, since PyTorch takes seconds to import."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, modules: Mapping[str, str], subpackages: Collection[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Create the functions ``__getattr__`` and ``__dir__`` of a package (PEP 562)."""
    places = {name: module for module, names in modules.items() for name in names.split()}

    def find(name: str) -> Any:
        if name in subpackages:
            return import_module(f"{package}.{name}")  # which makes it an attribute of the package
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(places[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*getattr(sys.modules[package], "__all__", ()), *places, *subpackages})

    return find, names


class LazyCallable:
    """A class or function that is imported when it is called.

    Args:
        place: module and name, such as ``segue.models.stcn:STCN``.
    """

    __slots__ = ("place",)  # no dataclass: importing that takes half as long as importing segue

    def __init__(self, place: str) -> None:
        self.place = place

    def __repr__(self) -> str:
        return f"LazyCallable({self.place!r})"

    def __call__(self, *arguments: Any, **kwargs: Any) -> Any:
        return self.value(*arguments, **kwargs)

    @property
    def value(self) -> Any:
        """Import the class or function."""
        module, _, name = self.place.partition(":")
        return getattr(import_module(module), name)
