"""Positions as sines and cosines of growing wavelength (Vaswani et al., 2017, section 3.5)."""

from __future__ import annotations

import torch
from torch import Tensor

TEMPERATURE = 10000.0


def sine_angles(place: Tensor, channels: int) -> Tensor:
    """Angles (..., channels) of positions (...), two channels per wavelength."""
    pair = torch.arange(channels, device=place.device) // 2
    return place[..., None] / TEMPERATURE ** (2 * pair.float() / channels)


def sine_code(place: Tensor, channels: int) -> Tensor:
    """Encode positions (...) as (..., channels): sine and cosine of each wavelength in turn."""
    angle = sine_angles(place, channels)
    return torch.stack((angle[..., 0::2].sin(), angle[..., 1::2].cos()), -1).flatten(-2)
