"""HOTA, IDF1 and id switches in cases whose values are known in closed form."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from segue.metrics.identity import identity

Mask = npt.NDArray[np.uint8]


def squares(*ids: int) -> Mask:
    """A picture with one square for each id, side by side."""
    mask = np.zeros((4, 6 * max(len(ids), 1)), np.uint8)
    for place, number in enumerate(ids):
        mask[:, 6 * place : 6 * place + 4] = number
    return mask


TRUTH = [squares(1, 2)] * 10


def test_the_truth_under_other_ids_is_perfect() -> None:
    found = identity(TRUTH, [squares(7, 3)] * 10)
    assert (found.hota, found.deta, found.assa, found.idf1, found.switches) == (1, 1, 1, 1, 0)
    assert found.objects == 20


def test_ids_that_change_places_at_half_time() -> None:
    found = identity(TRUTH, [squares(1, 2)] * 5 + [squares(2, 1)] * 5)
    # Each object shares 5 frames with each id, and 10 + 10 - 5 frames have one of them.
    assert found.deta == 1
    assert found.assa == pytest.approx(1 / 3)
    assert found.hota == pytest.approx(math.sqrt(1 / 3))
    assert found.idf1 == pytest.approx(0.5)
    assert found.switches == 2


def test_an_object_that_is_never_found() -> None:
    found = identity(TRUTH, [squares(1, 0)] * 10)
    assert (found.deta, found.assa, found.switches) == (0.5, 1, 0)
    assert found.idf1 == pytest.approx(2 / 3)


def test_a_new_id_after_a_gap_is_a_switch_and_the_old_one_is_none() -> None:
    gap = [squares(0, 2)] * 2
    for number, switches in ((1, 0), (9, 1)):
        results = [squares(1, 2)] * 4 + gap + [squares(number, 2)] * 4
        assert identity(TRUTH, results).switches == switches


def test_the_similarity_decides_how_many_alphas_count() -> None:
    half = squares(1)
    half[:, :2] = 0  # 8 of 16 pixels: IoU 0.5
    found = identity([squares(1)] * 3, [half] * 3)
    assert found.hota == pytest.approx(10 / 19)  # alphas .05 to .50
    assert found.idf1 == 1


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


def test_false_objects_alone_and_nothing_at_all() -> None:
    false = identity([squares(0)] * 4, [squares(3)] * 4)
    assert (false.hota, false.idf1, false.switches) == (0, 0, 0)
    assert math.isnan(identity([squares(0)] * 4, [squares(0)] * 4).idf1)


def test_videos_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        identity(TRUTH, TRUTH[:-1])


def test_only_a_match_of_the_frame_just_before_is_kept() -> None:
    """After a frame without one, both halves of the object are as good, and TrackEval takes the first."""
    whole, halves = squares(1), squares(5)
    halves[2:, :4] = 6
    only = np.where(halves == 6, halves, 0)
    for between, switches in (([], 0), ([squares(0)], 1)):
        results = [only, *between, halves]
        assert identity([whole] * len(results), results).switches == switches
