"""The YouTube-VIS evaluation written down step by step, without any care for its time.

Loops over area ranges, thresholds, detections and objects; overlaps of every pair and frame one by one, from
merged run lengths or from decoded masks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

THRESHOLDS = np.linspace(0.5, 0.95, 10)
POINTS = np.linspace(0, 1, 101)
RANGES = ((0, 1e10), (0, 128**2), (128**2, 256**2), (256**2, 1e10))
LIMITS = (1, 10, 100)

Track = dict[str, Any]
Overlap = Callable[[Any, Any], tuple[int, int]]


def merged(first: Any, second: Any) -> tuple[int, int]:
    """Pixels of intersection and union, by merging run lengths."""
    both = coco_mask.area(coco_mask.merge([first, second], True))
    return int(both), int(coco_mask.area(coco_mask.merge([first, second], False)))


def decoded(first: Any, second: Any) -> tuple[int, int]:
    """Pixels of intersection and union, by decoding both masks."""
    a, b = coco_mask.decode(first).astype(bool), coco_mask.decode(second).astype(bool)
    return int((a & b).sum()), int((a | b).sum())


def evaluate(results: Path, ground_truth: Path, overlap: Overlap = merged) -> dict[str, float]:
    """The twelve numbers."""
    truth = json.loads(ground_truth.read_text())
    detections = json.loads(results.read_text())
    for number, item in enumerate(detections, start=1):
        item["id"] = number
        item["areas"] = [int(coco_mask.area(rle)) if rle else None for rle in item["segmentations"]]
    for item in truth["annotations"]:
        item["segmentations"] = [rle if rle else None for rle in item["segmentations"]]
    videos = sorted(video["id"] for video in truth["videos"])
    categories = sorted(category["id"] for category in truth["categories"])
    pairs = {}
    for video in videos:
        for category in categories:
            found = of_pair(detections, video, category)
            true = of_pair(truth["annotations"], video, category)
            if found or true:
                pairs[video, category] = match_pair(found, true, overlap)
    precision, recall = accumulate(pairs, videos, categories)
    return summary(precision, recall)


def of_pair(tracks: Sequence[Track], video: int, category: int) -> list[Track]:
    """Tracks of one category in one video."""
    return [item for item in tracks if item["video_id"] == video and item["category_id"] == category]


def match_pair(found: list[Track], true: list[Track], overlap: Overlap) -> list[dict[str, Any]]:
    """Matches of one category in one video for every area range."""
    order = np.argsort([-item["score"] for item in found], kind="mergesort")[:100]
    found = [found[i] for i in order]
    ious = [[track_iou(d["segmentations"], g["segmentations"], overlap) for g in true] for d in found]
    return [match_range(found, true, ious, low, high) for low, high in RANGES]


def track_iou(found: Sequence[Any], true: Sequence[Any], overlap: Overlap) -> float:
    """Overlap of two tracks."""
    both = union = 0
    for d, g in zip(found, true, strict=False):
        if d and g:
            i, u = overlap(d, g)
            both, union = both + i, union + u
        elif d or g:
            union += int(coco_mask.area(d or g))
    return both / union if union else 0.0


def match_range(
    found: list[Track], true: list[Track], ious: list[list[float]], low: float, high: float
) -> dict[str, Any]:
    """Greedy matching in one area range."""
    outside = [not low <= mean_area(g) <= high for g in true]
    ignore = [bool(g["iscrowd"]) or out for g, out in zip(true, outside, strict=True)]
    order = sorted(range(len(true)), key=lambda g: ignore[g])
    hit = np.zeros((len(THRESHOLDS), len(found)), bool)
    skip = np.zeros((len(THRESHOLDS), len(found)), bool)
    for t, threshold in enumerate(THRESHOLDS):
        taken: set[int] = set()
        for d, item in enumerate(found):
            best, choice = min(threshold, 1 - 1e-10), -1
            for g in order:
                if g in taken and not true[g]["iscrowd"]:
                    continue
                if choice >= 0 and not ignore[choice] and ignore[g]:
                    break
                if ious[d][g] >= best:
                    best, choice = ious[d][g], g
            hit[t, d] = choice >= 0
            skip[t, d] = ignore[choice] if choice >= 0 else not low <= mean_area(item) <= high
            taken.add(choice)
    return {
        "scores": [item["score"] for item in found],
        "hit": hit,
        "skip": skip,
        "expected": sum(not flag for flag in ignore),
    }


def mean_area(track: Track) -> float:
    """Mean of the areas that are there."""
    areas = [area for area in track["areas"] if area]
    return float(np.mean(areas)) if areas else 0.0


def accumulate(pairs: dict[Any, Any], videos: list[int], categories: list[int]) -> tuple[Any, Any]:
    """Precision (thresholds, points, categories, ranges, limits) and recall without the points."""
    shape = (len(THRESHOLDS), len(POINTS), len(categories), len(RANGES), len(LIMITS))
    precision, recall = -np.ones(shape), -np.ones((shape[0], *shape[2:]))
    for k, category in enumerate(categories):
        entries = [pairs[video, category] for video in videos if (video, category) in pairs]
        for a in range(len(RANGES)):
            expected = sum(entry[a]["expected"] for entry in entries)
            if not expected:
                continue
            for m, limit in enumerate(LIMITS):
                scores = np.concatenate([entry[a]["scores"][:limit] for entry in entries])
                order = np.argsort(-scores, kind="mergesort")
                hit = np.concatenate([entry[a]["hit"][:, :limit] for entry in entries], axis=1)[:, order]
                skip = np.concatenate([entry[a]["skip"][:, :limit] for entry in entries], axis=1)[:, order]
                for t in range(len(THRESHOLDS)):
                    right = np.cumsum(hit[t] & ~skip[t]).astype(float)
                    wrong = np.cumsum(~hit[t] & ~skip[t]).astype(float)
                    recall[t, k, a, m] = right[-1] / expected if len(right) else 0
                    precision[t, :, k, a, m] = curve(right, wrong, expected)
    return precision, recall


def curve(right: Any, wrong: Any, expected: int) -> list[float]:
    """Precision at the recall points."""
    values = (right / (right + wrong + np.spacing(1))).tolist()
    for i in range(len(values) - 1, 0, -1):
        values[i - 1] = max(values[i - 1], values[i])
    places = np.searchsorted(right / expected, POINTS, side="left")
    return [values[place] if place < len(values) else 0.0 for place in places]


def summary(precision: Any, recall: Any) -> dict[str, float]:
    """The twelve numbers of the tables."""
    stats = {"AP": mean(precision[..., 0, 2])}
    stats |= {"AP50": mean(precision[0, :, :, 0, 2]), "AP75": mean(precision[5, :, :, 0, 2])}
    stats |= {f"AP{name}": mean(precision[..., a, 2]) for a, name in enumerate("sml", start=1)}
    stats |= {f"AR{limit}": mean(recall[..., 0, m]) for m, limit in enumerate(LIMITS)}
    return stats | {f"AR{name}": mean(recall[..., a, 2]) for a, name in enumerate("sml", start=1)}


def mean(values: Any) -> float:
    """Mean of what is there, else -1."""
    known = values[values > -1]
    return float(known.mean()) if known.size else -1.0
