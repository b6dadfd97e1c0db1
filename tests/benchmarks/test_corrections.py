"""Replayed clicks on tracked masks are ideal, and errors have the right kind."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segue.utils.arrays import BoolArray, Float32Array

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

import corrections
from corrections import Case, Click, replayed


def case(truth: BoolArray, tracked: BoolArray) -> Case:
    image = np.zeros((*truth.shape, 3), np.uint8)
    return Case("video/1/1", "development", image, truth.astype(np.uint8), tracked.astype(np.float32))


def squares(*places: tuple[int, int, int, int]) -> BoolArray:
    mask = np.zeros((80, 100), np.bool_)
    for x0, y0, x1, y1 in places:
        mask[y0:y1, x0:x1] = True
    return mask


BODY = (20, 20, 60, 60)


class Painter:
    """Mends the errors that are clicked, in order of the clicks, and keeps those."""

    def __init__(self) -> None:
        self.clicks: list[Click] = []

    def __call__(self, _: Any, mask: Float32Array, clicks: Sequence[Click]) -> Float32Array:
        x, y, inside = clicks[-1]
        self.clicks.append(clicks[-1])
        mended = mask.copy()
        mended[int(y) - 9 : int(y) + 10, int(x) - 9 : int(x) + 10] = inside
        return mended


def test_the_largest_error_is_clicked_first_and_j_is_that_of_the_mask() -> None:
    truth = squares(BODY)
    tracked = squares((20, 20, 60, 41), (80, 10, 92, 22))  # a part lost and something taken
    way = Painter()
    outcome = replayed(lambda _: None, way, case(truth, tracked))  # type: ignore[arg-type, return-value]
    assert outcome.kind == "lost"
    assert [inside for *_, inside in way.clicks][:1] == [True]
    x, y, _ = way.clicks[0]
    assert 45 <= y <= 55
    assert 25 <= x <= 55
    assert len(outcome.reached) == corrections.CLICKS + 1
    assert outcome.reached[0] == (truth & tracked).sum() / (truth | tracked).sum()


def test_kinds_of_errors() -> None:
    truth = squares(BODY)
    kinds = {
        "border": squares((20, 20, 58, 60)),
        "lost": squares((20, 20, 40, 60)),
        "taken": squares(BODY, (70, 20, 95, 60)),
    }
    for kind, tracked in kinds.items():
        outcome = replayed(lambda _: None, Painter(), case(truth, tracked))  # type: ignore[arg-type, return-value]
        assert outcome.kind == kind


def test_what_nobody_would_click_is_not_clicked() -> None:
    truth = squares(BODY).astype(np.uint8)
    assert not corrections.worth_correcting(truth.astype(np.float32), truth)
    assert not corrections.worth_correcting(np.zeros(truth.shape, np.float32), truth)
    assert corrections.worth_correcting(squares((20, 20, 40, 60)).astype(np.float32), truth)
