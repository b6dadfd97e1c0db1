"""What a job's options become in its session: flow files, passes, detectors, trackers and prompts."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from segue.errors import ArgumentError, FlowError, PromptError, SegueError
from segue.jobs import foreground as foreground_jobs
from segue.jobs import tracking
from segue.jobs.foreground import foreground_session, object_namer, open_foreground
from segue.jobs.opened import open_video
from segue.jobs.options import ForegroundOptions
from segue.jobs.parts import Finding, Model, Outputs, VideoSource
from segue.jobs.prompting import make_prompter
from segue.jobs.running import run_open
from segue.jobs.tracking import (
    in_words,
    open_track,
)
from segue.jobs.values import ForegroundJob, TrackJob, check_prompts
from segue.models.base import ForegroundCapabilities
from segue.sessions.film_scenes import FilmScenes
from segue.sessions.two_passes import TwoPasses
from segue.types import BoxPrompt, MaskPrompt, PointPrompt, RemovePrompt
from segue.video import open_source
from segue.video.images import write_picture
from segue.weights import load, write_checkpoint
from segue.weights.available import default_model
from tests.clips import clip
from tests.lite import lively_lite
from tests.sessions.tiny_foreground import TinyForeground

FRAMES, MASKS = clip(5, 5, 48, 64, 2)


LITE = cache(lively_lite)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    for index, image in enumerate(FRAMES):
        write_picture(tmp_path / "film" / f"{index:05d}.png", image)
    return tmp_path / "film"


class LooksAtFlow(TinyForeground):
    capabilities = ForegroundCapabilities(flow=True, flow_gaps=(1,))


def flows(folder: Path, count: int) -> Path:
    for number in range(count):
        write_picture(folder / f"{number}.png", np.full((48, 64, 3), 10 * number + 10, np.uint8))
    return folder


def test_a_number_of_flow_files_that_fits_no_film_is_refused(film: Path, tmp_path: Path) -> None:
    folder = flows(tmp_path / "flow", 3)
    with pytest.raises(FlowError, match="3 flow files for 5 frames"):
        foreground_session(open_source(film), LooksAtFlow(), ForegroundOptions(), flow=str(folder))
    for model in (TinyForeground(), "median"):
        with pytest.raises(FlowError, match="only hofam, stam and networks trained with --flow look at flow"):
            foreground_session(open_source(film), model, ForegroundOptions(), flow=folder)  # type: ignore[arg-type]


def test_what_names_objects_runs_where_the_job_does(monkeypatch: pytest.MonkeyPatch, film: Path) -> None:
    asked: list[Any] = []

    def detector(name: str, **how: Any) -> Any:
        asked.append((name, how))
        return SimpleNamespace(names={1: "koi"})

    monkeypatch.setattr(foreground_jobs, "detector", detector)
    object_namer("nanodet", "cuda:1")
    object_namer("maskrcnn", None)
    assert asked == [
        ("nanodet", {"refine": "none", "device": "cuda:1"}),
        ("maskrcnn", {"refine": None, "device": None}),
    ]
    with pytest.raises(PromptError, match=r"motion knows no classes; events are named by .*nanodet"):
        object_namer("motion", None)
    job = ForegroundJob(
        source=VideoSource(place=str(film)),
        model=Model(name="median"),
        events=film / "events.csv",
        name_events="nanodet",
        device="cpu",
    )
    prepared = open_foreground(job, {})
    prepared.source.close()
    assert asked[-1] == ("nanodet", {"refine": "none", "device": "cpu"})
    assert prepared.name_object is not None
    prepared = open_foreground(job.model_copy(update={"name_events": None}), {})
    assert prepared.name_object is None


def track(film: Path, *prompts: Any, **fields: Any) -> TrackJob:
    return TrackJob(
        source=fields.pop("source", VideoSource(place=str(film))),
        model=Model(name="stcn-lite"),
        prompts=prompts,
        device="cpu",
        **fields,
    )


def test_objects_are_given_or_found_and_not_both(film: Path) -> None:
    for job in (track(film), track(film, RemovePrompt(1, frame=3))):
        with pytest.raises(PromptError, match="say what to follow"):
            check_prompts(job)
    for fields in ({"prompts": (BoxPrompt(1, (1, 1, 9, 9)),)}, {"prompter": "grabcut"}):
        with pytest.raises(PromptError, match="--text and --auto find"):
            check_prompts(track(film).model_copy(update={"finding": Finding(), **fields}))
    for value in (BoxPrompt(1, (1, 1, 9, 9)), PointPrompt(1, ((3, 3),)), MaskPrompt(0, "m.png")):
        check_prompts(track(film, value, RemovePrompt(1, frame=3)))
    check_prompts(track(film, finding=Finding()))


def test_a_source_with_a_prompt_that_does_not_fit_is_closed(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []
    source = open_source(film)
    monkeypatch.setattr(type(source), "close", lambda self: closed.append(self.name))
    wrong = np.zeros((9, 9), np.uint8)
    wrong[2:5, 2:5] = 1
    out = Outputs(folder=film.parent / "out")
    with pytest.raises(PromptError):
        run_open(open_track(track(film, *MaskPrompt.each(wrong, 0), outputs=out), {"model": LITE()}))
    assert closed == ["film"]
    assert not (film.parent / "out").exists(), "nothing is written"
    closed.clear()
    open_track(track(film, *MaskPrompt.each(MASKS[0], 0)), {"model": LITE()})
    assert closed == []


def test_a_detector_of_a_job_finds_and_says_at_the_end_that_it_found_nothing(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    nothing = SimpleNamespace(lookahead=0, names={})

    def make(finding: Finding, device: str | None) -> Any:
        made.append((finding, device))
        return nothing

    monkeypatch.setattr(tracking, "make_detector", make)
    objects = {"model": LITE()}
    prepared = open_track(track(film, finding=Finding(every=3)), objects)
    assert made == [(Finding(every=3), "cpu")]
    assert prepared.notice.startswith("looking for what moves")
    with pytest.raises(PromptError, match="no object was found in any frame"):
        prepared.finish()
    prepared.session._last_id = 1  # type: ignore[attr-defined]
    assert prepared.finish() == {}
    assert open_track(track(film, finding=Finding(name="nanodet")), objects).notice == ""
    own = {"model": LITE(), "detector": nothing, "source": open_source(film)}  # type: ignore[arg-type]
    seen = open_track(track(film, finding=Finding()), own)
    assert (seen.notice, seen.finish()) == ("", {})
    assert len(made) == 2


def test_masks_of_boxes_are_made_as_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segue.jobs.prompting.find_prompter", lambda name, **how: ("named", name, how))
    monkeypatch.setattr("segue.jobs.prompting.prompter_of", lambda model, **how: ("own", model, how))
    made: Any = make_prompter
    assert made(None, None, "sam2", "cpu") is None
    assert made(None, "p.onnx", "sam2", "cpu") == ("named", "p.onnx", {"device": "cpu"})
    assert made("network", "p.onnx", "sam2", "cpu") == ("named", "p.onnx", {"device": "cpu"})
    assert made("network", None, "sam2", "cpu") == ("own", "sam2", {"device": "cpu"})
    assert made("grabcut", None, "sam2", "cpu") == ("named", "grabcut", {})
    with pytest.raises(PromptError, match="leave out --refine grabcut"):
        made("grabcut", "p.onnx", "sam2", "cpu")
    with pytest.raises(PromptError, match="boxes and points take network or grabcut"):
        made("none", None, "sam2", "cpu")


@pytest.mark.parametrize(
    ("kind", "words"),
    [(int, "a whole number"), (float | None, "a number or none"), (bool, "true or false")],
)
def test_types_of_settings_are_said_in_words(kind: Any, words: str) -> None:
    assert in_words(kind) == words


@pytest.mark.parametrize(
    ("options", "fields", "message"),
    [
        ({"passes": 2}, {"scene": "mog2"}, "give either passes=2 or a scene"),
        ({"passes": 2}, {"scene": FRAMES[0]}, "give either passes=2 or a scene"),
        ({}, {"depth": 3}, "depth"),
        ({}, {"weights": 3}, "weights"),
    ],
)
def test_options_that_exclude_each_other_are_told(
    options: dict[str, Any], fields: dict[str, Any], message: str, film: Path
) -> None:
    with pytest.raises(SegueError, match=message):
        foreground_session(open_source(film), TinyForeground(), ForegroundOptions(**options), **fields)


def test_a_source_that_comes_once_has_no_second_pass() -> None:
    with pytest.raises(SegueError, match="can be iterated only once; two passes are for files and folders"):
        foreground_session(open_source(iter(FRAMES)), TinyForeground(), ForegroundOptions(passes=2))


def test_a_learnt_scene_is_taken_as_it_is_and_from_its_file(film: Path, tmp_path: Path) -> None:
    network = TinyForeground()
    session, frames = foreground_session(
        open_source(film), network, ForegroundOptions(passes=2), device="cpu"
    )
    assert isinstance(frames, TwoPasses)
    assert len([session.step(frame) for frame in frames]) == 5
    scenes = session.scenes
    assert isinstance(scenes, FilmScenes)
    scenes.save(tmp_path / "scenes.safetensors")
    masks = []
    for scene in (scenes, tmp_path / "scenes.safetensors", str(tmp_path / "scenes.safetensors")):
        other, plain = foreground_session(
            open_source(film), network, ForegroundOptions(), scene=scene, device="cpu"
        )
        assert not isinstance(plain, TwoPasses)
        masks.append([result.mask for frame in plain if (result := other.step(frame)) is not None])
    assert np.array_equal(masks[0], masks[1])
    assert np.array_equal(masks[0], masks[2])


@pytest.mark.parametrize(
    "option", [{"min_area": 400}, {"objects": True}, {"threshold": 0.95}, {"warm_up": 3}, {"short_side": 24}]
)
def test_options_of_foreground_reach_its_masks(film: Path, option: dict[str, Any]) -> None:
    model = TinyForeground() if "threshold" in option else "median"

    def found(**options: Any) -> Any:
        session, frames = foreground_session(
            open_source(film),
            model,
            ForegroundOptions(**options),
            device="cpu",  # type: ignore[arg-type]
        )
        return [result.mask.copy() for frame in frames if (result := session.step(frame)) is not None]

    plain, changed = found(), found(**option)
    assert any(mask.any() for mask in plain)
    assert not np.array_equal(plain, changed)


def test_a_job_without_a_place_needs_the_pictures_of_its_program() -> None:
    with pytest.raises(ArgumentError, match="the job says no place; its frames were images of a program"):
        open_video(VideoSource(place=None))


def test_the_default_model_is_that_of_the_weights_or_the_best_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    assert default_model() == "nanodet+stcn-lite"
    assert default_model(detectors=False) == "msstsvis-lite"
    write_checkpoint(tmp_path / "nanodet.safetensors", load("nanodet").state_dict(), {})
    assert default_model(tmp_path / "nanodet.safetensors") == "nanodet+stcn-lite"
    assert default_model(tmp_path / "nanodet.safetensors", detectors=False) == "nanodet"
    write_checkpoint(tmp_path / "own.safetensors", {"nobody.knows": torch.zeros(1)}, {})
    assert default_model(tmp_path / "own.safetensors") == "msstsvis-lite"
    lite = LITE().state_dict()
    for network in ("stcn-lite", "stcn-lite-free"):  # both have such tensors: the file says which it is of
        write_checkpoint(tmp_path / "lite.safetensors", lite, {"network": network})
        assert default_model(tmp_path / "lite.safetensors") == network
