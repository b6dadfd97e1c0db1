"""A run that starts anew over an interrupted one is killed at each of its file operations, then resumed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from segue import jobs
from segue.jobs import frame_loop
from segue.jobs.values import ForegroundJob, ForegroundOptions, Model, Outputs, VideoSource
from segue.video.sources.images import write_image
from tests.kills import dies_at, every_kill

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a child process")

IMAGES = np.random.default_rng(4).integers(0, 256, (5, 8, 12, 3)).astype(np.uint8)


@pytest.mark.usefixtures("saved_often")
@pytest.mark.parametrize("later", [18, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("passes", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_run_resumed_after_a_kill_equals_an_undisturbed_run(
    passes: int, later: int, tmp_path: Path
) -> None:
    for index, image in enumerate(IMAGES):
        write_image(tmp_path / "video" / f"{index:05d}.png", image)

    def job(folder: Path, **how: bool) -> ForegroundJob:
        return ForegroundJob(
            source=VideoSource(place=str(tmp_path / "video")),
            model=Model(name="median"),
            options=ForegroundOptions(passes=passes),
            outputs=Outputs(folder=folder, formats=("png",), **how),
        )

    def masks(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((folder / "masks").glob("*.png"))}

    jobs.run(job(tmp_path / "whole"))
    whole = masks(tmp_path / "whole")
    assert len(whole) == len(IMAGES)
    begun, number = tmp_path / "begun", 0
    while not (begun / "masks" / frame_loop.STATE).exists() or not masks(begun):  # killed in the last pass
        shutil.rmtree(begun, ignore_errors=True)
        number += 12
        assert dies_at(number, begun, lambda: jobs.run(job(begun)))
    out = tmp_path / "out"
    shutil.copytree(tmp_path / "begun", out)
    moments = 0
    begins = 12  # changes while the earlier run is removed, and its remains are told from the new one
    first = 1 if later == 1 else 2 * passes  # an earlier run is removed in the same way by two passes
    steps = every_kill(
        out, lambda: jobs.run(job(out, overwrite=True)), lambda number: first if number < begins else later
    )
    for moment in steps:
        jobs.run(job(out, resume=True))
        assert masks(out) == whole, moment
        shutil.rmtree(out)
        shutil.copytree(tmp_path / "begun", out)
        moments += 1
    assert moments > 6
