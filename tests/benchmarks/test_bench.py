"""``make bench``: what it writes into the page, and when it refuses."""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

import bench
from bench import SECTIONS, between


def test_every_section_has_its_place_and_its_command_on_the_page() -> None:
    page = bench.PAGE.read_text(encoding="utf-8")
    for name, section in SECTIONS.items():
        between(page, name)
        assert section.command in re.sub(r"\s+", " ", page), name
        assert (bench.ROOT / section.command.split()[1]).is_file()
    assert len(re.findall("<!-- bench:", page)) == len(SECTIONS)
