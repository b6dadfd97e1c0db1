"""Strokes on an object: in Python, as they are typed, in jobs, and for networks that know clicks alone."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

import segue
from segue.errors import ArgumentError, PromptError
from segue.jobs import Model, TrackJob, VideoSource, from_json, to_json
from segue.masks import read_index_mask
from segue.masks.measure import iou
from segue.prompt_inputs.arguments import as_prompts
from segue.prompt_inputs.texts import typed_prompts
from segue.prompt_types import PointPrompt, ScribblePrompt
from segue.prompts import ImagePrompter, ImagePrompts, MaskPrediction, resolve_prompts
from segue.types import Frame
from segue.utils.cache import ASSETS
from tests.cli.running import Command

SAMPLE = ASSETS / "sample"
VIDEO = str(SAMPLE / "video.mp4")
STROKE = [(56, 14), (74, 27), (92, 44), (111, 61), (129, 79), (148, 79)]
"""Along the first object of the sample."""

TYPED = "1:" + " ".join(f"{x},{y}" for x, y in STROKE)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return read_index_mask(SAMPLE / "first.png")


def test_strokes_say_more_of_an_object_than_a_click_does(truth: np.ndarray) -> None:
    of_strokes = segue.track(VIDEO, scribble=[STROKE], end=2)
    first = next(iter(of_strokes))
    of_click = next(iter(segue.track(VIDEO, points=[STROKE[3]], end=1)))
    assert iou(first.mask == 1, truth == 1) > max(0.85, iou(of_click.mask == 1, truth == 1))
    by_value = next(iter(segue.track(VIDEO, [ScribblePrompt(7, [STROKE], label="fish")], end=1)))
    assert np.array_equal(by_value.mask == 7, first.mask == 1)
    assert by_value.objects[0].label == "fish"


def test_strokes_of_the_command_line_are_those_of_python(command: Command, tmp_path: Path) -> None:
    outcome = command("track", VIDEO, "--scribble", TYPED, "--format", "png", "--end", "2", "--output", "out")
    assert outcome.code == 0, outcome
    results = segue.track(VIDEO, scribble=[STROKE], end=2)
    for path, result in zip(sorted((tmp_path / "out").rglob("0*.png")), results, strict=True):
        assert np.array_equal(read_index_mask(path), result.mask)


def test_strokes_are_typed_by_frame_and_object() -> None:
    assert typed_prompts({"scribble": ["3@2:1,2 3.5,4", "5,6  7,8"]}) == (
        ScribblePrompt(2, [[(1, 2), (3.5, 4)]], frame=3),
        ScribblePrompt(1, [[(5, 6), (7, 8)]]),
    )
    for wrong in ("1,2", "1,2,3,4", "x", "-1,2 3,4", "0:1,2 3,4"):
        with pytest.raises(PromptError):
            typed_prompts({"scribble": [wrong]})


def test_a_job_holds_strokes_as_json() -> None:
    prompts = (ScribblePrompt(2, np.array([STROKE]), label="fish", frame=4),)
    job = TrackJob(source=VideoSource(place=VIDEO), model=Model(name="stcn-lite"), prompts=prompts)
    assert from_json(to_json(job)) == job
    broken = json.loads(to_json(job))
    broken["prompts"][0]["strokes"] = [[[1]]]
    with pytest.raises(ArgumentError):
        from_json(json.dumps(broken))


def test_strokes_are_scaled_with_the_image() -> None:
    assert ScribblePrompt(1, [[(2, 3), (4, 5)]]).scaled(2, 3) == ScribblePrompt(1, [[(4, 9), (8, 15)]])


@pytest.mark.parametrize(
    "strokes", [[[(0.1, 0.2), (0.5, 0.9)]], [[(5, 5), (5, 300)]], [(5, 5), (9, 9)], 5, [[]]]
)
def test_strokes_that_cannot_be_are_refused(strokes: object) -> None:
    with pytest.raises(PromptError):
        list(segue.track(VIDEO, scribble=strokes, end=1))  # type: ignore[call-overload]


class Noting(ImagePrompter):
    """Answers with a square, and notes what it is asked."""

    asked: ClassVar[list[ImagePrompts]] = []

    def _segment(self, prompts: ImagePrompts) -> MaskPrediction:
        self.asked.append(prompts)
        plane = np.zeros((1, 20, 30), np.float32)
        plane[0, 4:12, 4:12] = 1
        return MaskPrediction(self.size, (0, 0, 30, 20), np.ones(1, np.float32), plane)


def test_a_prompter_gets_strokes_points_and_box_of_one_object_together() -> None:
    Noting.asked = []
    frame = Frame(0, 0.0, np.zeros((20, 30, 3), np.uint8))
    stroke = ScribblePrompt(1, [[(5, 5), (9, 9)]])
    prompts = [segue.BoxPrompt(1, (2, 2, 14, 14)), stroke, PointPrompt(1, (), [(20, 3)])]
    resolve_prompts(frame, prompts, prompter=Noting)
    (asked,) = Noting.asked
    assert (asked.box, asked.scribble) == ((2, 2, 14, 14), (((5.0, 5.0), (9.0, 9.0)),))
    assert (asked.points, asked.negative) == ((), ((20.0, 3.0),))
    with pytest.raises(PromptError):
        resolve_prompts(frame, [segue.BoxPrompt(1, (2, 2, 8, 8)), stroke], prompter=Noting)


def test_a_network_that_knows_clicks_gets_a_few_points_of_each_stroke() -> None:
    frame = Frame(0, 0.0, np.zeros((40, 40, 3), np.uint8))
    stroke = ScribblePrompt(3, [[(x, 7) for x in range(30)]], label="fish")
    resolved = resolve_prompts(frame, [stroke], native={"point"})
    (clicks,) = resolved.prompts
    assert isinstance(clicks, PointPrompt)
    assert (clicks.id, clicks.label, resolved.masked) == (3, "fish", ())
    assert clicks.positive == ((0, 7), (7, 7), (14, 7), (22, 7), (29, 7))
    assert torch.count_nonzero(resolved.mask) == 0


def test_strokes_correct_the_mask_of_an_object_that_is_there(truth: np.ndarray) -> None:
    """Two thirds of the object are given; a stroke over the rest brings it back, and nothing else changes."""
    part = truth == 1
    part[:, 125:] = False
    video = segue.Video(VIDEO, end=3)
    video.add(0, masks={1: part, 2: truth == 2})
    before = iou(video[0].mask == 1, truth == 1)
    corrected = video.add(0, scribble=[[(130, 78), (140, 79), (150, 79)]])
    assert iou(corrected.mask == 1, truth == 1) > before + 0.05
    assert np.array_equal(corrected.mask == 2, truth == 2)
    session = segue.TrackSession(segue.load("stcn-lite"))
    frames = [frame.image for frame in segue.open_source(VIDEO, end=2)]
    session.step(frames[0], masks={1: part})
    session.add(scribble=[[(130, 78), (140, 79), (150, 79)]])
    plain = segue.TrackSession(segue.load("stcn-lite"))
    plain.step(frames[0], masks={1: part})
    without = plain.step(frames[1]).mask == 1
    assert (session.step(frames[1]).mask == 1).sum() > without.sum()


@dataclass(frozen=True)
class Cross(segue.Prompt):
    """A prompt of a program of its own: the object is under a cross in a box."""

    x: float
    y: float
    side: float

    def to_image(self, prompts: ImagePrompts) -> ImagePrompts:
        x, y, side = self.x, self.y, self.side
        box = (x - side, y - side, x + side, y + side)
        return replace(prompts, box=box, points=[(x, y)], scribble=[[(x - 2, y), (x + 2, y)]])


def test_a_prompt_of_a_program_is_the_box_points_and_strokes_that_it_says() -> None:
    (box, point, stroke) = as_prompts([Cross(4, 20, 30, 9, label="fish")])
    assert box == segue.BoxPrompt(4, (11, 21, 29, 39), label="fish")
    assert point == PointPrompt(4, [(20, 30)], label="fish")
    assert stroke == ScribblePrompt(4, [[(18, 30), (22, 30)]], label="fish")
    first = next(iter(segue.track(VIDEO, [Cross(5, 263, 55, 30)], end=1)))
    assert first.objects[0].area > 100
    with pytest.raises(PromptError):
        as_prompts(segue.Prompt(1))
