"""Boxes and points as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.errors import PromptError
from segue.prompts.parse import typed_prompts
from segue.types import BoxPrompt, PointPrompt


@given(numbers=st.tuples(*[st.integers(-999, 9999)] * 4), id=st.integers(1, 65535))
def test_a_box_comes_back_as_it_was_written(numbers: tuple[int, int, int, int], id: int) -> None:
    text = ",".join(map(str, numbers))
    assert typed_prompts([], [text], [], []) == (BoxPrompt(1, numbers),)
    assert typed_prompts([], [f"{id}:{text}"], [], [], fill=True) == (BoxPrompt(id, numbers, fill=True),)


def test_boxes_without_an_id_take_the_free_ones() -> None:
    boxes = typed_prompts([], ["0,0,1,1", "2:0,0,1,1", "0,0,1,1", "7:0,0,1,1", "0,0,1,1"], [], [])
    assert [box.id for box in boxes] == [1, 2, 3, 7, 4]


def test_masks_without_an_id_take_the_free_ones() -> None:
    masks = typed_prompts(["a.png", "1=b.png", "4@c.png", "5@7=d.png"], [], [], [])
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
    assert typed_prompts([], [], [text], []) == (expected,)


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "--1,2", "1:", "one,two"])
def test_another_text_is_no_point(text: str) -> None:
    with pytest.raises(PromptError, match=r"point '.*' is not of the form"):
        typed_prompts([], [], [text], [])
