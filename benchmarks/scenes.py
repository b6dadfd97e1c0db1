"""Made-up pictures and weights, so that speed can be measured without data or downloads."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import nn

from segue.layers.resnet import BasicBlock, Bottleneck
from segue.types import Image, IndexMask

DAMPING = 0.25
"""Factor of the last norm of a residual branch."""

SMALL = {
    "key_proj": 0.125,
    "key_comp": 0.25,
    "decoder.pred": 0.1,
    "KV_M_r4.Key": 0.1,
    "KV_Q_r4": 0.1,
    "Decoder.pred2": 0.1,
}
"""Factors of further layers, by the start of their names: they keep affinities and probabilities soft."""


def scene(height: int, width: int, objects: int, frames: int) -> tuple[list[Image], IndexMask]:
    """Textured discs that drift over a textured background.

    Returns:
        Pictures, and the index mask of the first, (H, W), uint8, with ids 1 to ``objects``.
    """
    draw = np.random.default_rng(0)
    background = _texture(draw, height, width)
    discs = [_texture(draw, height, width) for _ in range(objects)]
    centres = draw.uniform(0.2, 0.8, (objects, 2)) * (height, width)
    speeds = draw.uniform(-4, 4, (objects, 2))
    radius = height / (4 * objects**0.5)
    rows, columns = np.indices((height, width))
    pictures, first = [], np.zeros((height, width), np.uint8)
    for t in range(frames):
        picture = background.copy()
        for k in range(objects):
            y, x = centres[k] + t * speeds[k]
            inside = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
            picture[inside] = discs[k][inside]
            if t == 0:
                first[inside] = k + 1
        pictures.append(picture)
    return pictures, first


def _texture(draw: np.random.Generator, height: int, width: int) -> Image:
    """Blotches of random colours with grain, (H, W, 3)."""
    coarse = draw.integers(0, 256, (height // 24, width // 24, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(smooth + draw.normal(0, 12, smooth.shape), 0, 255), np.uint8)


@torch.no_grad()
def randomise(network: nn.Module, seed: int = 0) -> None:
    """Random weights under which activations neither vanish nor grow.

    Convolutions after He et al. (2015), biases zero; residual branches that end in a norm are damped.
    """
    torch.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, Bottleneck):
            nn.init.constant_(module.bn3.weight, DAMPING)
        elif isinstance(module, BasicBlock):
            nn.init.constant_(module.bn2.weight, DAMPING)
    for start, factor in SMALL.items():
        for name, parameter in network.named_parameters():
            if name.startswith(start) and parameter.dim() > 1:
                parameter.mul_(factor)
