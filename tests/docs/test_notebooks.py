"""The notebooks of the documentation run from their first cell to their last one."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from segue.registry import MODELS

FOLDER = Path(__file__).resolve().parent.parent.parent / "docs" / "notebooks"

NEEDS = {
    "instances_with_supervision": ("supervision", "skimage"),
    "train_on_your_video": ("lightning_fabric",),
}
SLOW = {"evaluate_and_compare", "track_from_a_click", "train_on_your_video"}


def notebooks() -> list[Any]:
    names = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
    return [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in names]


def run(path: Path) -> list[Any]:
    """Run the code cells one after the other, in one namespace; what their last expressions give."""
    names: dict[str, Any] = {}
    shown = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, str(path), "exec"), names)
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), str(path), "eval"), names))
    return shown


@pytest.mark.parametrize("name", notebooks())
def test_a_notebook_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in NEEDS.get(name, ()):
        pytest.importorskip(package)
    # As Jupyter and VS Code do: in the folder of the notebook, with only installed packages to import.
    monkeypatch.chdir(FOLDER)
    root = FOLDER.parents[1]
    monkeypatch.setattr(sys, "path", [path for path in sys.path if Path(path).resolve() != root])
    for module in [name for name in sys.modules if name.partition(".")[0] == "tools"]:
        monkeypatch.delitem(sys.modules, module)
    known = {*MODELS.registered}
    try:
        shown = run(FOLDER / f"{name}.ipynb")
    finally:
        for added in MODELS.registered - known:
            MODELS.unregister(added)
    assert shown
    if name == "find_what_moves":
        assert 0.9 < shown[2] <= 1
    if name == "track_from_a_click":
        assert shown[-1].keys() == {1, 2}
    if name == "plug_in_a_network":
        assert shown[-1] == ([40, 80], [69, 109])
