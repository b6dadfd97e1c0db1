"""What may import what, as docs/architecture.md says."""

from __future__ import annotations

import ast
import re
from collections.abc import Container, Iterator
from functools import cache
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest

import segue
from segue.utils.extras import EXTRAS

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
    "conversions",
    "detectors",
    "entries",
    "errors",
    "extras",
    "hub",
    "inputs",
    "lazy",
    "masks",
    "naming",
    "notices",
    "options",
    "prompt_inputs",
    "registry",
    "state",
    "system",
    "types",
    "video",
}
"""Subpackages that anyone may use."""

LAYERED = (
    *("layers", "models", "weights", "flow", "datasets", "labels", "prompts", "sessions"),
    *("metrics", "reports", "export", "jobs", "api"),
)
"""The others from below; each stands on those before it. The commands above may use all, and one another."""


@cache
def imports(path: Path) -> list[tuple[ast.Import | ast.ImportFrom, bool]]:
    """The imports of a file, also late ones, each with whether it is for checkers alone."""
    nodes = [*ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    guarded = [
        node
        for node in nodes
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    ]
    checked = {inner for node in guarded for statement in node.body for inner in ast.walk(statement)}
    return [(node, node in checked) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]


def imported(path: Path) -> Iterator[str]:
    """The modules of segue that a file imports, also late."""
    for node, _ in imports(path):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif node.module == "segue":
            names = [f"segue.{alias.name}" for alias in node.names]
        else:
            names = [str(node.module)]
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


ANNOTATIONS = (
    *("segue/labels/", "segue/datasets/"),
    "segue_web/services/label_studio.py",  # the labelling configuration, which comes with a request
)
"""Modules that take annotation files apart."""

PARSERS = re.compile(r"\bET\.(?:iterparse|parse|fromstring)\(|json_files import .*\bentries\b|\bTree\(")


def test_only_readers_take_annotation_files_apart() -> None:
    found = {
        path.relative_to(SOURCE).as_posix()
        for package in DISTRIBUTED
        for path in (SOURCE / package).rglob("*.py")
        if PARSERS.search(path.read_text(encoding="utf-8"))
    }
    assert {"segue/labels/cvat.py", "segue/labels/opening.py"} <= found
    assert not [name for name in found if not name.startswith(ANNOTATIONS)]


@pytest.mark.parametrize("package", ["masks", "conversions"])
def test_types_stand_on_masks_and_conversions_and_not_the_other_way(package: str) -> None:
    files = list((SOURCE / "segue" / package).rglob("*.py"))
    assert files
    for path in files:
        checked = r"^if TYPE_CHECKING:.*\n    from segue\.types import .*\n"  # for checkers alone
        text = re.sub(checked, "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert "segue.types import" not in text, path


@pytest.mark.parametrize("subpackage", LAYERED)
def test_a_subpackage_imports_only_what_it_stands_on(subpackage: str) -> None:
    files = list((SOURCE / "segue" / subpackage).rglob("*.py"))
    assert files
    for path in files:
        names = {name.split(".")[1] for name in imported(path) if name.count(".")}
        assert names <= {*LEAVES, subpackage, *LAYERED[: LAYERED.index(subpackage)]}, path


def test_no_modules_import_one_another() -> None:
    names = {
        ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
        for package in DISTRIBUTED
        for path in (SOURCE / package).rglob("*.py")
    }
    order = TopologicalSorter({name: needed(path, names) - {name} for name, path in names.items()})
    order.prepare()  # raises a CycleError that names the modules


def needed(path: Path, names: Container[str]) -> set[str]:
    """The modules that a file imports, also late, except for checkers alone."""
    found: set[str] = set()
    for node, for_checkers in imports(path):
        if for_checkers:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        else:
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {part if part in names else str(node.module) for part in parts}
    return {name for name in found if name in names}


@pytest.mark.skipif(not (SOURCE.parent / "pyproject.toml").exists(), reason="not beside its sources")
def test_extras_are_those_of_the_distribution() -> None:
    text = (SOURCE.parent / "pyproject.toml").read_text(encoding="utf-8")
    for extra, packages in EXTRAS.items():
        listed = re.search(rf"^{extra} = \[(.*)\]$", text, re.MULTILINE)
        assert listed is not None
        assert tuple(re.findall(r'"([\w-]+)', listed[1])) == packages
        if extra != "hf":  # too large for the tests to need it
            assert all(find_spec(package.replace("-", "_")) for package in packages)


OPENERS = re.compile(
    r"\bcv2\.(?:imread|imreadmulti|VideoCapture|VideoWriter|imwrite)\(|\b(?:PillowImage|Image|PIL\.Image)\.open\b"
)
READERS = {
    "segue/video/sources/images.py",  # images
    "segue/video/sources/given.py",
    "segue/video/sources/live.py",  # cameras
    "segue/masks/files.py",  # masks
    "segue/datasets/files.py",  # images and masks of data sets, as stored
}


def test_only_the_readers_open_videos_and_images() -> None:
    for package in DISTRIBUTED:
        for path in (SOURCE / package).rglob("*.py"):
            place = path.relative_to(SOURCE).as_posix()
            text = path.read_text(encoding="utf-8")
            if not place.startswith("segue/video/"):
                assert not re.search(r"^\s*(?:import av\b|from av\b)", text, re.MULTILINE), place
            if place not in READERS and OPENERS.search(text):
                code = "\n".join(ast.unparse(node) for node in _without_docstrings(ast.parse(text)))
                assert not OPENERS.search(code), place


def _without_docstrings(tree: ast.Module) -> list[ast.stmt]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
            node.body = [
                part
                for part in node.body
                if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
            ] or [ast.Pass()]
    return tree.body
