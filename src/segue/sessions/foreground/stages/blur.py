"""Blur the background like a frame of a shaken camera, so that the two can be compared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.background.quantiles import Look, Scene
from segue.sessions.foreground.camera.registration import half_grey
from segue.sessions.foreground.segmenters.base import BACKGROUNDS, LOOKS
from segue.sessions.foreground.stages.base import Stage, WorkFrame
from segue.types import Image
from segue.utils.arrays import Float32Array, UInt8Array
from segue.utils.recent import lru_get

Kernel = npt.NDArray[np.float32]  # of an odd height and width, with the sum 1


@dataclass(frozen=True, slots=True)
class BlurSettings:
    """Settings of :class:`ReferenceBlur`; no source of the values is recorded.

    Attributes:
        max_energy: share of the background's edge energy, in some direction, below which a frame is blurred.
        lengths: lengths of motion blur to try, in pixels at half size.
        directions: directions in half a turn; few, so that the same blur recurs.
        max_difference: factor by which a blur must reduce the difference to the frame.
        min_energy: mean squared derivative of the background, in levels, below which nothing is decided.
    """

    max_energy: float = 0.75
    lengths: tuple[float, ...] = (3.0, 6.0, 12.0)
    directions: int = 6
    max_difference: float = 0.87
    min_energy: float = 4.0


SETTINGS = BlurSettings()


@dataclass(frozen=True, slots=True)
class Blur:
    """Linear motion blur."""

    right: float = 0.0  # way in pixels to the right
    down: float = 0.0  # way downwards

    def act(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Blur an image or plane, (H, W, 3) or (H, W)."""
        return np.asarray(cv2.filter2D(image, -1, self.kernel, borderType=cv2.BORDER_REFLECT_101))

    @property
    def kernel(self) -> Kernel:
        """The kernel of the motion."""
        return motion_kernel(self.right, self.down)

    def scaled(self, factor: float) -> Blur:
        """Scale the blur to an image that is larger by a factor."""
        return Blur(factor * self.right, factor * self.down)

    def of_scene(self, scene: Scene, look: Look | None = None) -> Scene:
        """Blur background statistics; narrow structures leave the range.

        ``look``: the blurred image of the scene, if known.
        """
        background, of_all = scene.planes[:9], scene.planes[9:18]
        blurred = _filtered(background, self.kernel)
        planes = [blurred, _filtered_like(blurred, background, of_all, self.kernel), scene.planes[18:]]
        return Scene(np.concatenate(planes), look or self.of_look(scene.look))

    def of_look(self, look: Look) -> Look:
        """Blur an image of the scene."""
        blurred = _filtered(np.ascontiguousarray(look.image.transpose(2, 0, 1)), self.kernel)
        return Look(np.ascontiguousarray(blurred.transpose(1, 2, 0)))


class ReferenceBlur(Stage):
    """Blurs the background like an aligned frame."""

    name = "blur"

    def __init__(self) -> None:
        super().__init__()
        self._scene: Scene | None = None
        self._blurred: dict[Blur, Scene] = {}  # of that scene; the last used last
        self._looks: dict[Blur, Look] = {}  # of its look, each of which is encoded once

    def before_segment(self, frame: WorkFrame, background: Background) -> None:
        if frame.matrix is None or background.scene is None:
            return
        scene = background.scene
        if self._scene is None or scene.look is not self._scene.look:
            self._looks = {}
        if scene is not self._scene:
            self._scene, self._blurred = scene, {}
        blur = relative_blur(frame.image, scene.image, frame.hidden)
        if blur is not None:
            blurred_look = lru_get(self._looks, blur, lambda: blur.of_look(scene.look), LOOKS)
            frame.scene = lru_get(
                self._blurred, blur, lambda: blur.of_scene(scene, blurred_look), BACKGROUNDS
            )


@lru_cache(maxsize=1)
def motion_kernel(right: float, down: float) -> Kernel:
    """Kernel of a linear motion in pixels, cropped to its non-zero rows and columns."""
    length = float(np.hypot(right, down))
    half = int(np.ceil(length / 2)) + 1
    line = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    line[half] = np.clip((length + 1) / 2 - np.abs(np.arange(-half, half + 1)), 0, 1)
    turn = cv2.getRotationMatrix2D((half, half), -np.degrees(np.arctan2(down, right)), 1.0)
    kernel = cv2.warpAffine(line, turn, line.shape)
    tall, wide = (int(np.abs(np.flatnonzero(kernel.any(axis)) - half).max()) for axis in (1, 0))
    kernel = kernel[half - tall : half + tall + 1, half - wide : half + wide + 1]
    return np.asarray(kernel / kernel.sum(), np.float32)


def _filtered(planes: UInt8Array, kernel: Kernel) -> UInt8Array:
    """Filter planes (n, H, W) with a sparse kernel; large ones are four times as fast as in OpenCV."""
    (rows, columns), (height, width) = (side // 2 for side in kernel.shape), planes.shape[1:]
    sides = rows, rows, columns, columns
    wide = np.stack([cv2.copyMakeBorder(each, *sides, cv2.BORDER_REFLECT_101) for each in planes])
    shares = np.rint(256 * kernel).astype(np.int64)
    shares.flat[np.argmax(shares)] += 256 - shares.sum()
    weights = shares.astype(np.uint16)
    places = np.argwhere(weights)
    blurred, part = np.empty(planes.shape, np.uint8), np.empty((height, width), np.uint16)
    for plane, out in zip(wide, blurred, strict=True):  # one at a time, so that it stays in the cache
        total = np.full((height, width), 128, np.uint16)
        for row, column in places:
            np.multiply(plane[row : row + height, column : column + width], weights[row, column], out=part)
            total += part
        out[:] = total >> 8
    return blurred


def _filtered_like(
    filtered: UInt8Array, planes: UInt8Array, changed: UInt8Array, kernel: Kernel
) -> UInt8Array:
    """Filter ``changed``; reuse ``filtered`` where they equal ``planes``."""
    result, reach = filtered.copy(), max(kernel.shape) // 2
    left, top, width, height = cv2.boundingRect((planes != changed).any(0).view(np.uint8))
    if not width:
        return result
    inner_window, outer_window = (
        [
            slice(max(0, begin - margin), begin + size + margin)
            for begin, size in ((top, height), (left, width))
        ]
        for margin in (reach, 2 * reach)
    )
    part = _filtered(changed[:, *outer_window], kernel)
    inner = [
        slice(one.start - other.start, None) for one, other in zip(inner_window, outer_window, strict=True)
    ]
    height, width = result[:, *inner_window].shape[1:]
    result[:, *inner_window] = part[:, *inner][:, :height, :width]
    return result


def relative_blur(image: Image, scene: Image, hidden: npt.NDArray[np.bool_] | None) -> Blur | None:
    """Blur of an aligned frame relative to the scene; None if it is as sharp."""
    frame, still = (np.asarray(half_grey(each), np.float32) for each in (image, scene))
    open_ = np.ones(frame.shape, bool)
    if hidden is not None:
        height, width = frame.shape
        open_ = ~hidden[: 2 * height : 2, : 2 * width : 2]
        if open_.mean() < 0.2:
            return None
    frame_tensor, other = _tensor(frame, open_), _tensor(still, open_)
    if other[0, 0] + other[1, 1] < SETTINGS.min_energy:
        return None
    # Of structure tensors (Förstner, Gülch 1987) the least ratio of u'Au to u'Bu is an eigenvalue of B^-1 A.
    ratios, directions = np.linalg.eig(
        np.linalg.solve(other + 1e-3 * np.trace(other) * np.eye(2), frame_tensor)
    )
    sharpest = int(np.argmin(ratios.real))
    if ratios.real[sharpest] >= SETTINGS.max_energy:
        return None
    turn = np.pi / SETTINGS.directions
    angle = turn * (round(float(np.arctan2(*directions[::-1, sharpest].real)) / turn) % SETTINGS.directions)
    candidates = [
        Blur(float(np.cos(angle)) * length, float(np.sin(angle)) * length) for length in SETTINGS.lengths
    ]
    scores = [_difference(frame, np.asarray(blur.act(still), np.float32), open_) for blur in candidates]
    best, plain = int(np.argmin(scores)), _difference(frame, still, open_)
    return candidates[best].scaled(2.0) if scores[best] < SETTINGS.max_difference * plain else None


def _difference(frame: Float32Array, still: Float32Array, open_: npt.NDArray[np.bool_]) -> float:
    """Mean difference in levels where the scene is visible, clipped to 30 per pixel."""
    return float(np.minimum(np.abs(frame - still), 30)[open_].mean())


def _tensor(grey: Float32Array, open_: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Mean structure tensor, (2, 2), where the scene is visible."""
    right, down = (cv2.Sobel(grey, cv2.CV_32F, dx, 1 - dx, scale=1 / 8)[open_] for dx in (1, 0))
    mixed = float((right * down).mean())
    return np.array([[float((right * right).mean()), mixed], [mixed, float((down * down).mean())]])
