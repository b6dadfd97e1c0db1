"""``segue doctor``: what a bug report needs."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
import torch

import segue
from segue import doctor
from segue.layers.running import choose_device, has_bfloat16
from tests.cli.running import Command


def test_says_what_a_bug_report_needs(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "cache"))
    outcome = command("doctor", "--no-test")
    assert outcome.code == 0
    said = dict(line.partition(": ")[::2] for line in outcome.out.splitlines())
    assert said["segue"] == segue.__version__
    assert said["torch"] == importlib.metadata.version("torch")
    assert "h264" in said["decodes"]
    assert said["cache folder"].startswith(str(tmp_path / "cache"))
    assert {"system", "processor", "threads", "default device", "tuned layers", "extra web"} <= said.keys()
    assert "self-test" not in said


def test_the_bundled_video_is_followed() -> None:
    assert "5 frames in" in doctor.self_test("cpu")


def test_wrong_masks_are_a_failure(monkeypatch: pytest.MonkeyPatch, command: Command) -> None:
    monkeypatch.setattr(doctor, "BOXES", {**doctor.BOXES, 2: (0, 0, 10, 10)})
    monkeypatch.setattr(doctor, "TEST_FRAMES", 2)
    outcome = command("doctor", "--device", "cpu")
    assert outcome.code == 1
    assert "self-test: FAILED (objects of the bundled video are followed wrongly here" in outcome.out


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_the_fastest_device_is_the_default(
    cuda: bool, mps: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device(None).type == expected


def test_bfloat16_is_not_taken_for_granted_on_apple_gpus() -> None:
    assert not has_bfloat16(torch.device("mps"))
