"""Soft edges: where the opacity is a half, how wide it rises, and what the border of the image does."""

from __future__ import annotations

import numpy as np
import pytest

from segue.errors import ArgumentError
from segue.masks import Edge, opacity
from segue.masks.edges import Window, soft_masks

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


def over(parts: list[tuple[Window, np.ndarray]]) -> np.ndarray:
    """What covers each pixel of all objects, one over the other."""
    clear = np.ones(MASK.shape)
    for window, alpha in parts:
        clear[window] *= 1 - alpha
    return 1 - clear


LEFT, RIGHT = np.zeros((2, 60, 80), np.bool_)
LEFT[20:40, 20:40], RIGHT[20:40, 40:60] = True, True


@pytest.mark.parametrize(
    "edges",
    [
        (Edge(width=8), Edge(width=8)),
        (Edge(width=8), Edge(width=3)),
        (Edge(feather=2), Edge(feather=2)),
        (Edge(), Edge(width=8)),
        (Edge(width=8), Edge()),
        (Edge(grow=3, width=8), Edge(grow=3, width=8)),
    ],
)
def test_opacities_of_objects_that_touch_add_up(edges: tuple[Edge, Edge]) -> None:
    covered = over(soft_masks([LEFT, RIGHT], edges))
    assert covered[28:32, 34:46].min() > 0.99, "no line shows between them"
    for inside, edge, begin, end in ((LEFT, edges[0], 14, 34), (RIGHT, edges[1], 46, 66)):
        alone = opacity(inside, edge)[30, begin:end]
        assert np.allclose(covered[30, begin:end], alone, atol=0.01), "elsewhere edges stay as they are"


def test_objects_that_do_not_touch_are_as_alone() -> None:
    far = np.roll(LEFT, 40, axis=1)
    for edge in (Edge(width=8), Edge(feather=2), Edge(grow=-5, width=4)):
        for mask, (window, alpha) in zip((LEFT, far), soft_masks([LEFT, far], [edge, edge]), strict=True):
            assert np.allclose(alpha, opacity(mask, edge)[window])
    shrunk = over(soft_masks([LEFT, RIGHT], [Edge(grow=-5, width=4)] * 2))
    assert shrunk[30, 39:41].max() == 0, "edges that were moved apart do not touch"


def test_an_object_before_another_has_its_own_edge() -> None:
    front = np.zeros_like(LEFT)
    front[26:34, 26:34] = True
    (window, back), (place, alpha) = soft_masks([LEFT, front], [Edge(width=4)] * 2)
    assert np.allclose(alpha, opacity(front, Edge(width=4))[place])
    assert np.allclose(back, opacity(LEFT, Edge(width=4))[window], atol=1e-6)
