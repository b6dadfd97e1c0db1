"""What a job's options become in its session: flow files, passes, detectors, trackers and prompts."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from segue.errors import ArgumentError, FlowError, PromptError, SegueError, SourceError
from segue.jobs import foreground as foreground_jobs
from segue.jobs import tracking
from segue.jobs.foreground import foreground_session, object_namer, prepare_foreground
from segue.jobs.instances import default_model
from segue.jobs.loop import FrameLoop
from segue.jobs.options import ForegroundOptions, TrackOptions
from segue.jobs.parts import BoxValue, Finding, MaskFile, Model, PointValue, RemoveValue, VideoSource
from segue.jobs.prepared import Extras, Objects, open_video
from segue.jobs.prompting import make_detector, make_prompter, mask_values, settled
from segue.jobs.running import prepare
from segue.jobs.tracking import (
    check_prompts,
    in_words,
    prepare_track,
    review_notice,
    track_session,
    visible,
)
from segue.jobs.values import ForegroundJob, TrackJob
from segue.masks import write_index_mask
from segue.models.base import ForegroundCapabilities
from segue.sessions import TrackSession
from segue.sessions.film_scenes import FilmScenes
from segue.sessions.review import ReviewList
from segue.sessions.two_passes import TwoPasses
from segue.types import BoxPrompt, Frame, ObjectInfo, Segmentation
from segue.video import open_source
from segue.video.images import write_picture
from segue.weights import load, write_checkpoint
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


@pytest.mark.parametrize(("count", "levels"), [(5, [10, 20, 30, 40, 50]), (4, [0, 10, 20, 30, 40])])
def test_flow_files_belong_to_the_frames_of_the_whole_film(
    film: Path, tmp_path: Path, count: int, levels: list[int]
) -> None:
    folder = flows(tmp_path / "flow", count)
    for part, wanted in (({}, levels), ({"start": 2, "stride": 2}, levels[2::2])):
        source = open_source(film, **part)  # type: ignore[arg-type]
        _, frames = foreground_session(source, LooksAtFlow(), ForegroundOptions(), flow=folder)
        found = [frame.flow for frame in frames]
        assert [int(flow.max()) for flow in found if flow is not None] == wanted


def test_what_gives_flow_is_what_the_job_names(monkeypatch: pytest.MonkeyPatch, film: Path) -> None:
    asked: list[Any] = []

    def model(*said: Any) -> Any:
        asked.append(said)
        return TinyForeground()

    monkeypatch.setattr(foreground_jobs, "foreground_model", model)
    options = ForegroundOptions()
    with open_source(film) as source:
        foreground_session(source, "stam", options, weights="w.pth", flow="raft", flow_weights="r.pth")
    assert asked == [("stam", "w.pth", "raft", "r.pth")]


def test_scenes_that_were_learnt_of_the_film_know_its_cuts(film: Path) -> None:
    for passes, known in ((2, True), (1, False)):
        options = ForegroundOptions(passes=passes)  # type: ignore[arg-type]
        session, frames = foreground_session(open_source(film), TinyForeground(), options, device="cpu")
        next(iter(frames))
        assert (session._background.seek(0) is not None) == known


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
    prepared = prepare_foreground(job, Objects())
    prepared.source.close()
    assert asked[-1] == ("nanodet", {"refine": "none", "device": "cpu"})
    assert prepared.name_object is not None
    assert prepared.extras == Extras(events=film / "events.csv")
    more = {"explain": film / "why", "snapshots": film / "shots", "notify": "http://127.0.0.1:9/"}
    prepared = prepare_foreground(job.model_copy(update={"name_events": None, **more}), Objects())
    assert prepared.name_object is None
    assert prepared.extras == Extras(events=film / "events.csv", **more)  # type: ignore[arg-type]


def track(film: Path, *prompts: Any, **fields: Any) -> TrackJob:
    return TrackJob(
        source=fields.pop("source", VideoSource(place=str(film))),
        model=Model(name="stcn-lite"),
        prompts=prompts,
        device="cpu",
        **fields,
    )


def carried_out(job: TrackJob) -> list[Segmentation]:
    """Results of a job, with what its end says."""
    prepared = prepare(job, Objects(model=LITE()))
    with prepared.source:
        loop = FrameLoop(prepared.session, prepared.step)
        results = []
        for _, result in loop.over(prepared.frames):
            prepared.note(result)
            results.append(result)
    prepared.finish()
    return results


@pytest.mark.parametrize("reverse", [False, True])
def test_a_prompt_that_was_never_reached_is_told_at_the_end(film: Path, reverse: bool) -> None:
    first, options = mask_values(MASKS[0], 0), TrackOptions(reverse=reverse)
    assert len(carried_out(track(film, *first, RemoveValue(frame=4, id=2), options=options))) == 5
    with pytest.raises(PromptError, match="there is a prompt for frame 7, but the source has no such frame"):
        carried_out(track(film, *first, RemoveValue(frame=7, id=2), options=options))


def test_a_job_that_goes_backwards_completes_the_frames_before_its_prompt(film: Path) -> None:
    said, options = mask_values(MASKS[2], 2), TrackOptions(reverse=True)
    assert [result.ids for result in carried_out(track(film, *said, options=options))] == [(1, 2)] * 5
    plain = carried_out(track(film, *said))
    assert [result.ids for result in plain] == [(), (), *[(1, 2)] * 3]


def test_a_frame_that_is_wanted_and_never_came_is_told_at_the_end(film: Path) -> None:
    first = mask_values(MASKS[0], 0)
    with pytest.raises(PromptError, match="there should be a result of frame 6, but"):
        carried_out(track(film, *first, required=(0, 3, 6)))
    assert prepare_track(track(film, *first, required=(0, 3)), Objects(model=LITE())).total == 2
    assert prepare_track(track(film, *first), Objects(model=LITE())).total is None


def test_objects_are_given_or_found_and_not_both(film: Path) -> None:
    for job in (track(film), track(film, RemoveValue(frame=3, id=1))):
        with pytest.raises(PromptError, match="say what to follow"):
            check_prompts(job)
    for fields in ({"prompts": (BoxValue(box=(1, 1, 9, 9)),)}, {"prompter": "grabcut"}):
        with pytest.raises(PromptError, match="--auto finds the objects"):
            check_prompts(track(film).model_copy(update={"finding": Finding(), **fields}))
    for value in (BoxValue(box=(1, 1, 9, 9)), PointValue(positive=((3, 3),)), MaskFile(path="m.png")):
        check_prompts(track(film, value, RemoveValue(frame=3, id=1)))
    check_prompts(track(film, finding=Finding()))


def test_backwards_go_given_objects_on_all_frames(film: Path) -> None:
    first, back = mask_values(MASKS[0], 0), TrackOptions(reverse=True)
    for job, objects in (
        (track(film, finding=Finding(), options=back), Objects()),
        (track(film, *first, required=(0,), options=back), Objects()),
        (track(film, *first, options=back), Objects(required={0})),
    ):
        with pytest.raises(ArgumentError, match="leave out auto and required"):
            prepare_track(job, objects)
    once = open_source(iter(FRAMES))
    with pytest.raises(SourceError, match="can be read only once"):
        prepare_track(track(film, *first, options=back), Objects(source=once))


def test_a_source_with_a_prompt_that_does_not_fit_is_closed(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []
    source = open_source(film)
    monkeypatch.setattr(type(source), "close", lambda self: closed.append(self.name))
    wrong = np.zeros((9, 9), np.uint8)
    wrong[2:5, 2:5] = 1
    with pytest.raises(PromptError):
        prepare_track(track(film, *mask_values(wrong, 0)), Objects(model=LITE()))
    assert closed == ["film"]
    closed.clear()
    prepare_track(track(film, *mask_values(MASKS[0], 0)), Objects(model=LITE()))
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
    objects = Objects(model=LITE())
    prepared = prepare_track(track(film, finding=Finding(every=3)), objects)
    assert made == [(Finding(every=3), "cpu")]
    assert prepared.notice.startswith("looking for what moves")
    with pytest.raises(PromptError, match="no object was found in any frame"):
        prepared.finish()
    prepared.session._last_id = 1  # type: ignore[attr-defined]
    assert prepared.finish() == {}
    assert prepare_track(track(film, finding=Finding(name="nanodet")), objects).notice == ""
    own = Objects(model=LITE(), detector=nothing, source=open_source(film))  # type: ignore[arg-type]
    seen = prepare_track(track(film, finding=Finding()), own)
    assert (seen.notice, seen.finish()) == ("", {})
    assert len(made) == 2


def test_options_of_a_detector_reach_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("segue.jobs.prompting.detector", lambda *name, **how: asked.append((name, how)))
    make_detector(Finding(every=3), "cuda:0")
    make_detector(Finding(name="nanodet", score=0.2, classes=("dog",), tiles=2, max_objects=4), None)
    (name, how), (other, options) = asked
    assert (name, how.pop("device")) == (("motion",), "cuda:0")
    assert set(how.values()) == {None}
    assert other == (("nanodet",))
    assert {key: value for key, value in options.items() if value is not None} == {
        "score": 0.2,
        "classes": ("dog",),
        "tiles": 2,
        "max_objects": 4,
    }


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


def test_a_tracker_gets_all_that_its_job_says(monkeypatch: pytest.MonkeyPatch, film: Path) -> None:
    got: dict[str, Any] = {}
    session = tracking.TrackSession

    def noted(*parts: Any, **how: Any) -> Any:
        got.update(how)
        return session(*parts, **{**how, "fast": False})

    monkeypatch.setattr(tracking, "TrackSession", noted)
    job = track(film, BoxValue(box=(4, 4, 30, 30), fill=True), fast=True, fit=True, refine="grabcut")
    prepare_track(job, Objects(model=LITE()))
    assert (got["device"], got["fast"], got["fit"], got["frames"]) == ("cpu", True, True, 5)
    assert got["prompter"] is not None

    def own(picture: Any) -> Any: ...

    prepare_track(job, Objects(model=LITE(), prompter=own))
    assert got["prompter"] is own
    track_session(LITE(), TrackOptions())
    assert (got["fast"], got["fit"], got["prompter"], got["frames"]) == (False, False, None, None)


def test_what_makes_masks_is_what_the_job_names(monkeypatch: pytest.MonkeyPatch, film: Path) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(tracking, "make_prompter", lambda *said: asked.append(said))
    box = BoxValue(box=(4, 4, 30, 30), fill=True)
    prepare_track(track(film, box, refine="network", prompter="p.onnx"), Objects(model=LITE()))
    assert asked == [("network", "p.onnx", "stcn-lite", "cpu")]
    prepare_track(track(film, box), Objects(model=LITE(), prompter=lambda _: None))  # type: ignore[arg-type]
    assert len(asked) == 1, "a program has given its own"


def test_a_mask_that_was_made_of_a_box_keeps_its_label() -> None:
    frame = Frame(0, 0.0, FRAMES[0])
    said = [BoxPrompt(1, (4, 4, 30, 30), True, label="koi"), BoxPrompt(2, (30, 30, 40, 40), True)]
    found = settled(frame, said, None, ())
    assert [(item.id, item.label) for item in found] == [(1, "koi"), (2, None)]  # type: ignore[union-attr]


def test_all_that_a_job_of_foreground_says_reaches_its_session(
    monkeypatch: pytest.MonkeyPatch, film: Path, tmp_path: Path
) -> None:
    got: list[Any] = []

    def session(source: Any, model: Any, options: Any, **how: Any) -> Any:
        got.append((source, model, options, how))
        return SimpleNamespace(restorable=False), "frames"

    monkeypatch.setattr(foreground_jobs, "foreground_session", session)
    options = ForegroundOptions(min_area=7)
    job = ForegroundJob(
        source=VideoSource(place=str(film)),
        model=Model(name="mustan-lite", weights=Path("w.pth")),
        options=options,
        flow="flows",
        flow_weights=Path("raft.pth"),
        roi="roi.png",
        scene="knn",
        depth="maps",
        device="cpu",
        fast=True,
    )
    prepared: Any = prepare_foreground(job, Objects())
    source, model, given, how = got.pop()
    assert (source.name, model, given) == ("film", "mustan-lite", options)
    said = {
        "weights": Path("w.pth"),
        "flow": "flows",
        "flow_weights": Path("raft.pth"),
        "depth": "maps",
        "device": "cpu",
        "fast": True,
    }
    assert how == {**said, "roi": "roi.png", "scene": "knn"}
    assert (prepared.frames, prepared.saves, prepared.total) == ("frames", False, 5)
    own: Any = Objects(source=source, model="network", roi="mask", scene="picture")
    assert prepare_foreground(job, own).source is source
    _, model, _, how = got.pop()
    assert (model, how) == ("network", {**said, "roi": "mask", "scene": "picture"})


def test_visible_objects_are_counted_of_all() -> None:
    objects = ObjectInfo(1, None, 0.5, (0, 0, 1, 1), 1), ObjectInfo(2, None, 0.0)
    assert visible(Segmentation(0, 0.0, MASKS[0], objects)) == "1 of 2 visible"


def test_a_run_names_the_worst_frames_at_its_end() -> None:
    review = ReviewList()
    assert review_notice(review) == ""
    for index, score in enumerate([0.9, 0.6, *[0.95] * 20, 0.3]):
        review.add(Segmentation(index, 0.0, MASKS[0], (ObjectInfo(1, None, score), ObjectInfo(2, None, 0.0))))
    assert review_notice(review) == "look at frame 22, 1: scores below 0.7, the lowest first"


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
        ({"fps": 0.0}, {}, "fps is 0.0, but must be a number above 0"),
        ({"fps": -1.0}, {}, "must be a number above 0"),
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
    with pytest.raises(ArgumentError, match="the job says no place; its frames were pictures of a program"):
        open_video(VideoSource(place=None))


def test_the_source_of_a_job_is_opened_as_it_says(film: Path) -> None:
    with open_video(VideoSource(place=str(film), start=1, end=4, stride=2, max_size=32, fps=5.0)) as source:
        frames = list(source)
    assert [(frame.index, frame.time, frame.size) for frame in frames] == [
        (1, 0.2, (24, 32)),
        (3, 0.6, (24, 32)),
    ]


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


def test_a_mask_file_of_a_job_is_read_where_it_is_needed(film: Path, tmp_path: Path) -> None:
    write_index_mask(tmp_path / "first.png", MASKS[0])
    results = carried_out(track(film, MaskFile(path=str(tmp_path / "first.png"))))
    assert results[0].ids == (1, 2)
    Image.fromarray(MASKS[0][:10]).save(tmp_path / "small.png")
    with pytest.raises(PromptError, match="64x10"):
        carried_out(track(film, MaskFile(path=str(tmp_path / "small.png"))))


@pytest.mark.parametrize("refine", ["grabcut", None])
def test_prompts_of_the_first_frame_become_masks_by_what_the_session_uses(
    refine: Any, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def made(frame: Frame, prompts: Any, prompter: Any, native: Any) -> Any:
        asked.append((frame.index, prompter, native))
        return prompts

    monkeypatch.setattr(tracking, "settled", made)
    job = TrackJob(
        source=VideoSource(place=str(film)),
        model=Model(name="stcn-lite"),
        prompts=(BoxValue(box=(1, 1, 9, 9)),),
        refine=refine,
        device="cpu",
    )
    prepared = prepare_track(job, Objects())
    prepared.source.close()
    session = prepared.session
    assert isinstance(session, TrackSession)
    assert asked == [(0, session.prompter, session.native)]
    assert session.prompter is not None
