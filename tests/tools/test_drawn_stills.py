"""Drawn stills, from which a tracker learns without data for research only."""

from __future__ import annotations

import numpy as np
import pytest

import segue
from segue.registry import MODELS
from segue.types import Frame


def test_the_weights_without_data_for_research_follow_an_object() -> None:
    assert "research" not in MODELS.find("stcn-lite-free").licence
    rng = np.random.default_rng(0)
    ground = np.kron(rng.integers(40, 120, (12, 20, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    session = segue.TrackSession(segue.load("stcn-lite-free"))
    for index in range(4):
        image, truth = ground.copy(), np.zeros((120, 200), np.uint8)
        place = np.s_[40:80, 30 + 8 * index : 80 + 8 * index]
        image[place], truth[place] = (220, 90, 40), 1
        found = session.step(Frame(index, index / 25, image), truth if index == 0 else None).mask
        both, either = ((found == 1) & (truth == 1)).sum(), ((found == 1) | (truth == 1)).sum()
        assert both / either == pytest.approx(1, abs=0.15), index
