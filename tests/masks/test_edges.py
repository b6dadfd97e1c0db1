"""Soft edges: where the opacity is a half, how wide it rises, and what the border of the image does."""

from __future__ import annotations

import numpy as np
import pytest

from segue.errors import ArgumentError
from segue.masks import Edge, opacity

MASK = np.zeros((60, 80), np.bool_)
MASK[20:40, 30:80] = True


def row(**edge: float) -> np.ndarray:
    """The opacity across the left edge, which lies between the columns 29 and 30."""
    return opacity(MASK, Edge(**edge))[30]


def test_without_an_edge_opacity_is_the_mask() -> None:
    assert np.array_equal(opacity(MASK, Edge()), MASK)
    assert np.array_equal(opacity(~MASK & MASK, Edge(width=9)), np.zeros_like(MASK))


@pytest.mark.parametrize("pixels", [5, -5])
def test_an_edge_is_moved_outward_or_inward(pixels: int) -> None:
    alpha = row(grow=pixels)
    assert set(alpha) == {0, 1}
    assert alpha.argmax() == 30 - pixels
    assert alpha[-1] == 1, "the border of the image is no edge of the object"


def test_an_edge_rises_in_a_straight_line_as_wide_as_it_is() -> None:
    expected = np.clip((np.arange(80) + 0.5 - 30) / 8 + 0.5, 0, 1)
    assert np.allclose(row(width=8), expected, atol=1e-6)


def test_feather_is_a_gaussian_over_the_edge() -> None:
    alpha = row(feather=3)
    assert np.all(np.diff(alpha[:70]) >= -1e-6)
    assert alpha[29] + alpha[30] == pytest.approx(1, abs=1e-3), "it is a half where the edge was"
    rise = np.diff(alpha)
    middle = np.arange(79)[:60] @ rise[:60]
    spread = np.sqrt((np.arange(79)[:60] - middle) ** 2 @ rise[:60])
    assert spread == pytest.approx(3, abs=0.1)


def test_shrinking_by_more_than_there_is_leaves_nothing() -> None:
    assert not opacity(MASK, Edge(grow=-30)).any()


@pytest.mark.parametrize("edge", [{"grow": 201}, {"width": -1}, {"feather": float("nan")}])
def test_lengths_out_of_their_range_are_refused(edge: dict[str, float]) -> None:
    with pytest.raises(ArgumentError, match=f"{next(iter(edge))} of an edge"):
        Edge(**edge)
    with pytest.raises(ArgumentError, match="needs the image"):
        opacity(MASK, Edge(width=4, detail=True))
