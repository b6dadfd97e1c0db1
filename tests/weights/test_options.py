"""Files of trained networks say how the network was built."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from segue.errors import CheckpointError
from segue.models.hofam import HOFAM
from segue.weights import load, write_checkpoint


def written(path: Path, network: HOFAM, options: object) -> Path:
    write_checkpoint(path, network.state_dict(), {"options": json.dumps(options)})
    return path


def test_a_network_is_built_as_its_file_says(tmp_path: Path) -> None:
    torch.manual_seed(0)
    original = HOFAM(2, levels=6, flow_mode="single")
    loaded = load("hofam", written(tmp_path / "a.safetensors", original, original.options))
    assert isinstance(loaded, HOFAM)
    assert loaded.options == original.options
    assert loaded.flow_mode == "single"
    for name, value in original.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([2], "options"),
        ({"gf": [2]}, "options"),
        ({"gf": 10**9}, "gf is"),
        ({"gf": "2"}, "cannot be built"),
        ({"width": 2}, "cannot be built"),
        ({"flow_mode": "no"}, "flow_mode is 'no'"),
    ],
)
def test_options_that_make_no_network_are_refused(tmp_path: Path, options: object, message: str) -> None:
    path = written(tmp_path / "a.safetensors", HOFAM(1, levels=6), options)
    with pytest.raises(CheckpointError, match=rf"a\.safetensors: .*{message}"):
        load("hofam", path)


def test_unpublished_networks_name_their_training() -> None:
    for name, command in (("mustan2", "`segue train"), ("stam", "`segue train hofam --flow-mode single`")):
        with pytest.raises(CheckpointError, match=command):
            load(name)
