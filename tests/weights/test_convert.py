"""Official files become safetensors by name, without unpickling anything."""

from __future__ import annotations

import json
import os
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from segue.errors import CheckpointError
from segue.registry import MODELS, Entry
from segue.utils.inputs import sha256
from segue.weights import convert, load, loading, read_checkpoint

CONTRACTS = Path(__file__).parent.parent / "contracts"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose big files are gone after the test."""
    yield tmp_path
    for path in tmp_path.iterdir():
        path.unlink()


def official(name: str) -> dict[str, Tensor]:
    """A state dict in the layout of the release; every value of a tensor is the tensor's rank in the file."""
    contract: dict[str, list[int]] = json.loads((CONTRACTS / f"{name}.json").read_text())
    state = {}
    for i, (key, shape) in enumerate(contract.items()):
        kind = torch.int64 if key.endswith("num_batches_tracked") else torch.float32
        state[key] = torch.full((1,), i, dtype=kind).expand(shape) if shape else torch.tensor(i, dtype=kind)
    return state


def test_stm_loses_the_prefix_and_may_lack_counters(folder: Path) -> None:
    state = {key: value for key, value in official("stm").items() if not key.endswith("num_batches_tracked")}
    torch.save(state, folder / "STM_weights.pth")
    entry = convert(folder / "STM_weights.pth", folder / "stm.safetensors")
    assert entry.name == "stm"
    converted = read_checkpoint(folder / "stm.safetensors")
    assert converted.metadata["network"] == "stm"
    assert converted.metadata["source_sha256"] == sha256(folder / "STM_weights.pth")
    loaded = load("stm", folder / "stm.safetensors").state_dict()
    for key, value in state.items():
        assert torch.equal(loaded[key.removeprefix("module.")], value)


@pytest.mark.parametrize("prefix", ["", "model.", "module.model.", "net."])
def test_checkpoints_of_lightning_and_mmlab_are_read(tmp_path: Path, prefix: str) -> None:
    state = {"conv.weight": torch.ones(2, 3), "conv.bias": torch.zeros(2)}
    around = {"epoch": 3, "meta": {"time": "now"}, "hyper_parameters": {"lr": 0.1}, "optimizer_states": []}
    torch.save({**around, "state_dict": {prefix + name: x for name, x in state.items()}}, tmp_path / "a.ckpt")
    found = read_checkpoint(tmp_path / "a.ckpt").tensors
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], value) for name, value in state.items())


def test_a_file_that_needs_unpickling_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "was_here"),)

    for path, save in ((tmp_path / "a.pth", torch.save), (tmp_path / "b.pth", dump)):
        save({"value_encoder.conv1.weight": Evil()}, path)
        with pytest.raises(CheckpointError, match=rf"{path.name}: .*unpickling"):
            convert(path, tmp_path / "out.safetensors")
    assert not (tmp_path / "was_here").exists()
    assert not (tmp_path / "out.safetensors").exists()


def dump(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))


@pytest.mark.parametrize(
    ("content", "named"),
    [
        *(
            (each, "state dict")
            for each in ([torch.zeros(1)], {}, {"a": 1}, {1: torch.zeros(1)}, torch.zeros(2))
        ),
        pytest.param({"backbone.stem": torch.zeros(1)}, r"stcn, stm.*backbone\.stem", id="foreign network"),
        pytest.param(
            {key: value for key, value in official("stcn").items() if key != "decoder.pred.bias"},
            r"1 missing \(decoder\.pred\.bias\)",
            id="a tensor missing",
        ),
    ],
)
def test_incomplete_networks_are_refused_before_anything_is_written(
    folder: Path, content: object, named: str
) -> None:
    torch.save(content, folder / "a.pth")
    with pytest.raises(CheckpointError, match=rf"a\.pth: .*{named}"):
        convert(folder / "a.pth", folder / "out.safetensors")
    assert list(folder.iterdir()) == [folder / "a.pth"]


def test_files_of_one_network_do_not_load_into_another(folder: Path) -> None:
    torch.save(official("stm"), folder / "stm.pth")
    with pytest.raises(CheckpointError, match="stm, not of stcn"):
        load("stcn", folder / "stm.pth")


def test_two_installations_of_files_of_one_name_do_not_disturb_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two downloads are often both called model.pth; both are converted in the cache folder."""
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "cache"))
    entries = {"a": MODELS.find("stcn"), "b": MODELS.find("stm")}
    first_is_writing, second_may_begin = threading.Event(), threading.Event()

    def slow(source: Path, target: Path) -> Entry:
        target.write_text(source.parent.name)
        if source.parent.name == "a":
            first_is_writing.set()
            second_may_begin.wait(0.2)
        return entries[source.parent.name]

    monkeypatch.setattr(loading, "convert", slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(loading.install, tmp_path / "a" / "model.pth")
        first_is_writing.wait()
        second = pool.submit(loading.install, tmp_path / "b" / "model.pth")
        second.add_done_callback(lambda _: second_may_begin.set())
        assert first.result()[0].read_text() == "a"
        assert second.result()[0].read_text() == "b"
