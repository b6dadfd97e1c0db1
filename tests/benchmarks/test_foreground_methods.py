"""What the benchmarks of foreground take a name for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.lib.foreground_methods import clocked
from segue.errors import CheckpointError
from segue.models.mustan_lite import MustanLite
from segue.weights import write_checkpoint


def test_a_name_with_a_file_is_the_network_of_that_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    write_checkpoint(tmp_path / "own.safetensors", MustanLite().state_dict(), {})
    assert clocked(f"mustan-lite={tmp_path / 'own.safetensors'}", "cpu").seconds == 0
    with pytest.raises(CheckpointError):
        clocked(f"mustan2={tmp_path / 'own.safetensors'}", "cpu")
