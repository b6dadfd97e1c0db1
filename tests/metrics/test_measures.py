"""Region similarity and contour accuracy of two masks."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segue.errors import DatasetError
from segue.metrics.measures import boundary_map, contour_accuracy, region_similarity
from tests.golden_arrays import Golden

Mask = npt.NDArray[np.bool_]

sizes = st.tuples(st.integers(1, 14), st.integers(1, 14))


@st.composite
def mask_pairs(draw: st.DrawFn) -> tuple[Mask, Mask]:
    size = draw(sizes)
    return draw(arrays(np.bool_, size)), draw(arrays(np.bool_, size))


def rectangle(y0: int, y1: int, x0: int, x1: int, size: tuple[int, int] = (60, 80)) -> Mask:
    mask = np.zeros(size, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def boundary_by_definition(mask: Mask) -> Mask:
    height, width = mask.shape
    edge = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            neighbours = [(y, x + 1), (y + 1, x), (y + 1, x + 1)]
            edge[y, x] = any(mask[n] != mask[y, x] for n in neighbours if n[0] < height and n[1] < width)
    return edge


def contour_accuracy_by_definition(prediction: Mask, truth: Mask, radius: float) -> float:
    """F from the distances of all pairs of contour pixels."""
    result, reference = (np.argwhere(boundary_by_definition(mask)) for mask in (prediction, truth))
    if not len(result) or not len(reference):
        return float(len(result) == len(reference))
    near = ((result[:, None] - reference[None]) ** 2).sum(axis=2) <= radius**2
    precision, recall = near.any(axis=1).sum() / len(result), near.any(axis=0).sum() / len(reference)
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


@pytest.mark.parametrize("case", range(5))
def test_measures_equal_the_official_ones(golden: Callable[[str], Golden], case: int) -> None:
    units = golden("davis_units")
    prediction, truth, void = (units[f"f{case}.{name}"] for name in ("res", "gt", "void"))
    bound_th = units[f"f{case}.bound_th"].item()
    assert region_similarity(prediction, truth) == units[f"f{case}.J"]
    assert region_similarity(prediction, truth, void=void) == units[f"f{case}.J_void"]
    assert contour_accuracy(prediction, truth, bound_th) == units[f"f{case}.F"]
    assert contour_accuracy(prediction, truth, bound_th, void=void) == units[f"f{case}.F_void"]


def test_measures_equal_the_official_ones_at_480p(shared: Path) -> None:
    golden = np.load(shared / "golden" / "davis_units.npz")
    height, width = golden["big.shape"]
    prediction, truth = (
        np.unpackbits(golden[f"big.{name}"], count=height * width).reshape(height, width)
        for name in ("res", "gt")
    )
    assert region_similarity(prediction, truth) == golden["big.J"]
    assert contour_accuracy(prediction, truth) == golden["big.F"]


@pytest.mark.parametrize("case", range(3))
def test_boundary_map_equals_the_official_one(golden: Callable[[str], Golden], case: int) -> None:
    units = golden("davis_units")
    edge = boundary_map(units[f"bmap{case}.seg"].view(np.uint8))
    np.testing.assert_array_equal(edge != 0, units[f"bmap{case}.out"])


@given(mask_pairs(), st.one_of(st.integers(1, 9), st.floats(1, 9), st.floats(0.01, 0.99)))
def test_contour_accuracy_equals_its_definition_to_the_last_bit(
    pair: tuple[Mask, Mask], bound: float
) -> None:
    prediction, truth = pair
    radius = bound if bound >= 1 else math.ceil(bound * math.sqrt(truth.shape[0] ** 2 + truth.shape[1] ** 2))
    assert contour_accuracy(prediction, truth, bound) == contour_accuracy_by_definition(*pair, radius)


def test_radius_below_one_is_a_share_of_the_diagonal_rounded_up() -> None:
    """The diagonal of 60 x 80 is 100 pixels, so 0.041 is 5 pixels."""
    truth = rectangle(0, 60, 0, 40)
    assert contour_accuracy(rectangle(0, 60, 0, 45), truth, bound_th=0.041) == 1.0
    assert contour_accuracy(rectangle(0, 60, 0, 46), truth, bound_th=0.041) == 0.0


def test_two_empty_masks_agree_fully_and_one_empty_mask_not_at_all() -> None:
    empty, some = np.zeros((60, 80), np.uint8), rectangle(10, 20, 10, 20)
    assert (region_similarity(empty, empty), contour_accuracy(empty, empty)) == (1.0, 1.0)
    assert (region_similarity(empty, some), contour_accuracy(empty, some)) == (0.0, 0.0)
    assert (region_similarity(some, empty), contour_accuracy(some, empty)) == (0.0, 0.0)


def test_masks_of_two_sizes_are_refused_with_both_sizes() -> None:
    with pytest.raises(DatasetError):
        region_similarity(np.zeros((60, 80)), np.zeros((60, 81)))
    with pytest.raises(DatasetError):
        contour_accuracy(np.zeros((60, 80)), np.zeros((60, 80)), void=np.zeros((1, 1)))


@pytest.mark.parametrize("bound_th", [0.0, -1.0, math.nan, math.inf])
def test_a_tolerance_that_is_no_distance_is_refused(bound_th: float) -> None:
    with pytest.raises(DatasetError):
        contour_accuracy(np.ones((4, 4)), np.ones((4, 4)), bound_th)
