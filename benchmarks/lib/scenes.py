"""Made-up images and weights, so that speed can be measured without data or downloads."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt
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
        Images, and the index mask of the first, (H, W), uint8, with ids 1 to ``objects``.
    """
    shown = list(itertools.islice(discs(height, width, objects), frames))
    return [image for image, _ in shown], shown[0][1]


def discs(height: int, width: int, objects: int) -> Iterator[tuple[Image, IndexMask]]:
    """The images of :func:`scene` without end, each with its mask; discs turn round at the borders."""
    draw = np.random.default_rng(0)
    background = _texture(draw, height, width)
    textures = [_texture(draw, height, width) for _ in range(objects)]
    centres = draw.uniform(0.2, 0.8, (objects, 2)) * (height, width)
    speeds = draw.uniform(-4, 4, (objects, 2))
    radius = height / (4 * objects**0.5)
    rows, columns = np.indices((height, width))
    for t in itertools.count():
        image, mask = background.copy(), np.zeros((height, width), np.uint8)
        for k in range(objects):
            y, x = _reflected(centres[k] + t * speeds[k], np.array([height, width]))
            inside = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
            image[inside] = textures[k][inside]
            mask[inside] = k + 1
        yield image, mask


def ellipses(height: int, width: int, objects: int) -> IndexMask:
    """An index mask (H, W) with a grid of ellipses, with ids 1 to ``objects``, at most 255."""
    columns = round((objects * width / height) ** 0.5)
    rows = -(-objects // columns)
    mask = np.zeros((height, width), np.uint8)
    for number in range(objects):
        row, column = divmod(number, columns)
        middle = int((column + 0.5) * width / columns), int((row + 0.5) * height / rows)
        cv2.ellipse(mask, middle, (width // columns // 3, height // rows // 3), 0, 0, 360, number + 1, -1)
    return mask


def _reflected(places: npt.NDArray[Any], size: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Places on axes of a length ``size`` at whose ends what moves turns round."""
    return np.asarray(np.abs((places + size) % (2 * size) - size))


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
            cast(nn.BatchNorm2d, module.bn3).weight.fill_(DAMPING)
        elif isinstance(module, BasicBlock):
            cast(nn.BatchNorm2d, module.bn2).weight.fill_(DAMPING)
    for start, factor in SMALL.items():
        for name, parameter in network.named_parameters():
            if name.startswith(start) and parameter.dim() > 1:
                parameter.mul_(factor)
