"""A worker is killed at each of its file operations: the same video is done afterwards, to the same bytes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from segue.batch import Task
from segue.batch.places import DONE, RESULT, key_of
from segue.batch.work import JobConfig, ProgressRecorder, attempt
from segue.jobs.values import ForegroundJob, Model, VideoJob, VideoSource
from segue.sinks import PngSink
from segue.types import Frame, ObjectInfo, Segmentation
from segue.utils.cancel import CancelToken
from tests.batch.conftest import UseRun
from tests.kills import every_kill
from tests.needs import needs

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a child process")


@pytest.fixture
def task(runs_of_jobs: UseRun) -> Task:
    """A video whose job writes two masks at once: most file operations of a worker are not those of a job."""

    def run(job: VideoJob, watch: ProgressRecorder, _: CancelToken) -> None:
        assert job.outputs.folder is not None
        write_masks(job.outputs.folder, resume=job.outputs.resume, overwrite=job.outputs.overwrite)

    runs_of_jobs(run)
    return Task("in/clip", "x", job=ForegroundJob(source=VideoSource(place="x"), model=Model(name="median")))


def write_masks(
    folder: Path, *, weights: str = "mine", resume: bool = False, overwrite: bool = False
) -> None:
    settings = {"weights": weights}
    with PngSink(folder / "masks", settings=settings, resume=resume, overwrite=overwrite) as sink:
        for index in range(2):
            mask = np.full((4, 6), index, np.uint8)
            frame = Frame(index, 0.0, np.zeros((4, 6, 3), np.uint8))
            sink.write(frame, Segmentation(index, 0.0, mask, (ObjectInfo(1, None, 1.0),) if index else ()))


def files_of(folder: Path) -> dict[str, bytes]:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize(
    ("place", "later"),
    [
        ("a folder", 3),
        ("another disk", 8),
        ("a store", 8),
        pytest.param("a folder", 1, marks=pytest.mark.slow),
        pytest.param("another disk", 1, marks=pytest.mark.slow),
        pytest.param("a store", 1, marks=pytest.mark.slow),
    ],
)
def test_after_a_kill_at_any_file_operation_the_same_video_is_complete(
    place: str,
    later: int,
    task: Task,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    far_apart: Callable[..., None],
) -> None:
    """Its work folder is one that an earlier worker has left, with other weights: it is removed first."""
    output = str(tmp_path / "out")
    if place == "a store":
        fsspec = needs("fsspec")
        monkeypatch.setitem(fsspec.config.conf, "file", {"auto_mkdir": True})
        output = f"file://{output}"
    elif place == "another disk":
        far_apart(tmp_path / "scratch", tmp_path / "out")
    order = JobConfig(output=output, scratch=tmp_path / "scratch", batch="mine")

    def begin() -> None:
        for folder in ("out", "scratch"):
            shutil.rmtree(tmp_path / folder, ignore_errors=True)
        (tmp_path / "out").mkdir()
        write_masks(tmp_path / "scratch/work" / key_of(task.name), weights="others")

    def done() -> dict[str, bytes]:
        outcome = attempt(task, order, CancelToken())
        assert outcome.state == "done", outcome.error
        assert files_of(tmp_path / "scratch") == {}
        return {name: data for name, data in files_of(tmp_path / "out").items() if "moving" not in name}

    begin()
    whole = done()
    assert len([name for name in whole if name.endswith(".png")]) == 2
    assert f"in/clip/{RESULT}" in whole
    assert (f"in/clip/{DONE}" in whole) is (place == "a store")
    begin()
    moments = 0
    for moment in every_kill(tmp_path, lambda: attempt(task, order, CancelToken()), lambda _: later):
        assert done() == whole, moment
        begin()
        moments += 1
    assert moments > 12 / later
