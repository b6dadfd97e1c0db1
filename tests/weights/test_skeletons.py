"""What a weight file says of its network is known without its weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from segue.errors import CheckpointError
from segue.registry import MODELS, Entry
from segue.weights import load_for, loading, write_checkpoint
from segue.weights.checkpoint import read_checkpoint
from segue.weights.loading import skeleton_for


class Named(nn.Module):
    """Notes where it was built; its classes are an option of its files."""

    built: list[str] = []  # noqa: RUF012 - what is asked of all of them

    def __init__(self, classes: str = "", width: int = 3) -> None:
        super().__init__()
        self.named = nn.Linear(width, 2)
        self.class_names = {1: classes}
        self.tracker = self.schedule = None
        Named.built.append(str(self.named.weight.device))


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Entry]:
    """Registers a network for this test."""

    def register(build: Any) -> Entry:
        made = Entry(name="named", task="instances", build=build, signature="named.weight")
        monkeypatch.setitem(MODELS._known, "named", made)
        Named.built.clear()
        return made

    return register


def written(path: Path, network: nn.Module, **options: object) -> Path:
    write_checkpoint(path, network.state_dict(), {"options": json.dumps(options)})
    return path


def test_the_options_of_a_file_are_known_and_no_weight_is_read(
    entry: Callable[[Any], Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "w.safetensors", Named(), classes="cat")
    entry(Named)
    monkeypatch.setattr(loading, "load", lambda *_: pytest.fail("the network was loaded"))
    monkeypatch.setattr(nn.Module, "load_state_dict", lambda *_: pytest.fail("weights were copied"))
    skeleton = skeleton_for("instances", "named", path)
    assert skeleton.class_names == {1: "cat"}
    assert Named.built == ["meta"]
    assert all(tensor.is_meta for tensor in skeleton.state_dict().values())
    assert not skeleton.training


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda folder: folder / "none.safetensors", "no such file"),
        (lambda folder: written(folder / "w.safetensors", nn.Linear(3, 2)), "weights of another network"),
        (lambda folder: written(folder / "w.safetensors", Named(width=4)), r"named.weight is \[2, 4\]"),
        (lambda folder: written(folder / "w.safetensors", Named(), depth=3), "cannot be built as this file"),
        (lambda folder: folder / "damaged.safetensors", "damaged or not a safetensors file"),
        (lambda folder: folder / "damaged.pth", "not a plain file of weights: either damaged"),
    ],
    ids=["missing", "foreign", "layout", "options", "damaged", "damaged of PyTorch"],
)
def test_errors_are_those_of_loading(
    made: Callable[[Path], Path], message: str, entry: Callable[[Any], Entry], tmp_path: Path
) -> None:
    for name in ("damaged.safetensors", "damaged.pth"):
        (tmp_path / name).write_bytes(b"no weights at all")
    path = made(tmp_path)
    entry(Named)
    said = []
    for ask in (skeleton_for, load_for):
        with pytest.raises(CheckpointError, match=message) as error:
            ask("instances", "named", path)
        said.append(str(error.value))
    assert said[0] == said[1]


def test_a_network_of_another_task_is_refused() -> None:
    with pytest.raises(CheckpointError, match="stcn-lite is made to follow objects"):
        skeleton_for("instances", "stcn-lite")


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_shapes_and_names_are_read_without_values(name: str, tmp_path: Path) -> None:
    state = {"a": torch.ones(3, 4, dtype=torch.float16), "b": torch.zeros(2, dtype=torch.int64)}
    if name == "w.pth":
        torch.save({"model": state}, tmp_path / name)
    else:
        write_checkpoint(tmp_path / name, state, {"network": "x"})
    found = read_checkpoint(tmp_path / name, "meta")
    whole = read_checkpoint(tmp_path / name)
    assert found.metadata == whole.metadata
    assert {key: (each.shape, each.dtype) for key, each in found.tensors.items()} == {
        key: (each.shape, each.dtype) for key, each in state.items()
    }
    assert all(each.is_meta for each in found.tensors.values())
    assert all(torch.equal(each, state[key]) for key, each in whole.tensors.items())
