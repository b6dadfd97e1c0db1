"""Networks are prepared once, and shared by the sessions that use them."""

from __future__ import annotations

import gc
import json
import os
import pickle
import shutil
import weakref
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import segue
from segue.errors import ArgumentError
from segue.registry import MODELS, Entry
from segue.weights import Prepared, convert, keep_networks, load, prepare, write_checkpoint
from segue.weights.download import own_file
from segue.weights.identity import network_digest
from segue.weights.loading import weights_identity


def weights_of(session: segue.TrackSession) -> set[int]:
    """Where the weights of the network of a session are in memory."""
    network: nn.Module = session.prepared.network  # type: ignore[assignment]
    return {tensor.data_ptr() for tensor in network.state_dict().values()}


def test_ten_sessions_of_a_name_hold_one_copy_of_the_weights() -> None:
    sessions = [segue.TrackSession("stcn-lite", device="cpu") for _ in range(10)]
    assert all(weights_of(session) == weights_of(sessions[0]) for session in sessions)
    assert len({id(session.prepared) for session in sessions}) == 1


def test_weights_that_are_read_for_a_session_are_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copy(own_file(MODELS.find("stcn-lite")), tmp_path / "stcn-lite.safetensors"))
    monkeypatch.setattr(nn.Module, "__deepcopy__", refuse_copy, raising=False)
    prepared: Prepared[nn.Module] = prepare("stcn-lite", path, device="cpu")
    assert prepared.digest == network_digest(load("stcn-lite"))


@pytest.mark.parametrize("fast", [False, True])
def test_a_network_that_is_read_in_inference_mode_computes_outside_of_it(fast: bool, tmp_path: Path) -> None:
    path = Path(shutil.copy(own_file(MODELS.find("segue-prompt")), tmp_path / "segue-prompt.safetensors"))
    with torch.inference_mode():  # as in a step of a session with a prompter
        prepared: Prepared[nn.Module] = prepare("segue-prompt", path, device="cpu", fast=fast)
    assert not any(tensor.is_inference() for tensor in prepared.network.state_dict().values())


def refuse_copy(module: nn.Module, memo: object) -> nn.Module:
    """Fail where a module is copied."""
    pytest.fail(f"a {type(module).__name__} is copied")


def test_a_network_that_a_plugin_holds_is_left_as_it_is() -> None:
    network = load("stcn-lite")
    before = network_digest(network)
    MODELS.register(Entry("held", "track", lambda: network))
    try:
        for fast in (False, True):
            assert prepare("held", fast=fast, device="cpu").network is not network
    finally:
        MODELS.unregister("held")
    assert network_digest(network) == before


def test_sessions_of_one_network_of_the_caller_share_a_copy_until_it_is_trained_further() -> None:
    network = load("stcn-lite")
    first, second = (segue.TrackSession(network, device="cpu") for _ in range(2))
    assert first.prepared is second.prepared
    with torch.no_grad():
        next(network.parameters()).mul_(1.5)
    assert segue.TrackSession(network, device="cpu").prepared is not first.prepared


def test_a_network_whose_attribute_was_set_anew_is_prepared_again() -> None:
    network = load("mustan-lite")
    before = prepare(network, device="cpu")
    network.threshold = 0.9
    after: Prepared[nn.Module] = prepare(network, device="cpu")
    assert after is not before
    assert after.network.threshold == 0.9


def test_a_loaded_network_with_a_device_serves_every_session() -> None:
    shared = segue.load("stcn-lite", device="cpu")
    assert type(shared) is type(segue.load("stcn-lite"))
    first, second = segue.TrackSession(shared), segue.TrackSession(shared)
    assert first.prepared is second.prepared is segue.TrackSession("stcn-lite", device="cpu").prepared
    assert first.prepared.name == "stcn-lite"
    changed = segue.load("mustan-lite", device="cpu")
    changed.threshold = 0.9
    assert prepare(changed).network.threshold == 0.9
    with pytest.raises(ArgumentError):
        segue.TrackSession(first.prepared, device="meta")


def test_a_network_with_a_device_is_a_module_like_one_without() -> None:
    plain, placed = load("stcn-lite"), load("stcn-lite", device="cpu")
    assert placed.state_dict().keys() == plain.state_dict().keys()
    assert next(placed.to("cpu").parameters()).requires_grad
    with torch.no_grad():
        next(placed.parameters()).mul_(1.5)
    session = segue.TrackSession(placed)
    assert session.prepared.digest == network_digest(placed)
    assert session.prepared.name is None, "it is not that network any more"


def test_sessions_run_a_network_where_and_how_it_was_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segue.weights.prepared.choose_device", lambda device: torch.device(device or "meta"))
    assert segue.TrackSession(load("stcn-lite", device="cpu")).device.type == "cpu"
    placed = pickle.loads(pickle.dumps(load("stcn-lite", device="cpu")))
    assert segue.TrackSession(placed).device.type == "cpu", "a copy is where it was"
    fast = load("segue-prompt", device="cpu", fast=True)
    assert prepare(fast) is prepare("segue-prompt", device="cpu", fast=True)
    assert prepare(fast) is not prepare("segue-prompt", device="cpu")


@pytest.mark.slow
@pytest.mark.parametrize("device", [None, "cpu"])
def test_a_compiled_network_gives_the_masks_of_a_plain_one(
    device: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not any(map(shutil.which, (os.environ.get("CXX", "g++"), "c++", "clang++"))):
        pytest.skip("torch.compile needs a C++ compiler")
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    network = load("stcn-lite", device=device)
    images = np.random.default_rng(0).integers(0, 255, (3, 48, 64, 3), dtype=np.uint8)
    mask = np.zeros((48, 64), np.uint8)
    mask[8:24, 8:24] = 1
    module: Any = torch.compile(network)
    plain, compiled = segue.TrackSession(network), segue.TrackSession(module)
    for image in images:
        prompts = None if plain.ids else mask
        expected, result = plain.step(image, prompts), compiled.step(image, prompts)
        assert np.abs(expected.probabilities - result.probabilities).max() < 1e-4
    assert compiled.prepared is not plain.prepared


def test_shared_networks_give_the_masks_of_sessions_one_after_the_other() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (4, 48, 64, 3), dtype=np.uint8)
    mask = np.zeros((48, 64), np.uint8)
    mask[8:24, 8:24] = 1
    prompts = [mask, None, None, None]

    def alone() -> list[bytes]:
        session = segue.TrackSession("stcn-lite", device="cpu")
        return [session.step(*each).probabilities.tobytes() for each in zip(images, prompts, strict=True)]

    expected = alone()
    sessions = [segue.TrackSession("stcn-lite", device="cpu") for _ in range(2)]
    turns = [
        [session.step(*each).probabilities.tobytes() for session in sessions]
        for each in zip(images, prompts, strict=True)
    ]
    assert all([turn[k] for turn in turns] == expected for k in range(2))


def test_another_weight_file_under_the_same_name_is_read(tmp_path: object) -> None:
    file = f"{tmp_path}/weights.safetensors"
    state = load("stcn-lite").state_dict()
    write_checkpoint(file, state, {"network": "stcn-lite"})
    before: Prepared[nn.Module] = prepare("stcn-lite", file, device="cpu")
    assert prepare("stcn-lite", file, device="cpu") is before
    write_checkpoint(file, {name: value * 2 for name, value in state.items()}, {"network": "stcn-lite"})
    assert prepare("stcn-lite", file, device="cpu").digest != before.digest


def test_another_weight_file_is_read_where_networks_are_kept(tmp_path: Path) -> None:
    file, state = tmp_path / "weights.safetensors", load("stcn-lite").state_dict()
    write_checkpoint(file, state, {"network": "stcn-lite"})
    with keep_networks({}):
        before = load("stcn-lite", file)
        assert load("stcn-lite", file) is before
        write_checkpoint(file, {name: value * 2 for name, value in state.items()}, {"network": "stcn-lite"})
        assert load("stcn-lite", file) is not before


def test_weights_in_several_files_are_known_by_all_of_them(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "sam2_video"}))
    parts = [tmp_path / f"model-{part:05d}-of-00002.safetensors" for part in (1, 2)]
    for part in parts:
        part.write_bytes(b"weights")
    before = weights_identity(f"hf:{tmp_path}", None)
    assert weights_identity(f"hf:{tmp_path}", None) == before
    parts[1].write_bytes(b"other weights")
    assert weights_identity(f"hf:{tmp_path}", None) != before


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(entry.name, marks=[pytest.mark.slow] if entry.name == "msstsvis-lite" else [])
        for entry in MODELS
        if entry.bundled is not None
    ],
)
def test_networks_take_no_random_numbers_of_the_program(name: str, tmp_path: Path) -> None:
    entry, before = MODELS.find(name), torch.get_rng_state()
    for fast in (False, True):
        prepare(load(name), device="cpu", fast=fast)
    convert(own_file(entry), tmp_path / "converted.safetensors")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_large_network_leaves_the_memory_with_its_last_session_unless_it_is_kept() -> None:
    class Large(nn.Linear):
        """More bytes than stay in memory for later."""

    def prepared() -> weakref.ref[Prepared[nn.Module]]:
        return weakref.ref(prepare(Large(2100, 2100), device="cpu"))

    reference = prepared()
    gc.collect()
    assert reference() is None
    kept: dict[object, object] = {}
    with keep_networks(kept):
        reference = prepared()
    gc.collect()
    assert reference() is not None
    kept.clear()
    gc.collect()
    assert reference() is None


def test_a_prompter_for_each_image_reads_its_weights_once(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    segue.Prompter(image, device="cpu")
    monkeypatch.setattr("segue.weights.prepared.read_network", None)  # nothing is read again
    segue.Prompter(image, device="cpu")


@pytest.mark.parametrize(
    ("name", "named"),
    [("mog2", "mog2"), ("stcnlite", r"did you mean stcn-lite\?")],
    ids=["no weights", "typo"],
)
def test_only_networks_can_be_prepared(name: str, named: str) -> None:
    with pytest.raises(segue.SegueError, match=named):
        segue.load(name, device="cpu")
