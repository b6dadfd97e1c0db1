"""Objects of a detector that a first click may mean."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch

from segue.models.detection.detections import Detections, TensorDetections
from segue.models.segue_prompt import BOX, POSITIVE, PREVIOUS, SeguePrompt
from segue.prompts import ImagePrompts, Prompter
from segue.prompts.answers import MaskPrediction
from segue.prompts.objects import MAX_BOXES, boxes_with_clicks, is_part
from segue.types import Box
from segue.weights import Prepared

SIZE = (100, 200)


def found(*boxes: Box, scores: tuple[float, ...]) -> TensorDetections:
    return Detections(torch.tensor(boxes), torch.tensor(scores), torch.zeros(len(scores), dtype=torch.int64))


def test_boxes_have_all_clicks_in_them_and_none_beside_the_object() -> None:
    known = found((0, 0, 50, 50), (10, 10, 90, 90), (150, 0, 250, 90), scores=(0.5, 0.5, 0.9))

    def around(
        points: list[tuple[float, float]], negative: list[tuple[float, float]] | None = None
    ) -> list[Box]:
        prompts = ImagePrompts(points=points, negative=negative or [])
        return [box for _, box in boxes_with_clicks(known, prompts, SIZE)]

    assert around([(20, 20)]) == [(0, 0, 50, 50), (10, 10, 90, 90)]
    assert around([(20, 20), (80, 80)]) == [(10, 10, 90, 90)]
    assert around([(20, 20)], [(70, 70)]) == [(0, 0, 50, 50)]
    assert around([(160, 10)]) == [(150, 0, 200, 90)]  # clipped to the image
    assert around([(100, 95)]) == []


def test_boxes_of_no_pixel_and_equal_ones_are_left_out() -> None:
    known = found((10.6, 10, 11.4, 20), (0, 0, 50, 50), (0, 0, 49, 50), (0, 0, 90, 90), scores=(0.9,) * 4)
    boxes = [box for _, box in boxes_with_clicks(known, ImagePrompts(points=[(11, 15)]), SIZE)]
    assert boxes == [(0, 0, 49, 50), (0, 0, 90, 90)]


def test_the_best_boxes_are_small_and_sure() -> None:
    sides = (20, 40, 60, 80)
    known = found(*((0, 0, side, side) for side in sides), scores=(0.2, 0.8, 0.3, 0.4))
    best = list(boxes_with_clicks(known, ImagePrompts(points=[(5, 5)]), SIZE))
    assert [(round(score, 3), box[2]) for score, box in best] == [(0.8, 40), (0.2, 20)][:MAX_BOXES]


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
def looks(monkeypatch: pytest.MonkeyPatch) -> list[TensorDetections]:
    """A detector that finds one object, and what it has found."""
    made: list[TensorDetections] = []

    def detect(*_: object) -> TensorDetections:
        made.append(found(OBJECT, scores=(0.7,)))
        return made[-1]

    monkeypatch.setattr("segue.prompts.prompter.detected_boxes", detect)
    return made


def literal(**options: bool) -> Prompter:
    return Prompter(IMAGE, Prepared(Literal(), torch.device("cpu"), torch.float32, ""), **options)


def test_a_click_on_a_part_means_the_object_around_it(looks: list[TensorDetections]) -> None:
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
    assert min(each.mask.sum() for each in offered[1:]) < 0.2 * whole.sum()
    assert len(looks) == 1  # for all prompts on an image


MASK = np.pad(np.ones((40, 40), bool), ((100, 100), (130, 150)))


@pytest.mark.parametrize("more", [{"mask": MASK}, {"box": (140, 110, 170, 130)}])
def test_prompts_that_define_the_extent_run_no_detector(
    looks: list[TensorDetections], more: dict[str, Any]
) -> None:
    kept = literal()(points=CLICK, **more)
    np.testing.assert_array_equal(kept.mask, literal(objects=False)(points=CLICK, **more).mask)
    assert kept.mask.any()
    assert not looks


def test_a_click_beside_the_object_in_its_box_leaves_the_first_one_alone(
    looks: list[TensorDetections],
) -> None:
    negative = [(110.0, 70.0)]
    kept = literal()(points=CLICK, negative=negative)
    np.testing.assert_array_equal(kept.mask, literal(objects=False)(points=CLICK, negative=negative).mask)
    assert looks


def test_an_object_that_is_not_sure_is_a_candidate_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segue.prompts.prompter.detected_boxes", lambda *_: found(OBJECT, scores=(0.2,)))
    part = literal(objects=False)(points=CLICK).mask
    answer, *others = literal().candidates(ImagePrompts(points=CLICK))
    np.testing.assert_array_equal(answer.mask, part)
    assert max(each.mask.sum() for each in others) > 5 * part.sum()


def test_the_mask_of_a_click_alone_does_not_depend_on_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the network that ships: looks at a box leave crops, which the click must not take."""
    image = cv2.GaussianBlur(IMAGE, (0, 0), 9)
    image[60:180, 100:200] //= 2
    monkeypatch.setattr("segue.prompts.prompter.detected_boxes", lambda *_: found(OBJECT, scores=(0.2,)))
    offered = Prompter(image, device="cpu").candidates(ImagePrompts(points=CLICK))
    alone = Prompter(image, device="cpu", objects=False)(points=CLICK)
    np.testing.assert_array_equal(offered[0].mask, alone.mask)


def flat(area: Box, iou: float) -> MaskPrediction:
    """A mask that is a box."""
    x0, y0, x1, y1 = map(int, area)
    planes = np.zeros((1, *SIZE), np.float32)
    planes[0, y0:y1, x0:x1] = 1
    return MaskPrediction(SIZE, (0, 0, SIZE[1], SIZE[0]), np.array([iou], np.float32), planes)


@pytest.mark.parametrize(
    ("clicked", "whole", "expected"),
    [
        ((0, 0, 20, 20), (0, 0, 30, 30), True),  # little larger
        ((0, 0, 20, 20), (0, 8, 30, 38), False),  # most of the mask lies elsewhere
        ((0, 0, 10, 10), (0, 0, 90, 90), False),  # much larger, and no surer
    ],
)
def test_a_part_lies_in_an_object_that_is_little_larger(clicked: Box, whole: Box, expected: bool) -> None:
    assert is_part(flat(clicked, 0.97), flat(whole, 0.9), "click") is expected


def test_a_much_larger_object_is_meant_where_it_is_surer() -> None:
    assert is_part(flat((0, 0, 10, 10), 0.6), flat((0, 0, 90, 90), 0.95), "click")


def test_free_weights_use_no_detector_unless_they_are_asked_to(looks: list[TensorDetections]) -> None:
    Prompter(IMAGE, "segue-prompt-free", device="cpu")(points=CLICK)
    assert not looks
    Prompter(IMAGE, "segue-prompt-free", device="cpu", objects=True)(points=CLICK)
    assert looks


def test_objects_at_a_point_are_those_of_sure_boxes_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    x0, y0, x1, y1 = OBJECT
    part = (140, 110, 170, 130)
    monkeypatch.setattr(
        "segue.prompts.prompter.detected_boxes", lambda *_: found(OBJECT, part, scores=(0.7, 0.2))
    )
    (only,) = literal().objects_at(CLICK[0])
    assert only.mask[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3].all()
    assert only.mask.sum() < 1.2 * (x1 - x0) * (y1 - y0)
    assert not list(literal().objects_at((310, 230)))
    assert not list(literal(objects=False).objects_at(CLICK[0]))
