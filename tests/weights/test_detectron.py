"""Pickles of Detectron 2 are read as arrays; whatever else they hold is refused and not run."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.errors import CheckpointError
from segue.weights import read_checkpoint

ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "by_column": np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
    "big_end_first": np.arange(3, dtype=">f4"),
    "counter": np.array(7, np.int64),
    "half": np.ones((2, 2), np.float16),
}


def stored(path: Path, content: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_come_back_as_they_were(tmp_path: Path, protocol: int) -> None:
    content = {"model": OrderedDict(ARRAYS), "__author__": "somebody", "step": np.int64(3)}
    found = read_checkpoint(stored(tmp_path / "a.pkl", content, protocol)).tensors
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert np.array_equal(found[name].numpy(), array)


class Evil:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_a_hostile_file_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    for content in ({"model": {"weight": Evil(tmp_path / "was_here")}}, Evil(tmp_path / "was_here")):
        with pytest.raises(CheckpointError, match=r"a\.pkl: holds more than arrays.*mkdir"):
            read_checkpoint(stored(tmp_path / "a.pkl", content))
    assert not (tmp_path / "was_here").exists()


@pytest.mark.parametrize(
    "content",
    [
        {"model": {"weight": [1, 2]}},
        {"model": {"weight": np.array(["text"])}},
        {"model": {"weight": np.array([{}], dtype=object)}},
        {"weight": np.zeros(2)},
        [np.zeros(2)],
        {"model": dict.fromkeys("abcdefgh", np.zeros(1000))},
    ],
)
def test_anything_but_arrays_of_numbers_by_name_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(CheckpointError, match=r"a\.pkl: "):
        read_checkpoint(stored(tmp_path / "a.pkl", content))
