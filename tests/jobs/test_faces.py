"""One job gives the same bytes from Python, the command line, a batch, a cluster and the page."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest

import segue
from segue.jobs.observer import Observer
from segue.jobs.record import read_job
from segue.jobs.running import RunCancelledError, RunInterrupted, run
from segue.jobs.values import Model, Outputs, TrackJob, VideoSource
from segue.masks import write_index_mask
from segue.prompt_types import MaskPrompt
from segue.sessions import TrackSession
from segue.sessions.videos.corrections import ConditioningFrame, Layer, propagate
from segue.sinks import OverlayVideoSink
from segue.types import Frame, Segmentation
from segue.utils.cancel import CancelToken
from segue.weights import write_checkpoint
from segue_web.video import Video
from tests.cli.running import FRAMES, MASKS, Command, command_in
from tests.lite import lively_lite
from tests.video.making import write_video

COUNT = 5


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "clip.mp4", list(FRAMES[:COUNT]))
    write_index_mask(tmp_path / "first.png", MASKS[0])
    write_checkpoint(tmp_path / "lite.safetensors", lively_lite().state_dict(), {})
    return command_in(capsys)


def job_in(folder: Path, output: str) -> TrackJob:
    return TrackJob(
        source=VideoSource(place=str(folder / "clip.mp4")),
        model=Model(name="stcn-lite", weights=folder / "lite.safetensors"),
        prompts=(MaskPrompt(0, str(folder / "first.png")),),
        outputs=Outputs(folder=folder / output, formats=("png", "overlay", "coco")),
        device="cpu",
    )


def files(folder: Path) -> dict[str, bytes]:
    """Every file of an output but the log of frames, which has a time of its own."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".segue.jsonl")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


FORMATS = ("--format", "png", "--format", "overlay", "--format", "coco")


@pytest.mark.usefixtures("workers_here")
def test_every_interface_writes_the_same_bytes(command: Command, tmp_path: Path) -> None:
    words = ("--mask", tmp_path / "first.png", "--weights", tmp_path / "lite.safetensors", *FORMATS)
    here = command("track", tmp_path / "clip.mp4", *words, "--device", "cpu", "-o", tmp_path / "line")
    assert here.code == 0, here.err
    line = files(tmp_path / "line")
    assert len(line) == COUNT + 4  # masks and their marker, overlay, coco, and the job

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
    video = Video(tmp_path / "clip.mp4")
    corrected = {0: ConditioningFrame(MASKS[0], frozenset({1, 2}))}
    session = TrackSession(network, device="cpu")  # type: ignore[arg-type]
    for (result,) in propagate(
        [Layer(session, corrected)], video.walk(0, COUNT - 1), dict.fromkeys(range(COUNT), 0.0), 0
    ):
        write_index_mask(tmp_path / "page.png", result.mask)
        assert (tmp_path / "page.png").read_bytes() == line[f"masks/{result.index:05d}.png"]


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


def test_a_cancelled_job_is_gone_on_with_to_the_same_files(command: Command, tmp_path: Path) -> None:
    run(job_in(tmp_path, "whole"))
    token = CancelToken()

    class Impatient(Observer):
        def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
            if frame.index == 3:
                token.cancel()

    job = job_in(tmp_path, "out")
    with pytest.raises(RunCancelledError):
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
        with pytest.raises(RunInterrupted):
            run(job)
    assert not list((tmp_path / "out").rglob("*.partial"))
    run(job.model_copy(update={"outputs": job.outputs.model_copy(update={"resume": True})}))
    assert files(tmp_path / "out") == files(tmp_path / "whole")
