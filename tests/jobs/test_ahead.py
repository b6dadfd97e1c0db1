"""Frames of a job whose next image is seen where a click asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import segue
from segue.errors import PromptError
from segue.jobs import ahead
from segue.jobs.opened import Frames
from segue.jobs.tracking import open_track
from segue.jobs.values import Model, TrackJob, VideoSource
from segue.prompt_types import MaskPrompt, PointPrompt
from segue.types import Image
from segue.video import open_source
from segue.video.sources.images import write_image
from tests.cli.running import command_in, contents
from tests.prompts.test_motion import BODY, filled, overlap, scene
from tests.prompts.test_motion import stub as stub


@pytest.fixture
def video(tmp_path: Path) -> Path:
    for index, shift in enumerate((0, 5)):
        write_image(tmp_path / "video" / f"{index:05d}.png", scene(shift))
    return tmp_path / "video"


def test_frames_read_ahead_are_returned_in_order(video: Path) -> None:
    with open_source(str(video)) as source:
        frames = Frames(source, source)
        next(frames)
        seen = frames.next_image()
        assert seen is not None
        assert np.array_equal(seen, scene(5))
        assert frames.next_image() is seen
        last = next(frames)
        assert last.index == 1
        assert last.image is seen
        assert frames.next_image() is None
        assert list(frames) == []


def test_images_that_come_once_are_not_asked_for_ahead() -> None:
    given = list[int]()

    def images() -> Iterator[Image]:
        array = np.empty_like(scene(0))
        for shift in (0, 5):
            given.append(shift)
            array[:] = scene(shift)
            yield array

    with open_source(images()) as source:
        frames = Frames(source, source)
        next(frames)
        before = len(given)
        assert frames.next_image() is None
        assert len(given) == before


def test_a_click_of_a_job_means_what_moves_with_it(video: Path, stub: str) -> None:
    job = TrackJob(
        source=VideoSource(place=str(video)),
        model=Model(name="stcn-lite"),
        prompts=(PointPrompt(1, ((160, 60),)),),
        prompter=stub,
        device="cpu",
    )
    prepared = open_track(job)
    with prepared.source:
        prepared.begin()
        frames = prepared.frames
        result = prepared.step(next(frames))
        assert result is not None
        assert overlap(result.mask == 1, filled(BODY)) > 0.7
        assert [frame.index for frame in frames] == [1]


@pytest.mark.parametrize("images", [False, True])
def test_a_click_of_a_program_means_what_moves_with_it(video: Path, images: bool, stub: str) -> None:
    place = [scene(0), scene(5)] if images else video
    with segue.track(place, {0: [PointPrompt(1, ((160, 60),))]}, prompter=stub, device="cpu") as results:
        first, last = results
    assert overlap(first.mask == 1, filled(BODY)) > 0.7
    assert (first.index, last.index) == (0, 1)


def test_a_command_reads_and_checks_its_prompts_once(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = tmp_path / "mask.png"
    write_image(mask, np.repeat(filled(BODY)[..., None], 3, 2).astype(np.uint8) * 255)
    reads = list[int]()
    read = ahead.read_masks

    def counted(*arguments: Any, **options: Any) -> Any:
        reads.append(1)
        return read(*arguments, **options)

    monkeypatch.setattr(ahead, "read_masks", counted)
    done = command_in(capsys)("track", video, "--mask", mask, "-o", tmp_path / "out", "--device", "cpu")
    assert done.code == 0, done
    assert len(reads) == 1
    job = segue.jobs.read_job(tmp_path / "out/job.json")
    outputs = job.outputs.model_copy(update={"folder": tmp_path / "again"})
    segue.jobs.run(job.model_copy(update={"outputs": outputs}))
    assert len(reads) == 2
    assert contents(tmp_path / "again/masks") == contents(tmp_path / "out/masks")


def test_a_run_refuses_wrong_prompts_before_its_network_is_loaded(video: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.png"
    write_image(wrong, np.full((30, 10, 3), 255, np.uint8))
    job = TrackJob(
        source=VideoSource(place=str(video)),
        model=Model(name="stcn-lite", weights=tmp_path / "missing.safetensors"),
        prompts=(MaskPrompt(1, str(wrong)),),
        device="cpu",
    )
    with pytest.raises(PromptError, match="another shape"):
        segue.jobs.run(job)
