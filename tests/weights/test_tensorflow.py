"""Variables of the releases of HOFAM and FgSegNet_v2 under our names."""

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
from segue.models.fgsegnet import FgSegNetV2
from segue.models.hofam import HOFAM
from segue.weights import convert, load_strict, read_checkpoint

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


CREATED = {
    "conv2d": [
        *("fpm.pool_proj", "fpm.d1", "fpm.d4", "fpm.d8", "fpm.d16"),
        *("decoder.skip_b", "decoder.conv1", "decoder.conv2", "decoder.conv3", "decoder.head"),
    ],
    "instance_normalization": ["fpm.norm", "decoder.norm1", "decoder.norm2", "decoder.norm3"],
}
"""Layers without a name, in the order in which the release's code creates them."""


def keras_model(network: FgSegNetV2, created: int) -> Arrays:
    """Variables of a Keras model, where so many networks were created before."""
    layers = {
        layer: f"{kind}_{created * len(names) + place}"
        for kind, names in CREATED.items()
        for place, layer in enumerate(names, start=1)
    }
    arrays = {}
    for name, tensor in network.state_dict().items():
        layer, leaf = name.rsplit(".", 1)
        theirs = layers.get(layer, layer.removeprefix("backbone."))
        is_norm = theirs.startswith("instance")
        leaf = {"weight": "gamma" if is_norm else "kernel", "bias": "beta" if is_norm else "bias"}[leaf]
        array = tensor.numpy()
        arrays[f"{theirs}/{theirs}/{leaf}:0"] = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
    return arrays


@pytest.mark.parametrize("created", [0, 1])
def test_a_keras_model_fills_fgsegnet(tmp_path: Path, created: int) -> None:
    torch.manual_seed(0)
    source = FgSegNetV2()
    for place, parameter in enumerate(source.parameters()):
        torch.nn.init.constant_(parameter, place)
    path = save(tmp_path / "highway.npz", keras_model(source, created))
    entry = convert(path, tmp_path / "highway.safetensors")
    assert entry.name == "fgsegnet"
    loaded = load_strict(FgSegNetV2(), tmp_path / "highway.safetensors").state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in source.state_dict().items())


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
