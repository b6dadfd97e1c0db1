"""Docstrings that describe parameters describe all of them."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import segue

SOURCE = Path(segue.__file__).parent.parent
FILES = sorted(path for package in SOURCE.glob("segue*") for path in package.rglob("*.py"))

_ARGS = re.compile(r"^Args:\n((?:    .*\n?|\n)*)", re.MULTILINE)
_NAMES = re.compile(r"^    (\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: \([^)]*\))?:", re.MULTILINE)


def undescribed(tree: ast.AST) -> Iterator[str]:
    """Parameters that the section ``Args`` of a public function leaves out, or that it has beyond them."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        section = _ARGS.search((ast.get_docstring(node) or "") + "\n")
        if section is None:
            continue
        described = {name.strip(" *") for names in _NAMES.findall(section[1]) for name in names.split(",")}
        listed = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
        listed += [extra for extra in (node.args.vararg, node.args.kwarg) if extra is not None]
        known = {item.arg for item in listed} - {"self", "cls"}
        if known != described:
            yield f"{node.name}: {sorted(known ^ described)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_args_are_those_of_the_signature(path: Path) -> None:
    assert list(undescribed(ast.parse(path.read_text(encoding="utf-8")))) == []


PAGES = SOURCE.parent / "docs" / "api"


def functions_of_the_reference() -> list[str]:
    """Functions, not classes, that the pages of the reference show."""
    shown = [
        name
        for page in sorted(PAGES.glob("*.md"))
        for name in re.findall(r"^::: (\S+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    return [name for name in shown if inspect.isfunction(of(name))]


def of(name: str) -> object:
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute, None)
    except ModuleNotFoundError:  # a member of a class, or a module as a whole
        return None


@pytest.mark.parametrize("name", functions_of_the_reference())
def test_functions_of_the_reference_say_what_they_take_and_return(name: str) -> None:
    function = of(name)
    assert inspect.isfunction(function)
    text, signature = inspect.getdoc(function) or "", inspect.signature(function)
    assert not signature.parameters or "\nArgs:\n" in text
    returned = signature.return_annotation
    assert returned in (None, "None", "NoReturn") or re.search(r"\n(Returns|Yields):\n", text)
