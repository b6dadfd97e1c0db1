"""What earlier versions saved: runs that were interrupted, records of jobs, and projects of the page.

``tests/saved`` was written at commit 699fa158 (version 0.1.0): :data:`COMMANDS` were interrupted after six of
twelve frames, whose files are of second 1,700,000,000.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from segue.jobs import read_job
from segue.jobs.values import ForegroundJob, TrackJob
from segue.masks import read_index_mask
from segue.weights.available import entry_for
from segue_web.project.project import Project
from tests.cli.running import Command

SAVED = Path(__file__).resolve().parents[1] / "saved"
COMMANDS: dict[Literal["track", "foreground"], list[str]] = {
    "track": ["track", "frames", "--mask", "first.png"],
    "foreground": ["foreground", "frames", "--passes", "1", "--objects"],
}
WRITTEN = 1_700_000_000


@pytest.mark.parametrize("kind", COMMANDS)
def test_an_interrupted_run_of_an_earlier_version_goes_on(
    kind: Literal["track", "foreground"], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SAVED, tmp_path, dirs_exist_ok=True)
    for image in (tmp_path / "frames").iterdir():
        os.utime(image, (WRITTEN, WRITTEN))
    model = json.loads((tmp_path / kind / "masks" / ".segue.json").read_text())["settings"]["model"]
    options = ["--format", "png", "--device", "cpu"]
    resumed = command(*COMMANDS[kind], "-o", kind, *options, "--resume")
    if entry_for(kind, model["name"]).sha256 != model["digest"]:
        assert resumed.code == 2  # another network ships now; masks of two are not mixed
        assert "--overwrite" in resumed.err
        return
    assert resumed.code == 0, resumed.err
    assert command(*COMMANDS[kind], "-o", "whole", *options).code == 0
    masks = sorted(path.name for path in (tmp_path / "whole" / "masks").glob("*.png"))
    assert len(masks) == 12
    for name in masks:
        # Masks of the earlier version stay: its tracker lost the fish on frame 4.
        saved = SAVED / kind / "masks" / name
        expected = saved if saved.exists() else tmp_path / "whole" / "masks" / name
        found = read_index_mask(tmp_path / kind / "masks" / name)
        np.testing.assert_array_equal(found, read_index_mask(expected))


def test_records_of_jobs_are_read() -> None:
    track, foreground = (read_job(SAVED / "jobs" / f"{kind}.json") for kind in ("track", "foreground"))
    assert isinstance(track, TrackJob)
    assert [prompt.id for prompt in track.prompts] == [0]
    assert isinstance(foreground, ForegroundJob)
    assert foreground.options.objects


def test_a_project_is_opened(tmp_path: Path) -> None:
    shutil.copytree(SAVED / "project", tmp_path / "project")
    video = {"name": "frames", "width": 32, "height": 24, "frames": 12}
    project = Project(tmp_path / "project", video, (24, 32))
    (known,) = project.objects()
    assert (known["name"], known["category"]) == ("Koi", "fish")
    assert project.plane(3, known["id"]).sum() == 56
    project.close()
