"""The first lines of the README run, and what it leads to is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.segue_web.videos import cut_of_sample

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
FRAMES = 5


def test_links_of_the_readme_exist() -> None:
    root = Path(__file__).resolve().parents[2]
    links = re.findall(r"\]\(([^)#]+)", README)
    assert len(links) > 20
    assert [link for link in links if "://" not in link and not (root / link).exists()] == []


@pytest.mark.slow
def test_the_tour_of_a_python_developer(tmp_path: Path) -> None:
    cut_of_sample(tmp_path / "my.mp4", FRAMES)
    (code,) = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    (tmp_path / "first_lines.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "first_lines.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(FRAMES))
    assert all("(240, 432) [(1, (" in line for line in lines)
