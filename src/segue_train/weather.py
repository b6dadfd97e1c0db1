"""Effects between scene and sensor: fog, low contrast, headlights, insects in front of the lens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from segue.arrays import Float32Array
from segue_train.scenery import Effect, Sensor, clouds, rng_at
from segue_train.warp import Picture, Rng, Size, log_uniform


@dataclass(frozen=True, slots=True)
class Haze:
    """Fog after Koschmieder's law: light of the scene times its transmission, the rest is light of the air.

    Attributes:
        transmission: share of the scene's light that comes through, (H, W) in [0, 1].
        air: colour of the fog, (3,).
    """

    transmission: Float32Array
    air: Float32Array

    def act(self, canvas: Picture) -> Picture:
        """A canvas seen through the fog."""
        share = self.transmission[..., None]
        return np.asarray(canvas * share + self.air * (1 - share) + 0.5, np.uint8)


def draw_haze(rng: Rng, size: Size) -> Haze:
    """Fog or haze, thicker towards the top of the image, which is far away, in slow swathes."""
    near = rng.uniform(0.15, 0.7)
    far = near * rng.uniform(0.3, 1)
    rows = np.linspace(far, near, size[0], dtype=np.float32)[:, None]
    swathes = np.exp(rng.uniform(0, 0.25) * clouds(rng, size, int(rng.integers(2, 5))))
    air = rng.uniform(90, 235) + rng.normal(0, 6, 3)
    return Haze(np.asarray(np.clip(rows * swathes, 0.06, 0.9), np.float32), air.astype(np.float32))


def draw_dim_sensor(rng: Rng) -> Sensor:
    """A camera at dusk, behind haze or for infrared: low contrast, mostly grey, quiet or very noisy."""
    contrast, level = log_uniform(rng, 0.15, 0.7), rng.uniform(0.15, 0.75)
    levels = np.linspace(0, 1, 256) ** np.exp(rng.normal(0, 0.25))
    if rng.random() < 0.25:  # in infrared what is warm is bright, whatever its colour
        levels = levels[::-1]
    tone = np.clip(255 * ((levels - levels.mean()) * contrast + level), 0, 255).astype(np.uint8)
    return Sensor(
        blur=float(rng.uniform(0.4, 1.3)) if rng.random() < 0.6 else 0.0,
        noise=log_uniform(rng, 0.5, 6),
        tone=tone,
        grey=bool(rng.random() < 0.6),
        quality=int(rng.integers(50, 96)) if rng.random() < 0.4 else None,
        seed=int(rng.integers(1 << 31)),
    )


def headlights(rng: Rng, size: Size) -> Effect:
    """Light of lamps that runs over the ground; what it falls on stays as it is."""
    glow = np.zeros((48, 64), np.float32)
    cv2.ellipse(glow, (32, 24), (18, 11), 0, 0, 360, 1.0, -1)
    glow = np.asarray(cv2.GaussianBlur(glow, (0, 0), rng.uniform(4, 7)), np.float32)
    lamps = [
        (rng.uniform(0, 1, 2) * size[::-1], rng.normal(0, [5, 1.5]), log_uniform(rng, 0.2, 2.5))
        for _ in range(int(rng.integers(1, 4)))
    ]
    strength, added = rng.uniform(0.3, 1.5), rng.uniform(5, 70)
    reach = 1.5 * size[1]

    def act(canvas: Picture, time: int) -> Picture:
        light = np.zeros(size, np.float32)
        for place, velocity, scale in lamps:
            # They come again on the other side after a while.
            x, y = (place + velocity * time + 0.25 * reach) % reach - 0.25 * reach
            matrix = np.array([[scale, 0, x - 32 * scale], [0, scale, y - 24 * scale]])
            light = np.maximum(light, cv2.warpAffine(glow, matrix, size[::-1]))
        lit = canvas * (1 + strength * light[..., None]) + added * light[..., None]
        return np.asarray(np.minimum(lit, 255), np.uint8)

    return act


def insects(rng: Rng, size: Size) -> Effect:
    """Insects, drops or dust right before the lens: out of focus, elsewhere on each frame."""
    seed, often, most = int(rng.integers(1 << 31)), rng.uniform(0.3, 1), int(rng.integers(1, 5))
    level = rng.uniform(150, 255) if rng.random() < 0.5 else rng.uniform(5, 80)

    def act(canvas: Picture, time: int) -> Picture:
        own = rng_at(seed, time)
        if own.random() > often:
            return canvas
        cover: Any = np.zeros(size, np.float32)
        for _ in range(int(own.integers(1, most + 1))):
            x, y = own.uniform(0, 1, 2) * size[::-1]
            right, down = own.normal(0, 10, 2)
            wide = max(1, round(log_uniform(own, 1, 14)))
            ends = (int(x), int(y)), (int(x + right), int(y + down))
            cv2.line(cover, *ends, float(own.uniform(0.3, 0.9)), wide, cv2.LINE_AA)
        soft = cv2.GaussianBlur(cover, (0, 0), own.uniform(1.5, 4))[..., None]
        return np.asarray(canvas * (1 - soft) + level * soft, np.uint8)

    return act
