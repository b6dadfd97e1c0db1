"""``make bench``: what it writes into the page, and when it refuses."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import segue
from benchmarks import bench
from benchmarks.bench import SECTIONS, between
from benchmarks.lib.one_network import Case
from benchmarks.speed import against


def test_every_section_has_its_place_and_its_command_on_the_page() -> None:
    page = bench.PAGE.read_text(encoding="utf-8")
    for name, section in SECTIONS.items():
        between(page, name)
        assert section.command in re.sub(r"\s+", " ", page), name
        assert find_spec(section.command.split()[2]) is not None
    assert len(re.findall("<!-- bench:", page)) == len(SECTIONS)


@pytest.mark.slow
def test_a_version_is_measured_in_a_process_of_its_own() -> None:
    source = Path(segue.__file__).parents[1]
    case = Case("stcn-lite", 48, 64)
    cost = against.measure(source, case, threads=1)
    assert 0 < cost.wall < 60
    assert 100 < cost.mebibytes < 4000


def test_a_commit_that_git_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="0123456789"):
        against.export("0123456789", tmp_path)
