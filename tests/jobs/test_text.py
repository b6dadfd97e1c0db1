"""Text prompts: what a text finds is tracked under its phrase, on given frames or at intervals."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import segue
from segue.cli.running import parse_job
from segue.errors import ArgumentError, PromptError
from segue.jobs import TrackJob, from_json, run, to_json
from segue.masks import read_index_mask
from segue.models.detection.detections import Detections
from segue.models.detection.released import Released
from segue.prompts.detectors import BoxDetector
from segue.prompts.proposals import Rules
from segue.sessions.detected import DetectionSession
from tests.cli.running import command_in

SAMPLE = resources.files("segue") / "assets" / "sample"
SIZE = (64, 96)
CAR, BOAT = (8, 8, 32, 32), (56, 24, 84, 52)


def drawn_image(boat: bool) -> Any:
    image = np.random.default_rng(0).integers(90, 130, (*SIZE, 3)).astype(np.uint8)
    image[8:32, 8:32] = (200, 30, 30)
    if boat:
        image[24:52, 56:84] = (40, 70, 200)
    return image


def find(image: Any, rules: Rules) -> Any:
    """A red car, and a blue boat once it is there."""
    boat = bool((image[24:52, 56:84, 2] == 200).all())
    count = 1 + boat
    boxes, scores = np.array([CAR, BOAT], float), np.array([0.9, 0.8])
    return Detections(boxes[:count], scores[:count], ["car", "boat"][:count])


FRAMES = [drawn_image(index >= 3) for index in range(8)]


def labels(auto: segue.Auto, **options: Any) -> list[list[tuple[int, str | None, float]]]:
    results = segue.track(FRAMES, auto, device="cpu", **options)
    return [[(i.id, i.label, round(i.score or 0, 2)) for i in r.objects if i.area] for r in results]


def auto(**options: Any) -> segue.Auto:
    return segue.Auto(BoxDetector(find, {}, None), **options)


CARS, SHIPS = (1, "cars", 0.9), (2, "ships", 0.8)


def test_a_text_is_looked_for_at_intervals() -> None:
    found = labels(auto(), text="cars, ships")
    assert found == [[CARS]] * 5 + [[CARS, SHIPS]] * 3
    assert labels(auto(text=["cars", "ships"], every=2)) == [[CARS]] * 4 + [[CARS, SHIPS]] * 4


def test_a_text_is_looked_for_on_given_frames_alone() -> None:
    only = [(1, "ships", 0.8)]
    assert labels(auto(text="ships", frames=[4])) == [[]] * 4 + [only] * 4
    assert labels(auto(text="cars, ships", frames=[0, 7])) == [[CARS]] * 7 + [[CARS, SHIPS]]


def test_colours_and_scores_choose() -> None:
    assert labels(auto(text="blue thing", every=1))[-1] == [(1, "blue thing", 0.8)]
    assert labels(auto(text="blue car", every=1)) == [[]] * 8
    found = BoxDetector(find, {}, None, Rules(score=0.85))
    assert labels(segue.Auto(found, every=1), text="thing")[-1] == [(1, "thing", 0.9)]


def test_text_excludes_frames_scores_and_prompts() -> None:
    for wrong in ({"frames": [1]}, {"score": 0.5}):
        with pytest.raises(ArgumentError):
            segue.Auto(**wrong)  # type: ignore[arg-type]
    for given in ({"prompts": np.ones(SIZE, np.uint8)}, {"box": CAR}):
        with pytest.raises(ArgumentError):
            segue.track(FRAMES, text="person", **given)  # type: ignore[arg-type]
    with pytest.raises(PromptError):
        segue.track(FRAMES, text=" , ")


def test_the_job_of_a_text() -> None:
    job = parse_job("track", ["my.mp4", "--text", "person, red car", "--text-at", "0,120"])
    assert isinstance(job, TrackJob)
    assert job.finding is not None
    assert (job.finding.text, job.finding.frames) == (("person", "red car"), (0, 120))
    assert from_json(to_json(job)) == job
    for words in (["--text", "person", "--box", "1,2,3,4"], ["--text-at", "3", "--auto"]):
        with pytest.raises((PromptError, ArgumentError)):
            run(parse_job("track", [str(SAMPLE / "video.mp4"), *words]))


def test_the_command_in_the_readme_finds_the_fish(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command, out = command_in(capsys), tmp_path / "out"
    words = ["--text", "red object", "--text-at", "0", "--score", "0.4", "--end", "3", "--device", "cpu"]
    shown = command("track", SAMPLE / "video.mp4", *words, "--format", "png,coco", "--output", out)
    assert shown.code == 0
    fish = read_index_mask(Path(str(SAMPLE / "first.png"))) == 1
    found = read_index_mask(out / "masks" / "00000.png")
    assert np.unique(found).tolist() == [0, 1]
    assert (fish & (found == 1)).sum() > 0.8 * (fish | (found == 1)).sum()
    written = json.loads((out / "coco.json").read_text())
    assert [item["name"] for item in written["categories"]] == ["red object"]
    assert all(0.4 <= item["score"] <= 1 for item in written["annotations"])
    assert from_json((out / "job.json").read_text()).finding.text == ("red object",)  # type: ignore[union-attr]


def test_phrases_that_nobody_knows_are_refused_on_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Released, "folder", lambda self: None)
    command = command_in(capsys)
    shown = command("track", SAMPLE / "video.mp4", "--text", "zebra crossing", "--output", tmp_path / "out")
    assert shown.code == 2
    assert "MB" in shown.complaint
    assert not (tmp_path / "out").exists()
    late = ["--text", "thing", "--text-at", "90", "--end", "2", "--output", tmp_path / "late"]
    assert "frame 90" in command("track", SAMPLE / "video.mp4", *late, "--device", "cpu").err


def test_the_session_of_a_text_tracks_instances() -> None:
    results = segue.track(FRAMES, auto(text="cars", every=3), device="cpu")
    assert isinstance(results.session, DetectionSession)
    assert results.session.options.every == 3
    assert results.names == {1: "cars"}
