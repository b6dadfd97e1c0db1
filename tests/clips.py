"""Synthetic clips: textured ellipses that drift over a background of coloured blocks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]


def clip(seed: int, length: int, height: int, width: int, objects: int) -> tuple[Bytes, Bytes]:
    """The clip that the golden arrays of STCN and STM were measured on.

    The random draws come in this order: background, centres, radii, velocities, colours, noise.

    Args:
        seed: seed of the whole clip.
        length: number of frames T.
        height: H in pixels.
        width: W in pixels.
        objects: number of objects K; later ones cover earlier ones.

    Returns:
        Frames (T, H, W, 3) RGB uint8 and id masks (T, H, W) uint8 with ids 1 to K.
    """
    g = np.random.default_rng(seed)
    coarse = g.integers(0, 256, (-(-height // 8), -(-width // 8), 3))
    background = coarse.repeat(8, 0).repeat(8, 1)[:height, :width].astype(float)
    cy = g.uniform(0.3, 0.7, objects) * height
    cx = g.uniform(0.25, 0.75, objects) * width
    ry = g.uniform(0.14, 0.24, objects) * height
    rx = g.uniform(0.12, 0.2, objects) * width
    vy = g.uniform(-1.5, 1.5, objects)
    vx = g.uniform(-3, 3, objects)
    colour = g.uniform(0, 255, (objects, 3))
    noise = g.normal(0, 6, (length, height, width, 3))
    y, x = np.mgrid[:height, :width].astype(float)

    frames = np.empty((length, height, width, 3), np.uint8)
    masks = np.zeros((length, height, width), np.uint8)
    for t in range(length):
        image = background.copy()
        for k in range(objects):
            dy, dx = y - (cy[k] + vy[k] * t), x - (cx[k] + vx[k] * t)
            inside = (dy / ry[k]) ** 2 + (dx / rx[k]) ** 2 <= 1
            texture = 40 * np.sin(0.5 * dx + 0.3 * dy + k)
            image[inside] = (colour[k] + texture[..., None])[inside]
            masks[t][inside] = k + 1
        frames[t] = np.clip(np.rint(image + noise[t]), 0, 255).astype(np.uint8)
    return frames, masks
