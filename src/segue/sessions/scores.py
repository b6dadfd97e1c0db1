"""The IoU that one may expect of a mask that was tracked."""

from __future__ import annotations

import math

FIRST_WEIGHT = 0.25
"""Calibration of the predicted IoU of a first mask, see :func:`with_first`; from the development videos."""


def expected_overlap(inside: float, total: float, area: int, confidence: tuple[float, float]) -> float:
    """IoU of a predicted mask with the truth that its probabilities let one expect, in [0, 1]."""
    share = min(max(inside / (area + max(total - inside, 0.0)), 1e-6), 1 - 1e-6)
    factor, offset = confidence
    against: float = ((1 - share) / share) ** factor
    return 1 / (1 + math.exp(-offset) * against)


def with_first(score: float, first: float | None) -> float:
    """Expected IoU of a mask tracked from a prompter's mask."""
    return score if first is None else float(score ** (1 - FIRST_WEIGHT) * first**FIRST_WEIGHT)
