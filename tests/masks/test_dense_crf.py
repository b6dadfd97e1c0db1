"""Masks sharpened by a dense CRF, against published numbers."""

from __future__ import annotations

import numpy as np
import pytest

from segue.masks.dense_crf import CrfParameters, mean_field, refine
from tests.golden_arrays import Golden, best_golden


@pytest.fixture(scope="module")
def crf() -> Golden:
    return best_golden("crf_cases")


@pytest.mark.parametrize("case", ["report", "few_iters", "three", "gauss_only"])
def test_the_crf_gives_the_published_marginals(crf: Golden, case: str) -> None:
    parameters = CrfParameters(*crf[f"{case}.params"].tolist(), int(crf[f"{case}.iters"]))
    found = mean_field(crf[f"{case}.unary"].astype(np.float64), crf[f"{case}.image"], parameters)
    expected = crf[f"{case}.permutohedral"]
    assert np.abs(crf.like(f"{case}.permutohedral", found) - expected).max() < 1e-5


def test_refining_takes_the_numbers_of_the_report(crf: Golden) -> None:
    found = refine(crf["report.labels"], crf["report.image"])
    assert np.array_equal(found, crf["report.permutohedral"].argmax(0))
    renamed = refine(crf["report.labels"].astype(np.int32) * 300, crf["report.image"])
    assert np.array_equal(renamed, found.astype(np.int32) * 300)


def test_a_mask_without_objects_comes_back_as_a_copy() -> None:
    mask = np.zeros((4, 5), np.uint16)
    found = refine(mask, np.zeros((4, 5, 3), np.uint8))
    assert found is not mask
    assert found.dtype == np.uint16
    assert np.array_equal(found, mask)
