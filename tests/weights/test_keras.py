"""Keras files of FgSegNet_v2 by the order of their layers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.errors import CheckpointError
from segue.models.fgsegnet import FgSegNetV2
from segue.weights import load_strict, read_checkpoint

h5py = pytest.importorskip("h5py", reason="the extra keras is not installed")

CONTRACT = json.loads((Path(__file__).parent.parent / "contracts" / "fgsegnet_v2.json").read_text())


def write_h5(path: Path, first: int = 0, *, root: str = "model_weights", **changes: Any) -> Path:
    """A file as the release saves it; numbers of the layers without a name start at ``first``.

    Every value of an array is its rank in the contract; ``changes`` replaces arrays by our name.
    """
    with h5py.File(path, "w") as file:
        group = file.create_group(root) if root else file
        layers: dict[str, list[str]] = {}
        for rank, (name, entry) in enumerate(CONTRACT.items()):
            layer = numbered(entry["layer"], first)
            array = changes.get(name, np.full(entry["stored"], rank, np.float32))
            weight = f"{layer}/{entry['kind']}:0"
            group.require_group(layer).create_dataset(weight, data=array)
            layers.setdefault(layer, []).append(weight)
        group.attrs["layer_names"] = [layer.encode() for layer in (*layers, "input_1")]
        group.create_group("input_1").attrs["weight_names"] = []
        for layer, names in layers.items():
            group[layer].attrs["weight_names"] = [name.encode() for name in names]
        file.create_group("optimizer_weights").create_dataset("iterations", data=3)
    return path


def numbered(layer: str, first: int) -> str:
    """The name of a layer in the model that is built after ``first`` other layers of its kind."""
    if layer.startswith("block"):
        return layer
    kind, _, number = layer.rpartition("_") if layer[-1].isdigit() else (layer, "", "0")
    shifted = int(number) + first
    return f"{kind}_{shifted}" if shifted else kind


@pytest.mark.parametrize("first", [0, 1, 95])
def test_layers_are_found_by_the_order_of_their_numbers(tmp_path: Path, first: int) -> None:
    tensors = read_checkpoint(write_h5(tmp_path / "scene.h5", first)).tensors
    assert tensors.keys() == CONTRACT.keys()
    for rank, name in enumerate(CONTRACT):
        assert (tensors[name] == rank).all(), name
    network = load_strict(FgSegNetV2(), tmp_path / "scene.h5")
    assert not network.training


def test_files_of_other_models_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(write_h5(path), "a") as file:
        file["model_weights"].attrs["layer_names"] = [b"block1_conv1"]
    with pytest.raises(CheckpointError, match="0 layers conv2d; FgSegNet_v2 has 10"):
        read_checkpoint(path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(CheckpointError, match=r"a\.h5: damaged"):
        read_checkpoint(path)
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(CheckpointError, match=r"a\.h5: damaged or no weights of Keras"):
        read_checkpoint(path)


def test_nothing_is_read_from_other_files(tmp_path: Path) -> None:
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["secret"] = np.zeros(1, np.float32)
    path = write_h5(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        group = file["model_weights"]["conv2d"]["conv2d"]
        del group["bias:0"]
        group["bias:0"] = h5py.ExternalLink(str(other), "secret")
    with pytest.raises(CheckpointError, match="nothing that FgSegNet_v2 has"):
        read_checkpoint(path)


def test_without_h5py_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_h5(tmp_path / "a.h5")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(CheckpointError, match=r"need h5py: pip install .*\[keras\]"):
        read_checkpoint(path)
