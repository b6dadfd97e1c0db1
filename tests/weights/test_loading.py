"""Weight files that fit are loaded; all others are refused with what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from segue.errors import CheckpointError
from segue.weights import load_strict, read_checkpoint, write_checkpoint
from segue.weights.loading import Unfilled


def small_network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def written(path: Path, network: nn.Module, **changes: torch.Tensor) -> Path:
    write_checkpoint(path, {**network.state_dict(), **changes}, {})
    return path


def test_everything_that_differs_is_listed_and_the_network_stays_as_it_was(tmp_path: Path) -> None:
    state = small_network().state_dict()
    del state["0.bias"]
    state["extra"] = torch.zeros(3)
    state["2.weight"] = torch.zeros(2, 5, 1, 1)
    write_checkpoint(tmp_path / "a.safetensors", state, {})
    network = small_network()
    before = network.state_dict()["0.weight"].clone()
    with pytest.raises(CheckpointError) as error:
        load_strict(network, tmp_path / "a.safetensors")
    message = str(error.value)
    assert "\n" not in message
    assert "a.safetensors" in message
    assert "1 missing (0.bias)" in message
    assert "1 unexpected (extra)" in message
    assert "2.weight is [2, 5, 1, 1], not [2, 4, 1, 1]" in message
    assert torch.equal(network.state_dict()["0.weight"], before)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path: Path, value: float) -> None:
    bad = torch.zeros(2, 4, 1, 1)
    bad[1, 2] = value
    path = written(tmp_path / "a.safetensors", small_network(), **{"2.weight": bad})
    with pytest.raises(CheckpointError, match=r"a\.safetensors: .*2\.weight"):
        load_strict(small_network(), path)


@pytest.mark.parametrize("keep", [0, 4, 40, -1])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_truncated_file_is_an_error(tmp_path: Path, keep: int, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".pth":
        torch.save(small_network().state_dict(), path)
    else:
        written(path, small_network())
    load_strict(small_network(), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError):
        load_strict(small_network(), path)


@pytest.mark.parametrize(
    "content", [b"hello, this is a text file", b"\xff" * 100, b"\x02" + bytes(7) + b"{}"]
)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_anything_else_is_an_error_with_its_name(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"a\{suffix}: "):
        load_strict(small_network(), path)


def test_files_of_a_later_format_ask_for_an_update(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "a.safetensors", {"x": torch.zeros(1)}, {"segue_format": "2"})
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "a.safetensors")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "a.safetensors", small_network())
    before = path.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("segue.weights.checkpoint.save_file", full_disk)
    with pytest.raises(CheckpointError, match=r"a\.safetensors: .*the disk is full"):
        written(path, small_network())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(lambda s: s != "__metadata__"),
        hnp.arrays(
            np.float32, hnp.array_shapes(min_dims=0, max_dims=4, max_side=4), elements=st.floats(width=32)
        ),
        max_size=4,
    )
)
def test_writing_and_reading_gives_the_same_tensors(
    tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray]
) -> None:
    path = tmp_path_factory.mktemp("round") / "a.safetensors"
    write_checkpoint(path, {name: torch.from_numpy(array) for name, array in arrays.items()}, {"who": "me"})
    found = read_checkpoint(path)
    assert found.metadata["who"] == "me"
    assert found.tensors.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found.tensors[name].numpy(), array)


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


def test_weights_that_a_file_replaces_are_not_drawn_first() -> None:
    with Unfilled():
        layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(3, 4), nn.Embedding(3, 4))
        nn.init.xavier_uniform_(layers.get_parameter("1.weight"))
        nn.init.orthogonal_(layers.get_parameter("0.weight"))
    assert not any(parameter.any() for parameter in layers.parameters())
    assert all(parameter.requires_grad for parameter in layers.parameters())
    assert nn.Linear(3, 4).weight.all()
