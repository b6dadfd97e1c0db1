"""Boxes, clicks, scribbles and earlier masks on one picture: what comes back, is kept, is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from segue.errors import PromptError
from segue.masks import read_index_mask
from segue.models.segue_prompt import BOX, NEGATIVE, POSITIVE, PREVIOUS, SeguePrompt
from segue.prompts import Answer, Extent, Prompter, Prompts
from segue.prompts.expected import calibration_of, evidence, expected_iou
from segue.prompts.extents import related, whole_of
from segue.prompts.looks import joined
from segue.prompts.planes import box_window, pixels, tight_box
from segue.prompts.prompter import CLICK_SIDE, SIDE
from segue.types import Frame, Image

Mask = npt.NDArray[np.bool_]


class Watched(SeguePrompt):
    """Counts pictures that are encoded, keeps the prompt planes, and hands a plane back as its mask."""

    size_multiple = 32

    def __init__(self, plane: int = BOX) -> None:
        torch.nn.Module.__init__(self)
        self.dummy = torch.nn.Parameter(torch.zeros(1))
        self.plane, self.encoded, self.planes = plane, 0, list[npt.NDArray[np.float32]]()

    def encode(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        self.encoded += 1
        return (pictures,)

    def decode(
        self, features: tuple[torch.Tensor, ...], prompts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.planes.append(prompts[0].numpy())
        seen = torch.nn.functional.avg_pool2d(prompts[:, self.plane : self.plane + 1], 2)
        return (seen * 20 - 10).expand(-1, 3, -1, -1), torch.tensor([[2.0, 0.0, 1.0]] * len(prompts))


def picture(height: int = 240, width: int = 320) -> Image:
    return np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)


def overlap(found: Mask, truth: Mask) -> float:
    return float((found & truth).sum() / (found | truth).sum())


@pytest.mark.parametrize("size", [(240, 320), (1080, 1920), (37, 50)])
def test_a_box_goes_into_the_crop_and_back_to_its_place_at_any_size(size: tuple[int, int]) -> None:
    height, width = size
    box = (0.3 * width // 1, 0.2 * height // 1, 0.6 * width // 1, 0.9 * height // 1)
    answer = Prompter(picture(*size), Watched())(box=box)
    truth = np.zeros(size, np.bool_)
    truth[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])] = True
    assert answer.mask.shape == size
    assert overlap(answer.mask, truth) > 0.93


def test_features_of_a_crop_are_kept_for_further_clicks() -> None:
    network = Watched(PREVIOUS)
    prompter = Prompter(picture(), network)
    mask = np.zeros((240, 320), np.bool_)
    mask[80:160, 100:200] = True
    first = prompter(points=[(150, 120)], mask=mask)
    assert network.encoded == 2, "what is around the mask, and what is close to it"
    again = prompter(points=[(150, 120), (110, 90)], negative=[(95, 75)], mask=first.probability)
    assert network.encoded == 2
    assert again.window == first.window
    assert overlap(again.mask, mask) > 0.9


def test_an_answer_without_an_earlier_mask_does_not_depend_on_what_was_asked_before() -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    cv2.ellipse(image, (150, 120), (60, 40), 0, 0, 360, (200, 120, 40), -1)
    fresh = Prompter(image)(points=[(150, 120)])
    asked = Prompter(image)
    asked(box=(70, 60, 230, 180))
    again = asked(points=[(150, 120)])
    assert again.window == fresh.window
    assert np.array_equal(again.probability, fresh.probability)


def test_a_click_is_looked_at_from_afar_and_from_near_and_the_surest_look_is_taken() -> None:
    network = Watched(POSITIVE)
    answer = Prompter(picture(), network)(points=[(40, 30)])
    assert network.encoded == 5  # three looks, one at what they found, and one close to that
    assert [plane.shape[-1] for plane in network.planes] == [CLICK_SIDE] * 3 + [SIDE] * 3
    assert answer.mask[30, 40]


class Nested(Watched):
    """Sees a part, an object and a group around the middle of a picture of 240 x 320, whatever the crop."""

    boxes = ((140, 100, 180, 140), (130, 80, 190, 160), (90, 60, 240, 180))
    order = (1, 0, 2)

    def decode(
        self, features: tuple[torch.Tensor, ...], prompts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if prompts.shape[-1] == SIDE:  # a look at what was chosen gives it back
            return super().decode(features, prompts)
        planes = torch.full((1, 3, CLICK_SIDE // 2, CLICK_SIDE // 2), -9.0)
        if len(self.planes) == 0:  # the whole picture
            for plane, number in zip(planes[0], self.order, strict=True):
                x0, y0, x1, y1 = (
                    round(edge * CLICK_SIDE / 2 / length)
                    for edge, length in zip(self.boxes[number], (320, 240) * 2, strict=True)
                )
                plane[y0:y1, x0:x1] = 9.0
        self.planes.append(prompts[0].numpy())
        return planes, torch.tensor([[2.0, 1.0, 0.5]])


@pytest.mark.parametrize(("extent", "number"), [("part", 0), ("whole", 1), ("group", 2)])
def test_a_click_gives_the_whole_and_a_part_or_a_group_on_demand(extent: Extent, number: int) -> None:
    network = Nested(PREVIOUS)
    answer = Prompter(picture(), network)(points=[(160, 120)], extent=extent)
    x0, y0, x1, y1 = network.boxes[number]
    truth = np.zeros((240, 320), np.bool_)
    truth[y0:y1, x0:x1] = True
    assert overlap(answer.mask, truth) > 0.85
    assert answer.extent == extent
    assert answer.extents == ("whole", "part", "group")


class Greedy(Watched):
    """Adds to the mask so far wherever a negative click is."""

    def decode(
        self, features: tuple[torch.Tensor, ...], prompts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        logits, quality = super().decode(features, prompts)
        if prompts[:, NEGATIVE].any():
            logits = logits.clone()
            logits[..., : logits.shape[-1] // 2] = 9.0
        return logits, quality


def test_a_negative_click_never_adds_pixels() -> None:
    mask = np.zeros((240, 320), np.bool_)
    mask[80:160, 100:200] = True
    prompter = Prompter(picture(), Greedy(PREVIOUS))
    without = prompter(points=[(150, 120)], mask=mask)
    for given in ({"points": [(150, 120)]}, {}):
        answer = prompter(**given, negative=[(20, 20)], mask=mask)
        assert not (answer.masks & ~(without.masks if given else mask)).any(), given
        assert answer.mask.any()
    boxed = Prompter(picture(), Greedy(BOX))
    whole = boxed(box=(100, 80, 200, 160)).mask
    assert not (boxed(box=(100, 80, 200, 160), negative=[(105, 85)]).mask & ~whole).any()


class Flattered(Watched):
    """Surer of its masks with every negative click that it is shown."""

    def decode(
        self, features: tuple[torch.Tensor, ...], prompts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        logits, quality = super().decode(features, prompts)
        return logits, quality + prompts[:, NEGATIVE].amax()


def test_a_negative_click_far_from_the_object_changes_neither_mask_nor_predicted_iou() -> None:
    prompter = Prompter(picture(), Flattered(POSITIVE))
    first = prompter(points=[(160, 120)])
    assert first.mask.any()
    for given in (None, first.probability):  # at once, and after the first answer
        without = prompter(points=[(160, 120)], mask=given)
        far = prompter(points=[(160, 120)], negative=[(10, 10), (300, 230)], mask=given)
        assert np.array_equal(far.probability, without.probability)
        assert np.array_equal(far.iou, without.iou)
    boxed = Prompter(picture(), Flattered(BOX))
    without = boxed(box=(100, 80, 200, 160))
    assert np.array_equal(boxed(box=(100, 80, 200, 160), negative=[(5, 230)]).iou, without.iou)
    assert boxed(box=(100, 80, 200, 160), negative=[(150, 120)]).iou[0] > without.iou[0], "on the mask"
    assert np.array_equal(boxed(box=(100, 80, 200, 160), negative=[(204, 120)]).iou, without.iou), "beside it"


@pytest.mark.parametrize(
    ("prompts", "kind"),
    [
        (Prompts(points=[(160, 120)]), "click"),
        (Prompts(points=[(150, 110), (160, 120)]), "mask"),
        (Prompts(points=[(160, 120)], mask="inside"), "click"),
        (Prompts(points=[(20, 20)], mask="inside"), "mask"),
        (Prompts(points=[(160, 120)], negative=[(120, 100)], mask="inside"), "mask"),
        (Prompts(mask="inside"), "mask"),
        (Prompts(points=[(160, 120)], box=(100, 80, 200, 160)), "box"),
    ],
)
def test_the_calibration_follows_from_what_is_said(prompts: Prompts, kind: str) -> None:
    mask = np.zeros((240, 320), np.bool_)
    mask[80:160, 100:200] = True
    given = replace(prompts, mask=None if prompts.mask is None else mask)
    assert calibration_of(given) == kind


def answer_of(*masks: Mask, iou: float = 0.8) -> Answer:
    planes = np.where(np.stack(masks), np.float32(0.97), np.float32(0.02))
    return Answer((20, 20), (0, 0, 20, 20), np.full(len(masks), iou, np.float32), planes)


def test_masks_that_differ_and_are_vague_are_expected_to_be_worse() -> None:
    one, other = np.zeros((20, 20), np.bool_), np.zeros((20, 20), np.bool_)
    one[5:15, 5:15], other[5:15, 5:10] = True, True
    agreed, doubted = answer_of(one, one, one), answer_of(one, one, other)
    odds = evidence(doubted)
    assert odds.shape == (3, 3)
    assert odds[0, 0] == pytest.approx(np.log(0.8 / 0.2), abs=1e-4)
    sure = 97 / (100 + 300 * 0.02)
    assert odds[1, 0] == pytest.approx(np.log(sure / (1 - sure)), abs=1e-3)
    assert odds[2, 0] == pytest.approx(0, abs=1e-4), "half of it is in another guess"
    vague = replace(agreed, planes=np.where(agreed.planes > 0.5, np.float32(0.6), np.float32(0.1)))
    for kind in ("box", "mask"):
        expected = expected_iou(kind, evidence(agreed))
        assert expected[0] > expected_iou(kind, odds)[0] + 0.02
        assert expected[0] > expected_iou(kind, evidence(vague))[0] + 0.02
        assert expected[0] > expected_iou(kind, evidence(replace(agreed, iou=agreed.iou * 0.5)))[0]
    nothing = expected_iou("click", evidence(answer_of(one & ~one, one & ~one)))
    assert np.isfinite(nothing).all()


def test_what_is_not_to_be_had_gives_the_whole_and_says_so() -> None:
    network = Nested(PREVIOUS)
    network.order = (1, 1, 1)
    answer = Prompter(picture(), network)(points=[(160, 120)], extent="part")
    assert (answer.extent, answer.extents) == ("whole", ("whole",))
    box = Prompter(picture(), Watched())(box=(10, 10, 60, 60), extent="group")
    assert (box.extent, box.extents) == ("whole", ("whole",))


def test_of_looks_that_are_about_as_sure_the_larger_is_the_whole() -> None:
    face, person, crowd = (np.zeros((40, 40), np.bool_) for _ in range(3))
    face[15:20, 15:20], person[10:35, 12:24], crowd[:, 5:] = True, True, True
    nothing = np.zeros((40, 40), np.bool_)
    masks = [face, person, crowd, nothing]
    assert whole_of(masks, [0.80, 0.77, 0.60, 0.9]) == 1, "nearly as sure, and holds the face"
    assert whole_of(masks, [0.80, 0.70, 0.60, 0.9]) == 0, "much less sure"
    assert whole_of([face, np.roll(person, 14, 1)], [0.80, 0.79]) == 0, "another object"
    assert whole_of([nothing, nothing], [0.5, 0.9]) in (0, 1)


def test_parts_lie_inside_groups_around_and_both_are_sure_enough() -> None:
    def square(start: int, end: int) -> Mask:
        mask = np.zeros((40, 40), np.bool_)
        mask[start:end, start:end] = True
        return mask

    whole = square(10, 30)
    others = [square(12, 20), square(14, 20), square(0, 38), square(0, 40), square(11, 29), square(2, 14)]
    assert related(whole, others, [0.5, 0.6, 0.9, 0.2, 0.9, 0.9]) == {"part": 1, "group": 2}
    assert related(whole, others[:2], [0.2, 0.1]) == {}


def test_a_new_mask_is_mended_once_and_an_earlier_one_taken_as_it_is() -> None:
    mask = np.zeros((240, 320), np.bool_)
    mask[50:150, 50:150] = True
    for prompts, asked in ((Prompts(box=(50, 50, 150, 150)), 3), (Prompts(mask=mask), 2)):
        network = Watched(BOX if prompts.mask is None else PREVIOUS)
        Prompter(picture(), network).answer(prompts)
        assert len(network.planes) == asked, "with the closer look"
        assert network.planes[-1][PREVIOUS].any()


def test_what_is_found_is_looked_at_close_up_and_both_looks_count() -> None:
    network = Watched(BOX)
    prompter = Prompter(picture(), network)
    answer = prompter(box=(100, 80, 200, 160))
    assert network.encoded == 2
    margins = []
    for planes in network.planes[1:]:  # the object in the crop around the box, and in the one close to it
        inside = planes[BOX].any(0)
        margins.append(float((~inside).sum() / 2 / inside.sum()))
    assert margins == pytest.approx([0.25, 0.1], abs=0.02)
    assert answer.window == (75, 60, 225, 180)
    network.plane = PREVIOUS
    network.planes.clear()
    again = prompter(points=[(150, 120), (110, 90)], mask=answer.probability)
    assert network.encoded == 2, "a further click is answered in the same crops"
    assert len(network.planes) == 2
    shown = [planes[PREVIOUS].mean() for planes in network.planes]
    assert shown[1] > 1.3 * shown[0], "close up as well, which shows the object larger"
    assert again.planes.shape[1:] == answer.planes.shape[1:], "in the pixels of the closer look"


def test_two_looks_are_joined_where_both_show_the_picture() -> None:
    size, iou = (40, 60), np.full(1, 0.5, np.float32)
    wide = Answer(size, (0, 0, 40, 40), iou, np.full((1, 4, 4), 0.2, np.float32))
    ramp = np.tile(np.linspace(0.6, 0.9, 8, dtype=np.float32), (8, 1))[None]
    near = Answer(size, (20, 10, 60, 30), iou + 0.2, ramp)
    both = joined(wide, near)
    assert both.window == (0, 0, 60, 40)
    assert both.planes.shape == (1, 16, 12)  # the pixels of the closer look
    found = both.probability
    assert found[5, 5] == pytest.approx(0.2)
    assert found[20, 50] == pytest.approx(near.probability[20, 50], abs=0.01)
    assert found[20, 30] == pytest.approx((0.2 + 2 * near.probability[20, 30]) / 3, abs=0.01)
    assert both.iou[0] == pytest.approx(0.6)


def test_a_crop_and_its_mirror_image_are_asked_together() -> None:
    network = Watched(BOX)
    left = torch.full((1, 3, SIDE // 2, SIDE // 2), -9.0)
    left[..., : SIDE // 4] = 9.0
    network.decode = lambda features, prompts: (  # type: ignore[method-assign]
        left.expand(len(prompts), -1, -1, -1),
        torch.zeros(len(prompts), 3),
    )
    seen = Prompter(picture(), network)(box=(50, 50, 150, 150)).planes[0]
    assert np.allclose(seen, seen[:, ::-1])
    assert np.allclose(seen, 0.5)


def test_a_mask_that_reaches_the_edge_of_its_crop_is_looked_at_in_a_wider_one() -> None:
    network = Watched(PREVIOUS)
    mask = np.zeros((240, 320), np.float32)
    mask[100:140, 140:180] = 1
    network.decode = lambda features, prompts: (  # type: ignore[method-assign]
        torch.full((len(prompts), 3, 96, 96), 9.0),
        torch.zeros(len(prompts), 3),
    )
    answer = Prompter(picture(), network)(mask=mask)
    assert network.encoded == 4, "twice in a wider one, and close up at last"
    assert answer.window[0] < 110
    assert Prompter(picture(), network)(box=(140, 100, 180, 140)).window == (130, 90, 190, 150)


def test_clicks_scribbles_and_masks_have_planes_of_their_own() -> None:
    network = Watched(PREVIOUS)
    mask = np.zeros((240, 320), np.bool_)
    mask[60:180, 80:240] = True
    prompter = Prompter(picture(), network)
    prompter(points=[(100, 100)], negative=[(220, 160)], scribble=[[(120, 80), (200, 80)]], mask=mask)
    planes = network.planes[-2]  # the last but one shows what is around
    x0, y0, x1, y1 = prompter(points=[(100, 100)], mask=mask).window

    def at(x: float, y: float) -> tuple[int, int]:
        return int((y + 0.5 - y0) / (y1 - y0) * SIDE), int((x + 0.5 - x0) / (x1 - x0) * SIDE)

    assert planes[POSITIVE][at(100, 100)] == 1
    assert planes[POSITIVE][at(160, 80)] == 1
    assert planes[POSITIVE][at(220, 160)] == 0
    assert planes[NEGATIVE][at(220, 160)] == 1
    assert not planes[BOX].any()
    assert planes[PREVIOUS][at(100, 100)] == 1
    assert planes[PREVIOUS][at(60, 100)] == 0


def test_a_window_is_never_more_than_twice_as_long_as_wide_and_stays_in_the_picture() -> None:
    assert box_window((100, 100, 300, 110), (400, 400)) == (100, 55, 300, 155)
    assert box_window((-20, 0, 200, 200), (400, 400)) == (0, 0, 200, 200)
    assert pixels((399.5, 10.2, 400, 10.3), (400, 400)) == (399, 10, 400, 11)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (Prompts(), "at least one positive point, a box or a mask"),
        (Prompts(negative=[(5, 5)]), "at least one positive point, a box or a mask"),
        (Prompts(mask=np.zeros((240, 320))), "a mask that is not empty"),
        (Prompts(points=[(320, 5)]), r"point \(320, 5\) is outside the 320x240 picture"),
        (Prompts(scribble=[[(5, 5), (5, 300)]]), r"point \(5, 300\) is outside"),
        (Prompts(box=(5, 5, 5, 9)), r"box \(5, 5, 5, 9\) is empty"),
        (Prompts(points=[(5, 5)], mask=np.ones((3, 4))), r"the mask has shape \(3, 4\)"),
    ],
)
def test_what_says_nothing_or_does_not_fit_is_refused(prompts: Prompts, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        Prompter(picture(), Watched()).answer(prompts)


def test_an_answer_brings_its_masks_to_the_size_of_the_picture() -> None:
    planes = np.stack([np.full((4, 4), 0.9), np.full((4, 4), 0.2)]).astype(np.float32)
    answer = Answer((20, 30), (10, 5, 26, 13), np.array([0.8, 0.3], np.float32), planes)
    assert tight_box(answer.mask) == (10, 5, 26, 13)
    assert answer.masks[0].sum() == 16 * 8
    assert not answer.masks[1].any()
    assert answer.probability[6, 12] == np.float32(0.9)


@pytest.mark.shared
def test_corrections_bring_a_mask_near_the_truth_on_real_pictures(shared: Path) -> None:
    folder = shared / "data" / "vos" / "davis2016_480p"
    reached = []
    for name in ("dog-agility", "drift-straight"):
        image = cv2.imread(str(folder / "JPEGImages" / name / "00000.jpg"))[..., ::-1]
        truth = read_index_mask(folder / "Annotations" / name / "00000.png") > 0
        prompter = Prompter(Frame(0, 0.0, np.ascontiguousarray(image)))
        reached.append(overlap(prompter(box=tight_box(truth)).mask, truth))
    assert np.mean(reached) > 0.7
