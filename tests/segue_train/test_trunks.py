"""A classifier in torchvision's layout becomes a trunk, with its norms and its scaling folded in."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.layers.colours import normalise_planes
from segue.layers.mobilenet import InvertedResidual, MobileNetV2Trunk
from segue.weights import write_checkpoint
from segue_train.trunks import load_mobilenet


def classifier(trunk: MobileNetV2Trunk) -> dict[str, Tensor]:
    """Random convolutions and norms of the shapes of a trunk, under torchvision's names."""
    layers = [("features.0.0", "features.0.1", trunk.stem)]
    for i, block in enumerate(trunk.blocks, start=1):
        assert isinstance(block, InvertedResidual)
        prefix = f"features.{i}.conv"
        inner = [conv for conv in (block.expand, block.depthwise) if conv is not None]
        layers += [(f"{prefix}.{k}.0", f"{prefix}.{k}.1", conv) for k, conv in enumerate(inner)]
        layers.append((f"{prefix}.{len(inner)}", f"{prefix}.{len(inner) + 1}", block.project))
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, norm, conv in layers:
        state[f"{name}.weight"] = torch.randn(conv.weight.shape, generator=generator) / 8
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            state[f"{norm}.{leaf}"] = torch.rand(conv.out_channels, generator=generator) + 0.1
    return state


@pytest.mark.parametrize("scaling", ["unit", "imagenet"])
@torch.inference_mode()
def test_a_trunk_sees_what_the_classifier_saw(tmp_path: Path, scaling: Literal["unit", "imagenet"]) -> None:
    trunk = MobileNetV2Trunk().eval()
    state = classifier(trunk)
    write_checkpoint(tmp_path / "classifier.safetensors", state, {})
    load_mobilenet(trunk, tmp_path / "classifier.safetensors", scaling)
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    seen = normalise_planes(image) if scaling == "imagenet" else image * 2 - 1
    mean, var, gain, shift = (
        state[f"features.0.1.{leaf}"] for leaf in ("running_mean", "running_var", "weight", "bias")
    )
    normed = F.batch_norm(F.conv2d(seen, state["features.0.0.weight"], stride=2), mean, var, gain, shift)
    stem = trunk.stem(image * 2 - 1)[..., :-1, :-1]  # without what the padding reaches
    torch.testing.assert_close(stem, normed.clamp(0, 6), rtol=1e-4, atol=1e-5)
    last = trunk.blocks[-1]
    assert isinstance(last, InvertedResidual)
    kernel = state["features.13.conv.2.weight"]
    scale = state["features.13.conv.3.weight"] / (state["features.13.conv.3.running_var"] + 1e-5).sqrt()
    torch.testing.assert_close(last.project.weight, kernel * scale[:, None, None, None])
