"""What the layers of an encoder attend to is observed while they run, and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from segue.models.msstsvis import MSSTSVIS, Parts
from segue.models.msstsvis.lite import MSSTSVISLite
from segue.models.msstsvis.network import InterMode, IntraMode, SplitAttention
from segue.models.seqformer import SeqFormer, Size
from segue.models.seqformer.encoder import Levels
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


def telling(frames: int, shapes: tuple[tuple[int, int], ...]) -> Tensor:
    """Tokens (1, T, S, 16) whose first channels are 1 in those of their own frame, and else chance."""
    tokens = torch.rand(
        1, frames, sum(h * w for h, w in shapes), 16, generator=torch.Generator().manual_seed(1)
    )
    tokens[..., :frames] = torch.eye(frames)[:, None]
    return tokens


def untouched(*layers: nn.Module) -> None:
    """Linear layers that give what they are given."""
    for layer in layers:
        assert isinstance(layer, nn.Linear)
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)


def test_frames_count_between_scales_as_they_are_read() -> None:
    shapes = ((4, 4), (2, 2))
    attention = SplitAttention(16, heads=1, dropout=0.0, intra_mode="none")
    attention.inter_norm = nn.Identity()  # type: ignore[assignment]
    untouched(attention.inter_own, attention.inter_partner, attention.inter_attn.v, attention.inter_attn.proj)
    with torch.no_grad():  # the neighbour names its frames three channels later
        attention.inter_partner.weight.copy_(torch.eye(16).roll(3, 0))
        attention.inter_own.weight[3:6] = 0
        attention.inter_partner.weight[:3] = 0
    read: list[Tensor] = []
    attention.inter_attn.register_forward_hook(lambda _, __, output: read.append(output))
    seen = EncoderAttention()
    attention(telling(3, shapes), Levels(shapes, None, torch.ones(3, 2, 2)), seen)
    for output, between in zip(read, seen.between, strict=True):
        torch.testing.assert_close(between[0].flatten(2), output.transpose(0, 1)[..., :6])
        assert float(between.std()) > 0.001


def test_maps_are_drawn_of_the_tokens_that_count() -> None:
    shapes = ((2, 3), (1, 1))  # seven tokens, one head, one point a scale
    places = torch.zeros(2, 7, 1, 2, 1, 2)
    weights = torch.full((2, 7, 1, 2, 1), 0.5)
    places[1, 4, 0, 0, 0] = torch.tensor([1.0, 1.0])
    places[1, 6, 0, 0, 0] = torch.tensor([1.5, 0.0])
    weights[1, 6] = torch.tensor([0.8, 0.2])[None, :, None]
    seen = EncoderAttention(shapes=shapes, places=places, weights=weights)
    tokens = torch.zeros(7)
    tokens[4], tokens[6] = 1, 3
    fine, coarse = seen.spatial_maps(1, tokens)
    torch.testing.assert_close(fine, torch.tensor([[0.0, 0.3, 0.3], [0.0, 0.125, 0.0]]))
    torch.testing.assert_close(coarse, torch.tensor([[0.275]]))
    assert float(sum(plane.sum() for plane in seen.spatial_maps(0))) == pytest.approx(1)
