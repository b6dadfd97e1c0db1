"""Wide convolutions take the form that suits the size of a map, which changes results by rounding alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from segue.layers.onednn import can_fuse
from segue.layers.running import inference_copy
from segue.layers.wide import FEW, LARGE, MANY, MOST, WideConv2d, tile_for, use_inference_forms
from segue.layers.winograd import Scratch, Tile, WinogradConv2d

pytestmark = pytest.mark.skipif(not can_fuse(), reason="PyTorch has no fused convolutions on this processor")

CPU = torch.device("cpu")
FORMS = (None, 2, 4)


def picture(channels: int = 128, side: int = 12) -> Tensor:
    values = torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(1))
    return values.contiguous(memory_format=torch.channels_last)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(), nn.Conv2d(128, 128, 3, padding=1)]
    return nn.Sequential(*layers).requires_grad_(False)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_up_to_rounding(form: Tile | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segue.layers.wide.tile_for", lambda pairs, positions: form)
    plain, x = network(), picture()
    use_inference_forms(replaced := network())
    copy = inference_copy(plain, CPU, torch.float32)
    with torch.inference_mode():
        expected = plain(x)
        assert (replaced(x) - expected).abs().max() <= 1e-5 * expected.abs().max()
        assert (copy(x) - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_winograd_waits_for_the_positions_that_repay_its_kernel() -> None:
    sizes = [LARGE // n for n in (1, 2, 4, 8)]
    assert [tile_for(FEW, size) for size in sizes] == [4, 4, None, None]
    assert [tile_for(MANY, size) for size in sizes] == [4, 2, 2, None]
    assert [tile_for(MOST, size) for size in sizes] == [2, 2, 2, None]
    assert tile_for(MOST + 1, LARGE) is None


def test_several_objects_count_as_positions() -> None:
    conv = network()[2]
    assert isinstance(conv, nn.Conv2d)
    wide = WideConv2d(conv, "none", Scratch())
    with torch.inference_mode():
        for count in (1, 4, 1, 4):
            wide(picture().expand(count, -1, -1, -1).contiguous(memory_format=torch.channels_last))
    assert wide._forms.keys() == {None, 4}
    assert isinstance(wide._forms[4], WinogradConv2d)


@pytest.mark.parametrize("form", FORMS)
def test_weights_come_back_from_every_form_as_they_were(
    form: Tile | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segue.layers.wide.tile_for", lambda pairs, positions: form)
    conv = network()[2]
    assert isinstance(conv, nn.Conv2d)
    wide = WideConv2d(conv, "none", Scratch())
    with torch.inference_mode():
        for side in (12, 40):
            wide(picture(side=side))
            assert torch.equal(wide.dense_weight(), conv.weight)
