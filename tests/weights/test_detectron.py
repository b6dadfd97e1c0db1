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


def test_older_names_of_numpys_functions_are_known(tmp_path: Path) -> None:
    content = pickle.dumps({"model": ARRAYS}, 2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    (tmp_path / "a.pkl").write_bytes(content)
    assert np.array_equal(read_checkpoint(tmp_path / "a.pkl").tensors["weight"].numpy(), ARRAYS["weight"])


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
    "name", [b"cnumpy\nload\n", b"cbuiltins\neval\n", b"cnumpy._core.multiarray\nset_x\n"]
)
def test_other_functions_are_unknown_even_of_numpy(tmp_path: Path, name: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02" + name + b".")
    with pytest.raises(CheckpointError, match="could run foreign code"):
        read_checkpoint(tmp_path / "a.pkl")


def test_stand_ins_cannot_be_changed_by_a_file(tmp_path: Path) -> None:
    for name in (b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"c_codecs\nencode\n"):
        # An object's state set on the class itself: a dictionary, and slots beside it.
        for state in (b"}X\x01\x00\x00\x00xK\x01s", b"N}X\x01\x00\x00\x00xK\x01s\x86"):
            (tmp_path / "a.pkl").write_bytes(b"\x80\x02" + name + state + b"b.")
            with pytest.raises(CheckpointError, match=r"a\.pkl: damaged"):
                read_checkpoint(tmp_path / "a.pkl")
    test_arrays_come_back_as_they_were(tmp_path, 2)


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
    with pytest.raises(CheckpointError, match=r"a\.pkl: damaged or no weights of Detectron 2"):
        read_checkpoint(stored(tmp_path / "a.pkl", content))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    whole = pickle.dumps({"model": ARRAYS}, 4)
    for end in (0, 1, 20, len(whole) // 2, len(whole) - 1):
        (tmp_path / "a.pkl").write_bytes(whole[:end])
        with pytest.raises(CheckpointError, match=r"a\.pkl: "):
            read_checkpoint(tmp_path / "a.pkl")
