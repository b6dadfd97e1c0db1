"""``make bench``: what it writes into the page, and when it refuses."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

import bench
from bench import SECTIONS, Origin, Section, between, measure, without_old
from machine import Load

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


def idle(monkeypatch: pytest.MonkeyPatch, before: float | None = 0.0, meanwhile: float | None = 0.0) -> None:
    monkeypatch.setattr(bench, "others_use", lambda: before)
    monkeypatch.setattr(bench, "busiest", lambda: ["stress (200 % of a core, process 7)"])
    monkeypatch.setattr(Load, "others", lambda self: meanwhile)


def test_every_section_has_its_place_and_its_command_on_the_page() -> None:
    page = bench.PAGE.read_text(encoding="utf-8")
    for name, section in SECTIONS.items():
        between(page, name)
        assert section.command in re.sub(r"\s+", " ", page), name
        assert (bench.ROOT / section.command.split()[1]).is_file()
    assert len(re.findall("<!-- bench:", page)) == len(SECTIONS)


def test_all_figures_of_the_page_are_of_one_commit() -> None:
    page = bench.PAGE.read_text(encoding="utf-8")
    found = re.findall(r"^Measured on \S+ at (.*?) in ", page, re.MULTILINE)
    assert len(set(found)) <= 1, found


def test_a_table_is_written_with_machine_commit_and_load(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    idle(monkeypatch, meanwhile=0.034)
    before = page.read_text(encoding="utf-8")
    measure(["start"], page, force=False)
    text = between(page.read_text(encoding="utf-8"), "start")
    summary, table = text.split("\n\n")
    assert re.fullmatch(
        rf"Measured on {time.strftime('%Y')}-\d\d-\d\d at commit 12345678 in \d+ s; others used 0.03 cores\.",
        summary,
    )
    assert table == "| a |\n| --- |"
    assert (
        page.read_text(encoding="utf-8").split("<!-- bench:start")[0] == before.split("<!-- bench:start")[0]
    )


def test_a_command_that_fails_says_so_and_writes_nothing(
    page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    idle(monkeypatch)
    monkeypatch.setitem(SECTIONS, "start", Section("python -c \"raise SystemExit('no such video')\""))
    was = between(page.read_text(encoding="utf-8"), "start")
    assert bench.main(["--only", "start", "--page", str(page)]) == 1
    assert "ended with 1\nno such video" in capsys.readouterr().err
    assert between(page.read_text(encoding="utf-8"), "start") == was
