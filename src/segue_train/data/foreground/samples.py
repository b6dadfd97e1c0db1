"""Samples of foreground networks: a window of frames, its labels, and a session's past.

Of the past are known kept frames, masks, and quantiles of each pixel, computed by the code of the session.
The masks of a session are not known before a network is trained, and a network that relies on their being
right locks on its own mistakes: so they are sometimes those of the movers, sometimes those of a crude
difference that takes every leaf for foreground, and sometimes missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import cv2
import numpy as np

from segue.datasets.foreground.labels import MOTION, UNKNOWN
from segue.sessions.foreground.background.median import MedianSettings
from segue.sessions.foreground.background.quantiles import Scene, scene_planes
from segue.sessions.foreground.background.recurrence import Past, RecentPast, halved
from segue.sessions.foreground.stages.contrast import contrast_gain
from segue.types import Image
from segue.utils.arrays import BoolArray, Float32Array, UInt8Array
from segue_train.data.foreground.scenery import blob
from segue_train.data.warp import Rng
from segue_train.recipe import Batch, stacked

UNLIT = 25  # label of a pixel that is static or in shadow, where nobody labelled shadows
VISIBLE = 20  # grey levels by which a pixel differs where something can be seen
RECENT = 12  # kept frames at most that lie as close in time as the recent ones of a session
MIN_EVIDENCE = 0.5  # share of a mover that differs from what was there before, or else nobody could find it
_GROW = np.ones((5, 5), np.uint8)
_SETTINGS = MedianSettings()


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of training, uint8; labels and further maps are of the current frame."""

    window: Image  # RGB frames (T, H, W, 3) in the order of time
    background: Image  # the scene as a session would know it and recurrence, (H, W, 27), or its RGB image
    labels: Image  # (H, W), in the values of CDnet and :data:`UNLIT`
    depth: Image | None = None  # (H, W)
    flow: Image | None = None  # (H, W, gaps)
    normals: Image | None = None  # (n + 1) / 2 * 255, (H, W, 3); 0 everywhere where they are not known


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples of one size to a batch."""
    batch = {
        "window": stacked(item.window for item in samples).movedim(-1, 2),
        "background": stacked(item.background for item in samples).movedim(-1, 1),
        "labels": stacked(item.labels for item in samples),
    }
    depths = [item.depth for item in samples if item.depth is not None]
    normals = [item.normals for item in samples if item.normals is not None]
    flows = [item.flow for item in samples if item.flow is not None]
    if depths:
        batch["depth"] = stacked(depths)
    if normals:
        batch["normals"] = stacked(normals).movedim(-1, 1)
    if flows:
        batch["flow"] = stacked(flows).movedim(-1, 1)
    return batch


def past_times(rng: Rng) -> list[int]:
    """Draw times of the kept frames, the oldest first; now is 0."""
    every, kind = _SETTINGS.every, rng.random()
    if kind < 0.3:
        count = int(rng.integers(1, 10))
    else:
        count = int(rng.integers(4, 16)) if kind < 0.7 else int(rng.integers(16, _SETTINGS.keep + 1))
        every *= int(rng.choice([1, 1, 1, 2]))
    newest = int(rng.integers(1, 2 * every))
    return [-(newest + every * i) for i in reversed(range(count))]


def session_sample(
    rng: Rng,
    window: Image,
    current: Image,
    past: Image,
    solids: BoolArray,
    labels: Image,
    *,
    visible: float = VISIBLE,
) -> Sample:
    """Create a sample with statistics of past frames, in a session's contrast."""
    planar = np.ascontiguousarray(past.transpose(0, 3, 1, 2))
    masks = past_masks(rng, past, solids)
    planes = scene_planes(planar, masks, _SETTINGS.least)
    labels = without_evidence_unknown(current, window, planes, labels, visible)
    tone = contrast_gain(Scene(planes), current)
    planes = tone.of_scene(Scene(planes)).planes
    return Sample(tone.act(window), with_recurrence(planes, current, past, masks), labels)


def with_recurrence(planes: UInt8Array, current: Image, past: Image, masks: BoolArray) -> Image:
    """Join scene planes (21, H, W) and recurrence of colours in the past: (H, W, 27).

    Args:
        planes: planes of the background.
        current: the frame, (H, W, 3).
        past: kept frames (n, H, W, 3); the last of them stand for the recent ones.
        masks: their foreground, (n, H, W).
    """
    halves, recent = [halved(frame) for frame in past], RecentPast()
    for frame, mask in zip(past, masks, strict=True):
        recent.update(frame, mask)
    recurring = Past(halves, recent=halves[-RECENT:], places=recent.places)
    return joined_planes(planes, recurring.recurrence(current))


def joined_planes(planes: UInt8Array, recurrence: UInt8Array) -> Image:
    """Join scene planes (21, H, W) and recurrence, (6, ceil(H / 2), ceil(W / 2)): (H, W, 27)."""
    enlarged = recurrence.repeat(2, axis=1).repeat(2, axis=2)[:, : planes.shape[1], : planes.shape[2]]
    return np.ascontiguousarray(np.concatenate([planes, enlarged]).transpose(1, 2, 0))


def past_masks(rng: Rng, frames: Image, solids: BoolArray) -> BoolArray:
    """Simulate a session's foreground masks on kept frames."""
    kind = rng.random()
    if kind < 0.15:
        return np.zeros_like(solids)
    masks = solids
    if kind > 0.45:
        masks = _differs_from_median(rng, frames)
        if kind > 0.75:
            part = blob(rng, (solids.shape[1], solids.shape[2]), rng.uniform(0.2, 0.8)) > 0.5
            masks = solids | (masks & part)
    masks = np.stack([cv2.dilate(mask.view(np.uint8), _GROW) > 0 for mask in masks])
    masks[rng.random(len(masks)) < 0.1] = False
    if rng.random() < 0.5:  # nothing is foreground on the first frame of a video
        masks[0] = False
    return np.asarray(masks)


def _differs_from_median(rng: Rng, frames: Image) -> BoolArray:
    """Mask pixels that differ from the median."""
    middle = np.partition(frames, len(frames) // 2, axis=0)[len(frames) // 2]
    threshold = rng.uniform(15, 45)
    changes = [reduce(cv2.max, cv2.split(cv2.absdiff(frame, middle))) for frame in frames]
    return np.stack([cv2.medianBlur((change > threshold).astype(np.uint8), 5) > 0 for change in changes])


def without_evidence_unknown(
    current: Image, window: Iterable[Image], planes: UInt8Array, labels: Image, visible: float = VISIBLE
) -> Image:
    """Mark movers as unknown if most of them looks the same in all other images.

    These are the frames of a window (T, H, W, 3) and the two medians among the planes (21, H, W) of a scene.
    """
    other_images = [*window, *(planes[i : i + 3].transpose(1, 2, 0) for i in (3, 12))]
    if visible < VISIBLE:
        current, *other_images = (
            np.asarray(cv2.blur(image, (3, 3)), np.uint8) for image in (current, *other_images)
        )
    change = np.max([_difference(current, other) for other in other_images], axis=0) > visible
    count, pieces = cv2.connectedComponents((labels == MOTION).astype(np.uint8))
    areas = np.bincount(pieces.ravel(), minlength=count)
    changed = np.bincount(pieces.ravel(), weights=change.ravel(), minlength=count)
    lacks_evidence = changed < MIN_EVIDENCE * areas
    lacks_evidence[0] = False
    return np.where(lacks_evidence[pieces], np.uint8(UNKNOWN), labels)


def _difference(image: Image, other: Image) -> Float32Array:
    """Largest channel difference at each pixel, (H, W), beyond a global change of light."""
    change = image.astype(np.float32) - other
    planes = cv2.split(np.abs(change - np.median(change[::4, ::4], axis=(0, 1)).astype(np.float32)))
    return np.asarray(reduce(np.maximum, planes))
