"""The job beside results that a program saves: what it says, and that it repeats them."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import segue
from segue.errors import ArgumentError, SegueError, SinkError
from segue.jobs import read_job, run
from segue.jobs.resumable import STATE
from segue.jobs.running import RunInterrupted
from segue.jobs.values import ForegroundJob, InstancesJob, TrackJob, VideoJob
from segue.masks import write_index_mask
from segue.types import BoxPrompt, MaskPrompt, PointPrompt, RemovePrompt
from segue.video.images import write_picture
from segue.weights import write_checkpoint
from segue.weights.identity import WeightsIdentity
from tests.cli.running import FRAMES, MASKS
from tests.jobs.test_faces import files
from tests.lite import lively_lite
from tests.video.making import write_video


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("clip")
    write_video(found / "clip.mp4", list(FRAMES))
    write_index_mask(found / "first.png", MASKS[0])
    write_index_mask(found / "one.png", np.asarray((MASKS[2] == 1) * 255, np.uint8))
    write_picture(found / "empty.png", FRAMES[0])
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
    "file of 0 and 255": lambda folder: {2: {1: str(folder / "one.png")}},
    "files by id": lambda folder: {0: {3: folder / "one.png", 5: MASKS[0] == 2}},
    "prompts": lambda _: {
        0: [MaskPrompt(1, MASKS[0] == 1, label="cat"), BoxPrompt(2, (8, 8, 30, 30), fill=True)],
        3: [PointPrompt(4, ((20, 20),), ((2, 2),))],
        5: [RemovePrompt(2)],
    },
    "a mask above a box": lambda _: {
        0: [BoxPrompt(2, (8, 8, 40, 40), fill=True), MaskPrompt(1, MASKS[0] == 1)]
    },
    "one.png above a box": lambda folder: {0: {2: (2, 2, 60, 40), 1: folder / "one.png"}},
    "boxes": lambda _: {1: [(2, 2, 30, 30), (32, 4, 60, 40)]},
    "boxes on the first frame": lambda _: {0: [(2, 2, 30, 30), (32, 4, 60, 40)]},
    "a mask that a prompter judged": lambda _: {0: [MaskPrompt(1, MASKS[0] == 1, 0.25)]},
}


@pytest.mark.parametrize("case", SAID)
def test_the_record_repeats_what_was_said(case: str, folder: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"weights": folder / "lite.safetensors", "device": "cpu", "mem_every": 3}
    job = recorded(segue.track(folder / "clip.mp4", SAID[case](folder), **options), tmp_path / "one")
    assert isinstance(job, TrackJob)
    assert job.options.mem_every == 3
    assert [item.path for item in job.prompts if item.kind == "file"] == (
        [str(folder / ("first.png" if case == "file" else "one.png"))] if case.startswith("file") else []
    )
    found, made = repeated(job, tmp_path / "two"), files(tmp_path / "one")
    for name in ("masks/.segue.json", "job.json"):
        assert json.loads(found.pop(name)) == json.loads(made.pop(name))
    assert found == made


def test_the_record_repeats_a_part_of_reduced_frames(folder: Path, tmp_path: Path) -> None:
    source = segue.open_source(folder / "clip.mp4", start=1, stride=2, max_size=48)
    height, width = source.size or (0, 0)
    mask = np.zeros((height, width), np.uint8)
    mask[5:20, 6:24] = 1
    said = {1: [MaskPrompt(1, mask)], 3: [BoxPrompt(2, (3, 3, 21, 17))]}
    options: dict[str, Any] = {"weights": folder / "lite.safetensors", "device": "cpu"}
    job = recorded(segue.track(source, said, **options), tmp_path / "one")
    assert (job.source.start, job.source.stride, job.source.max_size) == (1, 2, 48)
    assert repeated(job, tmp_path / "two") == files(tmp_path / "one")


def test_the_record_repeats_required_frames(folder: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"weights": folder / "lite.safetensors", "device": "cpu", "mem_every": 3}
    options["include_last"] = False
    results = segue.track(folder / "clip.mp4", MASKS[0], required={4, 0}, **options)
    job = recorded(results, tmp_path / "one")
    assert isinstance(job, TrackJob)
    assert job.required == (0, 4)
    masks = sorted(path.stem for path in (tmp_path / "one" / "masks").glob("*.png"))
    assert masks == ["00000", "00004"]
    assert repeated(job, tmp_path / "two") == files(tmp_path / "one")
    with pytest.raises(SinkError, match="pictures in memory cannot be resumed; leave out resume"):
        segue.track(FRAMES, MASKS[0], **options).save(tmp_path / "three", resume=True)


def test_the_record_repeats_foreground_instances_and_what_was_found(folder: Path, tmp_path: Path) -> None:
    film = folder / "clip.mp4"
    calls = [
        segue.foreground(film, model="median", objects=True, min_area=4, scene=folder / "empty.png"),
        segue.foreground(film, model="mog2", roi=str(folder / "first.png"), device="cpu"),
        segue.instances(film, model="msstsvis-lite", classes=["person"], score=0.01, device="cpu"),
        segue.track(film, segue.Auto(every=4), weights=folder / "lite.safetensors", device="cpu"),
    ]
    for number, results in enumerate(calls):
        job = recorded(results, tmp_path / f"{number}")
        assert isinstance(job, (ForegroundJob, InstancesJob, ForegroundJob, TrackJob))
        assert job.given == ()
        assert repeated(job, tmp_path / f"{number} again") == files(tmp_path / f"{number}")


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (lambda: FRAMES, "numpy.ndarray"),
        (lambda: torch.from_numpy(FRAMES), "torch.Tensor"),
        (lambda: list(FRAMES), "builtins.list"),
        (lambda: (frame for frame in FRAMES), "builtins.generator"),
    ],
)
def test_frames_in_memory_are_described(source: Callable[[], Any], kind: str, tmp_path: Path) -> None:
    network = lively_lite()
    job = recorded(segue.track(source(), MASKS[0], model=network, device="cpu"), tmp_path)
    assert job.source.place is None
    frames, model = job.given
    assert (frames.argument, frames.type, frames.shape, frames.dtype) == (
        "source",
        kind,
        FRAMES.shape,
        "uint8",
    )
    assert frames.digest == hashlib.sha256(FRAMES.tobytes()).hexdigest()
    assert (model.argument, model.type) == ("model", "segue.models.stcn.STCNLite")
    assert model.digest == WeightsIdentity.of(network).digest
    assert job.model.name == "STCNLite"
    with pytest.raises(ArgumentError, match=r"source: .*numpy|source: this job was run with an object"):
        run(job)


def test_arrays_functions_and_detectors_are_described(folder: Path, tmp_path: Path) -> None:
    region = np.asarray(MASKS[0] > 0)
    results = segue.foreground(folder / "clip.mp4", model="median", roi=region, scene=FRAMES[0])
    job = recorded(results, tmp_path / "one")
    assert [(item.argument, item.shape, item.dtype) for item in job.given] == [
        ("roi", region.shape, "bool"),
        ("scene", FRAMES[0].shape, "uint8"),
    ]
    assert job.given[0].digest == hashlib.sha256(region.tobytes()).hexdigest()
    find = segue.detector("motion", device="cpu")
    job = segue.track(folder / "clip.mp4", segue.Auto(find), device="cpu").job
    assert [(item.argument, item.type) for item in job.given] == [
        ("detector", "segue.sessions.detecting.MotionDetector")
    ]
    with pytest.raises(ArgumentError, match=r"detector: .*MotionDetector.*call segue.track with it"):
        run(job)


def test_an_array_that_is_filled_again_and_again_is_drawn_as_it_was(tmp_path: Path) -> None:
    """Sinks write in a thread, later than the program fills the array."""

    def pictures() -> Any:
        buffer = np.empty_like(FRAMES[0])
        for frame in FRAMES:
            np.copyto(buffer, frame)
            yield buffer

    for source, name in ((pictures(), "one"), (FRAMES, "two")):
        segue.foreground(source, model="median").save(tmp_path / name, formats="overlay")
    one, two = ((tmp_path / name / "overlay.mp4").read_bytes() for name in ("one", "two"))
    assert one == two


def test_a_saved_run_is_gone_on_with(folder: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"weights": folder / "lite.safetensors", "device": "cpu"}
    whole = recorded(segue.track(folder / "clip.mp4", MASKS[0], **options), tmp_path / "whole")
    assert whole.given == ()

    def stop(count: int, total: int | None) -> None:
        assert total == len(FRAMES)
        if count == 3:
            signal.raise_signal(signal.SIGINT)

    results = segue.track(folder / "clip.mp4", MASKS[0], progress=stop, **options)
    with pytest.raises(RunInterrupted, match="resume"):
        results.save(tmp_path / "out", formats=["png", "coco"])
    assert not (tmp_path / "out" / "job.json").exists()
    assert (tmp_path / "out" / "masks" / STATE).exists()
    results = segue.track(folder / "clip.mp4", MASKS[0], **options)
    results.save(tmp_path / "out", formats=["png", "coco"], resume=True)
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    with pytest.raises(SegueError, match="used up"):
        results.save(tmp_path / "again")


def test_what_a_job_did_not_give_has_no_record(folder: Path, tmp_path: Path) -> None:
    film = folder / "clip.mp4"
    results = segue.foreground(film, model="median")
    results.save(tmp_path)
    assert (tmp_path / "job.json").exists()
    results = segue.foreground(film, model="median")
    next(results)
    with pytest.raises(SegueError, match="before any result is taken"):
        results.save(tmp_path, resume=True)
    results.save(tmp_path, overwrite=True)
    assert len(list((tmp_path / "masks").glob("*.png"))) == len(FRAMES) - 1
    assert not (tmp_path / "job.json").exists()
    segue.foreground(film, model="median").save(tmp_path, overwrite=True)
    assert (tmp_path / "job.json").exists()
    segue.save(list(segue.foreground(film, model="median")), tmp_path, overwrite=True)
    assert not (tmp_path / "job.json").exists()
