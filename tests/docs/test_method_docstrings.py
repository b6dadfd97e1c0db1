"""Public methods say what they take and give, or override one that does."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from tests.docs.test_docstrings import FILES, SOURCE, AnyFunction, decorators, missing_sections

COMMANDS = {
    SOURCE / "segue" / "cli",  # at most 1,800 lines, see tests/docs/test_packages.py
    SOURCE / "segue_train" / "commands",  # a docstring there is the help of a command
}
"""Packages of commands."""

NO_METHODS = {"property", "cached_property", "functools.cached_property", "overload", "computed_field"}
NO_METHODS |= {"model_validator", "field_validator", "model_serializer", "field_serializer"}


@dataclass(frozen=True)
class Owner:
    """A class as its file has it."""

    path: Path
    node: ast.ClassDef

    @cached_property
    def bases(self) -> list[str]:
        return [ast.unparse(base).split("[")[0].split(".")[-1] for base in self.node.bases]

    @cached_property
    def methods(self) -> dict[str, AnyFunction]:
        found = (node for node in self.node.body if isinstance(node, AnyFunction))
        return {node.name: node for node in found if not node.name.startswith("_") and is_method(node)}

    def missing(self) -> dict[str, list[str]]:
        """Sections that each method needs and does not have."""
        return {name: missing_sections(node, parameters(node)) for name, node in self.methods.items()}


def is_method(node: AnyFunction) -> bool:
    names = decorators(node)
    return not names & NO_METHODS and not any(name.endswith(".setter") for name in names)


def parameters(node: AnyFunction) -> str:
    """What a caller gives to a method."""
    whole = ast.unparse(node.args)
    return whole if "staticmethod" in decorators(node) else whole.partition(",")[2]


def owners(sources: Mapping[Path, str]) -> list[Owner]:
    found = ((path, node) for path, text in sources.items() for node in ast.parse(text).body)
    return [Owner(path, node) for path, node in found if isinstance(node, ast.ClassDef)]


def bases(owner: Owner, known: list[Owner]) -> Iterator[Owner]:
    """All bases of a class; of several classes of one name those of its own file."""
    for name in owner.bases:
        called = [other for other in known if other.node.name == name and other is not owner]
        for base in [other for other in called if other.path == owner.path] or called:
            yield base
            yield from bases(base, known)


def family(owner: Owner, known: list[Owner]) -> Iterator[Owner]:
    """Bases of a class, and protocols all of whose methods it has."""
    yield from (above := list(bases(owner, known)))
    own = {name for each in (owner, *above) for name in each.methods}
    for other in known:
        if "Protocol" in other.bases and other is not owner and other.methods and {*other.methods} <= own:
            yield other


def undescribed_methods(sources: Mapping[Path, str]) -> dict[Path, list[str]]:
    """By file, public methods without sections; those of a base or protocol count as well."""
    known = owners(sources)
    found: dict[Path, list[str]] = {path: [] for path in sources}
    for owner in known:
        lacking = {name: sections for name, sections in owner.missing().items() if sections}
        if owner.node.name.startswith("_") or not lacking:
            continue
        inherited = {name for base in family(owner, known) for name in base.methods}
        found[owner.path] += [
            f"{owner.node.name}.{name}: {', '.join(sections)}"
            for name, sections in lacking.items()
            if name not in inherited | {"forward"}  # shapes of layers have a test of their own
        ]
    return found


UNDESCRIBED = undescribed_methods({path: path.read_text(encoding="utf-8") for path in FILES})


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if not COMMANDS & {*path.parents}],
    ids=lambda path: str(path.relative_to(SOURCE)),
)
def test_public_methods_say_what_they_take_and_return(path: Path) -> None:
    assert UNDESCRIBED[path] == []


BASE = "class Base(Protocol):\n def step(self, frame: int) -> int:\n  {}\n"
SECTIONS = "'''Take a frame.\n\n  Args:\n   frame: its number.\n\n  Returns:\n   One more.\n  '''"


def test_a_method_without_its_sections_is_noticed_where_it_is_defined_first() -> None:
    path, other = Path("a.py"), Path("b.py")
    same = "class Same:\n def step(self, frame: int) -> int: ...\n"
    sources = {path: BASE.format("..."), other: same}
    assert undescribed_methods(sources) == {path: ["Base.step: Args, Returns|Yields"], other: []}
    assert undescribed_methods({path: BASE.format(SECTIONS), other: same}) == {path: [], other: []}
    assert undescribed_methods({other: same}) == {other: ["Same.step: Args, Returns|Yields"]}
