"""segue-prompt: what its decoder sees of the prompts, and shapes for every side."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from segue.layers.running import inference_copy
from segue.models.segue_prompt import BOX, NEGATIVE, POSITIVE, PREVIOUS, SeguePrompt, likeness


@pytest.mark.parametrize("side", [64, 160])
def test_masks_are_half_as_large_as_the_crop_and_have_an_iou_each(side: int) -> None:
    torch.manual_seed(0)
    network = SeguePrompt().eval()
    with torch.inference_mode():
        masks, quality = network(torch.rand(2, 3, side, side), torch.zeros(2, 4, side, side))
    assert masks.shape == (2, 3, side // 2, side // 2)
    assert quality.shape == (2, 3)
    assert masks.isfinite().all()
    assert quality.isfinite().all()


def test_a_further_prompt_needs_the_decoder_only() -> None:
    torch.manual_seed(0)
    network = SeguePrompt().eval()
    picture, prompts = torch.rand(1, 3, 64, 64), (torch.rand(1, 4, 64, 64) > 0.9).float()
    with torch.inference_mode():
        kept = network.encode(picture)
        network.decode(kept, torch.zeros_like(prompts))
        for found, expected in zip(network.decode(kept, prompts), network(picture, prompts), strict=True):
            torch.testing.assert_close(found, expected)


def test_likeness_is_the_cosine_to_the_mean_of_the_unit_keys_under_each_prompt() -> None:
    torch.manual_seed(0)
    keys = torch.randn(1, 8, 4, 4)
    prompts = torch.zeros(1, 4, 16, 16)
    prompts[0, POSITIVE, :4, :8] = 1  # covers the first two cells of the first row
    prompts[0, BOX, 4:] = 1
    found = likeness(keys, prompts)[0]
    unit = F.normalize(keys[0], dim=0)
    on = F.normalize(unit[:, 0, :2].mean(1), dim=0)
    outside = F.normalize(unit[:, 0].mean(1), dim=0)
    torch.testing.assert_close(found[POSITIVE], torch.einsum("c,chw->hw", on, unit))
    torch.testing.assert_close(found[BOX], torch.einsum("c,chw->hw", outside, unit))
    assert not found[NEGATIVE].any()
    assert not found[PREVIOUS].any()


def test_the_prepared_copy_gives_the_same_masks() -> None:
    torch.manual_seed(0)
    network = SeguePrompt().eval()
    copy = inference_copy(network, torch.device("cpu"), torch.float32)
    picture, prompts = torch.rand(1, 3, 64, 64), (torch.rand(1, 4, 64, 64) > 0.9).float()
    with torch.inference_mode():
        for found, expected in zip(copy(picture, prompts), network(picture, prompts), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
