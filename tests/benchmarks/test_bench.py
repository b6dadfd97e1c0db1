"""``make bench``: what it writes into the page, and when it refuses."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

import bench
from bench import SECTIONS, Origin, Section, between, without_old

HERE = Origin("12345678", changed=False)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the page without figures, at a commit; the one section prints a table at once."""
    printed = Section("python -c \"print('| a |'); print('| --- |')\"")
    monkeypatch.setitem(SECTIONS, "start", printed)
    monkeypatch.setattr(Origin, "here", classmethod(lambda cls: HERE))
    copy = tmp_path / "benchmarks.md"
    copy.write_text(without_old(bench.PAGE.read_text(encoding="utf-8"), HERE), encoding="utf-8")
    return copy


def test_every_section_has_its_place_and_its_command_on_the_page() -> None:
    page = bench.PAGE.read_text(encoding="utf-8")
    for name, section in SECTIONS.items():
        between(page, name)
        assert section.command in re.sub(r"\s+", " ", page), name
        assert (bench.ROOT / section.command.split()[1]).is_file()
    assert len(re.findall("<!-- bench:", page)) == len(SECTIONS)
