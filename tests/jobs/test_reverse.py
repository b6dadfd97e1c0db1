"""Objects are followed backwards from their first prompt, in every face, and memory stays bounded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import segue
from segue.entries.detectors import PrompterEntry
from segue.errors import ArgumentError, PromptError
from segue.jobs.observer import Observer
from segue.jobs.running import RunCancelledError, run
from segue.jobs.values import Model, Outputs, TrackJob, VideoSource
from segue.models.stcn import STCNLite
from segue.prompt_inputs.values import PromptWarning
from segue.prompt_types import MaskPrompt, PointPrompt, RemovePrompt
from segue.registry import PROMPTERS
from segue.sessions.videos.reverse import first_prompts
from segue.types import Frame, Segmentation
from segue.utils.cancel import CancelToken
from segue.video import Source
from tests.cli.running import FRAMES, MASKS, Command, command_in
from tests.lite import lively_lite
from tests.prompts.test_motion import SHIRT, Stub, filled, scene
from tests.video.making import write_video

LAST = len(FRAMES) - 1


@pytest.fixture(scope="module")
def lite() -> STCNLite:
    return lively_lite()


def tracked(images: Any, prompts: Any, lite: STCNLite, **options: Any) -> list[Segmentation]:
    return list(segue.track(images, prompts, model=lite, device="cpu", **options))


def test_frames_before_a_prompt_are_those_of_the_video_run_backwards(lite: STCNLite) -> None:
    found = tracked(list(FRAMES), {LAST: MASKS[0]}, lite, reverse=True)
    backwards = tracked(list(FRAMES)[::-1], MASKS[0], lite)
    assert [result.index for result in found] == list(range(LAST + 1))
    for result, other in zip(found, backwards[::-1], strict=True):
        assert np.array_equal(result.mask, other.mask)
        assert result.objects == other.objects
    assert any(result.mask.any() for result in found[:LAST])
    assert np.array_equal(found[0].probabilities.argmax(0), found[0].mask), "ids are 1 and 2"


def test_frames_come_in_chunks_and_on_their_stride(lite: STCNLite, monkeypatch: pytest.MonkeyPatch) -> None:
    source = segue.open_source(list(FRAMES), start=1, stride=2)
    whole = tracked(source, {7: MASKS[0]}, lite, reverse=True)
    assert [result.index for result in whole] == [1, 3, 5, 7]
    read: list[list[int]] = []
    part = Source.part

    def noted(self: Source, start: int, end: int) -> Source:
        read.append([frame.index for frame in part(self, start, end)])
        return part(self, start, end)

    monkeypatch.setattr("segue.video.sources.source.CHUNK_BYTES", 2 * FRAMES[0].nbytes)
    monkeypatch.setattr(Source, "part", noted)
    again = segue.open_source(list(FRAMES), start=1, stride=2)
    assert tracked(again, {7: MASKS[0]}, lite, reverse=True) == whole
    assert read == [[5, 7], [1, 3]]


def test_reverse_goes_with_prompts_on_frames_that_are_there(lite: STCNLite) -> None:
    with pytest.raises(ArgumentError):
        tracked(list(FRAMES), MASKS[0], lite, reverse=True, required={3})
    with pytest.raises(ArgumentError):
        tracked(list(FRAMES), segue.Auto(), lite, reverse=True)
    every_third = segue.open_source(list(FRAMES), stride=3)
    cases: list[tuple[Any, Any, int]] = [
        (list(FRAMES), {LAST + 1: MASKS[0]}, LAST + 1),
        (list(FRAMES), {LAST + 100: MASKS[0]}, LAST + 100),
        (every_third, {4: MASKS[0], 6: MASKS[0] * 2}, 4),
    ]
    for source, prompts, missing in cases:
        with pytest.raises(PromptError, match=f"frame {missing}"):
            tracked(source, prompts, lite, reverse=True)
    results: list[Segmentation] = []
    bounds: list[dict[str, Any]] = [{"end": 3}, {"end": 0.3}, {"duration": 0.3}]
    for bound in bounds:
        for missing in (3, 4):
            short = segue.open_source(list(FRAMES), fps=10, **bound)
            running = segue.track(short, {missing: MASKS[0]}, model=lite, device="cpu", reverse=True)
            with pytest.raises(PromptError, match=f"frame {missing}"):
                results.extend(running)
            assert not results, "nothing is followed for a prompt that cannot be reached"
        short = segue.open_source(list(FRAMES), fps=10, **bound)
        found = tracked(short, {2: MASKS[0]}, lite, reverse=True)
        assert [result.index for result in found] == [0, 1, 2]


def test_first_prompts_selects_the_first_prompts_of_each_object() -> None:
    mask = np.array([[0, 2], [3, 0]], np.uint8)
    on = PointPrompt(4, ((0, 0),))
    later = [PointPrompt(2, ((0, 0),)), RemovePrompt(9), on, on]
    found = first_prompts(
        {7: later, 3: MaskPrompt.each(mask), 9: [RemovePrompt(2), PointPrompt(2, ((1, 0),))]}
    )
    assert {index: [item.id for item in said] for index, said in found.items()} == {3: [2, 3], 7: [4, 4]}


class Cancelling(Observer):
    """Cancels the run on the third frame of one of its passes."""

    def __init__(self, title: str) -> None:
        self.token, self._title, self._current = CancelToken(), title, ""

    def begin(self, name: str, total: int | None) -> None:
        self._current = name

    def count(self, done: int) -> None:
        if done == 3 and self._title == self._current == "backwards":
            self.token.cancel()

    def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
        if result.index == 3 and self._title == "frames":
            self.token.cancel()


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lite: STCNLite
) -> Command:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "clip.mp4", list(FRAMES))
    segue.masks.write_index_mask(tmp_path / "first.png", MASKS[0])
    segue.weights.write_checkpoint(tmp_path / "lite.safetensors", lite.state_dict(), {})
    return command_in(capsys)


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".segue.jsonl")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.usefixtures("workers_here")
def test_every_face_and_a_resumed_run_give_the_same_bytes(command: Command, tmp_path: Path) -> None:
    words = ("--weights", tmp_path / "lite.safetensors", "--format", "png", "--format", "coco")
    words = (*words, "--reverse", "--device", "cpu")
    mask = f"5@{tmp_path / 'first.png'}"
    here = command("track", tmp_path / "clip.mp4", "--mask", mask, *words, "-o", tmp_path / "line")
    assert here.code == 0, here.err
    line = files(tmp_path / "line")

    results = segue.track(
        tmp_path / "clip.mp4",
        {5: tmp_path / "first.png"},
        weights=tmp_path / "lite.safetensors",
        reverse=True,
        device="cpu",
    )
    results.save(tmp_path / "function", formats=["png", "coco"])
    assert files(tmp_path / "function") == line

    (tmp_path / "list.csv").write_text(f"source,name,mask\nclip.mp4,video,{mask}\n")
    many = command("batch", "list.csv", "--do", "track", *words, "-o", "batch", "--workers", 1, "-q")
    assert many.code == 0, many.err
    batch = files(tmp_path / "batch" / "video")
    assert {name: batch[name] for name in line} == line

    job = TrackJob(
        source=VideoSource(place=str(tmp_path / "clip.mp4")),
        model=Model(name="stcn-lite", weights=tmp_path / "lite.safetensors"),
        prompts=(MaskPrompt(0, str(tmp_path / "first.png"), frame=5),),
        outputs=Outputs(folder=tmp_path / "resumed", formats=("png", "coco")),
        options={"reverse": True},  # type: ignore[arg-type]
        device="cpu",
    )
    for title in ("backwards", "frames"):
        watch = Cancelling(title)
        with pytest.raises(RunCancelledError):
            run(job, watch, watch.token)
        job = job.model_copy(update={"outputs": job.outputs.model_copy(update={"resume": True})})
    run(job)
    assert files(tmp_path / "resumed") == line


def test_a_camera_cannot_be_followed_backwards(command: Command) -> None:
    refused = command(
        "track", "rtsp://127.0.0.1:1/x", "--box", "3@1,1,9,9", "--reverse", "--model", "stcn-lite"
    )
    assert refused.code == 2
    assert "only once, and nothing is followed backwards" in refused.err


def test_a_click_means_the_same_object_with_reverse_and_without() -> None:
    """The prompter sees in both cases what moves with the click to the next frame."""
    frames = [scene(shift) for shift in (0, 5, 10)]
    PROMPTERS.register(PrompterEntry("stub", lambda _: lambda _: Stub()))
    try:
        for index in (0, 1):
            click = PointPrompt(1, ((160 + 5 * index, 60),))
            one, other = (
                [*segue.track(frames, {index: [click]}, prompter="stub", device="cpu", reverse=reverse)][
                    index
                ]
                for reverse in (False, True)
            )
            assert one.objects[0].area > 1.5 * filled(SHIRT).sum()
            np.testing.assert_array_equal(one.mask, other.mask)
    finally:
        PROMPTERS.unregister("stub")


def test_an_object_that_vanishes_in_reduced_frames_is_named(lite: STCNLite) -> None:
    frames = [np.zeros((400, 600, 3), np.uint8)] * 2
    large, speck = np.zeros((2, 400, 600), np.bool_)
    large[100:300, 100:300] = True
    speck[3, 4] = True
    source = segue.open_source(frames, max_size=60)
    with pytest.warns(PromptWarning, match="object 2 is left out: it has no pixel in frames of 60x40"):
        results = tracked(source, [MaskPrompt(1, large), MaskPrompt(2, speck)], lite)
    assert results[0].ids == (1,)
