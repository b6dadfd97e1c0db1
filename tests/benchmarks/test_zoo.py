"""The table of all networks: some of its rows are measured again, the others stay."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

import zoo
from bench import between

STM, XMEM = "| [stm](systems/stm.md) | track |", "| [xmem](systems/xmem.md) | track |"


def test_rows_that_are_not_measured_again_stay_where_they_are() -> None:
    old = zoo.table([STM, XMEM])
    assert zoo.renewed(old, {"stm": STM + " 2 s |"}) == zoo.table([STM + " 2 s |", XMEM])
    assert zoo.renewed(zoo.table([XMEM]), {"stm": STM}) == old


def test_rows_of_two_machines_do_not_stand_in_one_table() -> None:
    old = zoo.table([STM, XMEM]).replace("Measured on: ", "Measured on: another ")
    with pytest.raises(ValueError, match="another machine"):
        zoo.renewed(old, {"stm": STM})


def test_the_page_has_a_place_for_the_table() -> None:
    page = zoo.DOCS / "models.md"
    assert between(page.read_text(encoding="utf-8"), zoo.SECTION).startswith("| name |")
