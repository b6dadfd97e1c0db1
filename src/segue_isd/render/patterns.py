"""Paint squares for textures: noise, prints, shelves, windows, screens and faces."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

SIDE = 128
"""Pixels along one side of a texture."""

Pattern = npt.NDArray[np.float32]
"""(SIDE, SIDE, 3) in [0, 1]."""
Texture = npt.NDArray[np.uint8]
"""(SIDE, SIDE, 4), RGB with opacity."""
Field = npt.NDArray[np.float32]
Painter = Callable[[np.random.Generator], Pattern]

V, U = np.mgrid[:SIDE, :SIDE].astype(np.float32) / np.float32(SIDE)
"""Places of the pixels in [0, 1): down and across."""


def noise(rng: np.random.Generator, power: float, stretch: tuple[float, float] = (1, 1)) -> Field:
    """Tileable noise (SIDE, SIDE) of deviation 1; amplitude is frequency to ``power``."""
    spectrum = np.fft.rfft2(rng.standard_normal((SIDE, SIDE))) * _strength(power, *stretch)
    field = np.fft.irfft2(spectrum, (SIDE, SIDE))
    return np.asarray(field / field.std(), np.float32)


@lru_cache(maxsize=64)
def _strength(power: float, down: float, across: float) -> npt.NDArray[np.float64]:
    """Amplitudes of the frequencies in :func:`noise`, (SIDE, SIDE / 2 + 1)."""
    v, u = np.fft.fftfreq(SIDE)[:, None] * down, np.fft.rfftfreq(SIDE) * across
    strength: npt.NDArray[np.float64] = (np.hypot(v, u) + 1.0 / SIDE) ** -power
    strength[0, 0] = 0
    return strength


def grey(field: npt.NDArray[np.floating[Any]]) -> Pattern:
    """Repeat a field (H, W) of any float type in three channels: (H, W, 3), float32."""
    return np.repeat(np.asarray(field, np.float32)[..., None], 3, axis=2)


def tinted(field: Field, low: npt.ArrayLike, high: npt.ArrayLike) -> Pattern:
    """Interpolate two colours by ``field`` in [0, 1], (H, W). Returns (H, W, 3), float32."""
    share = np.clip(field, 0, 1)[..., None]
    return np.asarray(np.asarray(low) * (1 - share) + np.asarray(high) * share, np.float32)


def cells(rows: int, columns: int, shift: float = 0.0) -> tuple[npt.NDArray[np.intp], Field]:
    """Cell numbers of a grid with shifted odd rows, and distances to the cell borders in pixels."""
    row = (V * rows).astype(int)
    u = (U + shift / columns * (row % 2)) % 1.0
    column = (u * columns).astype(int)
    fv, fu = V * rows % 1, u * columns % 1
    border = np.minimum(np.minimum(fv, 1 - fv) * SIDE / rows, np.minimum(fu, 1 - fu) * SIDE / columns)
    return row * columns + column, np.asarray(border, np.float32)


def shelf(rng: np.random.Generator, rows: int, widths: tuple[int, int], depth: float) -> Pattern:
    """Paint shelves with coloured books, (SIDE, SIDE, 3), RGB in [0, 1]."""
    image = np.full((SIDE, SIDE, 3), 0.12, np.float32)
    step = SIDE // rows
    for row in range(rows):
        x, floor = 0, (row + 1) * step - 4
        while x < SIDE:
            width = int(rng.integers(*widths))
            top = floor - int(step * rng.uniform(depth, 0.86))
            tone = np.clip(rng.uniform(0.1, 1.0, 3) * rng.uniform(0.5, 1), 0, 1)
            if rng.random() > 0.08:
                cv2.rectangle(image, (x, top), (x + width - 2, floor), tone.tolist(), -1)
                label = np.clip(tone + rng.uniform(-0.4, 0.4), 0, 1).tolist()
                cv2.rectangle(image, (x + 1, top + 5), (x + width - 3, top + 9), label, -1)
            x += width
        cv2.rectangle(image, (0, floor), (SIDE, floor + 3), (0.7, 0.66, 0.6), -1)
    return image


def papers(rng: np.random.Generator) -> Pattern:
    """Paint notes on a board or table. Returns (SIDE, SIDE, 3), float32, RGB, about in [0, 1]."""
    image = grey(0.8 + 0.03 * noise(rng, 1.0)) * np.asarray(rng.uniform(0.6, 1, 3), np.float32)
    for _ in range(rng.integers(5, 12)):
        x, y = rng.integers(0, SIDE - 30, 2).tolist()
        w, h = rng.integers(14, 34, 2).tolist()
        cv2.rectangle(image, (x, y), (x + w, y + h), rng.uniform(0.7, 1, 3).tolist(), -1)
        for line in range(y + 4, y + h - 2, 4):
            end = x + int(w * rng.uniform(0.5, 0.95))
            cv2.line(image, (x + 2, line), (end, line), (0.35, 0.35, 0.4), 1)
    return image


def whiteboard(rng: np.random.Generator) -> Pattern:
    """Paint a board with scribbles. Returns (SIDE, SIDE, 3), float32, RGB, about in [0, 1]."""
    image = grey(0.96 + 0.01 * noise(rng, 1.6))
    for _ in range(rng.integers(3, 9)):
        start = rng.integers(8, SIDE - 40, 2)
        steps = rng.normal(0, 1, (14, 2)).cumsum(axis=0) * 3 + np.arange(14)[:, None] * (3, 0)
        inks = [(0.1, 0.1, 0.5), (0.7, 0.1, 0.1), (0.1, 0.4, 0.1), (0.1, 0.1, 0.1)]
        ink = rng.choice(inks).tolist()
        cv2.polylines(image, [(start + steps).astype(np.int32)], False, ink, 1, cv2.LINE_AA)
    cv2.rectangle(image, (0, 0), (SIDE - 1, SIDE - 1), (0.6, 0.6, 0.62), 3)
    return image


def portrait(rng: np.random.Generator) -> Pattern:
    """Paint a print of people, (SIDE, SIDE, 3), RGB in [0, 1]."""
    low, high = rng.uniform(0.1, 0.9, (2, 3))
    image = tinted(V + 0.1 * noise(rng, 1.8), low, high)
    for _ in range(rng.integers(1, 4)):
        x, size = rng.uniform(0.2, 0.8) * SIDE, rng.uniform(0.1, 0.2) * SIDE
        y = SIDE * rng.uniform(0.3, 0.5)
        skin = (np.asarray((0.95, 0.75, 0.6)) * rng.uniform(0.45, 1)).tolist()
        cloth = rng.uniform(0, 1, 3).tolist()
        hair = (np.asarray((0.4, 0.28, 0.18)) * rng.uniform(0.1, 1.8)).tolist()
        body, head = (3.1, 1.6, 2.1, cloth, cv2.LINE_AA), (0.0, 0.7, 0.95, skin, cv2.LINE_AA)
        for down, wide, tall, tone, line in (body, (-0.15, 0.85, 1.1, hair, cv2.LINE_8), head):
            axes = int(wide * size), int(tall * size)
            cv2.ellipse(image, (int(x), int(y + down * size)), axes, 0, 0, 360, tone, -1, line)
        for side in (-0.3, 0.3):
            cv2.circle(image, (int(x + side * size), int(y - 0.1 * size)), 1, (0.1, 0.1, 0.1), -1)
    cv2.rectangle(image, (0, 0), (SIDE - 1, SIDE - 1), rng.uniform(0, 1, 3).tolist(), 4)
    return image


def landscape(rng: np.random.Generator) -> Pattern:
    """Paint a framed landscape. Returns (SIDE, SIDE, 3), float32, RGB in [0, 1]."""
    image = tinted(V * 1.6, (0.5, 0.7, 0.95), (0.9, 0.92, 0.95))
    for layer in range(3):
        ridge = 0.45 + 0.15 * layer + 0.06 * noise(rng, 2.2)[0]
        tone = np.asarray((0.25, 0.42, 0.25)) * rng.uniform(0.5, 1.4)
        image[ridge[None] < V] = tone
    cv2.rectangle(image, (0, 0), (SIDE - 1, SIDE - 1), (0.25, 0.16, 0.1), 5)
    return image


def street(rng: np.random.Generator) -> Pattern:
    """Paint the view through a window by day, (SIDE, SIDE, 3), RGB in [0, 1]."""
    image = tinted(V * 1.3 + 0.05 * noise(rng, 2.0), (0.62, 0.78, 1.0), (0.95, 0.97, 1.0))
    for _ in range(5):
        x, width, top = int(rng.integers(-10, SIDE)), int(rng.integers(18, 50)), int(rng.integers(25, 80))
        wall = rng.uniform(0.35, 0.8) * np.asarray(rng.uniform(0.85, 1, 3))
        cv2.rectangle(image, (x, top), (x + width, SIDE), wall.tolist(), -1)
        for y in range(top + 5, SIDE - 10, 9):
            for across in range(x + 4, x + width - 4, 8):
                cv2.rectangle(image, (across, y), (across + 3, y + 4), (0.25, 0.3, 0.38), -1)
    image[0.82 + 0.03 * noise(rng, 1.5)[0][None] < V] = (0.25, 0.4, 0.2)
    return _framed(image)


def _framed(image: Pattern) -> Pattern:
    for at in (0, SIDE // 2 - 2, SIDE - 5):
        image[:, at : at + 5] = 0.85
    for at in (0, SIDE - 5):
        image[at : at + 5] = 0.85
    return image


def night(rng: np.random.Generator) -> Pattern:
    """Paint the view through a window by night, (SIDE, SIDE, 3), RGB in [0, 1]."""
    image = np.full((SIDE, SIDE, 3), (0.03, 0.04, 0.08), np.float32)
    for _ in range(40):
        x, y = rng.integers(0, SIDE, 2).tolist()
        cv2.rectangle(image, (x, y), (x + 3, y + 4), (0.9, 0.75, 0.4), -1)
    return _framed(image)


def desktop(rng: np.random.Generator) -> Pattern:
    """Paint a computer screen with windows. Returns (SIDE, SIDE, 3), float32, RGB in [0, 1]."""
    image: Pattern = np.broadcast_to(rng.uniform(0, 0.6, 3).astype(np.float32), (SIDE, SIDE, 3)).copy()
    for _ in range(rng.integers(1, 4)):
        x, y = rng.integers(0, 60, 2).tolist()
        w, h = rng.integers(40, 70, 2).tolist()
        cv2.rectangle(image, (x, y), (x + w, y + h), rng.uniform(0.75, 1, 3).tolist(), -1)
        cv2.rectangle(image, (x, y), (x + w, y + 5), rng.uniform(0.1, 0.6, 3).tolist(), -1)
        for line in range(y + 10, y + h - 3, 5):
            cv2.line(image, (x + 4, line), (x + 4 + int((w - 8) * rng.random()), line), (0.3, 0.3, 0.35), 1)
    return image


def broadcast(rng: np.random.Generator) -> Pattern:
    """Paint images of a television, (SIDE, SIDE, 3); the screen shows parts of it in turn."""
    image = tinted(0.5 + 0.3 * noise(rng, 1.7), *rng.uniform(0, 1, (2, 3)))
    for _ in range(6):
        centre = rng.integers(0, SIDE, 2).tolist()
        tone = rng.uniform(0, 1, 3).tolist()
        axes = int(rng.integers(5, 22)), int(rng.integers(8, 30))
        cv2.ellipse(image, centre, axes, 0, 0, 360, tone, -1)
    return image


def face(rng: np.random.Generator) -> Pattern:
    """Paint factors of skin colour around a head, (SIDE, SIDE, 3), chin lowest, face at u = 0."""
    image = grey(0.95 + 0.02 * noise(rng, 1.5))
    for side in (-1, 1):
        x = (side * 11) % SIDE
        cv2.ellipse(image, (x, 60), (5, 3), 0, 0, 360, (0.95, 0.95, 0.95), -1)
        cv2.circle(image, (x, 60), 2, (0.15, 0.1, 0.08), -1)
        cv2.line(image, (x - 6, 52), (x + 6, 52), (0.3, 0.22, 0.18), 2)
    for x in (0, SIDE):
        cv2.ellipse(image, (x, 74), (3, 5), 0, 0, 360, (0.82, 0.74, 0.7), -1)
        cv2.ellipse(image, (x, 88), (9, 2), 0, 0, 360, (0.75, 0.4, 0.4), -1)
    return image


def sign(rng: np.random.Generator) -> Pattern:
    """Paint large letters of no language. Returns (SIDE, SIDE, 3), float32, RGB in [0, 1]."""
    low, high = rng.uniform(0, 0.4, 3), rng.uniform(0.7, 1, 3)
    image: Pattern = np.broadcast_to(np.asarray(low, np.float32), (SIDE, SIDE, 3)).copy()
    for x in range(12, 100, 27):  # strokes between the corners of a letter's frame
        corners = np.stack([x + rng.integers(0, 3, 6) * 9, 40 + rng.integers(0, 3, 6) * 20], axis=1)
        cv2.polylines(image, [corners.astype(np.int32)], False, high.tolist(), 5)
    return image
