"""Boxes and points as people type them."""

from __future__ import annotations

import json
from dataclasses import fields
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.cli.running import TypedPrompts
from segue.errors import PromptError
from segue.prompt_inputs.checks import check_pixels, fit_mask
from segue.prompt_inputs.texts import PROMPT_FORMS, typed_prompts
from segue.prompt_types import PROMPTS, BoxPrompt, PointPrompt
from segue.prompts import resolve_prompts
from segue.types import Frame


@given(numbers=st.tuples(*[st.integers(-999, 9999)] * 4), id=st.integers(1, 65535))
def test_a_box_comes_back_as_it_was_written(numbers: tuple[int, int, int, int], id: int) -> None:
    text = ",".join(map(str, numbers))
    assert typed_prompts({"box": [text]}) == (BoxPrompt(1, numbers),)
    assert typed_prompts({"box": [f"{id}:{text}"]}, fill=True) == (BoxPrompt(id, numbers, fill=True),)


def test_boxes_without_an_id_take_the_free_ones() -> None:
    boxes = typed_prompts({"box": ["0,0,1,1", "2:0,0,1,1", "0,0,1,1", "7:0,0,1,1", "0,0,1,1"]})
    assert [box.id for box in boxes] == [1, 2, 3, 7, 4]


def test_masks_without_an_id_take_the_free_ones() -> None:
    masks = typed_prompts({"mask": ["a.png", "1=b.png", "4@c.png", "5@7=d.png"]})
    assert [mask.id for mask in masks] == [2, 1, 0, 7]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12,34", PointPrompt(1, ((12, 34),))),
        ("+12,34.5", PointPrompt(1, ((12, 34.5),))),
        ("-12, 34", PointPrompt(1, (), ((12, 34),))),
        ("3:+1,2", PointPrompt(3, ((1, 2),))),
        ("3:-1,2", PointPrompt(3, (), ((1, 2),))),
    ],
)
def test_a_point_is_on_the_object_unless_it_starts_with_minus(text: str, expected: PointPrompt) -> None:
    assert typed_prompts({"point": [text]}) == (expected,)


@given(numbers=st.tuples(*[st.floats(-1e5, 1e6)] * 4))
def test_any_number_that_python_or_json_prints_is_read(numbers: tuple[float, float, float, float]) -> None:
    for written in (repr, json.dumps):
        (box,) = typed_prompts({"box": [",".join(map(written, numbers))]})
        assert isinstance(box, BoxPrompt)
        assert box.box == numbers


@pytest.mark.parametrize("text", ["1e2,2E+1", "93.33333333333333,1.5e-3", ".5,1.", "1e+02,163.123456789012"])
def test_exponents_and_many_decimals_are_numbers(text: str) -> None:
    (point,) = typed_prompts({"point": [f"2:{text}"]})
    x, y = map(float, text.split(","))
    assert point == PointPrompt(2, ((x, y),))


@pytest.mark.parametrize("text", ["nan,1,2,3", "1,2,3,inf", "1e,2,3,4", "1..2,2,3,4", "1,2,3", "1_0,2,3,4"])
def test_invalid_numbers_are_refused(text: str) -> None:
    with pytest.raises(PromptError):
        typed_prompts({"box": [text]})


@pytest.mark.parametrize(
    "prompt", [BoxPrompt(1, (0.1, 0.2, 0.5, 0.9)), BoxPrompt(1, (0, 0, 1, 1)), PointPrompt(1, ((0.5, 0.25),))]
)
def test_shares_of_the_image_are_refused(prompt: BoxPrompt | PointPrompt) -> None:
    with pytest.raises(PromptError):
        check_pixels(prompt)
    frame = Frame(0, 0.0, np.zeros((24, 32, 3), np.uint8))
    with pytest.raises(PromptError):
        resolve_prompts(frame, [prompt], native={"box", "point"})


@pytest.mark.parametrize("prompt", [BoxPrompt(1, (0, 0, 1.5, 3)), PointPrompt(1, ((0, 0),))])
def test_small_pixels_are_pixels(prompt: BoxPrompt | PointPrompt) -> None:
    check_pixels(prompt)


def test_a_mask_of_the_stored_image_is_turned_as_its_metadata_turn_it() -> None:
    mask = np.zeros((24, 32), np.uint8)
    mask[2:6, 20:30] = 1
    with pytest.raises(PromptError):
        fit_mask(mask, (32, 24), False, turns=1)
    assert np.array_equal(fit_mask(mask, (32, 24), True, turns=1), np.rot90(mask))
    assert np.array_equal(fit_mask(mask, (32, 24), True, turns=3), np.rot90(mask, 3))
    assert np.array_equal(fit_mask(np.rot90(mask), (32, 24), False, turns=1), np.rot90(mask))


@pytest.mark.parametrize("size", [(32, 24), (24, 40), (48, 32)])
def test_fit_refuses_another_shape(size: tuple[int, int]) -> None:
    with pytest.raises(PromptError):
        fit_mask(np.ones((24, 32), np.uint8), size, True)


def test_fit_takes_a_mask_of_the_image_as_it_is_shown() -> None:
    shown = np.ones((288, 512), np.uint8)
    assert fit_mask(shown, (288, 360), True, pixel_aspect=Fraction(64, 45)).shape == (288, 360)
    assert fit_mask(np.ones((12, 16), np.uint8), (25, 33), True).shape == (25, 33)


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "--1,2", "1:", "one,two"])
def test_another_text_is_no_point(text: str) -> None:
    with pytest.raises(PromptError):
        typed_prompts({"point": [text]})


def test_each_kind_of_prompt_is_typed_by_an_option_of_its_name() -> None:
    kinds = {item.default for prompt in PROMPTS for item in fields(prompt) if item.name == "kind"}
    assert kinds == {*PROMPT_FORMS}
    assert kinds <= {*TypedPrompts.model_fields}
