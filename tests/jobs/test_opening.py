"""What a job's options become when it is opened, and what is refused."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import segue
from segue.errors import ArgumentError, FlowError, PromptError, SegueError, SourceError
from segue.jobs.foreground import open_foreground
from segue.jobs.running import open_job, run_open
from segue.jobs.values import (
    DetectorConfig,
    ForegroundJob,
    ForegroundOptions,
    Model,
    Outputs,
    TrackJob,
    VideoSource,
    check_prompts,
)
from segue.masks import read_index_mask
from segue.prompt_types import BoxPrompt, MaskPrompt, PointPrompt, RemovePrompt
from segue.registry import DETECTORS
from segue.sessions.foreground.session import ForegroundWarning
from segue.types import Frame
from segue.video import open_source
from segue.video.sources.images import write_image
from segue.video.sources.span import at_rate
from tests.clips import clip
from tests.lite import lively_lite
from tests.sessions.foreground.tiny_foreground import TinyForeground

FRAMES, MASKS = clip(5, 5, 48, 64, 2)

LITE = cache(lively_lite)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    for index, image in enumerate(FRAMES):
        write_image(tmp_path / "video" / f"{index:05d}.png", image)
    return tmp_path / "video"


def track(video: Path, *prompts: Any, **fields: Any) -> TrackJob:
    return TrackJob(
        source=fields.pop("source", VideoSource(place=str(video))),
        model=fields.pop("model", Model(name="stcn-lite")),
        prompts=prompts,
        device="cpu",
        **fields,
    )


def test_objects_are_given_or_found_and_not_both(video: Path) -> None:
    for job in (track(video), track(video, RemovePrompt(1, frame=3))):
        with pytest.raises(PromptError):
            check_prompts(job)
    for fields in ({"prompts": (BoxPrompt(1, (1, 1, 9, 9)),)}, {"prompter": "segue-prompt"}):
        with pytest.raises(PromptError):
            check_prompts(track(video).model_copy(update={"finding": DetectorConfig(), **fields}))
    for value in (BoxPrompt(1, (1, 1, 9, 9)), PointPrompt(1, ((3, 3),)), MaskPrompt(0, "m.png")):
        check_prompts(track(video, value, RemovePrompt(1, frame=3)))
    check_prompts(track(video, finding=DetectorConfig()))


def test_a_source_with_a_prompt_that_does_not_fit_is_closed(
    video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []
    source = open_source(video)
    gc.collect()  # sources of other tests are closed with their cycles
    monkeypatch.setattr(type(source), "close", lambda self: closed.append(self.name))
    wrong = np.zeros((9, 9), np.uint8)
    wrong[2:5, 2:5] = 1
    out = Outputs(folder=video.parent / "out")
    with pytest.raises(PromptError):
        run_open(open_job(track(video, *MaskPrompt.each(wrong, 0), outputs=out, model=Model.of(LITE()))))
    assert closed == ["video"]
    assert not (video.parent / "out").exists(), "nothing is written"
    closed.clear()
    open_job(track(video, *MaskPrompt.each(MASKS[0], 0), model=Model.of(LITE())))
    assert closed == []


def test_a_learnt_scene_is_taken_as_it_is_and_from_its_file(video: Path, tmp_path: Path) -> None:
    network, file = TinyForeground(), tmp_path / "scenes.safetensors"
    twice = segue.foreground(video, model=network, passes=2, device="cpu")
    assert len(list(twice)) == 5
    twice.session.scenes.save(file)
    one, *others = (
        [result.mask for result in segue.foreground(video, model=network, scene=scene, device="cpu")]
        for scene in (twice.session.scenes, file, str(file))
    )
    assert all(np.array_equal(one, other) for other in others)


@pytest.mark.parametrize(
    "option", [{"min_area": 400}, {"objects": True}, {"threshold": 0.95}, {"warm_up": 3}, {"short_side": 24}]
)
def test_options_of_foreground_reach_its_masks(video: Path, option: dict[str, Any]) -> None:
    model = TinyForeground() if "threshold" in option else "median"
    plain, changed = (
        [result.mask for result in segue.foreground(video, model=model, device="cpu", **options)]
        for options in ({}, option)
    )
    assert any(mask.any() for mask in plain)
    assert not np.array_equal(plain, changed)


CANNOT_BE_MEANT: list[tuple[Callable[..., Any], type[Exception], str, dict[str, Any]]] = [
    (segue.foreground, SegueError, "passes=2", {"passes": 2, "scene": "empty.png"}),
    (segue.foreground, SegueError, "two passes", {"passes": 2, "source": iter(FRAMES)}),
    (segue.foreground, FlowError, "trained with flow look at flow", {"flow": "flows"}),
    (segue.foreground, ArgumentError, "depth", {"depth": 3}),
    (segue.foreground, SourceError, "no such file", {"scene": "none.png"}),
    (segue.foreground, ArgumentError, "roi", {"roi": [[0, 1]]}),
    (segue.instances, ArgumentError, "classes", {"classes": ["dog", 7.5]}),
    (segue.instances, ArgumentError, "names", {"names": 7}),
    (segue.instances, PromptError, "unicorn", {"model": "msstsvis-lite", "classes": ["unicorn"]}),
    (segue.instances, PromptError, "names", {"model": "nanodet+stcn-lite", "names": "ytvis2019"}),
    (segue.instances, PromptError, "detector", {"model": "motion+stcn-lite"}),
]


@pytest.mark.parametrize(("call", "error", "argument", "options"), CANNOT_BE_MEANT)
def test_invalid_arguments_are_refused(
    video: Path, call: Callable[..., Any], error: type[Exception], argument: str, options: dict[str, Any]
) -> None:
    model = {"model": TinyForeground()} if call is segue.foreground else {}
    with pytest.raises(error, match=argument):
        call(**{"source": video, **model, **options})


def test_the_names_of_instances_are_those_of_the_detector(video: Path) -> None:
    found = segue.instances(video, model="nanodet+stcn-lite", classes="person", device="cpu")
    assert found.names == DETECTORS.find("nanodet").categories


@pytest.mark.parametrize(
    ("times", "fps", "kept"),
    [
        ([0, 0.1, 0.2, 0.3, 0.4, 0.5], 5, [0, 2, 4]),
        ([0, 0.1, 0.2, 0.3, 0.4, 0.5], 10, [0, 1, 2, 3, 4, 5]),
        ([0, 0.1, 0.2, 0.3, 0.4, 0.5], 100, [0, 1, 2, 3, 4, 5]),
        ([7, 7.1, 7.2, 7.3], 5, [0, 2]),
        ([0, 0.2, 3.0, 3.1, 3.2], 5, [0, 1, 2, 4]),  # a gap is not made up for
        ([9, 9.2, 0, 0.1, 0.2], 5, [0, 1, 2, 4]),  # the clock was set back
        ([0, 0.1999999, 0.4], 5, [0, 1, 2]),  # time stamps are rounded
        ([t / 10 for t in range(11)], 4, [0, 3, 5, 8, 10]),  # what comes late puts nothing off
    ],
)
def test_frames_are_chosen_by_their_time_stamps(times: list[float], fps: float, kept: list[int]) -> None:
    frames = [Frame(index, time, FRAMES[0]) for index, time in enumerate(times)]
    assert [frame.index for frame in at_rate(frames, fps)] == kept


@pytest.mark.parametrize(
    "changes",
    [
        {"zones": ("a=0,0 4,4", "a=1,1 4,4"), "events": Path("e.csv")},
        {"zones": ("a=0,0 4,4",)},
        {"notify": "http://127.0.0.1:9/"},
        {"snapshots": Path("snaps")},
    ],
)
def test_zones_need_events_and_unique_names(video: Path, changes: dict[str, Any]) -> None:
    source = VideoSource(place=str(video))
    with pytest.raises(SegueError, match=r"zones|events"):
        open_foreground(ForegroundJob(source=source, model=Model(name="mog2"), **changes))


def test_a_source_may_change_its_frame_size_in_one_pass(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number, (height, width) in enumerate([(48, 64)] * 4 + [(24, 32)] * 3):
        image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        write_image(tmp_path / "video" / f"{number}.png", image)
    with pytest.warns(ForegroundWarning, match="frame 4"):
        paths = segue.foreground(tmp_path / "video", model="mog2").save(tmp_path, formats=["png", "overlay"])
    sizes = [read_index_mask(path).shape for path in sorted(paths["png"].glob("*.png"))]
    assert sizes == [(48, 64)] * 7
    with segue.open_source(paths["overlay"]) as drawn:
        assert [frame.size for frame in drawn] == sizes
    calls: list[Callable[[], Iterable[object]]] = [
        lambda: segue.foreground(tmp_path / "video", model="mustan-lite", passes=2),
        lambda: segue.track(tmp_path / "video", box=(1, 1, 20, 20)),
    ]
    for call in calls:
        with pytest.raises(SourceError, match="frame 4"):
            list(call())


@pytest.mark.parametrize(
    ("model", "detector", "finds"),
    [("mustan-lite", "nanodet", True), ("mustan-lite", "none", False), ("median", "nanodet", False)],
)
def test_the_detector_of_agreement_finds_objects_where_the_background_is_unknown(
    video: Path, model: str, detector: str, finds: bool
) -> None:
    """Without names of events, too; one for another model is not loaded."""
    options = ForegroundOptions(detector=detector, objects=True, passes=1)
    job = ForegroundJob(source=VideoSource(place=str(video)), model=Model(name=model), options=options)
    run = open_foreground(job)
    assert (run.detect_objects is not None) == finds
    assert run.detect_objects is None or [*run.detect_objects(FRAMES[0])] == []
    for frame in run.source:
        run.step(frame)
    assert [run.is_blind(index) for index in range(3)] == [True, False, False]
