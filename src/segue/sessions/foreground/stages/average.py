"""Average the foreground of a frame with the frames before and after it along the motion of each pixel."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from segue.flow import DIS
from segue.flow.providers import Flow
from segue.models.geometry import ResizePadGeometry
from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.background.quantiles import resized
from segue.sessions.foreground.camera.changes import Change
from segue.sessions.foreground.camera.registration import agree, sampled
from segue.sessions.foreground.stages.base import Stage, WorkFrame
from segue.state import checkpointed
from segue.types import Image
from segue.utils.arrays import BoolArray, Float32Array

REACH = 12
"""Frames before and after each one that are averaged; larger values smooth fast objects away."""

SAME = 15
"""Levels by which a pixel may differ on these frames and still belong to the same object."""

PAN_REACH, PAN_SAME = 4, 255
"""The same two values while the camera pans; colours are ignored."""

MIN_FOREGROUND = 0.05
"""Probability from which on a pixel may be foreground."""

SEARCH_KERNEL = np.ones(
    (15, 15), np.uint8
)  # what lies so near to where something may be foreground is looked at
SHORT_SIDE = 240
"""Maximum short side in pixels at which pixels are tracked."""

_ROW = 256
"""Length of a row, since OpenCV samples at most 32767 positions in one."""


@dataclass(frozen=True, slots=True, eq=False)
class _Near:
    """Image and foreground of a frame, reduced to the short side."""

    index: int
    image: Image
    foreground: Float32Array


class MotionAverage(Stage):
    """Averages the foreground of each frame with the twelve frames before and after it."""

    name = "average"
    lag = REACH
    _near: deque[_Near] = checkpointed(partial(deque, maxlen=2 * REACH + 1))
    state_types = (_Near,)

    def __init__(self) -> None:
        super().__init__()
        self._quick = DIS(quick=True)
        self._flows: dict[tuple[int, int], Flow] = {}

    def reset(self, event: Change) -> None:
        if event is not Change.light:
            self._near.clear()
            self._flows.clear()

    def after_segment(self, frame: WorkFrame, background: Background) -> None:
        size = ResizePadGeometry.of(frame.image.shape[:2], SHORT_SIDE, 1).working
        image, foreground = resized(frame.image, size), resized(frame.foreground.copy(), size)
        self._near.append(_Near(frame.index, image, foreground))
        first = self._near[0].index
        self._flows = {pair: flow for pair, flow in self._flows.items() if min(pair) >= first}

    def postprocess(self, frame: WorkFrame, background: Background) -> None:
        neighbours = list(self._near)
        place = next(i for i, each in enumerate(neighbours) if each.index == frame.index)
        reach, levels = (PAN_REACH, PAN_SAME) if frame.pans else (REACH, SAME)
        previous, current, following = (
            neighbours[max(0, place - reach) : place],
            neighbours[place],
            neighbours[place + 1 :][:reach],
        )
        is_candidate = np.any(
            [each.foreground > MIN_FOREGROUND for each in (*previous, current, *following)], axis=0
        )
        if not (previous or following) or not is_candidate.any():
            return
        looked = cv2.dilate(is_candidate.view(np.uint8), SEARCH_KERNEL) > 0
        change = np.zeros(looked.shape, np.float32)
        change[looked] = (
            self._mean(current, looked, (previous[::-1], following), levels) - current.foreground[looked]
        )
        size = frame.foreground.shape[::-1]
        finer = cv2.resize(change, size, interpolation=cv2.INTER_LINEAR)  # outlines stay
        frame.foreground = np.clip(frame.foreground + finer, 0, 1)

    def _mean(
        self, current: _Near, looked: BoolArray, sides: tuple[list[_Near], list[_Near]], levels: int
    ) -> Float32Array:
        """Mean foreground of selected pixels over neighbouring frames, as far as they look the same."""
        rows, columns = looked.nonzero()
        padding = -len(rows) % _ROW
        xs, ys = (np.pad(each.astype(np.float32), (0, padding)).reshape(-1, _ROW) for each in (columns, rows))
        total, count, colours = (
            sampled(current.foreground, xs, ys),
            np.ones(xs.shape),
            sampled(current.image, xs, ys),
        )
        (height, width), shape = current.foreground.shape, xs.shape
        for side in sides:
            x, y, last, same = xs, ys, current, np.ones(shape, bool)
            for other in side:
                step = sampled(self._flow(last, other), x, y)
                x, y, last = x + step[..., 0], y + step[..., 1], other
                same &= agree(sampled(other.image, x, y), colours, levels)
                same &= (x > -1) & (y > -1) & (x < width) & (y < height)
                if not same.any():
                    break
                total += np.where(same, sampled(other.foreground, x, y), 0)
                count += same
        return np.asarray((total / count).reshape(-1)[: len(rows)], np.float32)

    def _flow(self, start: _Near, end: _Near) -> Flow:
        """Optical flow to the previous or next frame, (H, W, 2) in pixels."""
        pair = start.index, end.index
        if pair not in self._flows:
            self._flows[pair] = self._quick(start.image, end.image)
        return self._flows[pair]
