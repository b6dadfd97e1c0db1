"""Artificial clips for foreground networks: cut-outs move through scenes with dynamic background.

A clip is a function of time: only the frames that a sample needs are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from segue.datasets.foreground.labels import MOTION, SHADOW, STATIC, UNKNOWN
from segue.errors import DatasetError
from segue.sessions.foreground.background.quantiles import Scene
from segue.types import Image
from segue.utils.arrays import BoolArray, Float32Array
from segue_train.data.cut_outs import HEIGHTS, CutOut, Mover, draw_mover, place, shape_cut_out
from segue_train.data.footage import Footage
from segue_train.data.foreground import dynamic_background, scenery
from segue_train.data.foreground.samples import (
    UNLIT,
    VISIBLE,
    Sample,
    past_times,
    session_sample,
    with_recurrence,
)
from segue_train.data.foreground.scenery import (
    Camera,
    Effect,
    Exposure,
    ImageLoaders,
    Light,
    Occluder,
    Sensor,
)
from segue_train.data.foreground.textures import Texture, occluding_texture, swaying_texture
from segue_train.data.warp import Matrix, Rng, Size, picked

MARGIN = 14  # pixels of canvas around what the camera sees, for it to shake in
# A pixel with more of a mover than the first is foreground, with less than the second is not.
WHOLE_ALPHA, NO_ALPHA = 0.6, 0.2
SHADOW_DEPTH = 0.12  # share of the light that a shadow takes away at least where it is labelled as one
SHAPES = 0.2  # share of movers that are mere shapes
# Shares of the clips of a shaken camera, of low contrast, with movers that were there from the start, and of
# no kind.
KINDS = {"shaken": 0.2, "dim": 0.22, "from start": 0.2, "plain": 0.38}
REAL_SWAY = 0.6  # share of the clips in which real textures sway, where there are some
OCCLUDED = 0.5  # share of these in which some of it hangs before what passes
REAL_OCCLUDERS = 0.6  # share of what hangs there that is a real texture; the others are drawn leaves
SMALL = (8.0, 60.0)  # heights of movers where contrast is low, in pixels
MATCHED = 0.6  # share of the blurred frames whose background is blurred alike
NOISE_LEVELS = 3.0  # where contrast is low, what differs by so many spreads of the noise is visible
MIN_VISIBLE = 6.0  # grey levels that are visible without noise

_SLAB, _CONTACT = np.zeros((2, 24, 48), np.uint8)  # what lies on the ground under a vehicle, and under feet
cv2.rectangle(_SLAB, (4, 4), (43, 19), 255, -1)
cv2.ellipse(_CONTACT, (24, 12), (20, 8), 0, 0, 360, 255, -1)


@dataclass(frozen=True, slots=True)
class Sun:
    """Shadows of a scene; each kind removes a share of the light, 0 for none."""

    shear: float  # of the shape on the ground, relative to the object, as is its height
    height: float
    cast: float
    contact: float  # soft, under the feet
    blur: float  # sigma in pixels
    slab: float = 0.0  # under a vehicle from side to side
    slab_height: float = 0.0  # of the object's height
    slab_side: float = 0.0  # of half its width, to one side


@dataclass(frozen=True, slots=True)
class Clip:
    """A scene with its movers; renders any frame, time 0 is the current one."""

    plate: Image
    effects: Sequence[Effect]
    movers: Sequence[Mover]
    light: Light
    camera: Camera
    sensor: Sensor
    sun: Sun
    unlit: bool
    noise: npt.NDArray[np.int8] = field(repr=False)
    exposure: Exposure | None = None
    occluders: Sequence[Occluder] = ()  # before all that moves
    visible: float = VISIBLE  # grey levels by which a mover must differ for anybody to find it

    def frame(self, time: int) -> Image:
        """Render a frame as the camera sees it."""
        return self._draw(time)[0]

    def frame_with_labels(self, time: int) -> tuple[Image, Image]:
        """Render a frame and its labels (H, W)."""
        frame, solid, shade = self._draw(time)
        other = np.uint8(UNLIT if self.unlit else STATIC)
        labels = np.where(shade > 255 * SHADOW_DEPTH, np.uint8(SHADOW), other)
        labels[solid > 255 * NO_ALPHA] = UNKNOWN
        labels[solid > 255 * WHOLE_ALPHA] = MOTION
        viewed = self.camera.view(labels, time, MARGIN, mask=True)
        return frame, np.ascontiguousarray(viewed)

    def _draw(self, time: int) -> tuple[Image, Image, Image]:
        canvas = self.plate
        for effect in self.effects:
            canvas = effect(canvas, time)
        canvas = canvas.copy()
        size = canvas.shape[:2]
        solid, shade = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
        present = [mover for mover in self.movers if mover.present(time) and mover.is_near_image(time, size)]
        for mover in present:
            _cast(canvas, shade, mover, time, self.sun)
        for mover in present:
            paint(canvas, solid, mover, time)
        for occluder in self.occluders:
            _occlude(canvas, (solid, shade), occluder(time))
        canvas = self.light.act(canvas, time)
        if blur := self.exposure and self.exposure.blur(time):
            canvas, solid, shade = map(blur.act, (canvas, solid, shade))
        view = self.camera.view(canvas, time, MARGIN)
        return self.sensor.expose(view, time, self.noise), solid, shade


def _cast(canvas: Image, shade: Image, mover: Mover, time: int, sun: Sun) -> None:
    """Darken the ground near a mover by its shadows."""
    matrix = mover.matrix(time)
    square = np.vstack([matrix, [0, 0, 1]])
    alpha = mover.cut_out.alphas[mover.image(time)]
    height, width = alpha.shape
    x, y = matrix @ [width / 2, height, 1]
    if sun.cast:
        lie = np.array([[1, -sun.shear, sun.shear * y], [0, sun.height, (1 - sun.height) * y]])
        _darken(canvas, shade, alpha, lie @ square, sun.cast, sun.blur)
    reach = abs(matrix[0, 0]) * width / 2
    across = reach / 20
    if sun.slab:
        down = abs(matrix[1, 1]) * height * sun.slab_height / 16
        middle = x + sun.slab_side * reach
        under = np.array([[across, 0, middle - 24 * across], [0, down, y - 12 * down]])
        _darken(canvas, shade, _SLAB, under, sun.slab, min(sun.blur, 1.5))
    if sun.contact:
        down = across * 0.6
        under = np.array([[across, 0, x - 24 * across], [0, down, y - 12 * down]])
        _darken(canvas, shade, _CONTACT, under, sun.contact, 0.12 * reach + 0.5)


def paint(canvas: Image, solid: Image, mover: Mover, time: int) -> None:
    """Draw a mover over an image, if it is present."""
    matrix = mover.matrix(time)
    laid = place(mover.patch(time), matrix, canvas.shape[:2])
    if laid is None:
        return
    where, patch = laid
    _blend(canvas, where, patch)
    solid[where] = np.maximum(solid[where], patch[..., 3])


def _occlude(canvas: Image, planes: Sequence[Image], layer: Image) -> None:
    """Draw a layer (H, W, 4) over an image, and clear planes (H, W) behind it."""
    rows, columns = (np.flatnonzero(layer[..., 3].any(axis)) for axis in (1, 0))
    if not len(rows):
        return
    where = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    weight = _blend(canvas, where, layer[where])
    for plane in planes:
        plane[where] = plane[where] * (1 - weight)


def _blend(canvas: Image, where: tuple[slice, slice], patch: Image) -> Float32Array:
    """Blend a patch (h, w, 4) into an image region; returns its weight, (h, w)."""
    weight = np.asarray(patch[..., 3], np.float32) / np.float32(255)
    canvas[where] = canvas[where] * (1 - weight[..., None]) + patch[..., :3] * weight[..., None]
    return weight


def _darken(canvas: Image, shade: Image, shape: Image, matrix: Matrix, depth: float, blur: float) -> None:
    """Darken a canvas under a warped shape (h, w)."""
    laid = place(shape, matrix, canvas.shape[:2])
    if laid is None:
        return
    where, alpha = laid
    soft = cv2.GaussianBlur(alpha, (0, 0), max(blur, 0.3)).astype(np.float32) * (depth / 255)
    canvas[where] = canvas[where] * (1 - soft[..., None])
    shade[where] = np.maximum(shade[where], (soft * 255).astype(np.uint8))


class ClipMaker:
    """Draws samples of ``size`` (H, W) from clips in which cut-outs move over images.

    Args:
        cut_outs: objects that move.
        images: scenes.
        offsets: frames of a window, as their distances from the current one.
        size: height and width of a frame, in pixels.
        textures: parts of real videos that sway.
        scale: factor of the heights of movers, 1 for :data:`~segue_train.data.cut_outs.HEIGHTS`.
    """

    def __init__(
        self,
        cut_outs: Sequence[CutOut],
        images: ImageLoaders,
        offsets: Sequence[int],
        size: Size,
        textures: Sequence[Texture] = (),
        *,
        scale: float = 1.0,
    ) -> None:
        if not cut_outs or not images:
            raise DatasetError("nothing to make clips of: give folders with labelled stills or videos")
        self.cut_outs, self.images = list(cut_outs), list(images)
        self.offsets, self.size, self.textures = tuple(offsets), size, list(textures)
        self.canvas = size[0] + 2 * MARGIN, size[1] + 2 * MARGIN
        self.scale = scale

    def scaled(self, scale: float) -> ClipMaker:
        """Draw the same clips on frames of ``scale`` times the height and width."""
        height, width = (round(scale * side) for side in self.size)
        parts = self.cut_outs, self.images, self.offsets, (height, width), self.textures
        return ClipMaker(*parts, scale=scale * self.scale)

    def samples(self, rng: Rng) -> list[Sample]:
        """Draw two samples of one clip, at different times, with different pasts."""
        kind = rng.random()
        times = past_times(rng)
        clip = self.clip(rng, times, switched=kind < 0.025, empty=0.04 <= kind < 0.16)
        if 0.16 <= kind < 0.18:  # the first frame of a video is its own context and background
            current, labels = clip.frame_with_labels(0)
            scene = with_recurrence(
                Scene.of(current, 1).planes, current, current[:0, None], labels[:0, None] > 0
            )
            unlabelled = np.where(labels == MOTION, np.uint8(UNKNOWN), labels)
            return [Sample(np.stack([current] * len(self.offsets)), scene, unlabelled)]
        frames_with_labels = [clip.frame_with_labels(time) for time in times]
        frames = np.stack([frame for frame, _ in frames_with_labels])
        solids = np.stack([np.isin(labels, (MOTION, UNKNOWN)) for _, labels in frames_with_labels])
        if 0.18 <= kind < 0.195:  # another scene: what is known is of the one before it
            frames = frames[:, :, ::-1, ::-1]
        earlier = -int(rng.integers(1, 1 - times[0]))
        return [
            self._sample(rng, clip, now, frames[:num_past], solids[:num_past])
            for now in (0, earlier)
            if (num_past := sum(time < now for time in times))
        ]

    def _sample(self, rng: Rng, clip: Clip, now: int, frames: Image, solids: BoolArray) -> Sample:
        current, labels = clip.frame_with_labels(now)
        window = np.stack([clip.frame(now + time) if time else current for time in self.offsets])
        sample = session_sample(rng, window, current, frames, solids, labels, visible=clip.visible)
        blur = clip.exposure and clip.exposure.blur(now)
        if blur and rng.random() < MATCHED:
            planes = sample.background[..., :18]
            planes[...] = np.dstack([blur.act(plane) for plane in cv2.split(planes)])
        return sample

    def clip(self, rng: Rng, times: list[int], *, switched: bool = False, empty: bool = False) -> Clip:
        """Draw a clip."""
        kind = rng.choice([*KINDS], p=[*KINDS.values()])
        dim, from_start = kind == "dim", kind == "from start"
        count = 0 if empty else int(rng.choice(5, p=[0.03, 0.36, 0.31, 0.18, 0.12]))
        if dim and not empty:
            count += int(rng.integers(0, 5))
        sun = draw_sun(rng)
        effects, unlit = dynamic_background.draw_effects(rng, self.canvas)
        occluders: list[Occluder] = []
        if self.textures and rng.random() < REAL_SWAY:  # what sways really is the larger part of what sways
            effects = [
                swaying_texture(rng, self.canvas, self.textures) for _ in range(int(rng.integers(1, 3)))
            ]
            unlit = False
            if rng.random() < OCCLUDED:
                occluders = [self._occluder(rng) for _ in range(int(rng.integers(1, 3)))]
        heights = SMALL if dim and rng.random() < 0.7 else HEIGHTS
        movers = [self.mover(rng, heights, from_start and rng.random() < 0.7) for _ in range(count)]
        sensor = scenery.draw_dim_sensor(rng) if dim and rng.random() < 0.5 else scenery.draw_sensor(rng)
        return Clip(
            self._furnished(rng, sun),
            effects,
            movers + passers_by(rng, movers, times),
            scenery.draw_light(rng, switched),
            scenery.draw_camera(rng),
            sensor,
            sun,
            unlit,
            scenery.noise_stock(),
            exposure=scenery.draw_exposure(rng) if kind == "shaken" else None,
            occluders=occluders,
            visible=float(np.clip(NOISE_LEVELS * sensor.noise, MIN_VISIBLE, VISIBLE)) if dim else VISIBLE,
        )

    def mover(self, rng: Rng, heights: tuple[float, float] = HEIGHTS, from_start: bool = False) -> Mover:
        """Draw a mover, mostly an object, sometimes a shape."""
        cut_outs = self.cut_outs
        if rng.random() < SHAPES:
            image = picked(rng, self.images)()
            cut_outs = [shape_cut_out(rng, image)]
        heights = self.scale * heights[0], self.scale * heights[1]
        return draw_mover(rng, cut_outs, self.canvas, heights=heights, from_start=from_start)

    def _occluder(self, rng: Rng) -> Occluder:
        """Draw a texture or leaves that occlude movers."""
        if rng.random() < REAL_OCCLUDERS:
            return occluding_texture(rng, self.canvas, self.textures)
        return dynamic_background.occluding_foliage(rng, self.canvas)

    def _furnished(self, rng: Rng, sun: Sun) -> Image:
        """Draw a scene, mostly with pasted static objects."""
        plate = scenery.draw_plate(rng, self.images, self.canvas)
        aside = np.zeros(self.canvas, np.uint8)
        for _ in range(int(rng.choice(5, p=[0.2, 0.25, 0.25, 0.2, 0.1]))):
            thing = replace(self.mover(rng), comes=-np.inf, leaves=np.inf)
            _cast(plate, aside, thing, 0, sun)
            paint(plate, aside, thing, 0)
        return plate


def passers_by(rng: Rng, movers: list[Mover], times: list[int]) -> list[Mover]:
    """Shift movers in time, as earlier passers-by."""
    kind = rng.random()
    count = 0 if kind < 0.45 else int(rng.integers(1, 5) if kind < 0.85 else rng.integers(6, 15))
    passing = range(count if movers else 0)
    return [picked(rng, movers).passing(rng.uniform(times[0], 0)) for _ in passing]


def scenes_of(footage: Sequence[Footage]) -> ImageLoaders:
    """Images for scenes: stills, and every sixth frame of videos."""
    return [partial(item.read_image, i) for item in footage for i in range(0, len(item), 6)]


def draw_sun(rng: Rng) -> Sun:
    """Draw the shadows of a light, often none."""
    kind = rng.random()
    cast = float(rng.uniform(0.15, 0.9)) if kind < 0.7 else 0.0
    slab = float(rng.uniform(0.35, 0.85)) if kind > 0.5 else 0.0
    return Sun(
        shear=float(rng.uniform(-1.6, 1.6)),
        height=float(rng.choice([-1, 1]) * rng.uniform(0.12, 0.6)),
        cast=cast,
        contact=float(rng.uniform(0.15, 0.85)) if rng.random() < 0.55 else 0.0,
        slab=slab,
        slab_height=float(rng.uniform(0.08, 0.5)),
        slab_side=float(rng.uniform(-0.4, 0.4)),
        blur=float(rng.uniform(0.5, 4)),
    )
