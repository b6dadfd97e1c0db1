"""Process rendered maps: exposure, radial distortion, labels of CDnet2014."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.datasets.foreground.labels import MOTION, SHADOW, UNKNOWN, Labels
from segue_isd.scene.parts import UNDECIDED

MIRRORED = 4096
"""Offset of ids of foreground in a mirror."""
SHADOW_SHARE = 0.10
"""Minimum share of light that a shadow removes."""
BORDER = (0.05, 0.95)
"""Shares of coverage between which a pixel is neither foreground nor background."""


@dataclass(frozen=True)
class Maps:
    """One rendered frame."""

    image: npt.NDArray[np.uint8]  # RGB, (H, W, 3)
    coverage: npt.NDArray[np.uint8]  # share of each pixel that foreground covers, (H, W), 255 = all
    normal: npt.NDArray[np.uint8]  # camera space (x right, y down, z away), (n + 1) / 2 * 255, (H, W, 3)
    shadow: npt.NDArray[np.uint8]  # share of the light that foreground takes from the background, (H, W)
    depth: npt.NDArray[np.float32]  # distance along the optical axis in metres, (H, W)
    ids: npt.NDArray[np.int32]  # (H, W); mirrors are marked by :data:`MIRRORED`
    flow: npt.NDArray[np.float32]  # x and y in pixels to the next frame, (H, W, 2)


def labels(maps: Maps) -> Labels:
    """Ground-truth labels of a frame, (H, W)."""
    truth = np.zeros(maps.ids.shape, np.uint8)
    truth[maps.shadow > SHADOW_SHARE * 255] = SHADOW
    truth[(maps.ids >= UNDECIDED) | (maps.ids >= MIRRORED)] = UNKNOWN
    truth[maps.coverage > BORDER[0] * 255] = UNKNOWN
    truth[maps.coverage >= BORDER[1] * 255] = MOTION
    return truth


def averaged(maps: Maps, more: Sequence[Maps]) -> Maps:
    """Average light and foreground shares over further moments of the exposure."""
    moments = [maps, *more]
    light = sum(np.square(moment.image, dtype=np.float32) for moment in moments) / np.float32(len(moments))

    def mean(name: str) -> npt.NDArray[np.uint8]:
        total = sum(getattr(moment, name).astype(np.uint16) for moment in moments)
        return np.asarray(total / len(moments) + 0.5, np.uint8)

    image = np.asarray(np.sqrt(light) + np.float32(0.5), np.uint8)
    return replace(maps, image=image, coverage=mean("coverage"), shadow=mean("shadow"))


def instances(maps: Maps) -> npt.NDArray[np.uint16]:
    """Visible ids, (H, W), uint16, without marks of mirrors."""
    return np.asarray(maps.ids % MIRRORED, np.uint16)


class Lens:
    """Radial distortion of a pinhole image; corners stay."""

    def __init__(self, bend: float, size: tuple[int, int]) -> None:
        height, width = size
        self._bend, self._half = bend, np.float32(np.hypot(height, width) / 2)
        self._middle = np.array([width / 2, height / 2], np.float32)
        self._places = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1) + np.float32(0.5)
        away = (self._places - self._middle) / self._half
        stretch = (1 + bend * (away**2).sum(axis=-1, keepdims=True)) / (1 + bend)
        self._sources = (self._middle + self._half * away * stretch - 0.5).astype(np.float32)

    def image(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Distort an image or share, (H, W) or (H, W, 3), with interpolation."""
        return np.asarray(self._remapped(image, cv2.INTER_LINEAR), np.uint8)

    def maps(self, maps: Maps) -> Maps:
        """Distort all maps of a frame; labels use the nearest pixel."""
        flow = self._remapped(maps.flow, cv2.INTER_NEAREST)
        ids = self._remapped(maps.ids.astype(np.float32), cv2.INTER_NEAREST)
        return replace(
            maps,
            image=self.image(maps.image),
            coverage=self.image(maps.coverage),
            shadow=self.image(maps.shadow),
            normal=np.asarray(self._remapped(maps.normal, cv2.INTER_NEAREST), np.uint8),
            depth=np.asarray(self._remapped(maps.depth, cv2.INTER_NEAREST), np.float32),
            ids=ids.astype(np.int32),
            flow=self._bent_flow(np.asarray(flow, np.float32)),
        )

    def _remapped(self, values: npt.NDArray[Any], how: int) -> npt.NDArray[Any]:
        remap: Any = cv2.remap  # whose stubs do not know that the second map may be missing
        return np.asarray(remap(values, self._sources, None, how, borderMode=cv2.BORDER_REPLICATE))

    def _bent_flow(self, flow: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Convert flow (H, W, 2) to the distorted image."""
        if not flow.any():
            return flow
        ends = (self._sources + 0.5 + flow - self._middle) / self._half
        goal = np.linalg.norm(ends, axis=-1) * np.float32(1 + self._bend)
        table = np.linspace(0, 3, 1 << 14)
        radius = np.interp(goal, table * (1 + self._bend * table**2), table).astype(np.float32)
        ends *= (radius * np.float32(1 + self._bend) / np.maximum(goal, 1e-6))[..., None]
        displaced = self._middle + self._half * ends - self._places
        return np.where(flow.any(axis=-1, keepdims=True), displaced, 0).astype(np.float32)
