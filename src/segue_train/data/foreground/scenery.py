"""Scenes of artificial clips: a background image, light, camera and sensor.

Light that is switched, a camera that shakes and a noisy sensor: each is a function of time, so that any
frame of a clip can be drawn on its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.sessions.foreground.stages.blur import Blur
from segue.types import Image
from segue.utils.arrays import Float32Array
from segue_train.data.warp import Rng, Size, log_uniform, picked, random_part

ImageLoaders = Sequence[Callable[[], Image]]
"""Functions that read an RGB image."""

Effect = Callable[[Image, int], Image]
"""Changes a canvas (H, W, 3) at a time in frames, possibly in place."""

Occluder = Callable[[int], Image]
"""Returns the layer before a canvas at a time in frames, RGBA (H, W, 4), uint8."""


def rng_at(seed: int, time: int) -> Rng:
    """Random generator of a time."""
    return np.random.default_rng([seed, time + 100_000])


def draw_plate(rng: Rng, images: ImageLoaders, size: Size) -> Image:
    """Draw an empty scene: part of a random image, or procedural one time in ten."""
    if rng.random() < 0.1:
        return procedural(rng, size)
    image = picked(rng, images)()
    cover = max(size[0] / image.shape[0], size[1] / image.shape[1])
    scale = max(cover, log_uniform(rng, 0.45, 1.3))
    image_size = image.shape[0], image.shape[1]
    height, width = (
        min(int(np.ceil(visible_side / scale)), side)
        for visible_side, side in zip(size, image_size, strict=True)
    )
    part = image[random_part(rng, image_size, (height, width))]
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    plate = np.asarray(cv2.resize(part, size[::-1], interpolation=interpolation), np.uint8)
    return np.ascontiguousarray(plate[:, ::-1]) if rng.random() < 0.5 else plate


def procedural(rng: Rng, size: Size) -> Image:
    """Draw a synthetic scene: a gradient, rectangles and noise of several scales."""
    canvas = np.full((*size, 3), rng.uniform(40, 200, 3), np.float32)
    canvas += clouds(rng, size, 2)[..., None] * rng.uniform(20, 70) * rng.uniform(0.5, 1, 3)
    for _ in range(int(rng.integers(0, 12))):
        y, x = (int(rng.integers(side)) for side in size)
        h, w = (int(rng.integers(4, side // 2)) for side in size)
        canvas[y : y + h, x : x + w] = rng.uniform(10, 245, 3)
    for knots in (6, 20, 60):
        canvas += clouds(rng, size, knots)[..., None] * rng.uniform(0, 14)
    return np.asarray(np.clip(canvas, 0, 255), np.uint8)


def clouds(rng: Rng, size: Size, knots: int) -> Float32Array:
    """Draw smooth noise of unit spread."""
    shape = [max(2, round(knots * side / min(size))) for side in size]
    field = rng.standard_normal(shape, np.float32)
    return np.asarray(cv2.resize(field, size[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def blob(rng: Rng, size: Size, share: float) -> Float32Array:
    """Draw a soft region of random shape."""
    field = clouds(rng, size, int(rng.integers(2, 5)))
    level = np.quantile(field[::4, ::4], 1 - share)
    return np.asarray(np.clip((field - level) * 4 + 0.5, 0, 1), np.float32)


def scaled(canvas: Image, gain: Float32Array) -> Image:
    """Multiply an image by a plane, clipped."""
    return np.asarray(np.minimum(canvas * gain[..., None], 255), np.uint8)


@dataclass(frozen=True, slots=True)
class Light:
    """Brightness of the scene over time."""

    factors: tuple[
        float, float, float
    ]  # factors on red, green and blue before time ``step``; 1 from there on
    step: int
    drift: float  # a slow swing of all of the light
    period: float

    def act(self, canvas: Image, time: int) -> Image:
        """Apply the light of a time to a canvas."""
        gain = np.full(3, 1 + self.drift * np.sin(2 * np.pi * time / self.period))
        if time < self.step:
            gain = gain * self.factors
        if np.abs(gain - 1).max() < 1e-3:
            return canvas
        return np.asarray(cv2.transform(canvas, np.diag(gain).astype(np.float32)), np.uint8)


def draw_light(rng: Rng, switched: bool) -> Light:
    """Draw steady light, a slow drift, or a step."""
    drift = rng.uniform(0, 0.06) if rng.random() < 0.25 else 0.0
    if switched:
        strength, step = float(rng.choice([-1, 1]) * rng.uniform(0.35, 1.1)), -int(rng.integers(0, 15))
    elif rng.random() < 0.08:
        strength, step = rng.normal(0, 0.12), -int(rng.integers(0, 60))
    else:
        strength, step = 0.0, -1000
    factors = np.exp(strength + rng.normal(0, 0.06, 3) * (strength != 0))
    return Light((factors[0], factors[1], factors[2]), step, float(drift), float(rng.uniform(20, 200)))


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera that shakes: amplitude in pixels, frequencies and phases."""

    amplitude: float
    speeds: npt.NDArray[np.float64]
    phases: npt.NDArray[np.float64]
    seed: int

    def view(self, canvas: Image, time: int, margin: int, *, mask: bool = False) -> Image:
        """Visible part of a canvas: without ``margin`` pixels on each side, displaced by shake."""
        height, width = (side - 2 * margin for side in canvas.shape[:2])
        if self.amplitude == 0:
            return canvas[margin : margin + height, margin : margin + width]
        x, y, angle = self._pose(time)
        matrix = cv2.getRotationMatrix2D((width / 2 + margin, height / 2 + margin), angle, 1)
        limit = margin - 3
        matrix[:, 2] += np.clip([x, y], -limit, limit) - margin
        flags = cv2.INTER_NEAREST if mask else cv2.INTER_LINEAR
        warped = cv2.warpAffine(
            canvas, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101
        )
        return np.asarray(warped, np.uint8)

    def _pose(self, time: int) -> tuple[float, float, float]:
        """Shift in x and y in pixels and angle in degrees."""
        swing = np.sin(self.speeds * time + self.phases).sum(1) * 0.6
        shock = rng_at(self.seed, time).normal(0, 0.35, 3)
        x, y, turn = self.amplitude * (swing + shock)
        return x, y, 0.06 * turn


def draw_camera(rng: Rng) -> Camera:
    """Draw a static camera in half of the cases, else one that shakes by up to 4 pixels."""
    kind = rng.random()
    amplitude = 0.0 if kind < 0.55 else rng.uniform(0.2, 1) if kind < 0.92 else rng.uniform(1, 4)
    return Camera(
        float(amplitude),
        rng.uniform(0.02, 0.9, (3, 2)),
        rng.uniform(0, 2 * np.pi, (3, 2)),
        int(rng.integers(1 << 31)),
    )


@dataclass(frozen=True, slots=True)
class Exposure:
    """Motion blur of a shaken camera, which sessions do not remove by alignment."""

    reach: float  # spread of the length of the path during an exposure, in pixels
    seed: int  # of the paths of all frames

    def blur(self, time: int) -> Blur | None:
        """Blur at a time, uniform over the image, or None for a sharp frame."""
        rng = rng_at(self.seed, time)
        # Half of the frames are taken where the path turns back, and are nearly sharp.
        length = self.reach * (1 if rng.random() < 0.6 else 0.2) * abs(rng.normal())
        angle = rng.uniform(0, 2 * np.pi)
        return Blur(float(length * np.cos(angle)), float(length * np.sin(angle))) if length >= 1 else None


def draw_exposure(rng: Rng) -> Exposure:
    """Draw the motion blur of a hand-held or wind-shaken camera, up to tens of pixels."""
    return Exposure(log_uniform(rng, 1, 14), int(rng.integers(1 << 31)))


@dataclass(frozen=True, slots=True)
class Sensor:
    """Response of a camera to light."""

    blur: float  # sigma in pixels, or 0
    noise: float  # spread in grey levels
    tone: Image  # table of 256 values
    grey: bool
    quality: int | None  # of JPEG
    seed: int  # of the noise

    def expose(self, view: Image, time: int, noise: npt.NDArray[np.int8]) -> Image:
        """Simulate a frame; ``noise`` (K,) is a larger stock of unit normal noise times 32."""
        blurred = cv2.GaussianBlur(view, (0, 0), self.blur) if self.blur else view
        image: npt.NDArray[Any] = np.asarray(cv2.LUT(blurred, self.tone))
        if self.grey:
            image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, -1)
        if self.noise > 0.3:
            rng = rng_at(self.seed, time)
            start = int(rng.integers(noise.size - image.size))
            grains = noise[start : start + image.size].reshape(image.shape)
            more, less = (
                cv2.convertScaleAbs(part, alpha=self.noise / 32)
                for part in (np.maximum(grains, 0), np.minimum(grains, 0))
            )
            image = cv2.subtract(cv2.add(image, more), less)
        if self.quality is not None:
            # The codec takes red for blue and back again, which does no harm to noise and blocks.
            _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
            image = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR))
        return np.asarray(image, np.uint8)


def draw_sensor(rng: Rng) -> Sensor:
    """Draw a sensor: blur, noise, tone curve, colour loss, compression, or none of them."""
    gamma, contrast = np.exp(rng.normal(0, 0.2)), rng.uniform(0.7, 1.1)
    levels = np.linspace(0, 1, 256) ** gamma
    tone = np.clip(255 * ((levels - 0.5) * contrast + 0.5 + rng.normal(0, 0.05)), 0, 255).astype(np.uint8)
    return Sensor(
        blur=float(rng.uniform(0.4, 1.1)) if rng.random() < 0.6 else 0.0,
        noise=float(rng.uniform(0, 7)) if rng.random() < 0.8 else 0.0,
        tone=tone,
        grey=bool(rng.random() < 0.06),
        quality=int(rng.integers(35, 96)) if rng.random() < 0.5 else None,
        seed=int(rng.integers(1 << 31)),
    )


def draw_dim_sensor(rng: Rng) -> Sensor:
    """Draw a camera in dusk, haze or infrared: low contrast, mostly grey, quiet or very noisy."""
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


@lru_cache(maxsize=1)
def noise_stock(count: int = 1 << 21) -> npt.NDArray[np.int8]:
    """Draw unit normal noise (count,), int8, times 32, for reuse, since drawing it is slow."""
    normal = np.random.default_rng(0).standard_normal(count, np.float32)
    return np.asarray(np.clip(normal * 32, -127, 127), np.int8)
