"""What the layers of an encoder attend to is observed while they run, and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from segue.models.msstsvis import MSSTSVIS, Parts
from segue.models.msstsvis.lite import MSSTSVISLite
from segue.models.msstsvis.network import InterMode, IntraMode
from segue.models.seqformer import SeqFormer, Size
from segue.models.seqformer.observing import EncoderAttention
from tests.fill import fill_plainly

TINY = Size(width=64, hidden=32, encoder_layers=2, decoder_layers=1, heads=4, queries=6, classes=3)


def clip(samples: int = 1) -> Tensor:
    return torch.rand(samples, 3, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def parts(intra: IntraMode, inter: InterMode) -> MSSTSVIS:
    return MSSTSVIS("mobilenet-v2", TINY, Parts(intra, inter, False))


@pytest.mark.parametrize(
    "build",
    [
        lambda: SeqFormer("mobilenet-v2", TINY),
        MSSTSVISLite,
        lambda: parts("position", "sequence"),
        lambda: parts("joint", "channel"),
    ],
)
def test_what_is_observed_sums_to_one_and_changes_no_bit(build: Any) -> None:
    network = fill_plainly(build()).eval()
    seen = EncoderAttention()
    with torch.inference_mode():
        plain, observed = network.encode(clip()), network.encode(clip(), observer=seen)
    assert torch.equal(plain.tokens, observed.tokens)
    assert torch.equal(plain.features, observed.features)
    assert seen.shapes == plain.levels.shapes
    assert seen.places.shape == (*seen.weights.shape, 2)
    ones = torch.ones(())
    torch.testing.assert_close(seen.weights.sum((-1, -2)), ones.expand(seen.weights.shape[:3]))
    assert len(seen.within) == len(seen.between) == (len(seen.shapes) if network.relates_frames else 0)
    for (h, w), within, between in zip(seen.shapes, seen.within, seen.between, strict=False):
        assert within.shape == (1, 3, h * w, 3)
        assert between.shape[:3] == (1, 3, h * w)
        torch.testing.assert_close(within.sum(-1), ones.expand(1, 3, h * w))
        torch.testing.assert_close(between.sum((-1, -2)), ones.expand(1, 3, h * w))
