"""Docstrings that describe parameters describe all of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import segue

SOURCE = Path(segue.__file__).parent.parent
FILES = sorted(path for house in SOURCE.glob("segue*") for path in house.rglob("*.py"))

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
        told = {name.strip(" *") for names in _NAMES.findall(section[1]) for name in names.split(",")}
        listed = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
        listed += [extra for extra in (node.args.vararg, node.args.kwarg) if extra is not None]
        known = {item.arg for item in listed} - {"self", "cls"}
        if known != told:
            yield f"{node.name}: {sorted(known ^ told)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_args_are_those_of_the_signature(path: Path) -> None:
    assert list(undescribed(ast.parse(path.read_text(encoding="utf-8")))) == []
