"""The reference names every public object of every package."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

import pytest

import segue
from tests.needs import needs

SOURCE = Path(segue.__file__).parent.parent
PAGES = SOURCE.parent / "docs" / "api"

WHOLE = {"segue.types", "segue.prompt_types", "segue.errors"}
"""Modules of which all is shown."""

INSIDE = {
    *("segue.cli", "segue_isd", "segue_train.commands", "segue_web"),
    *("segue.masks.measure", "segue.layers.activated", "segue.models.sam2.values"),
    "segue.sessions.foreground.camera",
}
"""Packages that are commands, and modules whose protocols only let imports go one way."""


def public_names() -> Iterator[str]:
    """What ``__all__`` of a package offers, and the protocols that a class of somebody else may fulfil."""
    for path in sorted(path for package in SOURCE.glob("segue*") for path in package.rglob("*.py")):
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                names = importlib.import_module(module).__all__
                yield from (f"{module}.{name}" for name in names)
            elif isinstance(node, ast.ClassDef) and "Protocol" in map(ast.unparse, node.bases):
                yield f"{module}.{node.name}"


@pytest.mark.skipif(not PAGES.exists(), reason="the documentation is not installed with the package")
def test_every_public_name_is_on_a_page() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES.glob("*.md"))
    shown = set(re.findall(r"^::: (\S+)", text, re.MULTILINE))
    leaves = {name.rpartition(".")[2] for name in shown}
    missing = [
        name
        for name in public_names()
        if not name.rpartition(".")[2].startswith("_")
        and not any(name == inside or name.startswith(f"{inside}.") for inside in INSIDE)
        and name.rpartition(".")[2] not in leaves
        and not any(hasattr(__import__(module, fromlist=["x"]), name.rpartition(".")[2]) for module in WHOLE)
    ]
    assert missing == ["segue.models"]  # the package itself


@pytest.mark.skipif(not PAGES.exists(), reason="the documentation is not installed with the package")
def test_every_function_of_a_page_says_what_it_takes_and_gives() -> None:
    """That ``Args`` name all of them, and nothing else, is checked by ruff."""
    needs("tensorboard")  # the pages have segue_train, too
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES.glob("*.md"))
    functions = {name: resolve_name(name) for name in re.findall(r"^::: (segue\S+)", text, re.MULTILINE)}
    lacking = [
        f"{name}: {section}"
        for name, function in functions.items()
        if inspect.isfunction(function)
        for section, needed in (
            ("Args", inspect.signature(function).parameters),
            ("(Returns|Yields)", inspect.signature(function).return_annotation != "None"),
        )
        if needed and not re.search(rf"^ *{section}:", function.__doc__ or "", re.MULTILINE)
    ]
    assert lacking == []
