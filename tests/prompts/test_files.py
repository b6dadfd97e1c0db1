"""First masks from one file or several."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from segue.errors import PromptError, SourceError
from segue.masks import write_index_mask
from segue.prompts import read_prompt_masks

SIZE = (12, 20)


def stripe(first: int, last: int) -> npt.NDArray[np.uint8]:
    mask = np.zeros(SIZE, np.uint8)
    mask[:, first:last] = 255
    return mask


def save(path: Path, mask: npt.NDArray[np.uint8]) -> Path:
    Image.fromarray(mask).save(path)
    return path


def test_one_indexed_file_is_taken_as_it_is(tmp_path: Path) -> None:
    mask = np.arange(240).reshape(SIZE).astype(np.uint8)
    write_index_mask(tmp_path / "first.png", mask)
    np.testing.assert_array_equal(read_prompt_masks([tmp_path / "first.png"], SIZE), mask)


def test_one_binary_file_is_object_one(tmp_path: Path) -> None:
    path = save(tmp_path / "dog.png", stripe(3, 8))
    np.testing.assert_array_equal(read_prompt_masks([path], SIZE), stripe(3, 8) // 255)


def test_several_files_are_numbered_and_the_later_wins(tmp_path: Path) -> None:
    paths = [save(tmp_path / "a.png", stripe(0, 9)), save(tmp_path / "b.png", stripe(5, 15))]
    mask = read_prompt_masks(paths, SIZE)
    np.testing.assert_array_equal(mask[0], [1] * 5 + [2] * 10 + [0] * 5)


def test_a_file_may_name_its_id(tmp_path: Path) -> None:
    a, b = save(tmp_path / "a.png", stripe(0, 4)), save(tmp_path / "b.png", stripe(4, 6))
    mask = read_prompt_masks([f"300={a}", f"7={b}"], SIZE)
    np.testing.assert_array_equal(mask[0], [300] * 4 + [7] * 2 + [0] * 14)


def test_a_wrong_size_is_an_error_with_both_sizes_unless_it_shall_fit(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", stripe(0, 10))
    with pytest.raises(PromptError, match=r"a\.png: the mask is 20x12 pixels, the frame 40x24"):
        read_prompt_masks([path], (24, 40))
    assert read_prompt_masks([path], (24, 40), fit=True).sum() == 24 * 20


def test_files_that_do_not_fit_are_refused_by_name(tmp_path: Path) -> None:
    empty = save(tmp_path / "empty.png", stripe(0, 0))
    good = save(tmp_path / "good.png", stripe(0, 5))
    write_index_mask(tmp_path / "two.png", np.repeat([[1], [2]], 6, axis=0).repeat(20, axis=1))
    with pytest.raises(PromptError, match=r"empty\.png: the mask is empty"):
        read_prompt_masks([empty], SIZE)
    with pytest.raises(PromptError, match=r"two\.png: holds 2 objects, but one is expected"):
        read_prompt_masks([good, tmp_path / "two.png"], SIZE)
    with pytest.raises(PromptError, match=r"good\.png: object 2 already has a mask file"):
        read_prompt_masks([f"2={good}", good], SIZE)
    with pytest.raises(PromptError, match="object id 0 is out of range"):
        read_prompt_masks([f"0={good}"], SIZE)
    with pytest.raises(SourceError, match=r"none\.png"):
        read_prompt_masks([tmp_path / "none.png"], SIZE)
    with pytest.raises(PromptError, match="no mask file given"):
        read_prompt_masks([], SIZE)
