"""The scripts of the page, without a browser."""

from __future__ import annotations

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


def test_what_the_page_computes_without_a_browser_is_right() -> None:
    """Run lengths, frames to look at next, the scale of the timeline, places."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here")
    tests = sorted((PROJECT / "tests" / "segue_web" / "scripts").glob("*.test.js"))
    done = subprocess.run([node, "--test", *map(str, tests)], capture_output=True, text=True, cwd=PROJECT)
    assert tests
    assert done.returncode == 0, done.stdout + done.stderr
