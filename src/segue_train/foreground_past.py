"""The past of a clip as a session would know it: kept frames, masks, and quantiles of each pixel.

The quantiles are computed by the code of the session. Its masks are not known before a network is trained,
and a network that relies on their being right locks on its own mistakes: so they are sometimes those of the
movers, sometimes those of a crude difference that takes every leaf for foreground, and sometimes missing.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import cv2
import numpy as np

from segue.sessions.background import FIRST_FRAMES, MedianSettings
from segue.sessions.quantiles import scene_planes
from segue_train.cut_outs import Mover
from segue_train.scenery import blob
from segue_train.warp import Bools, Picture, Rng

_GROW = np.ones((5, 5), np.uint8)
_SETTINGS = MedianSettings()


def past_times(rng: Rng) -> list[int]:
    """Times of the frames that are kept, the oldest first; now is 0."""
    every, kind = _SETTINGS.every, rng.random()
    if kind < 0.3:
        every, count = every // 3, int(rng.integers(1, FIRST_FRAMES + 1))
    else:
        count = int(rng.integers(4, 16)) if kind < 0.7 else int(rng.integers(16, _SETTINGS.keep + 1))
        every *= int(rng.choice([1, 1, 1, 2]))
    newest = int(rng.integers(1, 2 * every))
    return [-(newest + every * i) for i in reversed(range(count))]


def passers_by(rng: Rng, movers: list[Mover], times: list[int]) -> list[Mover]:
    """The same movers at other times: who was there before."""
    kind = rng.random()
    count = 0 if kind < 0.45 else int(rng.integers(1, 5) if kind < 0.85 else rng.integers(6, 15))
    found = []
    for _ in range(count if movers else 0):
        mover = movers[int(rng.integers(len(movers)))]
        time = rng.uniform(times[0], 0)
        (x, y), (vx, vy) = mover.path.place, mover.path.velocity
        there = x - vx * time, y - vy * time
        path = replace(mover.path, place=there, stop=np.inf, start=-np.inf, growth=0.0)
        found.append(replace(mover, path=path, comes=-np.inf, leaves=np.inf))
    return found


def past_masks(rng: Rng, frames: Picture, solids: Bools) -> Bools:
    """What a session may have taken for foreground on kept frames (n, H, W, 3); movers were at ``solids``."""
    kind = rng.random()
    if kind < 0.15:
        return np.zeros_like(solids)
    masks = solids
    if kind > 0.45:
        masks = _crude(rng, frames)
        if kind > 0.75:
            part = blob(rng, (solids.shape[1], solids.shape[2]), rng.uniform(0.2, 0.8)) > 0.5
            masks = solids | (masks & part)
    masks = np.stack([cv2.dilate(mask.view(np.uint8), _GROW) > 0 for mask in masks])
    masks[rng.random(len(masks)) < 0.1] = False
    if rng.random() < 0.5:  # nothing is foreground on the first frame of a film
        masks[0] = False
    return np.asarray(masks)


def past_planes(frames: Picture, masks: Bools) -> Picture:
    """Kept frames (n, H, W, 3) and masks as what a network sees of them, (H, W, 21)."""
    planar = np.ascontiguousarray(frames.transpose(0, 3, 1, 2))
    return np.asarray(scene_planes(planar, masks, _SETTINGS.least).transpose(1, 2, 0))


def _crude(rng: Rng, frames: Picture) -> Bools:
    """Everything that differs from the median."""
    middle = np.partition(frames, len(frames) // 2, axis=0)[len(frames) // 2]
    threshold = rng.uniform(15, 45)
    masks = []
    for frame in frames:
        change = reduce(cv2.max, cv2.split(cv2.absdiff(frame, middle)))
        masks.append(cv2.medianBlur((change > threshold).astype(np.uint8), 5) > 0)
    return np.stack(masks)
