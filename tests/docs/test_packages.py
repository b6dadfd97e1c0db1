"""What may import what, as docs/architecture.md says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import segue
from segue.extras import EXTRAS

SOURCE = Path(segue.__file__).parent.parent
DISTRIBUTED = {
    "segue": {"segue"},
    "segue_train": {"segue", "segue_train"},
    "segue_web": {"segue", "segue_web"},
    "segue_isd": {"segue", "segue_isd"},
}
"""The packages of the distribution, and which of them each may import; commands are found by their names."""

LEAVES = {
    "allocation",
    "arrays",
    "cache",
    "cancel",
    "detectors",
    "entries",
    "errors",
    "extras",
    "inputs",
    "lazy",
    "masks",
    "naming",
    "notices",
    "options",
    "registry",
    "system",
    "types",
    "video",
}
"""Subpackages that anyone may use."""

LAYERED = (
    *("layers", "models", "weights", "flow", "datasets", "prompts", "sessions"),
    *("metrics", "reports", "export", "jobs", "api"),
)
"""The others from below; each stands on those before it. The commands above may use all, and one another."""


def imported(path: Path) -> Iterator[str]:
    """The modules of segue that a file imports, also late."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = (
                [f"segue.{alias.name}" for alias in node.names]
                if node.module == "segue"
                else [str(node.module)]
            )
        yield from (name for name in names if name.partition(".")[0] in DISTRIBUTED)


@pytest.mark.parametrize("package", DISTRIBUTED)
def test_a_package_imports_only_what_it_stands_on(package: str) -> None:
    files = list((SOURCE / package).rglob("*.py"))
    assert files
    assert (
        SOURCE / package / "py.typed"
    ).exists()  # else checkers take what users import from it for untyped
    for path in files:
        assert {name.partition(".")[0] for name in imported(path)} <= DISTRIBUTED[package], path


@pytest.mark.parametrize("subpackage", LAYERED)
def test_a_subpackage_imports_only_what_it_stands_on(subpackage: str) -> None:
    files = list((SOURCE / "segue" / subpackage).rglob("*.py"))
    assert files
    for path in files:
        names = {name.split(".")[1] for name in imported(path) if name.count(".")}
        assert names <= {*LEAVES, subpackage, *LAYERED[: LAYERED.index(subpackage)]}, path


def test_nothing_below_the_command_line_imports_it() -> None:
    below = [path for path in (SOURCE / "segue").rglob("*.py") if "cli" not in path.parts]
    users = [path for path in below if any(name.startswith("segue.cli") for name in imported(path))]
    assert [path.name for path in users] == ["__main__.py"]  # python -m segue


def test_one_subpackage_and_the_page_know_the_codec() -> None:
    files = [path for package in DISTRIBUTED for path in (SOURCE / package).rglob("*.py")]
    users = [
        path for path in files if re.search(r"^ *(?:import|from) av\b", path.read_text("utf-8"), re.MULTILINE)
    ]
    assert {path.parent.relative_to(SOURCE).as_posix() for path in users} == {
        "segue/video",
        "segue_web",
        "segue_web/exports",
    }


POSIX = ("curses", "fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty")
"""Modules of Python that Windows lacks."""


@pytest.mark.skipif(not (SOURCE.parent / "benchmarks").exists(), reason="not beside its sources")
def test_what_windows_lacks_is_imported_where_it_is_used() -> None:
    """A module that imports it at its beginning cannot be imported there, nor can its tests."""
    folders = ("src", "tests", "benchmarks", "tools", "examples")
    line = re.compile(rf"^(?:import|from) (?:{'|'.join(POSIX)})\b", re.MULTILINE)
    found = []
    for path in (file for folder in folders for file in (SOURCE.parent / folder).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if line.search(text) is None:  # parsing all files would take long
            continue
        for node in ast.parse(text).body:  # a program in a string is none of the module's imports
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path.relative_to(SOURCE.parent)}: {name}" for name in names if name in POSIX]
    assert not found


@pytest.mark.skipif(not (SOURCE.parent / "pyproject.toml").exists(), reason="not beside its sources")
def test_extras_are_those_of_the_distribution() -> None:
    text = (SOURCE.parent / "pyproject.toml").read_text(encoding="utf-8")
    for extra, packages in EXTRAS.items():
        listed = re.search(rf"^{extra} = \[(.*)\]$", text, re.MULTILINE)
        assert listed is not None
        assert tuple(re.findall(r'"([\w-]+)', listed[1])) == packages
        if extra != "hf":  # too large for the tests to need it
            assert all(find_spec(package.replace("-", "_")) for package in packages)
