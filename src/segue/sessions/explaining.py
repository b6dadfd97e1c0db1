"""Images of the inputs and features behind a foreground result, for ``--explain``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import cv2
import numpy as np

from segue.arrays import Float32Array, FloatingArray, UInt8Array
from segue.models.base import (
    ExplainedFlow,
    ExplainedNetwork,
    Features,
    ForegroundCapabilities,
    ForegroundNetwork,
)
from segue.sessions.empty_scene import Scene
from segue.types import Image

LEAST_MOTION = 1.0  # pixels: slower flow is not brought to full colour, or noise would look like motion


@dataclass(slots=True)
class Explanation:
    """Intermediate maps of a network for a frame, fine to coarse; missing ones are empty."""

    context: list[Float32Array] = field(default_factory=list)  # (h, w)
    motion: list[Float32Array] = field(default_factory=list)  # to earlier frames, (h, w, 2), by falling gap
    lengths: Float32Array | None = None  # of flow, as the network takes them, (h, w, gaps) in [0, 1]
    filtered: list[Float32Array] = field(default_factory=list)  # means over channels, (h, w)
    attention: list[Float32Array] = field(default_factory=list)  # its weights, means over channels, (h, w)

    @classmethod
    def of(
        cls,
        network: ForegroundNetwork,
        able: ForegroundCapabilities,
        current: Features,
        context: Sequence[Features],
        background: Features | None,
        plane: UInt8Array | None,
    ) -> Explanation:
        """What a network can tell of a frame; ``plane`` is the flow that it brings, (h, w, gaps)."""
        found = cls()
        if able.context_maps:
            maps = cast(ExplainedNetwork, network).context_maps(current, context, background)
            found.context = [each[0].float().cpu().numpy() for each in maps]
        if able.explains_flow:
            motion, scales = cast(ExplainedFlow, network).explain_flow(current, context, background)
            found.motion = [each[0].movedim(0, -1).float().cpu().numpy() for each in motion]
            found.lengths = None if plane is None else np.float32(np.atleast_3d(plane)) / 255
            found.filtered = [each.filtered[0].float().abs().mean(0).cpu().numpy() for each in scales]
            weights = [each.attention for each in scales if each.attention is not None]
            found.attention = [each[0].float().mean(0).cpu().numpy() for each in weights]
        return found


def draw(image: Image, scene: Scene | None, foreground: FloatingArray, explanation: Explanation) -> Image:
    """One RGB image of several in rows, each of the size of the frame; what is short is filled with black."""
    height, width = image.shape[:2]
    empty = [] if scene is None else [scene.image, *(planes.transpose(1, 2, 0) for planes in scene.range)]

    def grey(plane: FloatingArray, most: float) -> Image:
        shown = np.uint8(255 * np.clip(plane / max(most, 1e-6), 0, 1))
        resized = cv2.resize(shown, (width, height), interpolation=cv2.INTER_NEAREST)
        return np.repeat(np.asarray(resized, np.uint8)[..., None], 3, 2)

    def at_most(plane: FloatingArray) -> Image:
        resized = np.asarray(cv2.resize(plane, (width, height)), np.float32)
        return grey(resized, float(plane.max()))

    rows = [[image, *empty, *map(at_most, explanation.context), grey(foreground, 1)]]
    if explanation.motion:
        fastest = max(float(np.linalg.norm(flow, axis=2).max()) for flow in explanation.motion)
        wheels = [colour_wheel(flow, max(fastest, LEAST_MOTION)) for flow in explanation.motion]
        rows.append([np.asarray(cv2.resize(wheel, (width, height)), np.uint8) for wheel in wheels])
    elif explanation.lengths is not None:
        rows.append([grey(plane, 1) for plane in np.moveaxis(explanation.lengths, 2, 0)])
    most = max((float(plane.max()) for plane in explanation.filtered), default=0.0)
    rows.append([grey(plane, most) for plane in explanation.filtered])
    rows.append([grey(plane, 1) for plane in explanation.attention])
    rows = [row for row in rows if row]
    columns = max(map(len, rows))
    black = np.zeros_like(image)
    return np.vstack([np.hstack([*row, *[black] * (columns - len(row))]) for row in rows])


def colour_wheel(flow: Float32Array, most: float) -> Image:
    """Flow (H, W, 2) as colours: hue is the direction, right is red; full colour moves by ``most``."""
    angle = np.degrees(np.arctan2(flow[..., 1], flow[..., 0])) % 360
    speed = np.clip(np.linalg.norm(flow, axis=2) / most, 0, 1)
    colours = np.dstack([angle, speed, np.ones_like(speed)]).astype(np.float32)
    return np.asarray(np.rint(255 * cv2.cvtColor(colours, cv2.COLOR_HSV2RGB)), np.uint8)
