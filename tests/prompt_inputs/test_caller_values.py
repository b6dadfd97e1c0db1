"""What callers may give as masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL.Image import fromarray

from segue.errors import PromptError, SourceError
from segue.masks import write_index_mask
from segue.prompt_inputs.arguments import as_prompts, collect_prompts
from segue.prompt_inputs.values import as_masks, is_mask_like
from segue.prompt_types import BoxPrompt, MaskPrompt

INDEX = np.array([[0, 2, 2, 0, 0], [0, 0, 7, 0, 0]], np.uint8)
TWO = np.stack([INDEX == 2, INDEX == 7])


def test_files_are_masks_by_their_path(tmp_path: Path) -> None:
    write_index_mask(tmp_path / "a.png", INDEX)
    for path in (tmp_path / "a.png", str(tmp_path / "a.png")):
        assert is_mask_like(path)
        assert np.array_equal(as_masks(path, "mask"), INDEX)
    with pytest.raises(SourceError, match=r"b\.png"):
        as_masks(tmp_path / "b.png", "mask")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([[0, 1]], "first: .*list.*; give an index mask"),
        (np.zeros((2, 3), np.float32), r"first: .*float32.*; a mask holds .* as in mask > 0\.5"),
        (np.zeros((2, 3), np.complex64), "a mask holds whole numbers or booleans$"),
        (np.zeros((2, 3, 3), np.int64), "that is a colour image"),
        (np.arange(18, dtype=np.uint8).reshape(2, 3, 3), "no pixel is black"),
        (np.zeros((2, 3, 1), np.uint8), r"take one channel, mask\[\.\.\., 0\]"),
        (np.zeros(3, np.uint8), "give an index mask"),
        (np.zeros((1, 1, 2, 3), np.uint8), "give an index mask"),
        (np.zeros((0, 3), np.uint8), "give an index mask"),
        (torch.zeros(2, 3), "a mask holds whole numbers"),
    ],
)  # fmt: skip
def test_invalid_masks_are_refused(value: Any, words: str) -> None:
    with pytest.raises(PromptError, match=words):
        as_masks(value, "first")


def test_masks_in_a_list_are_objects_in_its_order() -> None:
    one, two = np.zeros((2, 4, 6), np.uint8)
    one[:2], two[2:, :3] = 1, 255
    first, second = as_prompts([one, fromarray(two)])
    assert isinstance(first, MaskPrompt)
    assert isinstance(second, MaskPrompt)
    assert (first.id, second.id) == (1, 2)
    assert np.array_equal(np.asarray(first.mask) != 0, one > 0)
    assert np.array_equal(np.asarray(second.mask) != 0, two > 0)


def test_a_prompt_for_another_frame_than_its_key_is_refused() -> None:
    with pytest.raises(PromptError, match="for frame 3, but was given on frame 5"):
        collect_prompts({5: BoxPrompt(1, (1, 1, 9, 9), frame=3)})
    (prompt,) = collect_prompts({5: BoxPrompt(1, (1, 1, 9, 9), frame=5)})
    assert prompt.frame == 5
