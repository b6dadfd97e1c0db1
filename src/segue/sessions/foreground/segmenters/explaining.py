"""Images of the inputs and features behind a foreground result, for ``--explain``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
from torch import Tensor

from segue.models.base import (
    ExplainedFlow,
    ExplainedNetwork,
    Features,
    ForegroundCapabilities,
    ForegroundNetwork,
)
from segue.sessions.foreground.background.quantiles import Scene, bounds_of
from segue.types import Image
from segue.utils.arrays import Float32Array, FloatingArray, UInt8Array

Rows = Sequence[Sequence[Image]]
"""Images that explain a result, RGB, of any size: those beside the frame, and further rows."""


def explain(
    network: ForegroundNetwork,
    able: ForegroundCapabilities,
    current: Features,
    context: Sequence[Features],
    background: Features | None,
    plane: UInt8Array | None,
) -> Rows:
    """Draw the inputs and features of a frame; ``plane`` is its flow, (h, w, gaps)."""
    first_row: list[Image] = []
    if able.context_maps:
        maps = cast(ExplainedNetwork, network).context_maps(current, context, background)
        first_row = [grey(_array(each[0])) for each in maps]
    if not able.explains_flow:
        return [first_row]
    scales = cast(ExplainedFlow, network).explain_flow(current, context, background)
    lengths = [] if plane is None else list(np.moveaxis(np.atleast_3d(plane), 2, 0))
    filtered = [np.abs(_array(each.filtered[0])).mean(0) for each in scales]
    weights = [_array(each.attention[0]).mean(0) for each in scales if each.attention is not None]
    maximum = max((float(each.max()) for each in filtered), default=0.0)
    return [
        first_row,
        [grey(each, 255) for each in lengths],
        [grey(each, maximum) for each in filtered],
        [grey(each, 1) for each in weights],
    ]


def draw(
    image: Image, scene: Scene | None, foreground: FloatingArray, rows: Rows, decision: str = ""
) -> Image:
    """Arrange images of the frame's size in rows, padded with black.

    The decision about the whole image is written in the corner of the foreground.
    """
    first_row, *more_rows = rows
    empty = [] if scene is None else [scene.image, *bounds_of(scene)]
    image_rows = [
        [image, *empty, *first_row, labelled(grey(foreground, 1), decision)],
        *filter(None, more_rows),
    ]
    columns, size = max(map(len, image_rows)), image.shape[1::-1]
    black = np.zeros_like(image)
    return np.vstack(
        [
            np.hstack([*(cv2.resize(each, size) for each in row), *[black] * (columns - len(row))])
            for row in image_rows
        ]
    )


def labelled(image: Image, word: str) -> Image:
    """Write a word in the upper left corner of an image, white on black; empty returns the image itself."""
    if not word:
        return image
    canvas, place, font = image.copy(), (4, 14), cv2.FONT_HERSHEY_SIMPLEX
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(canvas, word, place, font, 0.45, colour, thickness)
    return np.asarray(canvas, np.uint8)


def grey(plane: FloatingArray | UInt8Array, white_level: float | None = None) -> Image:
    """Convert a plane (h, w) to a grey image; ``white_level``, by default the maximum, is white."""
    white = float(plane.max()) if white_level is None else white_level
    levels = np.uint8(255 * np.clip(plane / max(white, 1e-6), 0, 1))
    return np.repeat(np.asarray(levels)[..., None], 3, 2)


def _array(values: Tensor) -> Float32Array:
    return np.asarray(values.float().cpu().numpy(), np.float32)
