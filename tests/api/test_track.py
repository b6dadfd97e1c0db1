"""The functions of the public API: ``segue.track`` and ``segue.save``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import segue
from segue.errors import ArgumentError, PromptError, SinkError
from segue.jobs.tracking import make_schedule
from segue.jobs.values import TrackOptions, checked
from segue.models.cutie import Cutie, CutieSchedule
from segue.models.sam2 import SAM2
from segue.models.stcn import STCN, STCNLite
from segue.models.stm import STM
from segue.prompt_types import BoxPrompt, MaskPrompt
from segue.types import Segmentation
from tests.clips import clip
from tests.lite import lively_lite

FRAMES, MASKS = clip(5, 8, 48, 64, 2)
IMAGES = list(FRAMES)


@pytest.fixture(scope="module")
def lite() -> STCNLite:
    return lively_lite()


@pytest.fixture(scope="module")
def results(lite: STCNLite) -> list[Segmentation]:
    return list(segue.track(IMAGES, {0: MASKS[0]}, model=lite, device="cpu"))


def test_results_come_while_frames_are_read(lite: STCNLite) -> None:
    read: list[int] = []

    def images() -> object:
        for t, image in enumerate(IMAGES):
            read.append(t)
            yield image

    source = segue.open_source(images(), prefetch=0)
    following = segue.track(source, {0: MASKS[0]}, model=lite, device="cpu")
    assert next(following).index == 0
    assert read == [0]


def test_prompts_of_several_kinds_on_several_frames(lite: STCNLite) -> None:
    prompts = {
        2: [MaskPrompt(1, MASKS[2] == 1, label="cat")],
        4: [BoxPrompt(2, (8, 8, 30, 30), fill=True)],
        6: np.where(MASKS[6] == 1, 3, 0),
    }
    ids = [result.ids for result in segue.track(IMAGES, prompts, model=lite, device="cpu")]
    assert ids == [(), (), (1,), (1,), (1, 2), (1, 2), (1, 2, 3), (1, 2, 3)]


def test_only_required_frames_have_results_and_those_of_the_memory_are_looked_at(
    lite: STCNLite, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    step = segue.TrackSession.step

    def watched(
        session: segue.TrackSession, frame: segue.Frame, *said: Any, **how: Any
    ) -> segue.Segmentation:
        looked.append(frame.index)
        return step(session, frame, *said, **how)

    monkeypatch.setattr(segue.TrackSession, "step", watched)
    found = segue.track(
        IMAGES,
        {0: MASKS[0]},
        model=lite,
        device="cpu",
        required={0, 4},
        mem_every=3,
        include_last=False,
    )
    assert [result.index for result in found] == [0, 4]
    assert looked == [0, 3, 4, 6]


def test_a_prompt_beyond_the_end_is_reported_after_all_results(lite: STCNLite) -> None:
    following = segue.track(IMAGES, {0: MASKS[0], 20: MASKS[0]}, model=lite, device="cpu")
    assert [next(following).index for _ in range(8)] == list(range(8))
    with pytest.raises(PromptError):
        next(following)


def test_options_override_the_published_schedule() -> None:
    asked = TrackOptions(mem_every=7, top_k=9, include_last=False, memory_frames=11, memory_policy="fifo")
    schedule = make_schedule(STM, asked)
    assert (schedule.mem_every, schedule.top_k, schedule.include_last) == (7, 9, False)
    assert (schedule.memory_frames, schedule.memory_policy) == (11, "fifo")
    assert make_schedule(STCN, TrackOptions(top_k=None)).top_k is None


def test_settings_are_those_of_the_network() -> None:
    given = {"long_term": False, "num_prototypes": 64, "resize": "area", "chunk_size": None, "penalty": 1}
    schedule = make_schedule(Cutie, TrackOptions(settings=given, top_k=9))
    assert schedule == CutieSchedule(top_k=9, num_prototypes=64, resize="area", penalty=1.0)
    typed = [f"{name}={'None' if value is None else str(value).lower()}" for name, value in given.items()]
    assert make_schedule(Cutie, checked(TrackOptions, {"settings": typed, "top_k": 9})) == schedule


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"long_time": True},
            "setting long_time: this network has none; it has .*long_term, max",
        ),
        ({"mem_every": 3}, "setting mem_every: this network has none"),
        ({"long_term": "yes"}, "setting long_term is 'yes', but must be a valid boolean"),
        ({"num_prototypes": True}, "setting num_prototypes is True, but must be a valid integer"),
        ({"chunk_size": 1.5}, "setting chunk_size is 1.5, but must be a valid integer"),
        ({"resize": "cubic"}, "setting resize is 'cubic', but must be 'bilinear', 'antialias' or 'area'"),
        (["long_term"], "settings is list of 1, but must be NAME=VALUE; long_term has no value"),
        (7, "settings is 7, but must be a mapping from names to values"),
        ({"penalty": float("nan")}, "settings"),
    ],
)
def test_settings_that_a_network_does_not_have_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make_schedule(Cutie, checked(TrackOptions, {"settings": settings}))


def test_invalid_settings_of_a_schedule_raise_argument_errors() -> None:
    with pytest.raises(ArgumentError):
        make_schedule(SAM2, TrackOptions(settings={"stride": 0}))


def test_results_are_saved_in_all_formats_while_they_come(lite: STCNLite, tmp_path: Path) -> None:
    following = segue.track(IMAGES, {0: MASKS[0]}, model=lite, device="cpu")
    formats = ("png", "overlay", "coco", "ytvis", "npz")
    paths = segue.save(following, tmp_path, formats=formats, source=IMAGES)
    assert paths.keys() == set(formats)
    assert all(path.exists() for path in paths.values())
    assert len(list(segue.open_source(paths["overlay"]))) == 8
    with np.load(paths["npz"]) as archive:
        assert archive["masks"].shape == (8, 48, 64)
        assert archive["ids"].tolist() == [1, 2]
    assert len(json.loads(paths["coco"].read_text())["images"]) == 8


def test_results_of_another_source_are_refused(results: list[Segmentation], tmp_path: Path) -> None:
    with pytest.raises(SinkError):
        segue.save(results, tmp_path, formats=["overlay"], source=IMAGES[:5])
    assert list(tmp_path.iterdir()) == []


def test_an_overlay_needs_the_frames(results: list[Segmentation], tmp_path: Path) -> None:
    with pytest.raises(SinkError):
        segue.save(results, tmp_path, formats=["overlay"])


def test_results_of_a_list_are_written_in_the_order_of_their_frames(
    results: list[Segmentation], tmp_path: Path
) -> None:
    """As those of propagate are, which goes to the end and then back to the beginning."""
    mixed = [*results[3:], *results[2::-1]]
    shown = {"formats": ["overlay", "mot", "npz"], "source": IMAGES}
    paths = segue.save(mixed, tmp_path / "mixed", **shown)
    plain = segue.save(results, tmp_path / "plain", **shown)
    assert [path.read_bytes() for path in paths.values()] == [path.read_bytes() for path in plain.values()]
    assert len(segue.save(iter(mixed), tmp_path / "masks", formats="png")) == 1
    with pytest.raises(SinkError, match="frame 2 comes after frame 7"):
        segue.save(iter(mixed), tmp_path / "streamed", formats="npz")


def test_results_of_two_videos_are_not_written_over_one_another(
    results: list[Segmentation], tmp_path: Path
) -> None:
    with pytest.raises(SinkError, match="frame 0 comes twice"):
        segue.save([*results, *results], tmp_path / "out")


def test_saving_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SinkError):
        segue.save([], tmp_path)
