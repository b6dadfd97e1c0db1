"""The scripts of the page, without a browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
TOOLS = PROJECT / "tools" / "page"
STATIC = Path("src", "segue_web", "static")


@pytest.mark.parametrize(
    "command",
    [
        ["prettier", "--config", "tools/page/prettier.config.js", "--check", f"{STATIC}/*.js"],
        ["tsc", "--project", "tools/page/tsconfig.json"],
        ["eslint", "--config", "tools/page/eslint.config.js", str(STATIC)],
    ],
    ids=["format", "types", "rules"],
)
def test_the_scripts_of_the_page_are_sound(command: list[str]) -> None:
    tool = shutil.which(command[0], path=TOOLS / "node_modules" / ".bin")
    if tool is None:  # nothing is downloaded by a test
        pytest.skip(f"no {command[0]} here; `make javascript` installs it and checks the scripts")
    done = subprocess.run([tool, *command[1:]], capture_output=True, text=True, cwd=PROJECT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_scripts_of_the_page_pass_their_node_tests() -> None:
    """Run lengths, frames to look at next, the scale of the timeline, places."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here")
    tests = sorted((PROJECT / "tests" / "segue_web" / "scripts").glob("*.test.js"))
    done = subprocess.run([node, "--test", *map(str, tests)], capture_output=True, text=True, cwd=PROJECT)
    assert tests
    assert done.returncode == 0, done.stdout + done.stderr


KINDS = {
    "a": "AnchorId",
    "button": "ButtonId",
    "canvas": "CanvasId",
    "datalist": "DataListId",
    "dialog": "DialogId",
    "form": "FormId",
    "input": "InputId",
    "output": "OutputId",
    "progress": "ProgressId",
    "select": "SelectId",
}
"""Names in ``parts.js`` of the ids of elements."""

MADE = {
    "backdrop": "InputId",
    "dialog-title": "OtherId",
    "brush": "InputId",
    "opacity": "InputId",
    "guides": "SelectId",
    "palette": "SelectId",
    "hatched": "InputId",
    "neighbours": "InputId",
    "reset-grade": "ButtonId",
    "set-exposure": "InputId",
    "set-gamma": "InputId",
    "shown-exposure": "OutputId",
    "shown-gamma": "OutputId",
}
"""Parts that scripts make."""


def test_the_types_of_parts_are_those_of_the_pages() -> None:
    """So that a misspelt id, or a value asked of a part that has none, is an error before anything runs."""
    in_pages: dict[str, str] = dict(MADE)
    for page in sorted((PROJECT / STATIC).glob("*.html")):
        for tag, attributes in re.findall(r"<([a-z0-9]+)((?:\s[^<>]*)?)>", page.read_text()):
            for name in re.findall(r'\bid="([^"]+)"', attributes):
                kind = KINDS.get(tag, "OtherId")
                assert in_pages.setdefault(name, kind) == kind, f"{name} differs between pages"
    declared: dict[str, str] = {}
    script = (PROJECT / STATIC / "parts.js").read_text()
    for ids, kind in re.findall(r"@typedef \{([^}]*)\} (\w+Id)", script):
        declared |= dict.fromkeys(re.findall(r'"([^"]+)"', ids), kind)
    assert declared == in_pages
