"""``benchmarks/costs.py``: what is measured, what is left out, and what the tables say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

import costs
from bench import Origin
from costs import Cost, main
from one_network import Case, cost


def test_a_case_is_measured_in_a_process_of_its_own() -> None:
    small = cost(Case("stcn-lite", height=48, width=96, objects=2, memory=2), limit=120)
    assert small is not None
    assert 0 < small.seconds < 5
    assert small.mebibytes > 50
    assert cost(Case("stcn-lite"), limit=0.1) is None
    with pytest.raises(RuntimeError, match="no-such"):
        cost(Case("no-such"), limit=60)


COMMIT = Origin("12345678", changed=False)


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
