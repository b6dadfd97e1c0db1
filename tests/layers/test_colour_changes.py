"""Differences of colours at several scales."""

from __future__ import annotations

import torch

from segue.layers.colours import MOST_NOISE_UNITS, QUANTISATION, noise_cues


def test_differences_are_seen_in_units_of_the_noise_of_a_pixel() -> None:
    """Eight levels are much on a quiet pixel and nothing on a noisy one."""
    planes = torch.full((1, 21, 2, 2), 0.5)
    planes[:, 0:3, 0], planes[:, 6:9, 0] = 0.4, 0.6
    found = noise_cues(torch.full((1, 3, 2, 2), 0.5 + 8 / 255), planes)
    torch.testing.assert_close(found[:, :, 0], torch.full((1, 3, 2), 8 / 255 / (0.2 + QUANTISATION)))
    torch.testing.assert_close(found[:, :, 1], torch.full((1, 3, 2), 2.0))
    assert noise_cues(torch.zeros(1, 3, 2, 2), planes).min() == -MOST_NOISE_UNITS
