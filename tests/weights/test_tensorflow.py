"""Variables of HOFAM's release under our names."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segue.errors import CheckpointError
from segue.models.hofam import HOFAM
from segue.weights import load_strict, read_checkpoint

CONTRACT = json.loads((Path(__file__).parent.parent / "contracts" / "hofam.json").read_text())

Arrays = dict[str, np.ndarray[Any, Any]]


def exported(network: HOFAM) -> Arrays:
    """Variables as TensorFlow gives them."""
    arrays = {}
    for name, tensor in network.state_dict().items():
        array = tensor.numpy()
        arrays[CONTRACT[name]["variable"]] = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
    return arrays


def save(path: Path, arrays: Arrays) -> Path:
    np.savez(path, **arrays)
    return path


def test_a_file_of_variables_fills_the_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = HOFAM(2)
    arrays = exported(source)
    some = "generator/g_e2_conv/w"
    arrays |= {f"{some}/Adam": arrays[some], f"{some}/Adam_1": arrays[some], "beta1_power": np.float32(0.5)}
    path = save(tmp_path / "hofam.npz", {**arrays, "global_step": np.array(16000)})
    loaded = load_strict(HOFAM(2), path).state_dict()
    for name, tensor in source.state_dict().items():
        assert torch.equal(loaded[name], tensor), name


def test_unknown_variables_are_named(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", {**exported(HOFAM(1)), "generator/g_e9_conv/w": np.zeros(3, np.float32)})
    with pytest.raises(CheckpointError, match=r"1 unexpected \(generator/g_e9_conv/w\)"):
        load_strict(HOFAM(1), path)


def member(content: bytes, name: str = "a.npy") -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(name, content)
    return archive.getvalue()


def header(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue()


def pickled() -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.array([{"a": 1}], object))
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense",
        member(b"nonsense"),
        member(header((1 << 40,))),
        member(header((4,)) + bytes(8)),
        member(pickled()),
        member(pickle.dumps({"a": 1}), "a.pkl"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a\.npz: "):
        read_checkpoint(tmp_path / "a.npz")


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.npz", {"x": np.zeros(300, np.float32)})
    assert read_checkpoint(path).tensors
    monkeypatch.setattr("segue.weights.tensorflow.MAX_TOTAL_BYTES", 1000)
    with pytest.raises(CheckpointError):
        read_checkpoint(path)
