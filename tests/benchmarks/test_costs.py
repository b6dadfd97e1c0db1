"""``benchmarks/costs.py``: what is measured, what is left out, and what the tables say."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

import costs
from costs import AXES, Cost, main, real_time_up_to, row
from one_network import Case, cost, film, squares


def test_a_case_is_measured_in_a_process_of_its_own() -> None:
    small = cost(Case("stcn-lite", height=48, width=96, objects=2, memory=2), limit=120)
    assert small is not None
    assert 0 < small.seconds < 5
    assert small.mebibytes > 50
    assert cost(Case("stcn-lite"), limit=0.1) is None
    with pytest.raises(RuntimeError, match="no-such"):
        cost(Case("no-such"), limit=60)


def test_ten_squares_move_inside_of_the_film() -> None:
    case = Case("stcn-lite", height=240, width=427, objects=10)
    first, second = film(case, 2)
    assert first.image.shape == (240, 427, 3)
    assert len(squares(case)) == 10
    for rows, columns in squares(case):
        assert rows.stop <= 240
        assert columns.stop <= 427
    assert np.any(first.image != second.image)


def test_cases_after_one_that_takes_long_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Case] = []

    def measured(case: Case, limit: float) -> Cost:
        tried.append(case)
        return Cost(case.height**2 / 240**2, 100)

    monkeypatch.setattr(costs, "cost", measured)
    found = row(AXES["size"], "stcn-lite", limit=40)
    assert [case.height for case in tried] == [240, 480, 720]
    assert [item and item.seconds for item in found] == [1, 4, 9, None, None]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ((0.05, 0.2, None), "below 240p"),
        ((0.01, 0.04, 0.09), "480p"),
        ((0.02, 0.08, None), "339p"),  # 240 times the root of two
        ((0.01, 0.02, 0.03), "720p at least"),
    ],
)
def test_the_largest_size_in_real_time_lies_on_a_power_law(
    seconds: tuple[float | None, ...], expected: str
) -> None:
    found = [item and Cost(item, 100) for item in (*seconds, None, None)]
    assert real_time_up_to(AXES["size"], found) == expected


def test_tables_are_printed_for_the_networks_of_each_axis(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(costs, "cost", lambda case, limit: Cost(0.5, 300) if case.objects < 10 else None)
    assert main(["--models", "stcn-lite,mustan-lite", "--axes", "size,objects"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "| mustan-lite |" + " 0.50 s, 300 MiB |" * 5 + " below 240p |" in lines
    assert "| stcn-lite | 0.50 s, 300 MiB | 0.50 s, 300 MiB | too long |" in lines
    assert sum(line.startswith("| mustan-lite") for line in lines) == 1
