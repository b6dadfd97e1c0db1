"""Two results on one page: what is counted, and how."""

from __future__ import annotations

import numpy as np
import pytest

from segue_web.labels import Labels
from segue_web.viewing import OfForeground, OfObjects, foreground_of, measure_of

TRUTH = np.array([[255, 255, 0, 0], [50, 85, 170, 0]], np.uint8)


def labels(mask: np.ndarray, names: dict[int, str | None]) -> Labels:
    return Labels({i: name or f"Object {i}" for i, name in names.items()}, {0: lambda: mask})


def test_labels_of_cdnet_are_known_by_their_values() -> None:
    assert measure_of(labels(TRUTH, dict.fromkeys((50, 85, 170, 255)))) == "foreground"
    assert measure_of(labels(TRUTH, {1: None, 170: None})) == "foreground"
    assert measure_of(labels(TRUTH, {1: None, 2: None})) == "davis"
    assert measure_of(labels(TRUTH, {1: None})) == "davis"


def test_foreground_is_everything_but_shadow_or_what_moves() -> None:
    truth = foreground_of(labels(TRUTH, dict.fromkeys((50, 85, 170, 255))))
    assert truth.masks[0]().tolist() == [[1, 1, 0, 0], [0, 0, 0, 0]]
    ours = foreground_of(labels(np.array([[1, 2, 3, 0]], np.uint8), {1: None, 2: "shadow", 3: "car"}))
    assert ours.masks[0]().tolist() == [[1, 0, 1, 0]]
    written = foreground_of(labels(np.array([[255, 50, 0]], np.uint8), {1: None, 2: "shadow"}))
    assert written.masks[0]().tolist() == [[1, 0, 0]]


def test_what_is_unknown_or_outside_does_not_count_and_pixels_of_all_frames_do() -> None:
    measure = OfForeground(labels(TRUTH, dict.fromkeys((50, 85, 170, 255))))
    found = np.array([[1, 0, 1, 0], [0, 1, 1, 0]], np.bool_)
    look = measure.look(0, found, TRUTH == 255)
    assert (look.tp, look.fp, look.fn, look.tn) == (1, 1, 1, 3)
    none = measure.look(1, np.zeros_like(found), np.zeros_like(found))  # no labels
    assert measure.values([look, none]) == pytest.approx([0.5, 0.5, 0.5], abs=1e-4)


def test_objects_have_means_over_frames() -> None:
    whole = np.zeros((20, 20), np.bool_)
    whole[5:15, 5:15] = True
    half = whole.copy()
    half[:10] = False
    measure = OfObjects()
    values = measure.values([measure.look(0, whole, whole), measure.look(1, half, whole)])
    assert values[0] == pytest.approx(0.75)
    assert 0.5 < values[1] < 1
