"""The plain measures of the benchmark equal those of segue, so that their times can be compared."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

from metrics import contour, ellipses, plain_contour_accuracies, plain_region_similarities, region


@pytest.mark.parametrize(("objects", "radius"), [(1, 120), (3, 60), (8, 40)])
def test_plain_measures_equal_those_of_segue_to_the_last_bit(objects: int, radius: int) -> None:
    case = ellipses(objects, radius)
    arguments = (case.prediction, case.truth, case.objects)
    np.testing.assert_array_equal(region(case), plain_region_similarities(*arguments))
    np.testing.assert_array_equal(contour(case), plain_contour_accuracies(*arguments))
    assert (contour(case) < 1).any()
