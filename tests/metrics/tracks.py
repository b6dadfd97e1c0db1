"""Small annotated videos and results for the tests of video instance segmentation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from segue.datasets.instances import DetectedInstance, Instance
from segue.masks import encode_rle
from segue.masks.tracks import RleTrack

Masks = npt.NDArray[np.bool_]

FRAMES, SIZE = 3, (6, 8)
CATEGORIES = (1, 2)

Video = tuple[list[Instance], list[DetectedInstance]]


def track(masks: Masks) -> RleTrack:
    """Masks (T, H, W) as a track; the object is absent where nothing is set."""
    return RleTrack.parse([encode_rle(mask) if mask.any() else None for mask in masks], masks.shape[1:])


def rectangle(y0: int, x0: int, y1: int, x1: int) -> Masks:
    """The same rectangle on every frame, (T, H, W); the far side is exclusive."""
    masks = np.zeros((FRAMES, *SIZE), np.bool_)
    masks[:, y0:y1, x0:x1] = True
    return masks


@st.composite
def track_masks(draw: st.DrawFn) -> Masks:
    """Rectangles that appear and disappear, (T, H, W); overlaps are often equal or exactly at a threshold."""
    height, width = SIZE
    y, x = draw(st.integers(0, height - 2)), draw(st.integers(0, width - 2))
    masks = rectangle(y, x, draw(st.integers(y + 1, height)), draw(st.integers(x + 1, width)))
    masks[draw(st.lists(st.integers(0, FRAMES - 1), max_size=2, unique=True))] = False
    return masks


@st.composite
def videos(draw: st.DrawFn) -> Video:
    """Some objects, some of them crowds, and detections of few scores, often of an object's shape."""
    shapes = draw(st.lists(track_masks(), min_size=1, max_size=4))
    areas = st.sampled_from([0.0, 100.0, 128.0**2, 200.0**2, 300.0**2])
    objects = [
        Instance(
            i,
            draw(st.sampled_from(CATEGORIES)),
            track(masks),
            draw(areas),
            draw(st.booleans()) and i % 3 == 0,
        )
        for i, masks in enumerate(shapes, start=1)
    ]
    found = draw(st.lists(st.one_of(st.sampled_from(shapes), track_masks()), max_size=6))
    scores = st.sampled_from([0.1, 0.5, 0.5, 0.9])
    detections = [
        DetectedInstance(draw(st.sampled_from(CATEGORIES)), draw(scores), track(masks)) for masks in found
    ]
    return objects, detections


def write_truth(path: Path, content: Sequence[Video]) -> None:
    """An annotation file; the videos are numbered from 1."""
    names = [f"{t:05d}.jpg" for t in range(FRAMES)]
    size = {"height": SIZE[0], "width": SIZE[1], "length": FRAMES}
    records = [
        {"id": number, "file_names": [f"clip{number}/{name}" for name in names], **size}
        for number in range(1, len(content) + 1)
    ]
    annotations: list[dict[str, Any]] = []
    for number, (objects, _) in enumerate(content, start=1):
        for item in objects:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "video_id": number,
                    "category_id": item.category,
                    "iscrowd": int(item.crowd),
                    "segmentations": segmentations(item.masks),
                    "areas": [item.mean_area] * FRAMES,
                }
            )
    categories = [{"id": number, "name": f"class {number}"} for number in CATEGORIES]
    path.write_text(json.dumps({"videos": records, "categories": categories, "annotations": annotations}))


def write_results(path: Path, content: Sequence[Video]) -> None:
    """A result file for the same videos."""
    entries = [
        {
            "video_id": number,
            "category_id": item.category,
            "score": item.score,
            "segmentations": segmentations(item.masks),
        }
        for number, (_, detections) in enumerate(content, start=1)
        for item in detections
    ]
    path.write_text(json.dumps(entries))


def segmentations(masks: RleTrack) -> list[dict[str, Any] | None]:
    """Run lengths fit for JSON."""
    return [
        None if counts is None else {"size": list(masks.size), "counts": counts.decode("ascii")}
        for counts in masks.counts
    ]
