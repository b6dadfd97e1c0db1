"""Jobs from words as they are typed: prompts, and options of trainings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.errors import PromptError, TrainingError
from segue.jobs.parts import BoxValue, MaskFile, PointValue, RemoveValue
from segue.jobs.processes import settings_of, value_of, words_of
from segue.jobs.prompting import mask_values, plan_prompts, settled, typed_prompts
from segue.jobs.values import TrainJob
from segue.masks import write_index_mask
from segue.types import BoxPrompt, Frame, MaskPrompt, PointPrompt, RemovePrompt

FIRST = Frame(4, 0.4, np.zeros((6, 8, 3), np.uint8))
SIZE = (12, 16)
"""Of the source; its frames are reduced to half of it."""


def test_prompts_name_frames_and_objects() -> None:
    assert typed_prompts(
        ["a.png", "7@3=b@2.png"],
        ["0,0,1,1", "2:1,1,2,2", "9@5,5,6,6", "9@7,7,8,8"],
        ["1,2", "9@4:-3,4"],
        ["12@65535"],
        fill=True,
    ) == (
        MaskFile(path="a.png"),
        MaskFile(frame=7, id=3, path="b@2.png"),
        BoxValue(id=1, box=(0, 0, 1, 1), fill=True),
        BoxValue(id=2, box=(1, 1, 2, 2), fill=True),
        BoxValue(frame=9, id=1, box=(5, 5, 6, 6), fill=True),
        BoxValue(frame=9, id=2, box=(7, 7, 8, 8), fill=True),
        PointValue(id=1, positive=((1, 2),)),
        PointValue(frame=9, id=4, negative=((3, 4),)),
        RemoveValue(frame=12, id=65535),
    )
    assert not typed_prompts([], ["0,0,1,1"], [], [])[0].fill  # type: ignore[union-attr]
    for text in ("12@0", "12@65536", "12@x"):
        with pytest.raises(PromptError, match="give FRAME@ID"):
            typed_prompts([], [], [], [text])


def test_prompts_are_planned_by_frame_in_pixels_of_the_frames(tmp_path: Path) -> None:
    index = np.zeros(SIZE, np.uint8)
    index[:4, :4], index[8:, 8:] = 1, 5
    write_index_mask(tmp_path / "a.png", index)
    over = np.where(index == 5, 2, 0).astype(np.uint8)
    values = [
        RemoveValue(frame=8, id=9),
        PointValue(frame=8, id=3, positive=((2, 4),), negative=((6, 8), (10, 12)), label="tail"),
        BoxValue(frame=8, id=2, box=(2, 4, 6, 8), fill=True, label="koi"),
        MaskFile(path=str(tmp_path / "a.png")),
        *(value.model_copy(update={"label": "rock"}) for value in mask_values(over)),
    ]
    plan = plan_prompts(values, FIRST, SIZE, 2, fit=False)
    assert set(plan) == {4, 8}
    first, other, second = plan[4]
    assert isinstance(first, MaskPrompt)
    assert isinstance(other, MaskPrompt)
    assert isinstance(second, MaskPrompt)
    assert (first.id, first.label, second.id, second.label) == (1, None, 2, "rock")
    half = index[::2, ::2]
    assert np.array_equal(first.mask, half == 1)
    assert other.id == 5
    assert np.array_equal(second.mask, half == 5), "values come behind the files: the later one wins"
    assert plan[8] == [  # in their order
        RemovePrompt(9),
        PointPrompt(3, ((1, 2),), ((3, 4), (5, 6)), label="tail"),
        BoxPrompt(2, (1, 2, 3, 4), True, label="koi"),
    ]


@pytest.mark.parametrize(("frame", "there"), [(4, True), (6, True), (5, False), (3, False), (2, False)])
def test_a_prompt_has_a_frame_among_those_of_the_source(frame: int, there: bool) -> None:
    value = BoxValue(frame=frame, box=(0, 0, 4, 4))
    if there:
        assert list(plan_prompts([value], FIRST, SIZE, 2, fit=False)) == [frame]
    else:
        with pytest.raises(PromptError, match=f"prompt for frame {frame}, but .* steps of 2 from 4 on"):
            plan_prompts([value], FIRST, SIZE, 2, fit=False)


def test_masks_of_another_size_are_fitted_only_where_that_is_asked_for() -> None:
    small = np.zeros((3, 4), np.uint8)
    small[1, 2] = 3
    with pytest.raises(PromptError, match="4x3"):
        plan_prompts(mask_values(small), FIRST, SIZE, 1, fit=False)
    (prompt,) = plan_prompts(mask_values(small), FIRST, SIZE, 1, fit=True)[4]
    assert isinstance(prompt, MaskPrompt)
    assert (prompt.id, prompt.mask.sum()) == (3, 4)
    assert prompt.mask[2:4, 4:6].all()
    whole = np.zeros(FIRST.size, np.uint8)  # said of the reduced frames themselves
    whole[1, 2] = 3
    (prompt,) = plan_prompts(mask_values(whole), FIRST, SIZE, 1, fit=False)[4]
    assert isinstance(prompt, MaskPrompt)
    assert np.array_equal(prompt.mask, whole == 3)


def test_what_the_network_takes_itself_stays_and_the_rest_becomes_masks() -> None:
    box, gone = BoxPrompt(1, (1, 1, 5, 4), True), RemovePrompt(9)
    (mask, removed) = settled(FIRST, [gone, box], None, ())
    assert isinstance(mask, MaskPrompt)
    assert (mask.id, mask.mask.sum(), removed) == (1, 12, gone)
    point = PointPrompt(2, ((1.0, 2.0),))
    found = settled(FIRST, [point, gone, MaskPrompt(3, mask.mask)], None, {"point"})
    assert [type(one) for one in found] == [MaskPrompt, PointPrompt, RemovePrompt]
    assert [one.id for one in found] == [3, 2, 9]


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ([], {}),
        (["--steps", "4"], {"steps": "4"}),
        (["--steps=4", "--deep"], {"steps": "4", "deep": True}),
        (["--deep", "--steps=a=b"], {"deep": True, "steps": "a=b"}),
        (["--data", "a", "--data=b@5", "--data", "c"], {"data": ("a", "b@5", "c")}),
        (["--name="], {"name": ""}),
        (["--shift", "-3"], {"shift": "-3"}),
    ],
)
def test_options_of_a_training_are_settings_by_name(words: list[str], settings: dict[str, Any]) -> None:
    assert settings_of(words) == settings


def test_a_word_that_is_no_option_is_refused() -> None:
    with pytest.raises(TrainingError, match="'steps': expected an option"):
        settings_of(["--rate", "1", "steps"])


def test_settings_are_typed_again_with_the_folder_of_the_weights() -> None:
    settings = {"steps": 4, "data": ("a", "b"), "include-val": True, "overwrite": False, "seed": None}
    job = TrainJob(network="stm", settings=settings, folder=Path("out"))
    assert words_of(job) == ["--steps=4", "--data=a", "--data=b", "--include-val", "--out=out"]
    again = job.model_copy(update={"overwrite": True, "settings": {}})
    assert words_of(again) == ["--out=out", "--overwrite"]
    assert words_of(job.model_copy(update={"resume": True}))[-1] == "--resume"


def test_the_value_of_an_option_stands_behind_it() -> None:
    words = ["--out", "a", "--seed=3", "--name=", "--last"]
    assert [value_of(words, name) for name in ("--out", "--seed", "--name")] == ["a", "3", ""]
    assert value_of(words, "--last") is None
    assert value_of(words, "--sea") is None
