"""Clicks on a mask change the region under them and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import segue
from segue.errors import PromptError
from segue.prompt_types import MaskPrompt, PointPrompt
from segue.prompts import (
    ImagePrompter,
    ImagePrompts,
    MaskPrediction,
    MotionPrompter,
    Prompter,
    correct,
    resolve_prompts,
)
from segue.prompts.answers import covering
from segue.types import Frame, Point
from segue.utils.arrays import BoolArray, Float32Array

SIZE = (60, 80)
PLACES = st.tuples(st.integers(0, SIZE[1] - 1), st.integers(0, SIZE[0] - 1))


def disk(x: float, y: float, radius: float) -> BoolArray:
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    return np.asarray(np.hypot(columns - x, rows - y) <= radius)


def blobs(seed: int) -> Float32Array:
    """A random probability with several regions."""
    noise = np.random.default_rng(seed).normal(size=SIZE).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 5)
    return np.asarray(1 / (1 + np.exp(-6 * smooth / smooth.std())), np.float32)


class Fixed(ImagePrompter):
    """Gives one answer to everything, and keeps what it was asked."""

    def __init__(self, answer: Float32Array | BoolArray) -> None:
        super().__init__(np.zeros((*SIZE, 3), np.uint8))
        self.plane = np.asarray(answer, np.float32)
        self.asked: list[ImagePrompts] = []

    def _segment(self, prompts: ImagePrompts) -> MaskPrediction:
        self.asked.append(prompts)
        window = (0, 0, SIZE[1], SIZE[0])
        return MaskPrediction(SIZE, window, np.array([0.8], np.float32), self.plane[None])


def region(mask: BoolArray, x: int, y: int) -> BoolArray:
    labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1]
    return np.asarray((labels == labels[y, x]) & mask)


class Detecting(Fixed):
    """Knows objects of a detector, too."""

    def __init__(self, answer: Float32Array | BoolArray, *objects: BoolArray) -> None:
        super().__init__(answer)
        self._objects = [Fixed(each) for each in objects]
        self.detections = 0

    def objects_at(self, point: Point) -> Iterator[MaskPrediction]:
        self.detections += 1
        return (each.answer(ImagePrompts(points=[point])) for each in self._objects)


def block(x0: int, y0: int, x1: int, y1: int) -> BoolArray:
    plane = np.zeros(SIZE, np.bool_)
    plane[y0:y1, x0:x1] = True
    return plane


@settings(max_examples=60, deadline=None)
@given(
    before=st.integers(0, 50),
    answer=st.integers(0, 50),
    place=PLACES,
    inside=st.booleans(),
    soft=st.booleans(),
)
def test_a_click_gets_its_label_and_changes_one_region_in_its_direction(
    before: int, answer: int, place: tuple[int, int], inside: bool, soft: bool
) -> None:
    mask = blobs(before)
    was = mask > 0.5
    x, y = place
    detected = [blobs(seed) > 0.5 for seed in (answer + 200, answer + 300)]
    found = correct(Detecting(blobs(answer + 100), *detected), mask if soft else was, [(x, y, inside)])
    changed = found.mask != was
    assert found.mask[y, x] == inside
    assert (found.mask[changed] == inside).all()
    if was[y, x] == inside:
        assert not changed.any()
        np.testing.assert_array_equal(found.probability, mask if soft else was.astype(np.float32))
    else:
        np.testing.assert_array_equal(region(changed, x, y), changed)
        np.testing.assert_array_equal(found.probability[~changed], (mask if soft else was)[~changed])


def test_a_correction_changes_nothing_elsewhere() -> None:
    left, right = disk(20, 30, 8), disk(60, 30, 8)
    body = disk(40, 30, 9)
    found = correct(Fixed(body | left | right), body, [(60, 30, True)])
    np.testing.assert_array_equal(found.mask, body | right)
    found = correct(Fixed(left & False), body | left, [(20, 30, False)])
    np.testing.assert_array_equal(found.mask, body)


def test_far_from_the_click_a_sure_mask_outweighs_the_answer() -> None:
    body = np.zeros(SIZE, np.bool_)
    body[20:40, :10] = True
    answer = np.full(SIZE, 0.98, np.float32)
    sure, unsure = (np.where(body, np.float32(0.999), np.float32(level)) for level in (0.001, 0.4))
    near = correct(Fixed(answer), sure, [(14, 30, True)]).mask
    assert near[30, 14:20].all()
    assert not near[:, 60:].any()
    assert correct(Fixed(answer), unsure, [(14, 30, True)]).mask.all()


def test_a_click_that_the_answer_denies_changes_a_few_pixels_around_it() -> None:
    body = disk(40, 30, 15)
    found = correct(Fixed(body), body, [(40, 30, False)])
    assert not found.mask[30, 40]
    assert 1 <= (found.mask != body).sum() <= 21


def test_a_click_in_the_middle_of_what_is_lost_adds_the_rest_of_a_detected_object() -> None:
    whole, kept = block(10, 10, 70, 50), block(10, 10, 30, 50)
    near = block(10, 10, 36, 50)  # what the answer knows of it
    for click, expected in (((50, 30), whole), ((32, 30), near)):  # in the middle; beside the outline
        mask = correct(Detecting(near, block(60, 0, 80, 60), whole), kept, [(*click, True)]).mask
        assert mask[30, click[0]]
        assert np.array_equal(mask, expected)
    others = (
        block(40, 10, 70, 50),
        block(0, 0, 80, 60) & ~block(10, 10, 20, 50),
    )  # no or little of the mask in them
    assert not correct(Detecting(near, *others), kept, [(50, 30, True)]).mask[12, 68]


def test_a_click_on_what_belongs_to_another_detected_object_removes_that() -> None:
    body, head, other = (
        block(10, 20, 60, 50),
        block(30, 5, 44, 20),
        block(26, 0, 48, 20) | block(48, 0, 80, 60),
    )
    other &= ~body
    mask = body | head
    found = correct(Detecting(mask, other), mask, [(37, 10, False)]).mask
    assert np.array_equal(found, body)
    for detected in (
        mask,
        block(0, 0, 80, 60),
        head,
    ):  # the object itself; with its surroundings; a part of it
        found = correct(Detecting(mask, detected), mask, [(37, 10, False)]).mask
        assert found[25, 20]
        assert found[6, 31]


def test_a_click_near_the_outline_asks_no_detector() -> None:
    prompter = Detecting(disk(40, 30, 18), block(0, 0, 80, 60))
    assert correct(prompter, disk(40, 30, 15), [(56, 30, True)]).mask[30, 56]
    assert not prompter.detections
    wrapped = MotionPrompter(prompter, prompter.image, lambda: None)
    assert next(wrapped.objects_at((3, 3))).mask.all()


def test_the_whole_answer_is_taken_where_it_is_asked_for_or_nothing_was_known() -> None:
    answer = disk(60, 20, 12)
    body = disk(20, 30, 10)
    np.testing.assert_array_equal(correct(Fixed(answer), body, [(60, 20, True)], whole=True).mask, answer)
    empty = np.zeros(SIZE, np.float32)
    np.testing.assert_array_equal(correct(Fixed(answer), empty, [(60, 20, True)]).mask, answer)
    with pytest.raises(PromptError):
        correct(Fixed(answer), empty, [(60, 20, False)])
    with pytest.raises(PromptError):
        correct(Fixed(answer), body, [(90, 20, True)])


def test_several_new_clicks_are_answered_one_after_the_other() -> None:
    body, left, right = disk(40, 30, 9), disk(15, 30, 6), disk(65, 30, 6)
    prompter = Fixed(body | left | right)
    clicks = [(15, 30, True), (65, 30, True), (40, 30, True)]
    found = correct(prompter, body, clicks, new=3)
    np.testing.assert_array_equal(found.mask, body | left | right)
    assert [len(prompts.points) for prompts in prompter.asked] == [1, 2]


def test_a_click_after_all_was_taken_away_is_a_first_one() -> None:
    body, other = disk(20, 30, 3), disk(60, 30, 8)
    found = correct(Fixed(other), body, [(20, 30, False), (60, 30, True)], new=2)
    np.testing.assert_array_equal(found.mask, other)


def test_segue_prompt_mends_a_lost_part_and_leaves_the_rest() -> None:
    image = np.random.default_rng(3).normal((40, 70, 120), 6, (120, 160, 3))
    image[30:90, 30:130] += (170, 60, -80)
    truth = np.zeros((120, 160), np.bool_)
    truth[30:90, 30:130] = True
    known = truth.copy()
    known[:, 95:] = False
    known[5:12, 5:12] = True  # wrong too, and not clicked
    prompter = Prompter(np.clip(image, 0, 255).astype(np.uint8), device="cpu")
    found = correct(prompter, known, [(112, 60, True)])
    assert found.mask[60, 112]
    assert (found.mask & truth).sum() > (known & truth).sum() + 0.7 * 35 * 60
    assert (found.mask & ~truth & ~known).sum() < 0.05 * truth.sum()
    assert found.mask[5:12, 5:12].all()
    assert 0 <= found.iou[0] <= 1


class TestPointPrompt:
    """Points of an object whose mask is known."""

    @staticmethod
    def resolved(answer: BoolArray, *prompts: Any, known: Any = None) -> BoolArray:
        frame = Frame(3, 0.1, np.zeros((*SIZE, 3), np.uint8))
        found = resolve_prompts(frame, prompts, prompter=lambda _: Fixed(answer), previous_masks=known)
        return np.asarray(found.mask == 7)

    def test_clicks_correct_the_tracked_mask(self) -> None:
        body, limb, wrong = disk(40, 30, 10), disk(60, 30, 5), disk(10, 10, 6)
        known = {7: np.where(body, np.float32(0.9), np.float32(0.1))}
        answer = disk(38, 33, 6) | limb | wrong
        got = self.resolved(answer, PointPrompt(7, [(60, 30)]), known=known)
        np.testing.assert_array_equal(got, body | limb)
        got = self.resolved(answer, PointPrompt(7, [(60, 30)], whole=True), known=known)
        np.testing.assert_array_equal(got, answer)

    def test_clicks_correct_a_mask_on_the_same_frame(self) -> None:
        body, limb = disk(40, 30, 10), disk(60, 30, 5)
        got = self.resolved(limb, MaskPrompt(7, body), PointPrompt(7, [(60, 30)], [(35, 30)]))
        assert got[limb].all()
        assert not got[30, 35]
        assert (got & body).sum() == 0 or got[30, 45]


class TestCandidates:
    """Different objects that a click may mean."""

    def test_candidates_differ_and_start_with_the_answer(self) -> None:
        class Several(Fixed):
            def _segment(self, prompts: ImagePrompts) -> MaskPrediction:
                masks = [
                    disk(40, 30, 10),
                    disk(40, 30, 10.5),
                    disk(40, 30, 22),
                    disk(40, 30, 4),
                    disk(40, 30, 2),
                ]
                iou = np.array([0.5, 0.9, 0.6, 0.7, 0.3], np.float32)
                return MaskPrediction(SIZE, (0, 0, SIZE[1], SIZE[0]), iou, np.stack(masks).astype(np.float32))

        found = Several(disk(0, 0, 1)).candidates(ImagePrompts(points=[(40, 30)]))
        assert [round(float(each.iou[0]), 1) for each in found] == [0.5, 0.7, 0.6]
        assert [len(each) for each in found] == [1, 1, 1]

    def test_candidates_cover_all_interpretations(self) -> None:
        def seen(radius: float, iou: float) -> MaskPrediction:
            plane = disk(40, 30, radius).astype(np.float32)
            return MaskPrediction(SIZE, (0, 0, SIZE[1], SIZE[0]), np.array([iou], np.float32), plane[None])

        # The small one is the surest, but two large ones speak for each other.
        known = [seen(10, 0.8), seen(3, 0.6), seen(26, 0.5), seen(24, 0.5)]
        assert covering(known) == [0, 2, 1]
        assert covering([known[0], known[0], known[1]]) == [0, 2]
        assert covering([seen(20, 0.5), seen(22, 0.9)]) == [0]  # as good as the same
        assert covering([seen(-1, 0.5), seen(-1, 0.9), known[0]]) == [0, 2]  # only the first may be empty
        assert covering([seen(10, 0.0), seen(3, 0.0)]) == [0, 1]

    def test_candidates_of_segue_prompt_start_with_its_answer(self) -> None:
        image = np.random.default_rng(3).normal((40, 70, 120), 6, (120, 160, 3))
        image[30:90, 30:130] += (170, 60, -80)
        image[50:70, 70:90] += (-90, 90, 60)
        prompter = Prompter(np.clip(image, 0, 255).astype(np.uint8), device="cpu")
        prompts = ImagePrompts(points=[(80, 60)])
        found = prompter.candidates(prompts)
        np.testing.assert_array_equal(found[0].mask, prompter.answer(prompts).mask)
        assert 1 < len(found) <= 3
        for number, each in enumerate(found):
            for other in found[:number]:
                assert (each.mask & other.mask).sum() < 0.75 * (each.mask | other.mask).sum()
        boxed = ImagePrompts(box=(30, 30, 130, 90))
        np.testing.assert_array_equal(prompter.candidates(boxed)[0].mask, prompter.answer(boxed).mask)


class OnlyAnswers:
    """A prompter of a program: it has no more than what a click needs."""

    def __init__(self, answer: Float32Array | BoolArray) -> None:
        self._fixed = Fixed(answer)

    def answer(self, prompts: ImagePrompts) -> MaskPrediction:
        return self._fixed.answer(prompts)


def test_without_a_click_the_mask_stays() -> None:
    mask = disk(30, 30, 9)
    for prompter in (Fixed(disk(50, 30, 9)), OnlyAnswers(disk(50, 30, 9))):
        answer = correct(prompter, mask, [])  # type: ignore[arg-type]
        assert np.array_equal(answer.mask, mask)
        assert np.isnan(answer.iou[0])
    with pytest.raises(PromptError, match="needs at least one positive point"):
        correct(Fixed(mask), np.zeros_like(mask), [])


def test_a_prompter_that_only_answers_corrects_in_a_video() -> None:
    image = np.zeros((*SIZE, 3), np.uint8)
    prompter = OnlyAnswers(disk(30, 30, 9))
    video = segue.Video([image, image], prompter=lambda image: prompter, device="cpu")  # type: ignore[arg-type]
    first = video.add(0, points=[(30, 30)])
    assert np.array_equal(first.mask > 0, disk(30, 30, 9))
    prompter._fixed = Fixed(disk(38, 30, 9))
    second = video.add(0, points=[(44, 30)])
    assert second.mask[30, 44] == 1
    session = segue.TrackSession("stcn-lite", prompter=lambda image: prompter, device="cpu")  # type: ignore[arg-type, return-value]
    session.step(image, masks={1: disk(30, 30, 9)})
    assert session.step(image, points=[(46, 30)]).mask[30, 46] == 1
    wrapped = MotionPrompter(prompter, image, lambda: None)  # type: ignore[arg-type]
    assert len(wrapped.candidates(ImagePrompts(points=[(38, 30)]))) == 1
