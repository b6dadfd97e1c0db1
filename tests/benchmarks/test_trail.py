"""The trail benchmark on the weights that ship."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

import trail


def test_the_weights_that_ship_leave_little_behind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["trail.py"])
    assert trail.main() == 0
    cells = capsys.readouterr().out.splitlines()[-1].split("|")
    assert int(cells[2].replace(",", "")) < 15_000
    assert float(cells[3]) > 0.83
