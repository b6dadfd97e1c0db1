"""mustan-lite: sizes, streaming, and what they refuse."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from segue.inference.cpu.features import has_int8
from segue.inference.folding import fold_batch_norms
from segue.inference.running import inference_copy
from segue.models.base import Features
from segue.models.mustan_lite import MustanLite


def awake(network: nn.Module) -> nn.Module:
    """The network in evaluation mode with norms that do something."""
    generator = torch.Generator().manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values, low, high in ((layer.running_mean, -0.2, 0.2), (layer.running_var, 0.5, 2.0)):
                assert values is not None
                values.copy_(low + (high - low) * torch.rand(values.shape, generator=generator))
    return network.eval()


def video(frames: int, height: int = 64, width: int = 80) -> Tensor:
    """Frames as images of 8 bits."""
    return levels(frames, 3, height, width, seed=3)


def levels(*shape: int, seed: int) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed)) / 255


def known(network: nn.Module, count: int = 1) -> Tensor:
    """The empty scene as a network receives it."""
    planes = 21 if network.capabilities.temporal_quantiles else 3
    return levels(count, planes, 64, 80, seed=4)


@torch.inference_mode()
def test_streaming_equals_the_whole_window() -> None:
    frames = video(12)
    torch.manual_seed(0)
    network = awake(MustanLite())
    empty = known(network)
    scene = network.encode(empty, network.background) if network.background else None
    kept: list[Features] = [network.encode(frame[None], network.current) for frame in frames]
    for now in (5, 7):
        times = [min(max(now + offset, 0), 11) for offset in network.offsets]
        inputs = [frames[times][None], *([] if scene is None else [empty])]
        whole = network(*inputs)
        context = [
            network.encode(frames[[min(max(now + offset, 0), 11)]], role) for offset, role in network.context
        ]
        streamed = network.decode(kept[now], context, scene, (64, 80))
        assert streamed.shape == (1, network.channels, 64, 80)
        torch.testing.assert_close(streamed, whole, rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_norms_fold_into_the_convolutions() -> None:
    window = video(3)[None]
    network = awake(MustanLite())
    folded, scene = fold_batch_norms(network), known(network)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    torch.testing.assert_close(folded(window, scene), network(window, scene), rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_parts_that_are_computed_once_per_scene_change_nothing() -> None:
    *frames, now = video(3)
    torch.manual_seed(0)
    network = awake(MustanLite())
    scene = known(network)
    scene[:, :18] = scene[:, :18].unflatten(1, (2, 3, 3)).sort(2).values.flatten(1, 3)  # low, median, high
    prepared = inference_copy(network, torch.device("cpu"), torch.float32)
    plain, composed = (
        each.decode(
            each.encode(now[None], "current"),
            [each.encode(frame[None], "context") for frame in frames],
            each.encode(scene, "scene"),
            (64, 80),
        )
        for each in (network, prepared)
    )
    torch.testing.assert_close(composed, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not has_int8(), reason="this processor has no instructions for 8-bit integers")
@torch.inference_mode()
def test_small_differences_survive_8_bits() -> None:
    torch.manual_seed(0)
    network = awake(MustanLite())
    near = (100 + 3 * levels(6, 3, 64, 80, seed=5)).round() / 255  # a flat image with a little noise
    now, *context, low, median, high = near.unbind()
    planes = torch.cat([*torch.stack([low, median, high]).sort(0).values, *[median] * 3, median * 0])[None]
    maps = []
    for precision in (torch.float32, torch.int8):
        prepared = inference_copy(network, torch.device("cpu"), precision)
        assert prepared.cues is not None
        frame, *beside = (prepared.encode(image[None], "context")[0] for image in (now, *context))
        maps.append(prepared.cues(frame, beside, prepared.encode(planes, "scene")[4:]))
    assert (maps[0] - maps[1]).abs().mean() < 0.01 * maps[0].mean()


def test_a_background_is_asked_for_where_it_is_needed() -> None:
    frames = video(1)
    lite = MustanLite()
    features = lite.encode(frames, "current")
    with pytest.raises(ValueError, match="background"):
        lite.decode(features, [features] * 2, None, (64, 80))


@torch.inference_mode()
def test_a_background_is_its_image_and_its_statistics() -> None:
    torch.manual_seed(0)
    for network in (
        awake(MustanLite()),
        inference_copy(awake(MustanLite()), torch.device("cpu"), torch.float32),
    ):
        planes, parts = known(network), network.capabilities.background_parts
        assert parts is not None
        image, statistics = parts
        apart = *network.encode(planes[:, 3:6], image), *network.encode(planes, statistics)
        whole = network.encode(planes, network.background)
        assert len(apart) == len(whole)
        for one, other in zip(apart, whole, strict=True):
            assert torch.equal(one, other)
