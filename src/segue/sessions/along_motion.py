"""Average the foreground of a frame with nearby frames along the motion of each pixel."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from segue.arrays import BoolArray, Float32Array
from segue.flow import DIS
from segue.flow.providers import Flow
from segue.models.geometry import ResizePadGeometry
from segue.sessions.backgrounds import Background
from segue.sessions.base import checkpointed
from segue.sessions.empty_scene import resized
from segue.sessions.stages import Change, Stage, WorkFrame
from segue.types import Image

REACH = 12  # frames before and after each one that count
SAME = 15  # levels by which a pixel may look different on such a frame and still be the same thing
LIKELY = 0.05  # probability from which on something may be foreground
AROUND = np.ones((15, 15), np.uint8)  # what lies so near to where something may be foreground is looked at
SHORT_SIDE = 240  # pixels are followed in images of this short side at most

_ROW = 256  # OpenCV samples images at no more than 32767 places in a row

Kind = TypeVar("Kind", np.float32, np.uint8)

FlowBetween = Callable[[int, int], Flow]
"""Gives the flow from a frame to the one before or after it, (H, W, 2), right and down in pixels."""


def along_motion(maps: Sequence[Float32Array], flow: FlowBetween, reach: int) -> list[Float32Array]:
    """Mean of each map and of those near it in time, whose pixels are followed by optical flow."""
    height, width = maps[0].shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return [_mean(columns, rows, index, maps, flow, reach) for index in range(len(maps))]


def _mean(
    columns: Float32Array,
    rows: Float32Array,
    index: int,
    maps: Sequence[Float32Array],
    flow: FlowBetween,
    reach: int,
    images: Sequence[Image] | None = None,
) -> Float32Array:
    """Mean at pixels of a frame; with images only over frames up to which they look the same."""
    total, count = _at(maps[index], columns, rows), np.ones(columns.shape, np.float32)
    own = None if images is None else _at(images[index], columns, rows)
    for way in (-1, 1):
        x, y, counts = columns, rows, np.ones(columns.shape, bool)
        for near in range(index + way, index + way * (reach + 1), way):
            if not 0 <= near < len(maps):
                break
            step = _at(flow(near - way, near), x, y)
            x, y = x + step[..., 0], y + step[..., 1]
            if images is not None and own is not None:
                height, width = images[near].shape[:2]
                apart = cv2.absdiff(_at(images[near], x, y), own)
                counts &= cv2.inRange(apart, (0, 0, 0), (SAME, SAME, SAME)) > 0
                counts &= (x > -1) & (y > -1) & (x < width) & (y < height)
                if not counts.any():
                    break
            total += np.where(counts, _at(maps[near], x, y), 0)
            count += counts
    return np.asarray(total / count, np.float32)


def _at(values: npt.NDArray[Kind], x: Float32Array, y: Float32Array) -> npt.NDArray[Kind]:
    """Bilinear values (H, W) or (H, W, C) at subpixel positions; the border is replicated."""
    found: Any = cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, values.dtype)


@dataclass(frozen=True, slots=True, eq=False)
class _Near:
    """A frame as it is followed: image and foreground at no more than the short side, whether it counts."""

    index: int
    image: Image
    foreground: Float32Array
    counts: bool


class MotionAverage(Stage):
    """Averages the foreground of each frame with the twelve frames before and after it."""

    name = "average"
    lag = REACH
    _near: deque[_Near] = checkpointed()
    state_types = (_Near,)

    def __init__(self) -> None:
        self._quick = DIS(quick=True)
        self._near = deque(maxlen=2 * REACH + 1)
        self._flows: dict[tuple[int, int], Flow] = {}

    def _reset_transient_state(self) -> None:
        self._flows = {}

    def reset(self, event: Change) -> None:
        if event is Change.scene:
            self._near.clear()
            self._flows = {}

    def after(self, frame: WorkFrame, background: Background) -> None:
        size = ResizePadGeometry.of(frame.image.shape[:2], SHORT_SIDE, 1).working
        image, foreground = resized(frame.image, size), resized(frame.foreground, size)
        self._near.append(_Near(frame.index, image, foreground, not frame.known))
        first = self._near[0].index
        self._flows = {pair: flow for pair, flow in self._flows.items() if min(pair) >= first}

    def result(self, frame: WorkFrame, background: Background) -> None:
        place = next(i for i, each in enumerate(self._near) if each.index == frame.index)
        own, near = self._near[place], self._counted(place)
        likely = np.any([each.foreground > LIKELY for each in near], axis=0)
        if len(near) == 1 or not likely.any():
            return

        def flow(start: int, end: int) -> Flow:
            pair = near[start].index, near[end].index
            if pair not in self._flows:
                self._flows[pair] = self._quick(near[start].image, near[end].image)
            return self._flows[pair]

        mean = _mean_where(likely, near.index(own), near, flow)
        assert frame.maps is not None
        maps = frame.maps.copy()  # the frames near it still need it as it was
        if mean.shape == maps[0].shape:
            maps[0] = mean
        else:  # finer outlines stay
            change = cv2.resize(mean - own.foreground, maps[0].shape[::-1], interpolation=cv2.INTER_LINEAR)
            maps[0] = np.clip(maps[0] + change, 0, 1)
        frame.maps = maps

    def _counted(self, place: int) -> list[_Near]:
        """The frames around one, up to those that do not count; itself alone if it does not."""
        near, last = list(self._near), len(self._near) - 1
        begin = end = place
        while near[place].counts and begin > max(0, place - REACH) and near[begin - 1].counts:
            begin -= 1
        while near[place].counts and end < min(last, place + REACH) and near[end + 1].counts:
            end += 1
        return near[begin : end + 1]


def _mean_where(likely: BoolArray, index: int, near: Sequence[_Near], flow: FlowBetween) -> Float32Array:
    """Mean foreground of a frame; only pixels near which something may be foreground are followed."""
    looked = cv2.dilate(likely.view(np.uint8), AROUND) > 0
    rows, columns = looked.nonzero()
    missing = -len(rows) % _ROW
    x, y = (np.pad(each.astype(np.float32), (0, missing)).reshape(-1, _ROW) for each in (columns, rows))
    maps, images = [each.foreground for each in near], [each.image for each in near]
    means = _mean(x, y, index, maps, flow, REACH, images)
    foreground: Float32Array = near[index].foreground.copy()
    foreground[looked] = means.reshape(-1)[: len(rows)]
    return foreground
