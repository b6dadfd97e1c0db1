"""What a worker does with one video: from its job to results in their place, also after an interruption."""

from __future__ import annotations

import io
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segue.batch import State, Task, work
from segue.batch.places import key_of
from segue.batch.publish import belongs_to_batch, digest_of
from segue.batch.work import JobConfig, ProgressRecorder, attempt
from segue.errors import ResumeError, SourceError
from segue.jobs.values import ForegroundJob, Model, Outputs, TrackJob, VideoJob, VideoSource
from segue.prompt_types import MaskPrompt
from segue.sessions import ForegroundSession
from segue.types import Frame, Segmentation
from segue.utils.cancel import CancelToken
from segue.video.sources.images import write_image
from tests.batch.conftest import UseRun, results

IMAGES = np.random.default_rng(4).integers(0, 256, (6, 24, 32, 3)).astype(np.uint8)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    for index, image in enumerate(IMAGES):
        write_image(tmp_path / "video" / f"{index:05d}.png", image)
    return tmp_path / "video"


@pytest.fixture
def order(tmp_path: Path) -> JobConfig:
    (tmp_path / "out").mkdir()
    return JobConfig(output=str(tmp_path / "out"), scratch=tmp_path / "scratch", batch="mine")


def median(source: object, **fields: Any) -> Task:
    job = ForegroundJob(
        source=VideoSource(place="elsewhere"),
        model=Model(name="median"),
        outputs=Outputs(folder="elsewhere", formats=("png",)),
        **fields,
    )
    return Task("in/clip", str(source), job=job)


def done(task: Task, order: JobConfig) -> Task:
    outcome = attempt(task, order, CancelToken())
    assert outcome.state == "done", outcome.error
    return outcome


def stopped_at_frame(last: int, task: Task, order: JobConfig, monkeypatch: pytest.MonkeyPatch) -> Task:
    """A video that is interrupted after a frame."""
    token = CancelToken()

    class Stops(ProgressRecorder):
        def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
            super().frame(frame, result, note)
            if frame.index == last:
                token.cancel()

    with monkeypatch.context() as patch:
        patch.setattr(work, "ProgressRecorder", Stops)
        return attempt(task, order, token)


def test_a_video_gets_its_results_their_mark_and_a_image(
    video: Path, order: JobConfig, tmp_path: Path
) -> None:
    outcome = done(median(video), order)
    place = tmp_path / "out/in/clip"
    assert len(results(place)) == outcome.frames == 6
    assert outcome.digest == digest_of(place)
    assert belongs_to_batch(place, "mine", "in/clip")
    assert outcome.seconds is not None
    assert 0 < outcome.seconds < 60
    with Image.open(io.BytesIO(outcome.image)) as image:
        assert (image.format, image.size) == ("JPEG", (32, 24))
    assert not list((tmp_path / "scratch/work").iterdir())


def test_an_interrupted_video_goes_on_and_gives_the_same_bytes(
    video: Path, order: JobConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(
        median(video),
        order.model_copy(update={"output": str(tmp_path / "whole"), "scratch": tmp_path / "other"}),
    )
    assert stopped_at_frame(2, median(video), order, monkeypatch).state == "queued"
    unfinished = tmp_path / "scratch/work" / key_of("in/clip")
    assert len(list((unfinished / "masks").glob("0*.png"))) == 3
    assert not results(tmp_path / "out")
    (unfinished / ".job.json.01234567.partial").touch()  # as a worker leaves it that is killed
    steps: list[int] = []
    step = ForegroundSession.step

    def stepped(session: ForegroundSession, frame: Frame, *said: Any) -> Segmentation | None:
        steps.append(frame.index)
        return step(session, frame, *said)

    monkeypatch.setattr(ForegroundSession, "step", stepped)
    outcome = done(median(video), order)
    assert (outcome.frames, steps) == (6, [3, 4, 5]), "it was not begun anew"
    assert results(tmp_path / "out") == results(tmp_path / "whole")
    assert not list((tmp_path / "out").rglob("*.partial"))


def test_a_video_whose_video_has_changed_meanwhile_begins_anew(
    video: Path, order: JobConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stopped_at_frame(2, median(video), order, monkeypatch).state == "queued"
    for path in sorted(video.iterdir())[4:]:
        path.unlink()
    outcome = done(median(video), order)
    assert outcome.frames == 4
    assert [Path(name).stem for name in results(tmp_path / "out")] == [f"{index:05d}" for index in range(4)]


@pytest.fixture
def seen(runs_of_jobs: UseRun) -> list[VideoJob]:
    """The jobs that are run, in place of running them; each writes one file."""
    found: list[VideoJob] = []

    def run(job: VideoJob, watch: ProgressRecorder, cancel: CancelToken) -> None:
        found.append(job)
        watch.frames += 1
        assert job.outputs.folder is not None
        job.outputs.folder.mkdir(parents=True, exist_ok=True)
        (job.outputs.folder / "result").write_bytes(b"done")

    runs_of_jobs(run)
    return found


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that are fetched, into files of their last names."""
    found: list[str] = []

    def fetch(place: str, folder: Path) -> Path:
        found.append(place)
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / place.rpartition("/")[2]
        target.touch()
        return target

    monkeypatch.setattr(work, "fetch", fetch)
    return found


def test_remote_videos_are_fetched_and_removed_afterwards(
    seen: list[VideoJob], fetched: list[str], order: JobConfig, tmp_path: Path
) -> None:
    said = MaskPrompt.each(np.eye(4, dtype=np.uint8))
    job = TrackJob(
        source=VideoSource(place="x", start=3),
        model=Model(name="stcn-lite"),
        prompts=(MaskPrompt(4, "s3://b/first.png"), MaskPrompt(0, "/here.png", frame=9), *said),
    )
    done(Task("clip", "s3://b/video.mp4", job=job), order)
    (found,) = seen
    assert isinstance(found, TrackJob)
    here = tmp_path / "scratch/fetched" / key_of("clip")
    assert (found.source.place, found.source.origin, found.source.start) == (
        str(here / "video.mp4"),
        "s3://b/video.mp4",
        3,
    )
    first, second, third = found.prompts
    assert first == MaskPrompt(4, str(here / "first.png"))
    assert second == MaskPrompt(0, "/here.png", frame=9)
    assert isinstance(third, MaskPrompt)
    assert fetched == ["s3://b/video.mp4", "s3://b/first.png"]
    assert not here.exists()
    assert (tmp_path / "out/clip/result").read_bytes() == b"done"


@pytest.mark.parametrize(("roi", "there"), [("s3://b/roi.png", "roi.png"), ("/yard.png", None), (None, None)])
def test_a_region_that_lies_elsewhere_is_fetched_too(
    roi: str | None,
    there: str | None,
    seen: list[VideoJob],
    fetched: list[str],
    order: JobConfig,
    tmp_path: Path,
) -> None:
    done(median("video.mp4", roi=roi), order)
    (found,) = seen
    assert isinstance(found, ForegroundJob)
    here = tmp_path / "scratch/fetched" / key_of("in/clip")
    assert found.roi == (roi if there is None else str(here / there))
    assert (found.source.place, found.source.origin) == ("video.mp4", None)


@pytest.mark.parametrize(
    ("raised", "state", "error"),
    [
        (KeyboardInterrupt(), "queued", None),
        (SourceError("no\nvideo"), "failed", "no video"),
        (MemoryError(), "failed", f"out of memory; {work.MEMORY_ADVICE}"),
        (
            RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
            "failed",
            f"out of memory (needed about 2147 MB more); {work.MEMORY_ADVICE}",
        ),
        (RuntimeError("at s3://me:secret@host/a\n  lost"), "failed", "RuntimeError: at s3://host/a lost"),
    ],
)
def test_a_video_that_cannot_be_done_is_reported_in_one_line_without_secrets(
    order: JobConfig,
    runs_of_jobs: UseRun,
    raised: BaseException,
    state: State,
    error: str | None,
) -> None:
    def run(*_: object) -> None:
        raise raised

    runs_of_jobs(run)
    task, worker = median("video.mp4"), f"{socket.gethostname()}:{os.getpid()}"
    expected = replace(task, state=state, error=error, worker=worker)
    assert attempt(task, order, CancelToken()) == expected


def test_a_broken_video_at_an_address_is_named_by_it(
    order: JobConfig, runs_of_jobs: UseRun, fetched: list[str]
) -> None:
    def run(job: VideoJob, *_: object) -> None:
        raise SourceError(f"{job.source.place}: not a video")

    runs_of_jobs(run)
    task = median("https://me:secret@host/in/video.mp4")
    assert attempt(task, order, CancelToken()).error == "https://host/in/video.mp4: not a video"
    assert fetched == [task.source]


def test_a_video_whose_memory_ran_out_goes_on_from_what_is_saved(
    video: Path, order: JobConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = order.model_copy(update={"output": str(tmp_path / "whole")})
    (tmp_path / "whole").mkdir()
    done(median(video), whole)
    step, left, steps = ForegroundSession.step, [3], list[int]()

    def exhausted(self: ForegroundSession, frame: Frame) -> Segmentation | None:
        if not left[0]:
            raise MemoryError
        left[0] -= 1
        steps.append(frame.index)
        return step(self, frame)

    monkeypatch.setattr(ForegroundSession, "step", exhausted)
    failed = attempt(median(video), order, CancelToken())
    assert (failed.state, failed.error) == ("failed", f"out of memory; {work.MEMORY_ADVICE}")
    left[0] = 10
    assert done(median(video), order).frames == 6
    assert steps == list(range(6)), "frames that were saved are not computed again"
    assert results(tmp_path / "out") == results(tmp_path / "whole")


def test_videos_that_cannot_be_resumed_are_redone_and_counted_once(
    order: JobConfig, tmp_path: Path, runs_of_jobs: UseRun
) -> None:
    unfinished = tmp_path / "scratch/work" / key_of("in/clip")
    (unfinished / "masks").mkdir(parents=True)
    for name in ("masks/.segue.json", "masks/old.png"):
        (unfinished / name).touch()
    tried: list[tuple[bool, bool]] = []

    def run(job: VideoJob, watch: ProgressRecorder, cancel: CancelToken) -> None:
        tried.append((job.outputs.resume, job.outputs.overwrite))
        watch.frames += 5
        if job.outputs.resume:
            raise ResumeError("its weights have changed")
        unfinished.mkdir()
        (unfinished / "new.png").touch()

    runs_of_jobs(run)
    assert done(median("video.mp4"), order).frames == 5
    assert tried == [(True, False), (False, True)]
    assert [path.name for path in (tmp_path / "out/in/clip").glob("[!.]*")] == ["new.png"]
