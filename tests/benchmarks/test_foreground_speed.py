"""What the foreground benchmarks of speed and memory measure."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from segue.types import Frame

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

import foreground
import foreground_long_run

SIZE = (48, 64)


def test_the_film_is_the_same_each_time_and_its_blocks_move() -> None:
    assert np.array_equal(foreground.picture(7, *SIZE), foreground.picture(7, *SIZE))
    one, other = ((foreground.picture(t, *SIZE) > 215).all(axis=2) for t in (0, 9))
    assert one.sum() > 2 * 9 * 9 * 0.9
    assert (one != other).any()


@pytest.mark.parametrize("model", ["mustan-lite", "mog2"])
def test_the_time_of_the_model_is_a_part_of_that_of_the_session(model: str) -> None:
    runner = foreground.Runner(model, "cpu", fast=False)
    for t in range(3):
        runner.step(Frame(t, t / 25, foreground.picture(t, *SIZE)))
    assert len(runner.seconds) == len(runner.work) == len(runner.alone) == 3
    assert all(0 < part < whole for part, whole in zip(runner.alone, runner.seconds, strict=True))


def test_a_row_is_printed_for_each_model_and_all_numbers_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreground, "peak_memory", lambda model, device, options: 300 << 20)
    numbers = tmp_path / "numbers.json"
    asked = "--models median --peers knn --devices cpu --size 48x64 --quick --threads 1 --json"
    assert foreground.main([*asked.split(), str(numbers)]) == 0
    table = capsys.readouterr().out
    assert "| cpu | median |" in table
    assert "| cpu | knn |" in table
    assert [row["peak"] for row in json.loads(numbers.read_text())] == [300 << 20] * 2


def test_the_long_run_writes_its_memory_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    foreground_long_run.main(["--model", "knn", "--size", "48x64", "--frames", "30", "--every", "10"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:5]] == ["10", "20", "30"]
    assert "last / first" in lines[-1]
