"""Objects of a detector that a first click may mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from segue.models.segue_prompt import BOX, POSITIVE, PREVIOUS, SeguePrompt
from segue.prompts import ImagePrompts, Prompter
from segue.prompts.objects import MOST_BOXES, boxes_around
from segue.types import Box
from segue.utils.arrays import Float32Array
from segue.weights import Prepared

SIZE = (100, 200)
Found = tuple[Float32Array, Float32Array]


def found(*boxes: Box, scores: tuple[float, ...]) -> Found:
    return np.array(boxes, np.float32), np.array(scores, np.float32)


def test_boxes_have_all_clicks_in_them_and_none_beside_the_object() -> None:
    known = found((0, 0, 50, 50), (10, 10, 90, 90), (150, 0, 250, 90), scores=(0.5, 0.5, 0.9))

    def around(
        points: list[tuple[float, float]], negative: list[tuple[float, float]] | None = None
    ) -> list[Box]:
        prompts = ImagePrompts(points=points, negative=negative or [])
        return [box for _, box in boxes_around(known, prompts, SIZE)]

    assert around([(20, 20)]) == [(0, 0, 50, 50), (10, 10, 90, 90)]
    assert around([(20, 20), (80, 80)]) == [(10, 10, 90, 90)]
    assert around([(20, 20)], [(70, 70)]) == [(0, 0, 50, 50)]
    assert around([(160, 10)]) == [(150, 0, 200, 90)]  # clipped to the image
    assert around([(100, 95)]) == []


def test_the_best_boxes_are_small_and_sure() -> None:
    sides = (20, 40, 60, 80)
    known = found(*((0, 0, side, side) for side in sides), scores=(0.2, 0.8, 0.3, 0.4))
    best = list(boxes_around(known, ImagePrompts(points=[(5, 5)]), SIZE))
    assert [(round(score, 3), box[2]) for score, box in best] == [(0.8, 40), (0.2, 20)][:MOST_BOXES]


class Literal(SeguePrompt):
    """Takes a box for the object, or else what was clicked or drawn before."""

    size_multiple = 32

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.dummy = torch.nn.Parameter(torch.zeros(1))

    def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (images,)

    def decode(
        self, features: tuple[torch.Tensor, ...], prompts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        box = prompts[:, BOX]
        plane = box if box.any() else torch.maximum(prompts[:, POSITIVE], prompts[:, PREVIOUS])
        seen = torch.nn.functional.avg_pool2d(plane[:, None], 2)
        return (seen * 20 - 10).expand(-1, 3, -1, -1), torch.tensor([[2.0, 0.0, 1.0]] * len(prompts))


IMAGE = np.random.default_rng(1).integers(0, 255, (240, 320, 3), np.uint8)
OBJECT = (100, 60, 200, 180)
CLICK = [(150.0, 120.0)]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Found]:
    """A detector that finds one object, and what it has found."""
    made: list[Found] = []

    def detect(*_: object) -> Found:
        made.append(found(OBJECT, scores=(0.7,)))
        return made[-1]

    monkeypatch.setattr("segue.prompts.prompter.detected_boxes", detect)
    return made


def literal(**options: bool) -> Prompter:
    return Prompter(IMAGE, Prepared(Literal(), torch.device("cpu"), torch.float32, ""), **options)


def test_a_click_on_a_part_means_the_object_around_it(looks: list[Found]) -> None:
    x0, y0, x1, y1 = OBJECT
    whole = np.zeros(IMAGE.shape[:2], bool)
    whole[y0:y1, x0:x1] = True
    part = literal(objects=False)(points=CLICK)
    assert not looks
    assert part.mask.sum() < 0.2 * whole.sum()
    prompter = literal()
    answer = prompter(points=CLICK)
    assert (answer.mask & whole).sum() / (answer.mask | whole).sum() > 0.9
    offered = prompter.candidates(ImagePrompts(points=CLICK))
    np.testing.assert_array_equal(offered[0].mask, answer.mask)
    np.testing.assert_array_equal(offered[1].mask, part.mask)
    assert len(looks) == 1  # for all prompts on an image


@pytest.mark.parametrize(
    "more", [{"negative": [(110.0, 70.0)]}, {"mask": None}, {"box": (140, 110, 170, 130)}]
)
def test_what_says_how_much_is_meant_asks_no_detector(looks: list[Found], more: dict[str, Any]) -> None:
    if "mask" in more:
        more = {"mask": np.pad(np.ones((40, 40), bool), ((100, 100), (130, 150)))}
    kept = literal()(points=CLICK, **more)
    np.testing.assert_array_equal(kept.mask, literal(objects=False)(points=CLICK, **more).mask)
    assert kept.mask.any()


def test_free_weights_use_no_detector_unless_they_are_asked_to(looks: list[Found]) -> None:
    Prompter(IMAGE, "segue-prompt-free", device="cpu")(points=CLICK)
    assert not looks
    Prompter(IMAGE, "segue-prompt-free", device="cpu", objects=True)(points=CLICK)
    assert looks
