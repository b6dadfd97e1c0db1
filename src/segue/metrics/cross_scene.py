"""Scores on the data sets that foreground networks are tried on unseen: LASIESTA, and the way of HOFAM."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from segue.datasets.foreground import ForegroundFolder
from segue.datasets.foreground_sets import LASIESTA_VIDEOS, MOVING_CAMERA, STATIC_CAMERA
from segue.datasets.labels import OUTSIDE, SHADOW, UNKNOWN
from segue.datasets.results import Results
from segue.metrics.cdnet import OFFICIAL, mean, summarise
from segue.metrics.evaluation import Evaluation, Measures, Progress
from segue.metrics.foreground import Counts
from segue.metrics.foreground_results import ForegroundSettings, Missing, VideoScore, find_scoring

HOFAM = ForegroundSettings(threshold=15, ignored=(UNKNOWN, OUTSIDE, SHADOW))
"""How the released program of HOFAM counts: foreground from a probability of 0.059 on, against 0 and 255."""


def evaluate_lasiesta(
    results: Results | Path | str,
    videos: ForegroundFolder,
    settings: ForegroundSettings = OFFICIAL,
    *,
    missing: Missing = "error",
    workers: int = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Score LASIESTA: overall is the mean over the ten categories whose camera stands still.

    The categories with a moving camera are scored too; both groups are rows of ``categories``.

    Args:
        results: folder or zip archive with ``<video>/*``; names end in the numbers of the frames.
        videos: the ground truth.
        settings: how to score.
        missing: what a labelled frame without a result is.
        workers: processes that count videos side by side; 1 counts in this process.
        progress: see :data:`segue.metrics.evaluation.Progress`.

    Raises:
        DatasetError: results are missing or do not fit.
    """
    scoring = find_scoring(results, videos, settings, missing)
    known = [f"{category}/{name}" for category, names in LASIESTA_VIDEOS.items() for name in names]
    evaluation = summarise("LASIESTA", scoring, scoring.run(workers, progress), expected=known)
    groups = {
        "static camera": _group(evaluation.categories, STATIC_CAMERA),
        "moving camera": _group(evaluation.categories, MOVING_CAMERA),
    }
    present = {name: measures for name, measures in groups.items() if measures is not None}
    name, overall = next(iter(present.items()), ("other categories", evaluation.overall))
    return replace(
        evaluation,
        protocol=evaluation.protocol.replace("LASIESTA", f"LASIESTA, {name}", 1),
        overall=overall,
        categories={**evaluation.categories, **present},
    )


def _group(categories: Mapping[str, Measures], names: Collection[str]) -> Measures | None:
    rows = [measures for name, measures in categories.items() if name in names]
    return mean(rows) if rows else None


def evaluate_hofam(
    results: Results | Path | str,
    videos: ForegroundFolder,
    settings: ForegroundSettings = HOFAM,
    *,
    missing: Missing = "error",
    workers: int = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Score as the released program of HOFAM does; not comparable with the measures of CDnet2014.

    Pixels of all frames and videos are pooled; only Mean Dice is a mean over frames, without those that have
    foreground neither in their labels nor in their result.

    Args:
        results: folder or zip archive with ``<video>/*``; names end in the numbers of the frames.
        videos: the ground truth.
        settings: how to score.
        missing: what a labelled frame without a result is.
        workers: processes that count videos side by side; 1 counts in this process.
        progress: see :data:`segue.metrics.evaluation.Progress`.

    Raises:
        DatasetError: results are missing or do not fit.
    """
    scoring = find_scoring(results, videos, settings, missing)
    scores = scoring.run(workers, progress)
    evaluation = summarise("HOFAM, pooled pixels", scoring, scores)
    return replace(
        evaluation,
        overall=_pooled(scores),
        sequences={score.video.key: _pooled([score]) for score in scores},
        categories={},
    )


def _pooled(scores: Collection[VideoScore]) -> dict[str, float]:
    """Measures of pooled pixels; NaN where a denominator is 0."""
    total = sum((score.counts for score in scores), Counts())
    dices = [dice for score in scores for dice in map(_dice, score.frames) if not math.isnan(dice)]
    recall = _share(total.tp, total.tp + total.fn)
    precision = _share(total.tp, total.tp + total.fp)
    return {
        "Mean Dice": _share(sum(dices), len(dices)),
        "Re": recall,
        "Pr": precision,
        "F": _share(2 * recall * precision, recall + precision),
        "PWC": 100 * _share(total.fn + total.fp, total.tp + total.fp + total.fn + total.tn),
        "IoU": _share(total.tp, total.tp + total.fn + total.fp),
    }


def _dice(counts: Counts) -> float:
    return _share(2 * counts.tp, 2 * counts.tp + counts.fn + counts.fp)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
