"""Differences of colours at several scales."""

from __future__ import annotations

import pytest
import torch

from segue.layers.colours import (
    CONTRAST,
    MOST_NOISE_UNITS,
    PER_FRAME,
    QUANTISATION,
    colour_changes,
    half_size,
    noise_cues,
)


def test_a_constant_difference_is_the_same_at_every_scale() -> None:
    picture, darker, brighter = (torch.full((1, 3, 9, 13), value) for value in (0.5, 0.25, 1.0))
    maps = colour_changes(picture, [darker, brighter], 3)
    assert [tuple(item.shape) for item in maps] == [
        (1, 2 * PER_FRAME, 9, 13),
        (1, 2 * PER_FRAME, 5, 7),
        (1, 2 * PER_FRAME, 3, 4),
    ]
    wanted = torch.tensor([0.25] * 3 + [-0.5] * 3 + [0.25] * 3 + [0.5] * 3) * CONTRAST
    for item in maps:
        torch.testing.assert_close(item, wanted.view(1, -1, 1, 1).expand_as(item))


def test_what_cancels_in_the_mean_is_still_seen_in_the_absolute_difference() -> None:
    picture = torch.zeros(1, 3, 4, 4)
    other = torch.ones(1, 3, 4, 4)
    other[..., ::2] = -1
    coarse = colour_changes(picture, [other], 2)[1]
    torch.testing.assert_close(coarse[:, :3], torch.zeros(1, 3, 2, 2))
    torch.testing.assert_close(coarse[:, 3:], torch.full((1, 3, 2, 2), CONTRAST))


def test_the_last_odd_row_is_the_mean_of_what_there_is() -> None:
    picture = torch.arange(3.0).view(1, 1, 3, 1).expand(1, 1, 3, 2)
    assert half_size(picture).flatten().tolist() == pytest.approx([0.5, 2.0])


def test_differences_are_seen_in_units_of_the_noise_of_a_pixel() -> None:
    """Eight levels are much on a quiet pixel and nothing on a noisy one."""
    planes = torch.full((1, 21, 2, 2), 0.5)
    planes[:, 0:3, 0], planes[:, 6:9, 0] = 0.4, 0.6
    found = noise_cues(torch.full((1, 3, 2, 2), 0.5 + 8 / 255), planes)
    torch.testing.assert_close(found[:, :, 0], torch.full((1, 3, 2), 8 / 255 / (0.2 + QUANTISATION)))
    torch.testing.assert_close(found[:, :, 1], torch.full((1, 3, 2), 2.0))
    assert noise_cues(torch.zeros(1, 3, 2, 2), planes).min() == -MOST_NOISE_UNITS
