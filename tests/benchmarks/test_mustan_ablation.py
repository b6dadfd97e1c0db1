"""The ablation of MUSTAN trains what its table says."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from segue.weights import write_checkpoint
from tests.training.scenes import save_scene

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

import mustan_ablation


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[list[str]]:
    """Commands that a call starts; what they would train has F 0.5."""
    started: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["mustan_ablation.py", *arguments])
    fakes: dict[str, Any] = {
        "subprocess": SimpleNamespace(run=lambda command, check: started.append(command[4:])),
        "load": lambda name, weights: name,
        "score": lambda network, film: len(film) / 8,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(mustan_ablation, name, fake)
    mustan_ablation.main()
    return started


def test_each_row_is_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("yard", "office"):
        save_scene(tmp_path / "real", "baseline", name, frames=5)
    save_scene(tmp_path / "isd", "", "scene", frames=4)
    started = run(
        monkeypatch, "--cdnet", f"{tmp_path}/real", "--isd", f"{tmp_path}/isd", "--leave-out", "office",
        "--score-frames", "4", "--out", f"{tmp_path}/runs", "--", "--steps", "9",
    )  # fmt: skip
    assert len(started) == 6
    assert all("--steps" in command for command in started)
    assert ["--frm", "none"] in [command[1:3] for command in started]
    *others, rendered = started
    assert all("--exclude" in command for command in others)
    assert f"cdnet={tmp_path}/real" not in rendered
    told = capsys.readouterr().out
    assert "1 real and 1 rendered films" in told
    assert "| mustan2 | office | mean |\n| --- | --- | --- |\n" in told
    assert "| seven frames | 0.500 | 0.500 |" in told


def test_with_two_scenes_each_is_scored_by_a_training_that_saw_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("yard", "office"):
        save_scene(tmp_path / "real", "baseline", name, frames=5)
    save_scene(tmp_path / "isd", "", "scene", frames=4)
    started = run(
        monkeypatch, "--cdnet", f"{tmp_path}/real", "--isd", f"{tmp_path}/isd", "--leave-out", "yard,office",
        "--checks", "base,data", "--out", f"{tmp_path}/runs",
    )  # fmt: skip
    left_out = [command[command.index("--exclude") + 1] for command in started]
    assert left_out == ["yard,office", "baseline/office", "baseline/yard"]
    assert "| each scene by a training" in capsys.readouterr().out


def test_complete_rows_are_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("yard", "office"):
        save_scene(tmp_path / "real", "baseline", name, frames=5)
    for row, step in (("base", "9"), ("frm-none", "4")):
        (tmp_path / row).mkdir()
        path = tmp_path / row / "mustan2.safetensors"
        write_checkpoint(path, {"x": torch.zeros(1)}, {"step": step, "steps": "9"})
    started = run(
        monkeypatch, "--cdnet", f"{tmp_path}/real", "--leave-out", "office", "--checks", "base,frm",
        "--out", str(tmp_path),
    )  # fmt: skip
    assert [command[-1] == "--resume" for command in started] == [True, False]
