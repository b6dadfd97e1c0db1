"""The pieces of a mask, wherever they lie in the image."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from segue.masks.pieces import Pieces


@pytest.mark.parametrize("seed", range(4))
def test_pieces_are_those_of_the_whole_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask, other = rng.random((2, 37, 53)) < 0.2
    mask[:7], mask[:, :11] = False, False
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    pieces = Pieces.of(mask)
    assert len(pieces) == count
    assert sorted(pieces.areas[1:]) == sorted(np.bincount(labels.ravel())[1:])
    assert pieces.count(other)[1:].sum() == (mask & other).sum()
    for number in range(1, count + 1):
        alone = pieces.where(np.arange(count + 1) == number)
        assert len(np.unique(labels[alone])) == 1
        assert alone.sum() == pieces.areas[number]
        assert pieces.count(other)[number] == (alone & other).sum()
        part, piece = pieces.dilate(number, 3)
        assert np.array_equal(piece, alone[part])
        assert piece.sum() == alone.sum()


def test_a_mask_without_anything_has_no_pieces() -> None:
    pieces = Pieces.of(np.zeros((5, 6), np.bool_))
    assert not len(pieces)
    assert not pieces.where(np.ones(1, np.bool_)).any()
