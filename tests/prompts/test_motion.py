"""What moves with a clicked part belongs to the object."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest

from segue.entries.detectors import PrompterEntry
from segue.prompts import ImagePrompts, MaskPrediction
from segue.prompts.motion import MotionPrompter
from segue.registry import PROMPTERS
from segue.types import Image
from segue.utils.arrays import BoolArray

SIZE = 180, 320
BODY = 120, 50, 200, 130  # x0, y0, x1, y1
SHIRT = 120, 50, 200, 80


def scene(shift: int, body: tuple[int, int, int, int] = BODY, seed: int = 3) -> Image:
    """A textured object on textured ground; the camera moves by two pixels, the object by ``shift``."""
    rng = np.random.default_rng(seed)
    ground, thing = (cv2.GaussianBlur(rng.uniform(0, 255, (220, 360, 3)), (0, 0), 3) for _ in range(2))
    ground, thing = (128 + 4 * (plane - plane.mean()) for plane in (ground, thing))
    camera = 0 if shift == 0 else 2
    image = ground[:180, camera : 320 + camera].copy()
    x0, y0, x1, y1 = body
    image[y0:y1, x0 + shift : x1 + shift] = thing[y0:y1, x0:x1] + 20
    return np.asarray(image.clip(0, 255), np.uint8)


def filled(box: tuple[float, float, float, float]) -> BoolArray:
    mask = np.zeros(SIZE, np.bool_)
    x0, y0, x1, y1 = (round(value) for value in box)
    mask[y0:y1, x0:x1] = True
    return mask


class Stub:
    """Answers clicks with the shirt and boxes with what they hold, and keeps what it was asked."""

    def __init__(self, expected: float = 0.8, clicked: tuple[int, int, int, int] = SHIRT) -> None:
        self.asked: list[ImagePrompts] = []
        self.expected, self.clicked = expected, clicked

    def answer(self, prompts: ImagePrompts) -> MaskPrediction:
        self.asked.append(prompts)
        box = self.clicked if prompts.box is None else prompts.box
        planes = filled(box)[None].astype(np.float32)
        iou = np.array([self.expected], np.float32)
        return MaskPrediction(SIZE, (0, 0, SIZE[1], SIZE[0]), iou, planes)


@pytest.fixture
def stub() -> Iterator[str]:
    """The name of a prompter of this process that makes :class:`Stub`."""
    PROMPTERS.register(PrompterEntry("stub", lambda _: lambda _: Stub()))
    yield "stub"
    PROMPTERS.unregister("stub")


def overlap(found: BoolArray, truth: BoolArray) -> float:
    return float((found & truth).sum() / (found | truth).sum())


@pytest.mark.parametrize("shift", [5, -4])
def test_a_click_on_a_part_means_what_moves_with_it(shift: int) -> None:
    answer = MotionPrompter(Stub(), scene(0), lambda: scene(shift)).answer(ImagePrompts(points=[(160, 60)]))
    assert overlap(answer.mask, filled(SHIRT)) < 0.5
    assert overlap(answer.mask, filled(BODY)) > 0.7


@pytest.mark.parametrize(
    "neighbour",
    [
        pytest.param(lambda: None, id="there is no other frame"),
        pytest.param(lambda: scene(0), id="nothing moves"),
        pytest.param(lambda: scene(5)[:, :300], id="the other frame has another size"),
        pytest.param(lambda: scene(5, seed=8), id="there is a cut between them"),
        pytest.param(lambda: np.zeros_like(scene(0)), id="the other frame is black"),
    ],
)
def test_the_mask_of_the_image_stays_where_motion_says_nothing(
    neighbour: Callable[[], Image | None],
) -> None:
    answer = MotionPrompter(Stub(), scene(0), neighbour).answer(ImagePrompts(points=[(160, 60)]))
    assert np.array_equal(answer.mask, filled(SHIRT))


def test_a_mask_of_all_that_moves_stays() -> None:
    stub = Stub(clicked=BODY)
    answer = MotionPrompter(stub, scene(0), lambda: scene(5)).answer(ImagePrompts(points=[(160, 60)]))
    assert np.array_equal(answer.mask, filled(BODY))
    assert len(stub.asked) == 1


def test_boxes_masks_and_clicks_beside_the_object_say_how_much_is_meant() -> None:
    asked: list[int] = []

    def neighbour() -> Image:
        asked.append(1)
        return scene(5)

    prompter = MotionPrompter(Stub(), scene(0), neighbour)
    for prompts in (ImagePrompts(box=SHIRT), ImagePrompts(points=[(160, 60)], mask=filled(SHIRT))):
        assert np.array_equal(prompter.answer(prompts).mask, filled(SHIRT))
    assert not asked
    answer = prompter.answer(ImagePrompts(points=[(160, 60)], negative=[(160, 110)]))
    assert np.array_equal(answer.mask, filled(SHIRT))
