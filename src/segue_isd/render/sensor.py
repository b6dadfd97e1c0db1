"""Sensor model of a surveillance camera: noise, blur, colour, hum, exposure."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

_BANK = 32
"""Pixels by which the stored noise is larger than an image."""


@dataclass(frozen=True)
class SensorPlan:
    """Sensor parameters, drawn once per clip."""

    noise: float  # deviation of read noise in grey levels
    shot: float  # deviation of shot noise at white, in grey levels
    blur: float  # sigma of the lens in pixels; 0 for none
    sharpen: float  # strength of the camera's sharpening
    vignette: float  # darkening of the corners
    hum: float  # amplitude of rolling bands, in shares
    grey: bool  # whether there is no colour
    contrast: float  # factor about the middle grey
    saturation: float  # factor of colour
    scale: float  # size of the image inside the camera relative to the stored one
    quality: int  # of the JPEG files
    exposures: int = 1  # moments that are averaged to an image, odd; 1 for an image without motion blur
    shutter: float = 0.0  # seconds from the first to the last of them


def draw_sensor(rng: np.random.Generator, dark: bool, fps: float) -> SensorPlan:
    """Draw a random camera; ``dark`` ones have more noise and motion blur."""
    exposures = int(rng.choice([1, 3, 5], p=(0.6, 0.2, 0.2) if dark else (0.88, 0.1, 0.02)))
    gain = rng.uniform(1.2, 2.2) if dark else 1.0
    return SensorPlan(
        noise=gain * float(min(rng.gamma(1.6, 0.8), 3.5)),
        shot=gain * rng.uniform(0.3, 3.0),
        blur=rng.uniform(0.3, 0.9) if rng.random() < 0.55 else 0.0,
        sharpen=rng.uniform(0.2, 1.2) if rng.random() < 0.5 else 0.0,
        vignette=rng.uniform(0.0, 0.3) if rng.random() < 0.4 else 0.0,
        hum=rng.uniform(0.003, 0.015) if rng.random() < 0.12 else 0.0,
        grey=bool(rng.random() < 0.08 + 0.15 * dark),
        contrast=rng.uniform(0.9, 1.6),
        saturation=rng.uniform(0.55, 1.35),
        scale=rng.uniform(0.55, 0.9) if rng.random() < 0.15 else 1.0,
        quality=int(rng.integers(45, 96)),
        exposures=exposures,
        shutter=rng.uniform(0.3, 0.9) * min(1 / fps, 0.1),
    )


class Sensor:
    """Applies a plan to the images of a clip of this size."""

    def __init__(self, plan: SensorPlan, size: tuple[int, int], rng: np.random.Generator) -> None:
        self._plan = plan
        self._size = height, width = size
        bank = rng.standard_normal((height + _BANK, width + _BANK, 3)).astype(np.float32)
        if plan.scale < 1 or plan.blur:  # demosaicing and filters of cheap cameras leave coarse noise
            bank = np.asarray(cv2.GaussianBlur(bank, (0, 0), 0.6), np.float32)
            bank /= bank.std()
        self._bank = bank
        level = np.arange(256, dtype=np.float32)
        self._strength = np.sqrt(plan.noise**2 + plan.shot**2 * level / 255).astype(np.float32)
        away = level - 118  # the ends of the scale hold, or shadows would all be black
        curve = level + (plan.contrast - 1) * away * (1 - (away / 137) ** 2)
        self._curve = np.clip(np.rint(curve), 0, 255).astype(np.uint8)
        y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        self._falloff = (1 - plan.vignette * 0.5 * (x * x + y * y)).astype(np.float32)[..., None]
        self._seed = int(rng.integers(2**63))

    def expose(self, image: Image, index: int) -> Image:
        """Simulate the camera's output of a rendered frame; noise depends on the index only."""
        return self._noisy(self.clean(image), index)

    def clean(self, image: Image) -> Image:
        """Apply lens and colours without noise."""
        plan, (height, width) = self._plan, self._size
        filtered: cv2.typing.MatLike = image
        if plan.scale < 1:
            small = (max(1, round(width * plan.scale)), max(1, round(height * plan.scale)))
            filtered = cv2.resize(filtered, small, interpolation=cv2.INTER_AREA)
            filtered = cv2.resize(filtered, (width, height), interpolation=cv2.INTER_LINEAR)
        if plan.blur:
            filtered = cv2.GaussianBlur(filtered, (0, 0), plan.blur)
        if plan.sharpen:
            soft = cv2.GaussianBlur(filtered, (0, 0), 1.2)
            filtered = cv2.addWeighted(filtered, 1 + plan.sharpen, soft, -plan.sharpen, 0)
        filtered = cv2.LUT(filtered, self._curve)
        if plan.grey or plan.saturation != 1:
            grey = cv2.cvtColor(cv2.cvtColor(filtered, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            share = 0.0 if plan.grey else plan.saturation
            filtered = cv2.addWeighted(filtered, share, grey, 1 - share, 0)
        if plan.vignette:
            filtered = filtered * self._falloff + 0.5
        return np.asarray(filtered, np.uint8)

    def _noisy(self, image: Image, index: int) -> Image:
        height, width = self._size
        rng = np.random.default_rng((self._seed, index))
        y, x = (int(v) for v in rng.integers(0, _BANK, 2))
        noise = self._bank[y : y + height, x : x + width]
        if rng.random() < 0.5:
            noise = noise[:, ::-1]
        if rng.random() < 0.5:
            noise = noise[::-1]
        if self._plan.grey:
            noise = noise[..., :1]
        pixels = image.astype(np.float32)
        if self._plan.hum:
            rows = np.sin(np.arange(height) * (6.0 / height) + 1.7 * index)[:, None, None]
            pixels *= (1 + self._plan.hum * rows).astype(np.float32)
        pixels += noise * cv2.LUT(image, self._strength)
        return np.asarray(np.clip(pixels + 0.5, 0, 255), np.uint8)
