"""The plain form that segue's video instance segmentation is measured against computes the same."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from segue.layers.running import inference_copy
from segue.models.msstsvis import MSSTSVIS
from segue.models.seqformer import SeqFormer, Size

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

import instances
from instances import Differences

TINY = Size(width=64, hidden=32, encoder_layers=1, decoder_layers=2, heads=4, queries=30, classes=6)


@pytest.mark.parametrize("kind", [SeqFormer, MSSTSVIS])
def test_both_forms_give_every_query_the_same(kind: type[SeqFormer]) -> None:
    torch.manual_seed(0)
    network = kind("mobilenet-v2", TINY).eval().requires_grad_(False)
    ours = inference_copy(network, torch.device("cpu"), torch.float32)
    clip = torch.rand(1, 3, 3, 48, 80)
    with torch.inference_mode():
        plain, segue = instances.plain(network, clip), instances.segue(ours, clip)
    assert plain.queries.tolist() == list(range(30))
    assert 0 < len(segue.queries) <= instances.TOP
    apart = Differences.between(plain, segue)
    assert apart.logits < 1e-4
    assert apart.boxes < 1e-4
    assert apart.masks < 1e-4
    assert apart.pixels > 0.999
