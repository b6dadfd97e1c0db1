"""``benchmarks/costs.py``: what is measured, what is left out, and what the tables say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

import costs
from bench import Origin
from costs import AXES, Cost, Kept, main, real_time_up_to, row
from one_network import Case, cost, film, squares

NOTHING = Kept(None, "machine", None)


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
    found = row(AXES["size"], "stcn-lite", limit=40, kept=NOTHING)
    assert [case.height for case in tried] == [120, 240, 480, 720]
    assert [item and item.seconds for item in found] == [0.25, 1, 4, 9, None, None]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ((0.05, 0.2, None), "below 120p"),
        ((0.01, 0.04, 0.09), "240p"),
        ((0.02, 0.08, None), "170p"),  # 120 times the root of two
        ((0.01, 0.02, 0.03), "480p at least"),
    ],
)
def test_the_largest_size_in_real_time_lies_on_a_power_law(
    seconds: tuple[float | None, ...], expected: str
) -> None:
    found = [item and Cost(item, 100) for item in (*seconds, None, None, None)]
    assert real_time_up_to(AXES["size"], found) == expected


def test_tables_are_printed_for_the_networks_of_each_axis(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(costs, "cost", lambda case, limit: Cost(0.5, 300) if case.objects < 10 else None)
    assert main(["--models", "stcn-lite,mustan-lite", "--axes", "size,objects"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "| mustan-lite |" + " 0.50 s, 300 MiB |" * 6 + " below 120p |" in lines
    assert "| stcn-lite | 0.50 s, 300 MiB | 0.50 s, 300 MiB | too long |" in lines
    assert sum(line.startswith("| mustan-lite") for line in lines) == 1


COMMIT = Origin("12345678", changed=False)


def test_a_run_that_was_interrupted_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def measured(case: Case, limit: float) -> Cost | None:
        if case.objects == stop:
            raise KeyboardInterrupt
        asked.append(case.objects)
        return Cost(0.25, 300) if case.objects < 10 else None

    def run(
        machine: str = "this machine", commit: Origin = COMMIT, limit: float = 40
    ) -> tuple[list[int], int]:
        asked.clear()
        kept = Kept(tmp_path / "kept", machine, commit)
        found = row(AXES["objects"], "stcn-lite", limit, kept)
        assert [item and item.seconds for item in found] == [0.25, 0.25, None]
        return asked.copy(), kept.reused

    monkeypatch.setattr(costs, "cost", measured)
    stop = 10
    with pytest.raises(KeyboardInterrupt):
        run()
    with (tmp_path / "kept").open("a", encoding="utf-8") as file:
        file.write('["this machine, comm')  # the power went off
    stop = 0
    assert run(machine="another one") == ([1, 3, 10], 0)
    assert run(commit=Origin("87654321", changed=False)) == ([1, 3, 10], 0)
    assert run(commit=Origin("12345678", changed=True)) == ([1, 3, 10], 0)
    assert run() == ([10], 2)
    assert run() == ([], 3)
    assert run(limit=50) == ([1, 3, 10], 0)


def test_a_run_that_ends_keeps_nothing_and_says_what_is_older(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "runs" / "kept"
    words = ["--models", "stcn-lite", "--axes", "objects", "--keep", str(file)]
    monkeypatch.setattr(Origin, "here", classmethod(lambda cls: COMMIT))
    monkeypatch.setattr(costs, "cost", lambda case, limit: Cost(0.5, 300))
    monkeypatch.setattr(costs, "table", lambda *_: 1 / 0)  # the run fails when all three are measured
    with pytest.raises(ZeroDivisionError):
        main(words)
    monkeypatch.undo()
    monkeypatch.setattr(Origin, "here", classmethod(lambda cls: COMMIT))
    assert main(words) == 0  # or three networks would run here
    assert "3 of the costs are from an earlier run" in capsys.readouterr().out
    assert not file.exists()


def test_a_process_that_was_killed_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    killed = CompletedProcess([], -9, stdout="", stderr="")
    monkeypatch.setattr("one_network.subprocess.run", lambda *_, **__: killed)
    with pytest.raises(RuntimeError, match="stcn-lite: ended with -9"):
        cost(Case("stcn-lite"), limit=1)


@pytest.mark.parametrize(("chose", "runs"), [([True, False], 2), ([False], 1), ([True, True], 2)])
def test_a_run_in_which_layers_chose_their_forms_does_not_count(
    chose: list[bool], runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [
        CompletedProcess([], 0, json.dumps({"cost": {"seconds": n, "mebibytes": 300}, "chose": each}), "")
        for n, each in enumerate(chose, 1)
    ]
    begun = iter(said)
    monkeypatch.setattr("one_network.subprocess.run", lambda *_, **__: next(begun))
    assert cost(Case("stcn-lite"), limit=1) == Cost(runs, 300)
    assert next(begun, None) is None
