"""A power cut at any moment of a video: what is reported is there, and the rest is resumed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from segue.batch import Task
from segue.batch.publish import belongs_to_batch, digest_of
from segue.batch.work import JobConfig, attempt
from segue.cli.batch import with_jobs
from segue.utils.cancel import CancelToken
from tests.batch.conftest import video
from tests.power import recorded

FRAMES = 5

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="follows descriptors in /proc")


def done_once(output: Path, source: Path) -> Task:
    order = JobConfig(
        command="foreground",
        options=("--model", "median", "--format", "png", "--format", "coco"),
        output=str(output),
        scratch=output / ".segue-batch",
        batch="batch",
    )
    (task,) = with_jobs([Task("a/b", str(source))], order)
    return attempt(task, order, CancelToken())


def files_of(folder: Path) -> dict[str, bytes]:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name[0] != "."]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.usefixtures("saved_often")
def test_after_a_cut_at_any_moment_a_video_is_complete_or_done_again_to_the_same_bytes(
    tmp_path: Path,
) -> None:
    source, output = video(tmp_path / "video.mp4", FRAMES), tmp_path / "out"
    output.mkdir()
    with recorded(output) as disk:
        event = done_once(output, source)
        assert event.state == "done", event.error
        whole = files_of(output / "a/b")
        assert len(whole) == FRAMES + 2  # masks, coco.json and job.json
        assert len(disk) > 3 * FRAMES

        for moment in sorted({0, 1, *range(2, len(disk), 4), len(disk) - 1}):
            left = tmp_path / f"cut-{moment}"
            disk.restore(moment, left)
            if moment == len(disk) - 1:  # when the worker has reported it
                assert files_of(left / "a/b") == whole
                assert belongs_to_batch(left / "a/b", "batch", "a/b")
                assert digest_of(left / "a/b") == event.digest
                continue
            assert not (left / "a/b").exists() or digest_of(left / "a/b") == event.digest
            again = done_once(left, source)
            assert again.state == "done", (moment, again.error)
            assert files_of(left / "a/b") == whole, moment
            shutil.rmtree(left)
