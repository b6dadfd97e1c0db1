"""One job gives the same bytes from Python, the command line, a batch, a cluster and the page."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import segue
from segue.batch.plan import Task
from segue.batch.work import JobConfig, ProgressRecorder, execute
from segue.cancel import CancelToken
from segue.cli.batch import with_jobs
from segue.jobs.files import read_job
from segue.jobs.observer import Observer
from segue.jobs.parts import MaskFile, Model, Outputs, VideoSource
from segue.jobs.running import RunInterrupted, run
from segue.jobs.values import TrackJob, to_json
from segue.masks import write_index_mask
from segue.types import Frame, Segmentation
from segue.video import OverlayVideoSink
from segue.weights import write_checkpoint
from segue_web.film import Film
from segue_web.tracking import Corrected, follow
from tests.cli.running import FRAMES, MASKS, Command, command_in
from tests.lite import lively_lite
from tests.video.making import write_video


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "clip.mp4", list(FRAMES))
    write_index_mask(tmp_path / "first.png", MASKS[0])
    write_checkpoint(tmp_path / "lite.safetensors", lively_lite().state_dict(), {})
    return command_in(monkeypatch, capsys)


def job_in(folder: Path, output: str) -> TrackJob:
    return TrackJob(
        source=VideoSource(place=str(folder / "clip.mp4")),
        model=Model(name="stcn-lite", weights=folder / "lite.safetensors"),
        prompts=(MaskFile(path=str(folder / "first.png")),),
        outputs=Outputs(folder=folder / output, formats=("png", "overlay", "coco")),
        device="cpu",
    )


def files(folder: Path) -> dict[str, bytes]:
    """Every file of an output but the log of frames, which has a time of its own."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".segue.jsonl")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


FORMATS = ("--format", "png", "--format", "overlay", "--format", "coco")


def test_every_face_gives_the_same_bytes(command: Command, tmp_path: Path) -> None:
    words = ("--mask", tmp_path / "first.png", "--weights", tmp_path / "lite.safetensors", *FORMATS)
    here = command("track", tmp_path / "clip.mp4", *words, "--device", "cpu", "-o", tmp_path / "line")
    assert here.code == 0, here.err
    line = files(tmp_path / "line")
    assert len(line) == 8 + 4  # masks and their marker, overlay, coco, and the job

    run(job_in(tmp_path, "python"))
    assert files(tmp_path / "python") == line

    weights = tmp_path / "lite.safetensors"
    results = segue.track(tmp_path / "clip.mp4", tmp_path / "first.png", weights=weights, device="cpu")
    results.save(tmp_path / "function", formats=["png", "overlay", "coco"])
    assert files(tmp_path / "function") == line

    (tmp_path / "list.csv").write_text("source,name,mask\nclip.mp4,video,first.png\n")
    options = ("--do", "track", "--weights", tmp_path / "lite.safetensors", *FORMATS, "--device", "cpu")
    many = command("batch", "list.csv", *options, "-o", "batch", "--workers", 1, "-q")
    assert many.code == 0, many.err
    batch = files(tmp_path / "batch" / "video")
    assert {name: batch[name] for name in line} == line

    network = segue.load("stcn-lite", weights)
    film = Film(tmp_path / "clip.mp4")
    corrected = {0: Corrected(MASKS[0], frozenset({1, 2}))}
    for result in follow(network, film, corrected, 0, 7, device="cpu"):  # type: ignore[arg-type]
        write_index_mask(tmp_path / "page.png", result.mask)
        assert (tmp_path / "page.png").read_bytes() == line[f"masks/{result.index:05d}.png"]


def test_a_worker_receives_jobs_and_never_command_lines(command: Command, tmp_path: Path) -> None:
    """What an actor of a cluster does: the task that is handed over has no words any longer."""
    options = ("--weights", str(tmp_path / "lite.safetensors"), *FORMATS, "--device", "cpu")
    order = JobConfig(options=options, output=str(tmp_path / "out"), scratch=tmp_path / "scratch", batch="b")
    task = Task("video", str(tmp_path / "clip.mp4"), ("--mask", str(tmp_path / "first.png")))
    (planned,) = with_jobs([task], order)
    bare = Task("video", planned.source, job=planned.job)
    outcome = execute(
        bare,
        JobConfig(output=order.output, scratch=order.scratch, batch="b"),
        ProgressRecorder(),
        CancelToken(),
    )
    assert outcome.frames == 8
    run(job_in(tmp_path, "python"))
    found, wanted = files(tmp_path / "out" / "video"), files(tmp_path / "python")
    assert {name: found[name] for name in wanted} == wanted


def test_the_record_beside_a_result_repeats_it(command: Command, tmp_path: Path) -> None:
    run(job_in(tmp_path, "first"))
    recorded = read_job(tmp_path / "first" / "job.json")
    assert isinstance(recorded, TrackJob)
    assert recorded.outputs.folder is None
    again = recorded.model_copy(
        update={
            "device": "cpu",
            "outputs": recorded.outputs.model_copy(update={"folder": tmp_path / "second"}),
        }
    )
    run(again)
    assert files(tmp_path / "second") == files(tmp_path / "first")


def test_a_job_runs_in_a_process_of_its_own(command: Command, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(to_json(job_in(tmp_path, "process")))
    words = [sys.executable, "-m", "segue.jobs", str(tmp_path / "job.json")]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    run(job_in(tmp_path, "here"))
    assert files(tmp_path / "process") == files(tmp_path / "here")
    (tmp_path / "job.json").write_text("{}")
    ended = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")


class Recorder(Observer):
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def begin(self, what: str, total: int | None) -> None:
        self.calls.append((what, total))

    def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
        self.calls.append((frame.index, result.index, note))

    def written(self, name: str, path: Path) -> None:
        self.calls.append(name)


def test_an_observer_is_reported_how_it_goes_on(command: Command, tmp_path: Path) -> None:
    observer = Recorder()
    outcome = run(job_in(tmp_path, "out"), observer)
    assert observer.calls[0] == ("frames", 8)
    assert [item[:2] for item in observer.calls[1:9]] == [(index, index) for index in range(8)]
    assert set(observer.calls[9:]) == {"png", "overlay", "coco"} == set(outcome.paths)
    assert outcome.frames == 8


def test_a_cancelled_job_is_gone_on_with_to_the_same_files(command: Command, tmp_path: Path) -> None:
    run(job_in(tmp_path, "whole"))
    token = CancelToken()

    class Impatient(Observer):
        def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
            if frame.index == 3:
                token.cancel()

    job = job_in(tmp_path, "out")
    with pytest.raises(RunInterrupted, match="--resume to go on"):
        run(job, Impatient(), token)
    assert not (tmp_path / "out" / "job.json").exists()
    run(job.model_copy(update={"outputs": job.outputs.model_copy(update={"resume": True})}))
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    settings = json.loads((tmp_path / "out" / "masks" / ".segue.json").read_text())["settings"]
    assert settings["prompts"]["-1"][0]["digest"] is not None
    assert np.any(MASKS[0])


def test_a_job_that_is_ended_while_its_outputs_are_completed_can_be_gone_on_with(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal such as that of a service manager would otherwise end Python with half-written files."""
    run(job_in(tmp_path, "whole"))
    job = job_in(tmp_path, "out")
    with monkeypatch.context() as patch:
        patch.setattr(OverlayVideoSink, "close", lambda _: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(RunInterrupted, match="--resume"):
            run(job)
    assert not list((tmp_path / "out").rglob("*.partial"))
    run(job.model_copy(update={"outputs": job.outputs.model_copy(update={"resume": True})}))
    assert files(tmp_path / "out") == files(tmp_path / "whole")
