"""What a job of instances is made of: its classes, their names, and its options."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from segue.errors import ArgumentError, PromptError, SegueError
from segue.jobs import instances
from segue.jobs.instances import (
    EDITIONS,
    as_class_names,
    counted,
    instance_session,
    open_instances,
)
from segue.jobs.options import InstanceOptions
from segue.jobs.parts import Model, VideoSource
from segue.jobs.values import InstancesJob
from segue.registry import DETECTORS, MODELS
from segue.sessions.detected import DetectionOptions
from segue.sessions.detecting import as_classes
from tests.clips import clip

FRAMES, MASKS = clip(5, 2, 48, 64, 2)


@pytest.mark.parametrize("said", [7, ["dog", 7], {"dog": 1}])
def test_what_are_no_classes_is_refused(said: Any) -> None:
    with pytest.raises(ArgumentError, match=r"classes: .*give a list of names, or names separated by commas"):
        as_classes(said)


def test_names_of_classes_are_numbers_with_names_an_edition_or_a_file(tmp_path: Path) -> None:
    assert as_class_names(None) is None
    assert as_class_names({0: "dog"}) == {0: "dog"}
    assert as_class_names("ytvis2021") is EDITIONS["ytvis2021"]
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"videos": [], "categories": [{"id": 1, "name": "koi"}], "annotations": []}))
    assert list((as_class_names(file) or {}).values()) == ["koi"]
    with pytest.raises(ArgumentError, match="ytvis2019 or ytvis2021, or an annotation file"):
        as_class_names(7)  # type: ignore[arg-type]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a session is made with, in place of the session."""
    found: dict[str, Any] = {}
    network = SimpleNamespace(
        score=0.4, short_side=360, classes=3, class_names={0: "dog", 1: "cat", 2: "koi", 7: "none"}
    )
    monkeypatch.setattr(instances, "instance_network", lambda model, weights: network)
    monkeypatch.setattr(
        instances, "InstanceSession", lambda network, windows, **how: found.update(windows=windows, **how)
    )
    return found


def test_a_session_takes_what_is_asked_for_before_what_suits_the_network(asked: dict[str, Any]) -> None:
    entry = MODELS.find("msstsvis-lite")
    _, names = instance_session("msstsvis-lite", InstanceOptions(), device="cpu", fast=True)
    assert names == {0: "dog", 1: "cat", 2: "koi"} == asked["names"]
    assert (asked["device"], asked["fast"]) == ("cpu", True)
    made = asked["windows"]
    assert made.score == (0.4 if entry.threshold is None else entry.threshold)
    assert made.short_side == (360 if entry.short_side is None else entry.short_side)
    assert (made.overlap, made.top, made.classes) == (3, 10, frozenset({0, 1, 2}))
    options = InstanceOptions(score=0.1, top=4, window=9, overlap=1, short_side=64)
    instance_session("msstsvis-lite", options, classes="koi,dog", names={0: "a", 2: "koi", 1: "dog"})
    made = asked["windows"]
    assert (made.score, made.top, made.window, made.overlap, made.short_side) == (0.1, 4, 9, 1, 64)
    assert made.classes == frozenset({1, 2})
    instance_session(SimpleNamespace(), InstanceOptions(), names={9: "none"})  # type: ignore[arg-type]
    assert (asked["windows"].score, asked["windows"].short_side) == (0.4, 360)
    assert (asked["windows"].classes, asked["names"]) == (None, {}), "all where none has a name"
    with pytest.raises(PromptError, match="bird"):
        instance_session("msstsvis-lite", InstanceOptions(), classes=["bird"])


def test_a_detector_with_a_tracker_gets_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Any] = {}
    found = SimpleNamespace(names={3: "koi"})

    def detector(name: str, **options: Any) -> Any:
        made.update(name=name, **options)
        return found

    monkeypatch.setattr(instances, "detector", detector)
    monkeypatch.setattr(instances, "load_for", lambda task, name: (task, name))
    monkeypatch.setattr(instances, "TrackSession", lambda network, **how: (network, how))
    monkeypatch.setattr(instances, "DetectionSession", lambda *parts: parts)
    options = InstanceOptions(score=0.3, top=4, window=6)
    session, names = instance_session("nanodet+stcn-lite", options, classes="dog", device="cpu", fast=True)
    assert names == DETECTORS.find("nanodet").categories != found.names
    tracker, finds, looks = session  # type: ignore[misc]
    assert tracker == (("track", "stcn-lite"), {"device": "cpu", "fast": True})
    assert finds is found
    assert looks == DetectionOptions(top=4, every=6, score=0.3)
    assert (made["name"], made["classes"], made["score"], made["max_objects"]) == ("nanodet", ["dog"], 0.3, 4)
    assert (made["weights"], made["device"]) == (None, "cpu")
    with pytest.raises(PromptError, match=r"nanodet.* knows the names of its classes; leave the names out"):
        instance_session("nanodet+stcn-lite", options, names="ytvis2019")
    with pytest.raises(PromptError, match=r"motion.stcn-lite: the detector is one of .*nanodet"):
        instance_session("motion+stcn-lite", options)


def test_all_that_a_job_says_reaches_its_session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    got: list[Any] = []

    def session(*parts: Any, **options: Any) -> tuple[str, dict[int, str]]:
        got.append((parts, options))
        return "session", {4: "koi"}

    monkeypatch.setattr(instances, "instance_session", session)
    monkeypatch.setattr(instances, "open_video", lambda source: ("opened", source))
    options = InstanceOptions(score=0.2)
    job = InstancesJob(
        source=VideoSource(place="a.mp4"),
        model=Model(name="seqformer", weights=Path("w.pt")),
        names="ytvis2019",
        classes=("koi",),
        device="cpu",
        fast=True,
        options=options,
    )
    prepared: Any = open_instances(job, {})
    assert (prepared.session, prepared.source, prepared.names) == (
        "session",
        ("opened", job.source),
        {4: "koi"},
    )
    assert prepared.frames == prepared.source
    assert prepared.note is counted
    said = {"weights": Path("w.pt"), "classes": ("koi",), "device": "cpu", "fast": True}
    assert got.pop() == (("seqformer", options), {**said, "names": "ytvis2019"})
    own: Any = {"source": "own", "model": "network", "names": {1: "ide"}}  # type: ignore[arg-type]
    assert open_instances(job, own).source == "own"
    assert got.pop() == (("network", options), {**said, "names": {1: "ide"}})
    with pytest.raises(SegueError, match=r"--explain shows where .* look; seqformer has none"):
        open_instances(job.model_copy(update={"explain": tmp_path}), {})
