"""``make bench``: what it writes into the page, and when it refuses."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

import bench
import load
import segue
from bench import SECTIONS, Origin, Section, between, measure, without_old, written
from load import Load, others_use

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


def test_figures_of_another_commit_do_not_stand_beside_new_ones(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle(monkeypatch)
    old = "Measured on 2026-01-01 at commit 00000000 in 9 s; others used 0.00 cores.\n\n| 1 |"
    own = old.replace("00000000", "12345678")
    page.write_text(written(written(page.read_text(), "stm", old), "scores", own))
    measure(["start"], page, force=False)
    text = page.read_text(encoding="utf-8")
    assert "Not measured" in between(text, "stm")
    assert between(text, "scores") == own
    assert "Not measured" in between(without_old(text, Origin("12345678", changed=True)), "scores")


@pytest.mark.parametrize(("before", "meanwhile"), [(0.5, 0.0), (0.0, 0.5)])
def test_nothing_is_written_on_a_busy_machine_unless_forced(
    before: float,
    meanwhile: float,
    page: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    idle(monkeypatch, before, meanwhile)
    was = page.read_bytes()
    assert bench.main(["--only", "start", "--page", str(page)]) == 1
    assert page.read_bytes() == was
    said = capsys.readouterr().err
    assert "others used 0.50 cores" in said
    assert "--force" in said
    assert ("process 7" in said) == (before > 0)
    assert bench.main(["--only", "start", "--page", str(page), "--force"]) == 0
    assert f"others used {meanwhile:.2f} cores" in between(page.read_text(encoding="utf-8"), "start")


def test_a_system_that_does_not_tell_its_load_is_measured_and_said(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "STAT", Path("/nowhere"))
    assert others_use(0.0) is None
    assert Load.now().others() is None
    measure(["start"], page, force=False)
    assert "the use by other programs is not known" in between(page.read_text(encoding="utf-8"), "start")


def test_a_command_that_fails_says_so_and_writes_nothing(
    page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    idle(monkeypatch)
    monkeypatch.setitem(SECTIONS, "start", Section("python -c \"raise SystemExit('no such film')\""))
    was = between(page.read_text(encoding="utf-8"), "start")
    assert bench.main(["--only", "start", "--page", str(page)]) == 1
    assert "ended with 1\nno such film" in capsys.readouterr().err
    assert between(page.read_text(encoding="utf-8"), "start") == was


@pytest.mark.parametrize("path", ["", None])
def test_figures_without_a_git_repository_are_of_a_version(
    path: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    if path is not None:  # no git at all
        monkeypatch.setenv("PATH", path)
    assert str(Origin.here()) == f"version {segue.__version__}"


@pytest.mark.skipif(not load.STAT.is_file(), reason="the system does not tell its load")
def test_what_this_process_computes_is_not_the_load_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    others = 0.0
    monkeypatch.setattr(load, "_busy_seconds", lambda: others + time.process_time())
    begun, started = Load.now(), time.process_time()  # children that have ended are part of its own seconds
    while time.process_time() - started < 0.05:
        pass
    assert begun.others() == pytest.approx(0, abs=0.2)
    others = 100 * (time.monotonic() - begun.time)
    assert begun.others() == pytest.approx(100, rel=0.2)


@pytest.mark.skipif(not load.STAT.is_file(), reason="the system does not tell its load")
def test_the_load_is_read_from_the_system() -> None:
    begun, started = Load.now(), time.process_time()
    while time.process_time() - started < 0.1:
        pass
    now = Load.now()
    assert begun.all is not None
    assert now.all is not None
    assert now.all - begun.all >= 0.05  # in hundredths of a second, of all processors
