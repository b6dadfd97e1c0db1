"""segue-prompt: what its decoder sees of the prompts, and shapes for every side."""

from __future__ import annotations

import pytest
import torch

from segue.models.segue_prompt import SeguePrompt


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
