"""Folding batch norms changes no output and nothing of the original."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from segue.inference.folding import fold_batch_norms
from segue.models.stcn import STCN
from segue.models.stm import STM
from tests.logical_device import DEVICE, LogicalDevice


@pytest.fixture(scope="module", params=["stcn_network", "stm_network"])
def network(request: pytest.FixtureRequest) -> STCN | STM:
    chosen: STCN | STM = request.getfixturevalue(request.param)
    return chosen


def outputs(network: Any) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (64, 80, 3), generator=generator, dtype=torch.uint8)
    masks = torch.rand(2, 64, 80, generator=generator)
    with torch.inference_mode():
        query = network.encode_query(network.prepare(image))
        _, values = network.encode_memory(query, masks)
        return [query.key, *query.features, values, network.decode(query, values)]


def test_a_folded_network_gives_the_same_outputs_without_any_norm(network: STCN | STM) -> None:
    folded = fold_batch_norms(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    for expected, measured in zip(outputs(network), outputs(folded), strict=True):
        assert (measured - expected).abs().max() <= 1e-5 * expected.abs().max()


class Block(nn.Module):
    """Three convolutions whose order with their norms varies."""

    def __init__(self, *, norm_first: bool, cout: int = 4, **norm: Any) -> None:
        super().__init__()
        if norm_first:
            self.bn1, self.conv1 = nn.BatchNorm2d(4, **norm), nn.Conv2d(4, cout, 3, padding=1)
        else:
            self.conv1, self.bn1 = nn.Conv2d(4, cout, 3, padding=1), nn.BatchNorm2d(cout, **norm)
        self.norm_first = norm_first

    def forward(self, x: Tensor) -> Tensor:
        return self.conv1(self.bn1(x)) if self.norm_first else self.bn1(self.conv1(x))


class Standardized(nn.Conv2d):
    """A convolution that changes its weights as it computes."""

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight / self.weight.std((1, 2, 3), keepdim=True), self.bias)


class Twice(nn.Module):
    """One convolution before two norms."""

    def __init__(self) -> None:
        super().__init__()
        conv = nn.Conv2d(4, 4, 3, padding=1)
        self.first = nn.Sequential(conv, nn.BatchNorm2d(4))
        self.second = nn.Sequential(conv, nn.BatchNorm2d(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


BLOCKS: dict[str, tuple[Callable[[], nn.Module], bool]] = {
    "norm after": (lambda: Block(norm_first=False), True),
    "norm before": (lambda: Block(norm_first=True), False),
    "norm before, other channels": (lambda: Block(norm_first=True, cout=6), False),
    "norm without weights": (lambda: Block(norm_first=False, affine=False), True),
    "norm by the batch": (lambda: Block(norm_first=False, track_running_stats=False), False),
    "weights that change": (lambda: nn.Sequential(Standardized(4, 4, 3), nn.BatchNorm2d(4)), False),
    "weights with a norm": (
        lambda: nn.Sequential(weight_norm(nn.Conv2d(4, 4, 3)), nn.BatchNorm2d(4)),
        False,
    ),
    "one convolution in two places": (Twice, False),
}
"""Blocks as third-party networks have them, and whether their norm is folded."""


@pytest.mark.parametrize("name", BLOCKS)
@torch.inference_mode()
def test_blocks_of_other_packages_give_the_same_outputs(name: str) -> None:
    torch.manual_seed(0)
    make, folds = BLOCKS[name]
    block = make().eval()
    for norm in (module for module in block.modules() if isinstance(module, nn.BatchNorm2d)):
        for values in (norm.running_mean, norm.weight, norm.bias, norm.running_var):
            if values is not None:
                values.uniform_(0.5, 1.5)
    x = torch.randn(2, 4, 9, 7)
    folded = fold_batch_norms(block)
    assert any(isinstance(module, nn.BatchNorm2d) for module in folded.modules()) is not folds
    torch.testing.assert_close(folded(x), block(x), rtol=0, atol=1e-4)


def test_a_network_is_folded_on_a_device_without_float64() -> None:
    block = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    block.load_state_dict({**block.state_dict(), "1.running_mean": torch.tensor([1.0, -2.0, 3.0, 0.5])})
    expected = fold_batch_norms(block).state_dict()
    with LogicalDevice():
        folded = fold_batch_norms(block.to(DEVICE)).state_dict()
        assert folded.keys() == expected.keys() == {"0.weight", "0.bias"}
        for name, value in folded.items():
            assert value.device == DEVICE
            assert torch.equal(value.cpu(), expected[name])
