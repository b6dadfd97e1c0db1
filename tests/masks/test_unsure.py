"""Where masks are not sure is kept reduced, as bits and as run lengths."""

from __future__ import annotations

import numpy as np
import pytest

from segue.errors import DatasetError
from segue.masks import unsure

SIZES = [(1, 1), (7, 500), (240, 432), (480, 854), (1080, 1920)]


@pytest.mark.parametrize("size", SIZES)
def test_pixels_come_back_from_bits_and_from_runs(size: tuple[int, int]) -> None:
    probability = np.ones(size, np.float32)
    probability[size[0] // 2 :, : size[1] // 3 + 1] = 0.6
    bits = unsure.unsure_bits(probability)
    pixels = unsure.unpack(bits, size)
    assert max(pixels.shape) <= unsure.LONG_SIDE
    share = (probability < unsure.LIKELY).mean()
    assert pixels.mean() == pytest.approx(share, abs=0.03)
    runs = unsure.to_runs(bits, size)
    assert runs is not None
    unsure.check_unsure([runs], size)
    np.testing.assert_array_equal(unsure.from_runs([runs, runs], size), pixels)


def test_unknown_pixels_have_no_run_lengths() -> None:
    assert unsure.to_runs(None, (48, 64)) is None
    assert not unsure.from_runs([], (48, 64)).any()


@pytest.mark.parametrize("damage", ["", "0", "\x80", "PPP"])
def test_damaged_runs_are_refused(damage: str) -> None:
    with pytest.raises(DatasetError):
        unsure.check_unsure([damage], (48, 64))
