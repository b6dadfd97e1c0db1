"""Results as a table of pandas."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import segue
from segue.errors import SegueError
from tests.clips import clip
from tests.lite import lively_lite

FRAMES, MASKS = clip(5, 3, 48, 64, 2)


def test_a_table_has_a_row_for_each_object_on_each_frame() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    network = lively_lite()
    said = {1: [segue.MaskPrompt(2, MASKS[1] == 2, label="dog"), segue.MaskPrompt(1, MASKS[1] == 1)]}
    results = list(segue.track(FRAMES, said, model=network, device="cpu"))
    table = segue.track(FRAMES, said, model=network, device="cpu").to_pandas()
    assert isinstance(table, pandas.DataFrame)
    assert table["frame"].tolist() == [1, 1, 2, 2]
    assert table["id"].tolist() == [1, 2, 1, 2]
    assert table["label"].tolist() == [None, "dog", None, "dog"]
    objects = [item for result in results for item in result.objects]
    assert table["area"].tolist() == [item.area for item in objects]
    assert np.allclose(table["score"], [item.score for item in objects])
    boxes = np.array([item.box or (np.nan,) * 4 for item in objects])
    np.testing.assert_allclose(table[["x0", "y0", "x1", "y1"]].to_numpy(), boxes)
    assert table["time"].tolist() == [0.04, 0.04, 0.08, 0.08]


def test_without_pandas_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    results = segue.track(FRAMES, MASKS[0], model=lively_lite(), device="cpu")
    with pytest.raises(SegueError, match="pandas"):
        results.to_pandas()
