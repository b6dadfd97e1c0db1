"""Deformable sampling: the fast form against plain grid sampling, in value and gradient."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from segue.layers.attention import Shapes, sample_levels

SHAPES = ((5, 7), (3, 4), (1, 2))


def case(seed: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """Values, points (some far outside) and weights of 2 frames, 6 queries, 3 heads."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(2, sum(h * w for h, w in SHAPES), 3, 4, generator=generator, dtype=dtype)
    points = torch.randn(2, 6, 3, 3, 4, 2, generator=generator, dtype=dtype) * 4 + 1
    # Kinks of bilinear reading lie on whole numbers, where slopes are a matter of rounding.
    points = points + 0.05 * ((points - points.round()).abs() < 0.01)
    weights = torch.rand(2, 6, 3, 3, 4, generator=generator, dtype=dtype)
    return values, points, weights


def sample_levels_plainly(values: Tensor, shapes: Shapes, points: Tensor, weights: Tensor) -> Tensor:
    """By grid sampling, level after level."""
    batch, queries, heads, _, count = weights.shape
    maps = torch.split(values, [h * w for h, w in shapes], dim=1)
    total = values.new_zeros(batch * heads, values.shape[-1], queries)
    for i, (h, w) in enumerate(shapes):
        level = maps[i].permute(0, 2, 3, 1).reshape(batch * heads, -1, h, w)
        at = points[:, :, :, i].transpose(1, 2).reshape(batch * heads, queries, count, 2)
        grid = (2 * at + 1) / at.new_tensor((w, h)) - 1
        read = F.grid_sample(level, grid, align_corners=False)
        share = weights[:, :, :, i].transpose(1, 2).reshape(batch * heads, 1, queries, count)
        total = total + (read * share).sum(-1)
    return total.view(batch, -1, queries).transpose(1, 2)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_sample_levels_equals_the_plain_form(seed: int) -> None:
    values, points, weights = case(seed)
    fast = sample_levels(values, SHAPES, points, weights)
    plain = sample_levels_plainly(values, SHAPES, points, weights)
    assert torch.allclose(fast, plain, atol=1e-4)


def test_sample_levels_has_the_gradients_of_the_plain_form() -> None:
    gradients = []
    for form in (sample_levels, sample_levels_plainly):
        inputs = [tensor.requires_grad_() for tensor in case(3, torch.float64)]
        read = form(inputs[0], SHAPES, inputs[1], inputs[2])
        gradients.append(torch.autograd.grad(read.sin().sum(), inputs))
    for fast, plain in zip(*gradients, strict=True):
        assert torch.allclose(fast, plain, atol=1e-9)
