"""HOTA, IDF1 and id switches in cases whose values are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from segue.metrics.identity import identity


def test_a_restless_video_gets_the_numbers_of_trackeval() -> None:
    """Four objects that jump, hide, and change ids; the numbers are those of TrackEval 1.3.0."""
    rng = np.random.default_rng(0)
    truth, results = [], []
    places, ids = rng.uniform(5, 50, (4, 2)), np.arange(1, 5)
    for _ in range(30):
        places += rng.normal(0, 2, places.shape)
        true, own = np.zeros((2, 64, 64), np.uint8)
        if rng.random() < 0.2:
            i, j = rng.choice(4, 2, False)
            ids[[i, j]] = ids[[j, i]]
        if rng.random() < 0.1:
            ids[rng.integers(4)] = rng.integers(5, 12)
        for k in range(4):
            x, y = places[k].astype(int).clip(0, 52)
            if rng.random() < 0.9:
                true[y : y + 12, x : x + 10] = k + 1
            if rng.random() < 0.85:
                dx, dy = rng.integers(-3, 4, 2)
                own[max(y + dy, 0) : y + dy + 12, max(x + dx, 0) : x + dx + 10] = ids[k]
        truth.append(true)
        results.append(own)
    found = identity(truth, results)
    assert found.hota == pytest.approx(0.2837280475315102)
    assert found.deta == pytest.approx(0.4305433541086642)
    assert found.assa == pytest.approx(0.18885996304709743)
    assert found.idf1 == pytest.approx(0.36792452830188677)
    assert found.switches == 12
    with pytest.raises(ValueError, match="shorter"):
        identity(truth, results[:-1])


def test_a_match_is_kept_across_a_frame_without_results() -> None:
    truth = np.array([[1, 1]])
    results = [np.array([[0, 8]]), np.array([[0, 0]]), np.array([[7, 8]])]  # both overlap by a half
    assert identity([truth] * 3, results).switches == 0
