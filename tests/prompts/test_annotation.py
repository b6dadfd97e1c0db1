"""Masks, boxes and points given by hand become the prompts of a frame, or an error that says what to do."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.errors import PromptError
from segue.prompt_inputs.arguments import collect_prompts
from segue.prompt_types import BoxPrompt, MaskPrompt, PointPrompt, Prompt, RemovePrompt
from segue.prompts import ImagePrompter, ImagePrompts, MaskPrediction, resolve_prompts
from segue.prompts.answers import checked_prompts
from segue.types import Frame

HEIGHT, WIDTH = 60, 90


def plain_frame(index: int = 0) -> Frame:
    return Frame(index, index / 25, np.zeros((HEIGHT, WIDTH, 3), np.uint8))


def disc(x: float, y: float, radius: float) -> npt.NDArray[np.bool_]:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 <= radius**2)


def disc_frame(*discs: npt.NDArray[np.bool_]) -> Frame:
    """Bright orange discs on a noisy blue ground."""
    image = np.random.default_rng(3).normal((40, 70, 120), 8, (HEIGHT, WIDTH, 3))
    for mask in discs:
        image[mask] += (180, 60, -80)
    return Frame(4, 0.16, np.clip(image, 0, 255).astype(np.uint8))


def iou(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> float:
    return float((first & second).sum() / (first | second).sum())


def test_an_index_mask_keeps_its_ids_in_rising_order() -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint16)
    mask[:5], mask[5:9] = 300, 2
    found = resolve_prompts(plain_frame(), MaskPrompt.each(mask))
    assert found.ids == (2, 300)
    np.testing.assert_array_equal(found.mask, mask)


def test_mask_prompts_keep_their_order_ids_and_labels() -> None:
    left, right = disc(20, 30, 9), disc(60, 30, 9)
    found = resolve_prompts(plain_frame(), [MaskPrompt(9, left, label="dog"), MaskPrompt(4, right)])
    assert found.ids == (9, 4)
    assert found.labels == {9: "dog"}
    np.testing.assert_array_equal(found.mask, 9 * left + 4 * right)


@given(order=st.permutations([1, 2, 3]))
def test_later_masks_are_in_front_where_objects_overlap(order: list[int]) -> None:
    masks = {1: disc(35, 30, 15), 2: disc(45, 30, 15), 3: disc(40, 38, 15)}
    found = resolve_prompts(plain_frame(), [MaskPrompt(id, masks[id]) for id in order]).mask.numpy()
    np.testing.assert_array_equal(found == order[2], masks[order[2]])
    np.testing.assert_array_equal(found == order[1], masks[order[1]] & ~masks[order[2]])
    np.testing.assert_array_equal(found > 0, masks[1] | masks[2] | masks[3])


def test_a_filled_box_covers_exactly_its_pixels() -> None:
    mask = resolve_prompts(plain_frame(), [BoxPrompt(1, (10, 20, 30, 25), fill=True)]).mask.numpy()
    expected = np.zeros((HEIGHT, WIDTH), np.int32)
    expected[20:25, 10:30] = 1
    np.testing.assert_array_equal(mask, expected)


def test_a_box_is_refined_to_the_object_inside_it() -> None:
    truth = disc(42, 28, 15)
    found = resolve_prompts(disc_frame(truth), [BoxPrompt(1, (26, 12, 59, 45))]).mask.numpy() == 1
    assert iou(found, truth) > 0.95


def test_one_point_finds_the_object_under_it() -> None:
    left, right = disc(20, 30, 10), disc(65, 30, 12)
    found = resolve_prompts(disc_frame(left, right), [PointPrompt(1, ((20, 30),))]).mask.numpy() == 1
    assert iou(found, left) > 0.9


def test_a_negative_point_takes_a_part_out_of_a_box() -> None:
    top, bottom = disc(45, 16, 9), disc(45, 44, 9)
    frame, box = disc_frame(top, bottom), BoxPrompt(1, (34, 5, 57, 55))
    both = resolve_prompts(frame, [box]).mask.numpy() == 1
    points = PointPrompt(1, ((45, 16),), ((45, 44),))
    one = resolve_prompts(frame, [box, points]).mask.numpy() == 1
    assert both[44, 45]
    assert one[16, 45]
    assert not one[44, 45]


@settings(max_examples=5, deadline=None)
@given(data=st.data(), height=st.integers(1, 40), width=st.integers(1, 40))
def test_any_box_and_point_on_any_image_gives_a_mask_or_a_prompt_error(
    data: st.DataObject, height: int, width: int
) -> None:
    seed = data.draw(st.integers(0, 99))
    deviation = data.draw(st.sampled_from([0, 60]))
    image = np.random.default_rng(seed).normal(128, deviation, (height, width, 3)).clip(0, 255)
    frame = Frame(0, 0.0, image.astype(np.uint8))
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))
    prompts: tuple[Prompt, ...] = (BoxPrompt(3, (x0, y0, x1, y1)), PointPrompt(3, ((x0, y0),)))
    for prompt in prompts:
        try:
            mask = resolve_prompts(frame, [prompt]).mask.numpy()
        except PromptError:
            continue
        assert mask.shape == (height, width)
        assert set(np.unique(mask)) <= {0, 3}
        assert mask.any()


NOTHING = np.zeros((HEIGHT, WIDTH), np.uint8)
WHOLE = np.ones((HEIGHT, WIDTH), np.uint8)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([MaskPrompt(1, WHOLE[None])], "two dimensions"),
        ([], "no prompt given"),
        (["1"], "not str"),
        ([MaskPrompt(1, NOTHING)], "object 1: the mask is empty"),
        ([MaskPrompt(0, WHOLE)], "0 is out of range"),
        ([MaskPrompt(1, WHOLE), BoxPrompt(1, (0, 0, 5, 5))], "one mask or one box"),
        ([MaskPrompt(1, WHOLE), RemovePrompt(1)], "given and removed"),
        ([BoxPrompt(1, (5, 5, 5, 9))], r"box \(5, 5, 5, 9\) is empty"),
        ([BoxPrompt(1, (95, 0, 99, 9))], "covers no pixel of the 90x60 image"),
        ([BoxPrompt(1, (0, 0, float("nan"), 9))], "finite"),
        ([BoxPrompt(1, (0, 0, 9, 9), fill=True), PointPrompt(1, ((2, 2),))], "filled box"),
        ([BoxPrompt(1, (0, 0, 9, 9)), PointPrompt(1, ((20, 2),))], "outside the box"),
        ([PointPrompt(1, (), ((2, 2),))], "at least one positive point"),
        ([PointPrompt(1, ((90, 2),))], r"point \(90, 2\) is outside the 90x60 image"),
    ],
)
def test_invalid_prompts_are_refused_with_their_frame(prompts: list[Prompt], message: str) -> None:
    with pytest.raises(PromptError, match=r"^frame 0: .*" + message):
        resolve_prompts(plain_frame(), prompts)


class Blind(ImagePrompter):
    """Finds nothing."""

    def _segment(self, prompts: ImagePrompts) -> MaskPrediction:
        empty = np.zeros((1, HEIGHT, WIDTH), np.float32)
        return MaskPrediction(self.size, (0, 0, WIDTH, HEIGHT), np.ones(1, np.float32), empty)


def test_a_box_in_which_nothing_is_found_is_refused_and_not_filled() -> None:
    with pytest.raises(PromptError):
        resolve_prompts(plain_frame(), [BoxPrompt(1, (10, 10, 20, 20))], prompter=Blind)


def test_a_mask_brings_along_what_is_expected_of_it() -> None:
    mask = np.zeros((20, 30), bool)
    mask[4:9, 5:12] = True
    frame = Frame(0, None, np.zeros((20, 30, 3), np.uint8))
    assert resolve_prompts(frame, [MaskPrompt(1, mask, 0.25), MaskPrompt(2, ~mask)]).expected == {1: 0.25}
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(PromptError):
            resolve_prompts(frame, [MaskPrompt(1, mask, wrong)])


def test_prompts_that_the_network_understands_stay_and_the_rest_becomes_masks() -> None:
    point = PointPrompt(2, ((1.0, 2.0),), label="dog")
    box = BoxPrompt(1, (1, 1, 5, 4), True)
    found = resolve_prompts(plain_frame(), [point, RemovePrompt(9), box], native={"point", "box"})
    assert (found.masked, found.prompts, found.removed, found.labels) == ((1,), (point,), (9,), {2: "dog"})
    assert int((found.mask == 1).sum()) == 12


def test_clicks_keep_their_order() -> None:
    places = [(1.0, 1.0), (2.0, 1.0), (3.0, 1.0), (4.0, 1.0)]
    prompts = collect_prompts(points=places, labels=[1, 0, 1, 0], id=3)
    marks = ImagePrompts()
    for prompt in prompts:
        assert prompt.id == 3
        marks = prompt.to_image(marks)
    expected = [(*at, bool(label)) for at, label in zip(places, [1, 0, 1, 0], strict=True)]
    assert marks.clicks == expected
    assert checked_prompts(marks, (8, 8)).clicks == expected
    [one] = collect_prompts(points=places, labels=[1, 1, 0, 0])
    assert isinstance(one, PointPrompt)
    assert ImagePrompts(points=places[:1], negative=places[1:2]).clicks == expected[:2]
