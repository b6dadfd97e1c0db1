"""What may import what, as docs/architecture.md says."""

from __future__ import annotations

import ast
import re
from collections.abc import Container, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import segue
from segue.utils.extras import EXTRAS

SOURCE = Path(segue.__file__).parent.parent
DISTRIBUTED = {
    "segue": {"segue"},
    "segue_train": {"segue", "segue_train"},
    "segue_web": {"segue", "segue_web"},
    "segue_watch": {"segue", "segue_watch", "segue_web"},
    "segue_papers": {"segue", "segue_papers"},
    "segue_isd": {"segue", "segue_isd"},
}
"""The packages of the distribution, and which of them each may import; commands are found by their names."""

LAYERS = (
    *("errors", "utils", "options", "masks", "prompt_types", "types", "state", "entries", "registry"),
    *("video", "formats", "sinks", "prompt_inputs", "layers", "inference", "models", "weights", "flow"),
    *("datasets", "prompts", "sessions", "events", "metrics", "reports", "export", "jobs", "api", "batch"),
    *("dataset_runs", "cli"),
)
"""Packages and modules of segue from below; each may import those before it, for type checkers as well."""

FOREGROUND = ("camera", "background", "segmenters", "stages", "")
"""Folders of ``sessions/foreground`` from below, and the modules beside them."""

MAX_MODULES = 14
"""Modules of a folder; ``models``, ``formats`` and ``utils`` may have more."""


@cache
def imports(path: Path) -> list[ast.Import | ast.ImportFrom]:
    """The imports of a file, also late ones and those for type checkers alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def imported(path: Path) -> Iterator[str]:
    """The modules of segue that a file imports, also late."""
    for node in imports(path):
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
    "segue/formats/",
    "segue/datasets/something.py",  # boxes in a form of this data set alone
    "segue/datasets/outlined.py",  # finds files, which the formats read
    "segue_web/services/label_studio.py",  # the labelling configuration, which comes with a request
)
"""Modules that take annotation files apart."""

PARSERS = re.compile(r"\bET\.(?:iterparse|parse|fromstring)\(|json_files import .*\bentries\b|\bTree\(")


def test_cameras_share_the_servers_of_pages_and_nothing_else_of_them() -> None:
    shared = ("segue_web.access", "segue_web.server.")
    for path in (SOURCE / "segue_watch").rglob("*.py"):
        assert not [
            name for name in imported(path) if name.startswith("segue_web") and not name.startswith(shared)
        ]


def test_only_readers_take_annotation_files_apart() -> None:
    found = {
        path.relative_to(SOURCE).as_posix()
        for package in DISTRIBUTED
        for path in (SOURCE / package).rglob("*.py")
        if PARSERS.search(path.read_text(encoding="utf-8"))
    }
    assert {"segue/formats/cvat/labels.py", "segue/formats/files.py"} <= found
    assert not [name for name in found if not name.startswith(ANNOTATIONS)]


def _layer(module: str) -> int:
    """Place of a module of segue in :data:`LAYERS`; the names of ``segue`` itself are above all."""
    parts = module.split(".")
    return LAYERS.index(parts[1]) if len(parts) > 1 else len(LAYERS)


def _place_in_foreground(module: str) -> int:
    """Place of a module of ``sessions`` in :data:`FOREGROUND`; sessions of other kinds are below them."""
    parts = module.split(".")[2:]
    if parts[:1] != ["foreground"]:
        return -1
    return FOREGROUND.index(parts[1] if len(parts) > 1 and parts[1] in FOREGROUND else "")


def test_imports_go_one_way() -> None:
    modules, needed = _modules(), _needed()
    for name, others in needed.items():
        if name.partition(".")[0] != "segue" or name in ("segue", "segue.__main__"):
            continue
        above = {
            other for other in others if other.partition(".")[0] == "segue" and _layer(other) > _layer(name)
        }
        assert above <= ({"segue"} if name.startswith("segue.cli.") else set()), (name, above)
        if name.startswith("segue.sessions.") and modules[name].name != "__init__.py":
            inside = {other for other in others if other.startswith("segue.sessions.")}
            above = {other for other in inside if _place_in_foreground(other) > _place_in_foreground(name)}
            assert not above, (name, above)


def test_no_modules_import_one_another() -> None:
    order = TopologicalSorter(_needed())
    order.prepare()  # raises a CycleError that names the modules


def test_no_scripts_of_the_page_import_one_another() -> None:
    scripts = SOURCE / "segue_web" / "static"
    pattern = re.compile(r'(?:from|import) "\./(\w+\.js)";')
    needed = {path.name: set(pattern.findall(path.read_text("utf-8"))) for path in scripts.glob("*.js")}
    assert needed["app.js"]
    TopologicalSorter(needed).prepare()


def test_a_folder_shows_what_is_in_it() -> None:
    for package in DISTRIBUTED:
        for folder in {path.parent for path in (SOURCE / package).rglob("*.py")}:
            modules = [path.stem for path in folder.glob("*.py") if not path.stem.startswith("__")]
            parts = folder.relative_to(SOURCE).parts
            most = 8 if parts == ("segue",) else MAX_MODULES
            assert len(modules) <= most or {"models", "formats", "utils"} & {*parts}, (folder, modules)


def _modules() -> dict[str, Path]:
    """All modules of the distribution by name."""
    return {
        ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
        for package in DISTRIBUTED
        for path in (SOURCE / package).rglob("*.py")
    }


@cache
def _needed() -> dict[str, set[str]]:
    """The modules of the distribution that each imports, also late and for type checkers alone."""
    names = _modules()
    return {name: {*_of_file(path, names)} - {name} for name, path in names.items()}


def _of_file(path: Path, names: Container[str]) -> Iterator[str]:
    for node in imports(path):
        if isinstance(node, ast.Import):
            found = {alias.name for alias in node.names}
        else:
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            found = {part if part in names else str(node.module) for part in parts}
        yield from (name for name in found if name in names)


@pytest.mark.skipif(not (SOURCE.parent / "pyproject.toml").exists(), reason="not beside its sources")
def test_extras_are_those_of_the_distribution() -> None:
    text = (SOURCE.parent / "pyproject.toml").read_text(encoding="utf-8")
    for extra, packages in EXTRAS.items():
        listed = re.search(rf"^{extra} = \[(.*)\]$", text, re.MULTILINE)
        assert listed is not None
        assert tuple(re.findall(r'"([\w-]+)', listed[1])) == packages


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
            if not place.startswith(("segue/video/", "segue/formats/overlay.py")):
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
