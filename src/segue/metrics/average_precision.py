"""Average precision and recall of tracks, matched and summarised as in COCO and YouTube-VIS.

Yang, Fan and Xu, "Video Instance Segmentation", ICCV 2019, section 3: overlap is measured over the whole
video. Matching is greedy in the order of the scores, as in COCO.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from segue.datasets.instances import DetectedInstance, Instance
from segue.metrics.report import mean_of_valid
from segue.metrics.track_groups import GROUPS, outside
from segue.utils.arrays import BoolArray, Float64Array

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
MAX_DETECTIONS = 100
"""Detections that count for a category in a video: those with the highest scores."""

_OFFICIAL = "sml"
"""Names of the size groups in the official summary; they follow the group of all objects."""

_CEILING = 1 - 1e-10
"""Largest overlap threshold."""


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """D detections, highest score first, and G objects of one category in one video."""

    order: npt.NDArray[np.intp]  # place of each detection in the list given, (D,)
    scores: Float64Array  # (D,), float64
    overlaps: Float64Array  # IoU of detections and objects, (D, G)
    matched: npt.NDArray[np.intp]  # object of each detection, or -1, (groups, thresholds, D)
    ignored: BoolArray  # detections that are neither right nor wrong, of that shape
    counted: BoolArray  # objects that must be found, (groups, G)
    frame_overlaps: Float64Array  # IoU at the lowest threshold, (G, T); NaN where neither is visible


def match_tracks(detections: Sequence[DetectedInstance], objects: Sequence[Instance]) -> Matches:
    """Match detections of one category in one video to its objects."""
    scores = np.array([item.score for item in detections], np.float64)
    order = np.argsort(-scores, kind="stable")[:MAX_DETECTIONS]
    ordered = [detections[i] for i in order]
    shared, detected_areas, true = _frame_areas(ordered, objects)
    overlaps = _track_overlaps(shared, detected_areas, true, [len(item.masks) for item in ordered])
    crowd = np.array([item.crowd for item in objects], np.bool_)
    left_out = outside([item.mean_area for item in objects], [item.masks for item in objects]) | crowd
    matched = _match(overlaps, left_out, crowd)
    tracks = [item.masks for item in ordered]
    beyond = outside([masks.mean_area for masks in tracks], tracks)[:, None]
    nothing_last = np.pad(left_out, ((0, 0), (0, 1)))[:, None]  # what -1 finds
    ignored = np.where(matched >= 0, np.take_along_axis(nothing_last, matched, axis=2), beyond)
    frame_overlaps = _frame_overlaps(matched[0, 0], shared, detected_areas, true)
    return Matches(order, scores[order], overlaps, matched, ignored, ~left_out, frame_overlaps)


def _frame_areas(
    detections: Sequence[DetectedInstance], objects: Sequence[Instance]
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Areas on each frame: shared (T, D, G), of detections (T, D), of objects (T, G)."""
    frames = len(objects[0].masks) if objects else 0
    detected_areas = np.zeros((frames, len(detections)))
    for d, detection in enumerate(detections):
        areas = detection.masks.areas[:frames]
        detected_areas[: len(areas), d] = areas
    true = np.array([item.masks.areas for item in objects], np.float64).reshape(len(objects), frames).T
    shared = np.zeros((frames, len(detections), len(objects)))
    for t in range(frames):
        rows, columns = np.flatnonzero(detected_areas[t]), np.flatnonzero(true[t])
        if len(rows) and len(columns):
            # For crowds pycocotools gives the share of the detection that is inside.
            shares = coco_mask.iou(
                [detections[d].masks.rle(t) for d in rows.tolist()],
                [objects[g].masks.rle(t) for g in columns.tolist()],
                [1] * len(columns),
            )
            shared[t, rows[:, None], columns] = np.rint(shares * detected_areas[t, rows, None])
    return shared, detected_areas, true


def _track_overlaps(
    shared: Float64Array, detected_areas: Float64Array, true: Float64Array, lengths: Sequence[int]
) -> Float64Array:
    """IoU over the frames that both tracks have, (D, G)."""
    in_range = np.arange(len(true))[:, None] < np.array(lengths, np.int64)  # (T, D)
    both = shared.sum(axis=0)
    union = detected_areas.sum(axis=0)[:, None] + in_range.T.astype(np.float64) @ true - both
    return _ratio(both, union, empty=0.0)


def _match(overlaps: Float64Array, left_out: BoolArray, crowd: BoolArray) -> npt.NDArray[np.intp]:
    """Matched object of each detection, or -1, (groups, thresholds, D)."""
    # A detection takes, of the objects that are free and overlap enough, one that must be found before one
    # that is left out, then the one of largest overlap, then the last. Crowds are always free.
    detections, objects = overlaps.shape
    ranges, thresholds = len(GROUPS), np.minimum(IOU_THRESHOLDS, _CEILING)
    matched = np.full((ranges, len(thresholds), detections), -1, np.intp)
    free = np.ones((ranges, len(thresholds), objects), np.bool_)
    close = overlaps >= thresholds[0]
    for d in np.flatnonzero(close.any(axis=1)):
        candidates = np.flatnonzero(close[d])[::-1]  # the first maximum is then the last object
        values = overlaps[d, candidates]
        rank = np.unique(values, return_inverse=True)[1] + 1
        preference = rank + len(candidates) * ~left_out[:, candidates]
        possible = free[:, :, candidates] & (values >= thresholds[:, None])
        preferences = np.where(possible, preference[:, None], 0)
        choice = candidates[preferences.argmax(axis=2)]
        hit = possible.any(axis=2)
        matched[:, :, d] = np.where(hit, choice, -1)
        a, t = np.nonzero(hit & ~crowd[choice])
        free[a, t, choice[a, t]] = False
    return matched


def _frame_overlaps(
    matched: npt.NDArray[np.intp], shared: Float64Array, detected_areas: Float64Array, true: Float64Array
) -> Float64Array:
    """IoU by object and frame, (G, T); for a crowd with several detections, the first counts."""
    values: Float64Array = np.where(true > 0, 0.0, np.nan).T
    for d in np.flatnonzero(matched >= 0)[::-1]:
        g = matched[d]
        both = shared[:, d, g]
        values[g] = _ratio(both, detected_areas[:, d] + true[:, g] - both, empty=np.nan)
    return values


def _ratio(part: Float64Array, total: Float64Array, *, empty: float) -> Float64Array:
    """``part / whole``, or ``empty`` if the whole is 0."""
    result = np.full_like(total, empty)
    np.divide(part, total, out=result, where=total > 0)
    return result


RECALL_POINTS = np.linspace(0, 1, 101)
RECALL_LIMITS = (1, 10, MAX_DETECTIONS)
"""Detections for a category in a video that AR1, AR10 and AR100 look at."""

HEADLINES = ("AP", "AP50", "AP75", "AR1", "AR10")
"""Measures in papers."""

_AT_50, _AT_75 = 0, 5
_EPSILON = np.spacing(1.0)


@dataclass(frozen=True, slots=True, eq=False)
class CategoryScore:
    """Precision and recall of one category; NaN in groups without objects."""

    precision: Float64Array  # (groups, thresholds, recall points), float64
    recall: Float64Array  # (groups, thresholds), float64
    limited_recall: Float64Array  # over all areas with each of `RECALL_LIMITS`, (limits, thresholds), float64


@dataclass(frozen=True)
class TrackScores:
    """Scores of a set of videos.

    Attributes:
        categories: score by category number, without categories that have no objects to be found.
    """

    categories: Mapping[int, CategoryScore]

    @property
    def stats(self) -> dict[str, float]:
        """Twelve numbers of the official summary, in [0, 1] and in its order; -1 if undefined."""
        return {name: -1.0 if math.isnan(value) else value for name, value in self._means().items()}

    @property
    def headlines(self) -> dict[str, float]:
        """`HEADLINES` over all categories; NaN without ground truth."""
        means = self._means()
        return {name: means[name] for name in HEADLINES}

    @property
    def groups(self) -> dict[str, dict[str, float]]:
        """AP, AP50 and AP75 of each group with objects, except the group of all."""
        return {
            group.name: self._precisions(a)
            for a, group in enumerate(GROUPS)
            if a and not all(np.isnan(score.precision[a]).all() for score in self.categories.values())
        }

    def _precisions(self, group: int) -> dict[str, float]:
        tables = [score.precision[group] for score in self.categories.values()]
        return {
            "AP": _mean(tables),
            "AP50": _mean(table[_AT_50] for table in tables),
            "AP75": _mean(table[_AT_75] for table in tables),
        }

    def category(self, number: int) -> TrackScores:
        """Scores of one category.

        Args:
            number: id of the category.

        Returns:
            Its scores; empty where the ground truth has none of it.
        """
        return TrackScores({key: score for key, score in self.categories.items() if key == number})

    def _means(self) -> dict[str, float]:
        scores = self.categories.values()
        limits = list(enumerate(RECALL_LIMITS))
        sizes = list(enumerate(_OFFICIAL, start=1))
        return {
            **self._precisions(0),
            **{f"AP{name}": _mean(score.precision[a] for score in scores) for a, name in sizes},
            **{f"AR{limit}": _mean(score.limited_recall[i] for score in scores) for i, limit in limits},
            **{f"AR{name}": _mean(score.recall[a] for score in scores) for a, name in sizes},
        }


def score_tracks(matches: Mapping[int, Sequence[Matches]]) -> TrackScores:
    """Summarise the matches of each category, one entry per video in ascending order."""
    scores = {number: _score_category(entries) for number, entries in matches.items() if entries}
    return TrackScores({number: score for number, score in scores.items() if score is not None})


def _score_category(matches: Sequence[Matches]) -> CategoryScore | None:
    """Score of one category; None without ground truth."""
    expected = np.sum([entry.counted.sum(axis=1) for entry in matches], axis=0)  # (groups,)
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
        true_positives = np.cumsum(right[a], axis=1, dtype=np.float64)
        wrong = np.cumsum(~matched[a] & ~ignored[a], axis=1, dtype=np.float64)
        precision[a] = _sample(
            true_positives / expected[a], true_positives / (true_positives + wrong + _EPSILON)
        )
        recall[a] = right[a].sum(axis=1) / expected[a]
    limited = np.full((len(RECALL_LIMITS), right.shape[1]), np.nan)
    if expected[0]:
        limited = np.stack([right[0][:, place < limit].sum(axis=1) / expected[0] for limit in RECALL_LIMITS])
    return CategoryScore(precision, recall, limited)


def _sample(recall: Float64Array, precision: Float64Array) -> Float64Array:
    """Precision at the recall points, (thresholds, points), from curves (thresholds, detections)."""
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    best = np.concatenate([best, np.zeros((len(best), 1))], axis=1)
    places = [np.searchsorted(row, RECALL_POINTS, side="left") for row in recall]
    return np.take_along_axis(best, np.stack(places), axis=1)


def _mean(tables: Iterable[Float64Array]) -> float:
    return mean_of_valid(np.concatenate([np.zeros(0), *(table.ravel() for table in tables)]))
