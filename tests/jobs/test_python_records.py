"""The job beside results that a program saves: what it says, and that it repeats them."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import segue
from segue.errors import ArgumentError, SegueError
from segue.jobs import RuntimeObject, from_json, read_job, run, to_json
from segue.jobs.frame_loop import STATE
from segue.jobs.record import runtime_objects
from segue.jobs.running import RunInterrupted
from segue.jobs.values import ForegroundJob, InstancesJob, TrackJob, VideoJob
from segue.masks import write_index_mask
from segue.prompt_types import BoxPrompt, MaskPrompt, PointPrompt, RemovePrompt
from segue.video.sources.images import write_image
from segue.weights import write_checkpoint
from segue.weights.identity import network_digest
from tests.cli.running import FRAMES, MASKS
from tests.jobs.test_faces import files
from tests.lite import lively_lite
from tests.video.making import write_video


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("clip")
    write_video(found / "clip.mp4", list(FRAMES[:6]))
    write_index_mask(found / "first.png", MASKS[0])
    write_index_mask(found / "one.png", np.asarray((MASKS[2] == 1) * 255, np.uint8))
    write_image(found / "empty.png", FRAMES[0])
    write_checkpoint(found / "lite.safetensors", lively_lite().state_dict(), {})
    return found


def recorded(results: Any, folder: Path) -> VideoJob:
    results.save(folder, formats=["png", "coco"])
    job = read_job(folder / "job.json")
    assert isinstance(job, VideoJob)
    return job


def repeated(job: VideoJob, folder: Path, formats: tuple[str, ...] = ("png", "coco")) -> dict[str, bytes]:
    """Files of the job, run again by its record."""
    assert job.outputs.formats == formats
    run(
        job.model_copy(update={"device": "cpu", "outputs": job.outputs.model_copy(update={"folder": folder})})
    )
    return files(folder)


SAID: dict[str, Callable[[Path], Any]] = {
    "index mask": lambda _: MASKS[0],
    "booleans": lambda _: MASKS[0] == 2,
    "tensor": lambda _: torch.from_numpy(MASKS[0]),
    "stack": lambda _: np.stack([MASKS[0] == 1, MASKS[0] == 2]),
    "file": lambda folder: folder / "first.png",
    "file of 0 and 255": lambda folder: {2: MaskPrompt(1, str(folder / "one.png"))},
    "files by id": lambda folder: {0: [MaskPrompt(3, folder / "one.png"), MaskPrompt(5, MASKS[0] == 2)]},
    "prompts": lambda _: {
        0: [MaskPrompt(1, MASKS[0] == 1, label="cat"), BoxPrompt(2, (8, 8, 30, 30), fill=True)],
        3: [PointPrompt(4, ((20, 20),), ((2, 2),))],
        5: [RemovePrompt(2)],
    },
    "a mask above a box": lambda _: {
        0: [BoxPrompt(2, (8, 8, 40, 40), fill=True), MaskPrompt(1, MASKS[0] == 1)]
    },
    "one.png above a box": lambda folder: [BoxPrompt(2, (2, 2, 60, 40)), MaskPrompt(1, folder / "one.png")],
    "boxes": lambda _: {1: [BoxPrompt(1, (2, 2, 30, 30)), BoxPrompt(2, (32, 4, 60, 40))]},
    "boxes on the first frame": lambda _: [BoxPrompt(1, (2, 2, 30, 30)), BoxPrompt(2, (32, 4, 60, 40))],
    "a mask that a prompter judged": lambda _: {0: [MaskPrompt(1, MASKS[0] == 1, 0.25)]},
}


SLOW = {"booleans", "tensor", "files by id", "boxes"}
"""Each differs from another one in what a prompt is made of alone, which ``tests/prompt_inputs`` check."""


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] if case in SLOW else []) for case in SAID]
)
def test_the_record_repeats_what_was_said(case: str, folder: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"weights": folder / "lite.safetensors", "device": "cpu", "mem_every": 3}
    job = recorded(segue.track(folder / "clip.mp4", SAID[case](folder), **options), tmp_path / "one")
    assert isinstance(job, TrackJob)
    assert job.options.mem_every == 3
    assert [item.path for item in job.prompts if isinstance(item, MaskPrompt) and item.path] == (
        [str(folder / ("first.png" if case == "file" else "one.png"))]
        if ("file" in case or "one.png" in case)
        else []
    )
    found, made = repeated(job, tmp_path / "two"), files(tmp_path / "one")
    for name in ("masks/.segue.json", "job.json"):
        assert json.loads(found.pop(name)) == json.loads(made.pop(name))
    assert found == made


def test_the_record_repeats_foreground_instances_and_what_was_found(folder: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "short.mp4", list(FRAMES[:3]))
    calls = [
        segue.foreground(video, model="median", objects=True, min_area=4, scene=folder / "empty.png"),
        segue.foreground(video, model="mog2", roi=str(folder / "first.png"), device="cpu"),
        segue.instances(video, model="msstsvis-lite", classes=["person"], score=0.01, device="cpu"),
        segue.track(video, segue.Auto(every=2), weights=folder / "lite.safetensors", device="cpu"),
    ]
    for number, results in enumerate(calls):
        job = recorded(results, tmp_path / f"{number}")
        assert isinstance(job, (ForegroundJob, InstancesJob, ForegroundJob, TrackJob))
        assert not [*runtime_objects(job)]
        assert repeated(job, tmp_path / f"{number} again") == files(tmp_path / f"{number}")


def test_arrays_functions_and_detectors_are_described(folder: Path, tmp_path: Path) -> None:
    region = np.asarray(MASKS[0] > 0)
    results = segue.foreground(folder / "clip.mp4", model="median", roi=region, scene=FRAMES[0])
    job = recorded(results, tmp_path / "one")
    digests = [hashlib.sha256(array.tobytes()).hexdigest() for array in (region, FRAMES[0])]
    assert isinstance(job, ForegroundJob)
    assert job.roi == RuntimeObject(type="numpy.ndarray", digest=digests[0])
    assert job.scene == RuntimeObject(type="numpy.ndarray", digest=digests[1])
    find = segue.detector("motion", device="cpu")
    job = segue.track(folder / "clip.mp4", segue.Auto(find), device="cpu").job
    assert isinstance(job, TrackJob)
    assert job.finding is not None
    assert job.finding.detector is not None
    assert job.finding.detector.value is find
    with pytest.raises(ArgumentError, match=r"detector: .*MotionDetector.*call segue.track with it"):
        run(from_json(to_json(job)))


def test_the_digest_of_a_network_is_that_of_the_weights_that_ran(folder: Path, tmp_path: Path) -> None:
    network = deepcopy(lively_lite())
    before = network_digest(network)
    results = segue.track(folder / "clip.mp4", MASKS[0], model=network, device="cpu")
    with torch.no_grad():
        next(network.parameters()).mul_(2)
    first = recorded(results, tmp_path / "one").model.network
    results = segue.track(folder / "clip.mp4", MASKS[0], model=network, device="cpu")
    second = recorded(results, tmp_path / "two").model.network
    assert first is not None
    assert second is not None
    assert first.digest == before
    assert second.digest == network_digest(network) != before


def test_an_array_that_is_filled_again_and_again_is_drawn_as_it_was(tmp_path: Path) -> None:
    """Sinks write in a thread, later than the program fills the array."""

    def images() -> Any:
        buffer = np.empty_like(FRAMES[0])
        for frame in FRAMES:
            np.copyto(buffer, frame)
            yield buffer

    for source, name in ((images(), "one"), (FRAMES, "two")):
        segue.foreground(source, model="median").save(tmp_path / name, formats="overlay")
    one, two = ((tmp_path / name / "overlay.mp4").read_bytes() for name in ("one", "two"))
    assert one == two


def test_a_saved_run_is_gone_on_with(folder: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"weights": folder / "lite.safetensors", "device": "cpu"}
    whole = recorded(segue.track(folder / "clip.mp4", MASKS[0], **options), tmp_path / "whole")
    assert not [*runtime_objects(whole)]

    def stop(count: int, total: int | None) -> None:
        assert total == 6
        if count == 3:
            signal.raise_signal(signal.SIGINT)

    results = segue.track(folder / "clip.mp4", MASKS[0], progress=stop, **options)
    with pytest.raises(RunInterrupted):
        results.save(tmp_path / "out", formats=["png", "coco"])
    assert not (tmp_path / "out" / "job.json").exists()
    assert (tmp_path / "out" / "masks" / STATE).exists()
    results = segue.track(folder / "clip.mp4", MASKS[0], **options)
    results.save(tmp_path / "out", formats=["png", "coco"], resume=True)
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    with pytest.raises(SegueError, match="used up"):
        results.save(tmp_path / "again")


def test_results_without_their_job_are_saved_without_a_record(folder: Path, tmp_path: Path) -> None:
    video = folder / "clip.mp4"
    results = segue.foreground(video, model="median")
    results.save(tmp_path)
    assert (tmp_path / "job.json").exists()
    results = segue.foreground(video, model="median")
    next(results)
    with pytest.raises(SegueError, match="before any result is taken"):
        results.save(tmp_path, overwrite=True)
    assert (tmp_path / "job.json").exists()
    segue.save(list(segue.foreground(video, model="median")), tmp_path, overwrite=True)
    assert not (tmp_path / "job.json").exists()
