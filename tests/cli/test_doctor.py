"""``segue doctor``: what a bug report needs."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import segue
from segue.cli import machine as doctor
from segue.inference import tuning
from segue.inference.cpu.forms import current
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
    assert {"system", "processor", "threads", "default device", "fused layers", "extra web"} <= said.keys()
    assert "self-test" not in said
    assert outcome.out.splitlines()[-1].startswith("summary: everything that segue needs is there")


def no_metadata(name: str) -> None:
    raise importlib.metadata.PackageNotFoundError(name)


def test_doctor_reports_broken_parts_and_continues(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken() -> int:
        raise RuntimeError("no driver\nof this card")

    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", broken)
    monkeypatch.setattr(importlib.metadata, "requires", no_metadata)
    monkeypatch.setitem(sys.modules, "cv2", None)  # as where a library of it is missing
    outcome = command("doctor", "--no-test")
    assert outcome.code == 0
    said = dict(line.partition(": ")[::2] for line in outcome.out.splitlines())
    assert said["cuda"] == "not known (RuntimeError: no driver)"
    assert said["packages"].startswith("not known (PackageNotFoundError")
    assert said["opencv"].startswith("not known (ModuleNotFoundError")
    assert {"processor", "default device", "decodes", "extra web", "cache folder"} <= said.keys()


def test_each_extra_is_shown_with_its_versions(
    monkeypatch: pytest.MonkeyPatch, command: Command, tmp_path: Path
) -> None:
    needed = ["numpy>=1.26", 'fastapi>=0.110; extra == "web"', 'fsspec[http]>=2; extra == "cluster"']
    needed += ["no-such-package>=2; extra == 'cluster'"]
    installed = tmp_path / "segue-9.dist-info/METADATA"  # found before the one of this environment
    installed.parent.mkdir()
    lines = ["Name: segue", "Version: 9", *(f"Requires-Dist: {each}" for each in needed)]
    installed.write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    said = dict(line.partition(": ")[::2] for line in command("doctor", "--no-test").out.splitlines())
    fastapi, fsspec = (importlib.metadata.version(name) for name in ("fastapi", "fsspec"))
    assert said["extra web"] == f"fastapi {fastapi}"
    start = f"fsspec {fsspec}, no-such-package not installed: pip install "
    assert said["extra cluster"].startswith(start)
    assert "[cluster]" in said["extra cluster"]


def test_a_machine_without_pytorch_gets_its_report() -> None:
    run = "import sys\nsys.modules['torch'] = None\nfrom segue.cli import app\napp(['doctor'])"
    done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    said = dict(line.partition(": ")[::2] for line in done.stdout.splitlines())
    assert said["processor"].startswith("not known (ModuleNotFoundError")
    assert said["self-test"].startswith("FAILED (")
    assert {"segue", "python", "decodes", "extra web", "cache folder"} <= said.keys()


def test_the_bundled_video_is_followed() -> None:
    assert "5 frames in" in doctor.self_test("cpu")


def test_networks_are_timed_on_request(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segue.cli.timing.NETWORKS", ("nanodet", "stcn-lite"))
    monkeypatch.setattr("segue.cli.timing.FRAMES", 3)
    outcome = command("doctor", "--no-test", "--bench", "--device", "cpu")
    assert outcome.code == 0
    rows = [line.split(" | ") for line in outcome.out.splitlines() if line.startswith("| ")][2:]
    assert [row[0].removeprefix("| ") for row in rows] == ["nanodet", "stcn-lite"]
    assert all(float(row[2]) > 0 and row[4].startswith("its own") for row in rows)


def test_tuning_writes_a_table_that_new_runs_take(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.setattr(tuning, "measure", lambda threads: [(count, 128, 900) for count in threads])
    outcome = command("doctor", "--tune")
    assert outcome.code == 0
    assert "threads 1, channels 128: Winograd from 900 positions" in outcome.out
    assert (tmp_path / "forms.json").is_file()
    assert current().winograd == ((128, 900),)
    assert str(tmp_path / "forms.json") in command("doctor", "--no-test").out
