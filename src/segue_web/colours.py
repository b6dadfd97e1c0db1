"""Colours of objects, each as different as possible from earlier ones."""

from __future__ import annotations

import colorsys
from functools import cache

import cv2
import numpy as np

FIRST = ("#f2495c", "#ffb020", "#37c978", "#35b6f2", "#b877f2", "#f277b6", "#8fd14f", "#f28b54", "#5c7cfa",
         "#20c9b4", "#e6d34a", "#c98a5e")  # fmt: skip
"""Colours of the first objects, chosen by hand."""

HUES = 48
TONES = ((0.42, 0.6), (0.55, 0.9), (0.68, 0.6), (0.78, 0.95), (0.88, 0.8))
"""Lightness and saturation of selectable colours; none is grey, black or white."""


def colour_of(number: int) -> str:
    """Colour ``#rrggbb`` of an object by its number from 1 on; they repeat after about 200."""
    colours = palette()
    return colours[(number - 1) % len(colours)]


@cache
def palette() -> tuple[str, ...]:
    """All colours in order; each is the farthest from its predecessors in CIELAB."""
    tones = [(n / HUES, *tone) for n in range(HUES) for tone in TONES]
    offered = [_hex(colorsys.hls_to_rgb(*tone)) for tone in tones]
    places, selected = _lab(offered), list(FIRST)
    distance = np.linalg.norm(places[:, None] - _lab(selected), axis=2).min(1)
    while distance.max() > 0:
        best = int(distance.argmax())
        selected.append(offered[best])
        distance = np.minimum(distance, np.linalg.norm(places - places[best], axis=1))
    return tuple(selected)


def _hex(parts: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)


def _lab(colours: list[str]) -> np.ndarray:
    """CIELAB coordinates of colours, (N, 3)."""
    rgb = np.array([[[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in colours]], np.float32)
    return np.asarray(cv2.cvtColor(rgb / 255, cv2.COLOR_RGB2LAB)[0])
