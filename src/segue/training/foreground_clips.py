"""Artificial clips for foreground networks: cut-outs move through scenes that are alive without them.

A clip is a function of time: only the frames that a sample needs are drawn. Every sample comes from its own
generator, so that a pool of samples can be made in any order and in parallel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import numpy.typing as npt

from segue.datasets.labels import MOTION, SHADOW, STATIC, UNKNOWN
from segue.errors import DatasetError
from segue.training import scenery
from segue.training.cut_outs import CutOut, Mover, draw_mover, place, shape_cut_out
from segue.training.footage import Footage
from segue.training.scenery import Camera, Effect, Light, Picture, Plane, Sensor, Size
from segue.training.warp import Rng

UNLIT = 25
"""Label of a pixel that is static or in shadow, where nobody labelled shadows."""

MARGIN = 14
"""Pixels of canvas around what the camera sees, for it to shake in."""

WHOLE_ALPHA, NO_ALPHA = 0.6, 0.2
"""A pixel with more of a mover than the first is foreground, with less than the second is not."""

SHADOW_DEPTH = 0.12
"""Share of the light that a shadow takes away at least where it is labelled as one."""

VISIBLE = 20
"""Grey levels by which a pixel differs where something can be seen."""

SHAPES = 0.2
"""Share of movers that are mere shapes."""

LEAST_EVIDENCE = 0.5
"""Share of a mover that differs from what was there before, or else nobody could find it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of training.

    Attributes:
        window: RGB frames (T, H, W, 3), uint8, in the order of time.
        background: RGB picture of the scene as a session would have it, (H, W, 3), uint8.
        labels: of the current frame, (H, W), uint8, in the values of CDnet and :data:`UNLIT`.
    """

    window: Picture
    background: Picture
    labels: Picture


@dataclass(frozen=True, slots=True)
class Sun:
    """How the shadows of a scene fall.

    Attributes:
        shear, height: of the shape on the ground, relative to the object.
        cast, contact: share of the light that cast shadows and those under the feet take away; 0 has none.
        blur: sigma in pixels.
        mirror: share of a reflection in the floor.
    """

    shear: float
    height: float
    cast: float
    contact: float
    blur: float
    mirror: float


@dataclass(frozen=True, slots=True)
class Clip:
    """A scene with its movers; any frame of it can be drawn, time 0 is the current one."""

    plate: Picture
    effects: Sequence[Effect]
    movers: Sequence[Mover]
    light: Light
    camera: Camera
    sensor: Sensor
    sun: Sun
    occluder: Plane | None
    noise: npt.NDArray[np.int8] = field(repr=False)

    def frame(self, time: int, *, movers: bool = True) -> Picture:
        """RGB frame (H, W, 3), with or without what moves."""
        return self._draw(time, self.movers if movers else ())[0]

    def frame_with_labels(self) -> tuple[Picture, Picture]:
        """The current frame, and its labels (H, W)."""
        frame, solid, shade = self._draw(0, self.movers)
        labels = np.where(shade > 255 * SHADOW_DEPTH, np.uint8(SHADOW), np.uint8(STATIC))
        labels[solid > 255 * NO_ALPHA] = UNKNOWN
        labels[solid > 255 * WHOLE_ALPHA] = MOTION
        seen = self.camera.view(labels, 0, MARGIN, mask=True)
        return frame, np.ascontiguousarray(seen)

    def _draw(self, time: int, movers: Sequence[Mover]) -> tuple[Picture, Picture, Picture]:
        canvas = self.plate
        for effect in self.effects:
            canvas = effect(canvas, time)
        scene = canvas
        canvas = canvas.copy()
        size = canvas.shape[:2]
        solid, shade = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
        present = [mover for mover in movers if mover.present(time)]
        for mover in present:
            _cast(canvas, shade, mover, time, self.sun)
        for mover in present:
            _paint(canvas, solid, mover, time)
        if self.occluder is not None and present:
            weight = self.occluder[..., None]
            canvas = np.asarray(scene * weight + canvas * (1 - weight), np.uint8)
            solid, shade = (np.asarray(plane * (1 - self.occluder), np.uint8) for plane in (solid, shade))
        canvas = self.light.act(canvas, time)
        view = self.camera.view(canvas, time, MARGIN)
        return self.sensor.expose(view, time, self.noise), solid, shade


def _cast(canvas: Picture, shade: Picture, mover: Mover, time: int, sun: Sun) -> None:
    """Darken the ground under and beside a mover."""
    matrix = mover.matrix(time)
    alpha = mover.cut_out.alphas[mover.picture(time)]
    height, width = alpha.shape
    foot = matrix @ [width / 2, height, 1]
    size = canvas.shape[:2]
    if sun.mirror:
        flip = np.array([[1, 0, 0], [0, -0.8, 1.8 * foot[1]]])
        _blend(canvas, mover, time, flip @ np.vstack([matrix, [0, 0, 1]]), sun.mirror)
    if sun.cast:
        shift = np.array([sun.shear, 1 - sun.height]) * foot[1]
        lie = np.array([[1, -sun.shear, shift[0]], [0, sun.height, shift[1]]])
        laid = place(alpha, lie @ np.vstack([matrix, [0, 0, 1]]), size)
        if laid:
            _darken(canvas, shade, laid[0], laid[1], sun.cast, sun.blur)
    if sun.contact:
        reach = abs(mover.matrix(time)[0, 0]) * width / 2
        patch = np.zeros((24, 48), np.uint8)
        cv2.ellipse(patch, (24, 12), (20, 8), 0, 0, 360, 255, -1)
        across, down = reach / 20, reach / 20 * 0.6
        under = np.array([[across, 0, foot[0] - 24 * across], [0, down, foot[1] - 12 * down]])
        laid = place(patch, under, size)
        if laid:
            _darken(canvas, shade, laid[0], laid[1], sun.contact, 0.12 * reach + 0.5)


def _paint(canvas: Picture, solid: Picture, mover: Mover, time: int) -> None:
    where = _blend(canvas, mover, time, mover.matrix(time), 1.0)
    if where:
        rows_columns, alpha = where
        solid[rows_columns] = np.maximum(solid[rows_columns], alpha)


def _blend(
    canvas: Picture, mover: Mover, time: int, matrix: npt.NDArray[np.float64], share: float
) -> tuple[tuple[slice, slice], Picture] | None:
    """Mix a mover into the canvas; gives where it lies, and its alpha there."""
    laid = place(mover.patch(time), matrix, canvas.shape[:2])
    if laid is None:
        return None
    where, patch = laid
    weight = patch[..., 3:].astype(np.float32) * (share / 255)
    canvas[where] = canvas[where] * (1 - weight) + patch[..., :3] * weight
    return where, patch[..., 3]


def _darken(
    canvas: Picture, shade: Picture, where: tuple[slice, slice], alpha: Picture, depth: float, blur: float
) -> None:
    soft = cv2.GaussianBlur(alpha, (0, 0), max(blur, 0.3)).astype(np.float32) * (depth / 255)
    canvas[where] = canvas[where] * (1 - soft[..., None])
    shade[where] = np.maximum(shade[where], (soft * 255).astype(np.uint8))


class ClipMaker:
    """Draws samples from artificial clips.

    Args:
        cut_outs: what moves.
        pictures: what scenes are made of: functions that read an RGB picture.
        offsets: times of the frames of a window, in frames from the current one.
        size: height and width of the samples.

    Raises:
        DatasetError: there is nothing to cut out.
    """

    def __init__(
        self,
        cut_outs: Sequence[CutOut],
        pictures: Sequence[Callable[[], Picture]],
        offsets: Sequence[int],
        size: Size,
    ) -> None:
        if not cut_outs or not pictures:
            raise DatasetError("nothing to make clips of: give folders with labelled stills or videos")
        self.cut_outs, self.pictures = list(cut_outs), list(pictures)
        self.offsets, self.size = tuple(offsets), size
        self.canvas = size[0] + 2 * MARGIN, size[1] + 2 * MARGIN
        self.noise = scenery.noise_stock()

    def sample(self, rng: Rng) -> Sample:
        """One sample of a random kind."""
        kind = rng.random()
        clip = self.clip(rng, switched=kind < 0.025, empty=0.04 <= kind < 0.10)
        current, labels = clip.frame_with_labels()
        if 0.11 <= kind < 0.13:
            return self._first_frame(current, labels)
        after_a_cut = 0.13 <= kind < 0.145
        background = self.clip(rng).frame(-20) if after_a_cut else draw_background(rng, clip, current)
        window = self._window(clip, current)
        seen = without_evidence_unknown(current, [*window, background], labels)
        return Sample(window, background, seen)

    def clip(self, rng: Rng, *, switched: bool = False, empty: bool = False) -> Clip:
        """A random clip; ``switched`` has a light that was switched just now, ``empty`` has no movers."""
        count = 0 if empty else int(rng.choice(5, p=[0.03, 0.36, 0.31, 0.18, 0.12]))
        sun = draw_sun(rng)
        return Clip(
            self._furnished(rng, sun),
            scenery.draw_effects(rng, self.canvas, self.pictures),
            [self._mover(rng) for _ in range(count)],
            scenery.draw_light(rng, self.canvas, switched),
            scenery.draw_camera(rng),
            scenery.draw_sensor(rng),
            sun,
            _occluder(rng, self.canvas) if rng.random() < 0.05 else None,
            self.noise,
        )

    def _mover(self, rng: Rng) -> Mover:
        """Mostly an object, sometimes a shape."""
        if rng.random() < SHAPES:
            picture = self.pictures[int(rng.integers(len(self.pictures)))]()
            return draw_mover(rng, [shape_cut_out(rng, picture)], self.canvas)
        return draw_mover(rng, self.cut_outs, self.canvas)

    def _furnished(self, rng: Rng, sun: Sun) -> Picture:
        """A scene, mostly with things that were cut out and pasted as movers are, but belong to it.

        Without them a network learns what pasting looks like, not what has changed.
        """
        plate = scenery.draw_plate(rng, self.pictures, self.canvas)
        aside = np.zeros(self.canvas, np.uint8)
        for _ in range(int(rng.choice(5, p=[0.2, 0.25, 0.25, 0.2, 0.1]))):
            thing = replace(self._mover(rng), comes=-np.inf, leaves=np.inf)
            _cast(plate, aside, thing, 0, sun)
            _paint(plate, aside, thing, 0)
        return plate

    def _window(self, clip: Clip, current: Picture) -> Picture:
        return np.stack([clip.frame(time) if time else current for time in self.offsets])

    def _first_frame(self, current: Picture, labels: Picture) -> Sample:
        """The first frame of a film is its own context and background."""
        return Sample(np.stack([current] * len(self.offsets)), current, _unknown(labels))


def scenes_of(footage: Sequence[Footage]) -> list[Callable[[], Picture]]:
    """What scenes are made of: stills and every sixth frame of videos, as functions that read them."""
    return [_reader(item, i) for item in footage for i in range(0, len(item), 6)]


def _reader(footage: Footage, index: int) -> Callable[[], Picture]:
    return lambda: footage.read(index)[0]


def draw_sun(rng: Rng) -> Sun:
    cast = float(rng.uniform(0.15, 0.9)) if rng.random() < 0.7 else 0.0
    return Sun(
        shear=float(rng.uniform(-1.6, 1.6)),
        height=float(rng.choice([-1, 1]) * rng.uniform(0.12, 0.6)),
        cast=cast,
        contact=float(rng.uniform(0.15, 0.85)) if rng.random() < 0.55 else 0.0,
        blur=float(rng.uniform(0.5, 4)),
        mirror=float(rng.uniform(0.08, 0.35)) if rng.random() < 0.04 else 0.0,
    )


def draw_background(rng: Rng, clip: Clip, current: Picture) -> Picture:
    """A picture of the scene as good and as bad as sessions come by."""
    kind = rng.random()
    if kind < 0.38:
        return median([clip.frame(time, movers=False) for time in _past(rng, int(rng.integers(5, 9)), 12)])
    if kind < 0.54:
        return median([clip.frame(time) for time in _past(rng, int(rng.integers(7, 12)), 12)])
    if kind < 0.68:
        return median([clip.frame(time) for time in _past(rng, int(rng.integers(2, 6)), 9)])
    if kind < 0.78:
        return clip.frame(-int(np.exp(rng.uniform(np.log(4), np.log(100)))))
    if kind < 0.80:
        return clip.frame(-12)
    if kind < 0.90:
        return _patchwork(rng, clip)
    if kind < 0.94:
        return current
    return clip.frame(-int(rng.integers(1, 30)), movers=False)


def median(frames: Sequence[Picture]) -> Picture:
    """Median over frames, the lower one of an even number."""
    middle = (len(frames) - 1) // 2
    return np.asarray(np.partition(np.stack(frames), middle, axis=0)[middle], np.uint8)


def _past(rng: Rng, count: int, longest_gap: int) -> list[int]:
    return [-int(time) for time in np.cumsum(rng.integers(1, longest_gap + 1, count))]


def _patchwork(rng: Rng, clip: Clip) -> Picture:
    """A clean scene where the past showed it, and a past frame with its movers elsewhere."""
    time = -int(rng.integers(4, 60))
    seen, clean = clip.frame(time), clip.frame(time, movers=False)
    part = scenery.blob(rng, (seen.shape[0], seen.shape[1]), rng.uniform(0.2, 0.8)) > 0.5
    return np.where(part[..., None], seen, clean)


def _occluder(rng: Rng, size: Size) -> Plane:
    """Part of the scene that is in front of everything: a pole, a fence, a bush."""
    if rng.random() < 0.5:
        return scenery.blob(rng, size, rng.uniform(0.05, 0.3))
    plane = np.zeros(size, np.float32)
    for _ in range(int(rng.integers(1, 5))):
        start, width = rng.uniform(0, size[1]), rng.uniform(3, 0.15 * size[1])
        plane[:, int(start) : int(start + width)] = 1
    return np.asarray(cv2.GaussianBlur(plane, (3, 3), 0.6), np.float32)


def without_evidence_unknown(current: Picture, others: Sequence[Picture], labels: Picture) -> Picture:
    """Labels in which movers take no part if most of them looks the same in all other pictures."""
    change = np.max([_difference(current, other) for other in others], axis=0) > VISIBLE
    count, pieces = cv2.connectedComponents((labels == MOTION).astype(np.uint8))
    areas = np.bincount(pieces.ravel(), minlength=count)
    changed = np.bincount(pieces.ravel(), weights=change.ravel(), minlength=count)
    untold = changed < LEAST_EVIDENCE * areas
    untold[0] = False
    return np.where(untold[pieces], np.uint8(UNKNOWN), labels)


def _difference(picture: Picture, other: Picture) -> npt.NDArray[np.float32]:
    """Largest difference of the channels at each pixel, (H, W), less what light changes all over."""
    change = picture.astype(np.float32) - other
    return np.asarray(np.abs(change - np.median(change, axis=(0, 1))).max(-1))


def _unknown(labels: Picture) -> Picture:
    """Nobody can tell what moves: labels in which movers take no part."""
    return np.where(labels == MOTION, np.uint8(UNKNOWN), labels)
