"""Small evaluations to report on."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from segue.metrics.evaluation import Evaluation, FrameView, Series

HEIGHT, WIDTH = 40, 60


def evaluation(scores: Mapping[str, float], **changes: object) -> Evaluation:
    """An evaluation whose sequences have these scores, three frames each, and images of a moving square."""
    known = [value for value in scores.values() if not math.isnan(value)]
    frames = ("00001", "00002", "00003")
    values: dict[str, object] = {
        "protocol": "a protocol, val",
        "headline": "J&F-Mean",
        "overall": {"J&F-Mean": sum(known) / len(known), "J-Mean": 0.25},
        "sequences": {name: {"J&F-Mean": score, "J-Mean": score / 2} for name, score in scores.items()},
        "objects": {f"{name}_1": {"J-Mean": score / 2} for name, score in scores.items()},
        "series": {
            name: {"J": Series(frames, np.array([score, score / 2, math.nan]))}
            for name, score in scores.items()
        },
        "remarks": ("something to know",),
        "files": {"global_results-val.csv": "J&F-Mean\n0.500\n"},
        "view": view,
    }
    return Evaluation(**(values | changes))  # type: ignore[arg-type]


def view(sequence: str, frame: str) -> FrameView:
    """A square, a result that lies too far to the right, and nothing ignored."""
    truth, result = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    truth[10:30, 10:30] = 1
    result[10:30, 20:40] = 1
    return FrameView(truth, result, np.zeros(truth.shape, np.bool_))
