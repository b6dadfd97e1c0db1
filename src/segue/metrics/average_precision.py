"""Average precision and recall from matched tracks, as COCO and YouTube-VIS summarise them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from segue.metrics.track_matching import AREA_RANGES, MAX_DETECTIONS, Floats, Matches

RECALL_POINTS = np.linspace(0, 1, 101)
RECALL_LIMITS = (1, 10, MAX_DETECTIONS)
"""Detections for a category in a video that AR1, AR10 and AR100 look at."""

HEADLINES = ("AP", "AP50", "AP75", "AR1", "AR10")
"""The measures that papers report."""

_AT_50, _AT_75 = 0, 5
_EPSILON = np.spacing(1.0)


@dataclass(frozen=True, slots=True, eq=False)
class CategoryScore:
    """Precision and recall of one category; NaN in an area range without objects to be found.

    Attributes:
        precision: (area ranges, thresholds, recall points), float64.
        recall: (area ranges, thresholds), float64.
        limited_recall: over all areas with each of `RECALL_LIMITS`, (limits, thresholds), float64.
    """

    precision: Floats
    recall: Floats
    limited_recall: Floats


@dataclass(frozen=True)
class TrackScores:
    """Scores of a set of videos.

    Attributes:
        categories: score by the number of the category; without those of which nothing has to be found.
    """

    categories: Mapping[int, CategoryScore]

    @property
    def stats(self) -> dict[str, float]:
        """The twelve numbers of the official summary, in [0, 1], in its order; -1 where there is nothing."""
        values = {
            **self._precisions,
            **{f"AP{name}": self._precision(name) for name in ("s", "m", "l")},
            **self._limited_recalls,
            **{f"AR{name}": self._recall(name) for name in ("s", "m", "l")},
        }
        return {name: -1.0 if math.isnan(value) else value for name, value in values.items()}

    @property
    def headlines(self) -> dict[str, float]:
        """`HEADLINES` over all categories; NaN if nothing has to be found."""
        values = {**self._precisions, **self._limited_recalls}
        return {name: values[name] for name in HEADLINES}

    def category(self, number: int) -> TrackScores:
        """Scores of one category."""
        return TrackScores({key: score for key, score in self.categories.items() if key == number})

    @property
    def _precisions(self) -> dict[str, float]:
        return {
            "AP": self._precision("all"),
            "AP50": self._precision("all", _AT_50),
            "AP75": self._precision("all", _AT_75),
        }

    @property
    def _limited_recalls(self) -> dict[str, float]:
        return {
            f"AR{limit}": _mean(score.limited_recall[i] for score in self.categories.values())
            for i, limit in enumerate(RECALL_LIMITS)
        }

    def _precision(self, area: str, threshold: int | None = None) -> float:
        chosen = slice(None) if threshold is None else threshold
        place = list(AREA_RANGES).index(area)
        return _mean(score.precision[place, chosen] for score in self.categories.values())

    def _recall(self, area: str) -> float:
        place = list(AREA_RANGES).index(area)
        return _mean(score.recall[place] for score in self.categories.values())


def score_tracks(matches: Mapping[int, Sequence[Matches]]) -> TrackScores:
    """Summarise the matches of each category, one entry a video, videos in ascending order of number."""
    scores = {number: _score_category(entries) for number, entries in matches.items() if entries}
    return TrackScores({number: score for number, score in scores.items() if score is not None})


def _score_category(matches: Sequence[Matches]) -> CategoryScore | None:
    """Score of one category, None if nothing of it has to be found."""
    expected = np.sum([entry.counted.sum(axis=1) for entry in matches], axis=0)  # (area ranges,)
    if not expected.any():
        return None
    scores = np.concatenate([entry.scores for entry in matches])
    order = np.argsort(-scores, kind="stable")
    matched = np.concatenate([entry.matched for entry in matches], axis=2)[:, :, order] >= 0
    ignored = np.concatenate([entry.ignored for entry in matches], axis=2)[:, :, order]
    place = np.concatenate([np.arange(len(entry.scores)) for entry in matches])[order]
    right = matched & ~ignored
    precision = np.full((*right.shape[:2], len(RECALL_POINTS)), np.nan)
    recall = np.full(right.shape[:2], np.nan)
    for a in np.flatnonzero(expected):
        found = np.cumsum(right[a], axis=1, dtype=np.float64)
        wrong = np.cumsum(~matched[a] & ~ignored[a], axis=1, dtype=np.float64)
        precision[a] = _sample(found / expected[a], found / (found + wrong + _EPSILON))
        recall[a] = right[a].sum(axis=1) / expected[a]
    limited = np.full((len(RECALL_LIMITS), right.shape[1]), np.nan)
    if expected[0]:
        limited = np.stack([right[0][:, place < limit].sum(axis=1) / expected[0] for limit in RECALL_LIMITS])
    return CategoryScore(precision, recall, limited)


def _sample(recall: Floats, precision: Floats) -> Floats:
    """Precision at the recall points, (thresholds, points), from curves (thresholds, detections).

    It is the best one at that recall or a higher one, 0 if no detection reaches the recall.
    """
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    best = np.concatenate([best, np.zeros((len(best), 1))], axis=1)
    places = [np.searchsorted(row, RECALL_POINTS, side="left") for row in recall]
    return np.take_along_axis(best, np.stack(places), axis=1)


def _mean(tables: Iterable[Floats]) -> float:
    """Mean of all entries that are there; NaN if none is."""
    values = np.concatenate([np.zeros(0), *(table.ravel() for table in tables)])
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan
