"""Scenes as images and truth.

What stands still is drawn once for as long as the camera does, with the light that each lamp throws on it.
Every frame draws what moves and composes all maps (see :mod:`.gl`): that takes from the still light
what moving things keep away, and so knows the share that their shadows take.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from segue.arrays import BoolArray, Float64Array
from segue_isd.camera import View
from segue_isd.gl import COARSE, FINE, GRID, LIGHTS, OCCLUDERS, REACH, casts, open_context, packed
from segue_isd.lights import Light
from segue_isd.maps import Maps
from segue_isd.parts import bounds
from segue_isd.pipeline import SHADOW_SIDE, Kit, Pipeline, Sight
from segue_isd.scene import Moment, Stage

_CORNERS = tuple(itertools.product((False, True), repeat=3))


class Renderer:
    """Renders the frames of one scene after another.

    ``exact``: maps of the pixel's centre and of finely cut shapes, without smooth borders.
    """

    def __init__(self, size: tuple[int, int], exact: bool = False) -> None:
        self.size = size
        self._context = open_context()
        self._kit = Kit(self._context, FINE if exact else COARSE)
        self._main = Pipeline(self._kit, size, smooth=not exact)
        self._mirror = Pipeline(self._kit, (max(1, size[0] // 3), max(1, size[1] // 3)), smooth=False)
        self._stage: Stage | None = None

    def set_stage(self, stage: Stage) -> None:
        """Take a scene; its still shadows are computed here, once."""
        with self._context:
            self._kit.set_stage(stage)
        self._stage = stage
        for pipeline in (self._main, self._mirror):
            pipeline.forget()

    def render(self, moment: Moment) -> Maps:
        """Draw one frame of the scene."""
        if self._stage is None:
            raise RuntimeError("set_stage comes first")
        with self._context:
            self._draw(self._stage, moment)
            return self._main.read()

    def close(self) -> None:
        self._context.release()

    def _draw(self, stage: Stage, moment: Moment) -> None:
        kit = self._kit
        kit.set_moving(moment, stage.lighting.lights)
        kit.light = packed(_light(stage, moment))
        # What is below the floor is out of the scene (see actors.AWAY).
        here = [part for part in moment.parts if part.pose[2, 3] > -10]
        low, high = bounds(here) if here else (np.zeros((0, 3)), np.zeros((0, 3)))
        corners = np.stack([np.where(corner, high, low) for corner in _CORNERS], axis=1)
        kit.plans.write(_plans(stage, moment, corners[[casts(part) for part in here]]))
        corners = corners.reshape(-1, 3)
        mirrored = None
        if stage.mirror is not None:
            view, next_view = (_reflected(v, stage.mirror) for v in (moment.view, moment.next_view))
            self._mirror.draw(Sight(view, next_view, stage.still_camera, corners, stage.mirror))
            mirrored = self._mirror.picture
        self._main.draw(Sight(moment.view, moment.next_view, stage.still_camera, corners, mirrored=mirrored))


def _reflected(view: View, mirror: Float64Array) -> View:
    """The view of the world behind a mirror's plane."""
    normal, offset = mirror[:3], mirror[3]
    flip = np.column_stack([np.eye(3) - 2 * np.outer(normal, normal), -2 * offset * normal])
    pose = view.pose[:, :3] @ flip
    pose[:, 3] += view.pose[:, 3]
    return View(pose, view.focal)


def _light(stage: Stage, moment: Moment) -> dict[str, Any]:
    """Uniforms of the light at a moment."""
    lighting, gains = stage.lighting, moment.gains
    lights = lighting.lights
    empty = [(0.0,) * 4] * (LIGHTS - len(lights))
    matrices = np.stack([light.projection.T for light in lights] + [np.zeros((4, 4))] * len(empty))
    powers = [
        (*(np.asarray(light.power) * gain), light.softness)
        for light, gain in zip(lights, gains.lights, strict=True)
    ]
    spheres = np.zeros((OCCLUDERS, 4))
    count = min(len(moment.occluders), OCCLUDERS)
    spheres[:count] = moment.occluders[:count]
    return {
        "light_count": len(lights),
        "light_projection": matrices,
        "light_place": [(*light.place, 0.0 if light.is_sun else 1.0) for light in lights] + empty,
        "light_axis": [(*light.towards, float(np.cos(light.cone))) for light in lights] + empty,
        "light_colour": powers + empty,
        "ambient_up": np.asarray(lighting.up) * gains.ambient,
        "ambient_down": np.asarray(lighting.down) * gains.ambient,
        "room": stage.room,
        "occluder": spheres,
        "occluder_count": count,
        "white": lighting.tint,
        "exposure": lighting.exposure * gains.exposure,
    }


def _plans(stage: Stage, moment: Moment, corners: Float64Array) -> bytes:
    """Where moving things may keep light away, by the corners (N, 8, 3) around those that cast shadows."""
    lights = stage.lighting.lights
    squares = [_under(light, corners) for light in lights]
    squares += [np.zeros((GRID, GRID), bool)] * (LIGHTS - len(lights))
    squares.append(_around(moment.occluders, stage.room))
    return (255 * np.hstack(squares).astype(np.uint8)).tobytes()


def _under(light: Light, corners: Float64Array) -> BoolArray:
    """Fields of a light's shadow map in which casters may lie, by the corners (N, 8, 3) around them."""
    clip = corners @ light.projection[:, :3].T + light.projection[:, 3]
    flat, depth = clip[..., :2], clip[..., 3:]
    beside = ((flat > depth).all(axis=1) | (flat < -depth).all(axis=1)).any(axis=1)
    clip = clip[~beside & (depth > 0).any(axis=(1, 2))]
    if not len(clip):
        return np.zeros((GRID, GRID), bool)
    if (clip[..., 3] < 0.2).any():  # something reaches behind the lamp
        return np.ones((GRID, GRID), bool)
    spots = 0.5 * clip[..., :2] / clip[..., 3:] + 0.5
    margin = (light.softness + 2.0) / SHADOW_SIDE
    return _fields(spots.min(axis=1) - margin, spots.max(axis=1) + margin)


def _around(spheres: Float64Array, room: Float64Array) -> BoolArray:
    """Fields of the floor at which spheres (N, 4) keep light away."""
    reach = REACH * spheres[:, 3:]
    return _fields((spheres[:, :2] - reach) / room[:2], (spheres[:, :2] + reach) / room[:2])


def _fields(low: Float64Array, high: Float64Array) -> BoolArray:
    """Fields of a square that rectangles with the corners (N, 2), x and y in [0, 1], touch."""
    fields = np.zeros((GRID, GRID), bool)
    first = np.clip(np.floor(low * GRID), 0, GRID).astype(int)
    last = np.clip(np.ceil(high * GRID), 0, GRID).astype(int)
    for (left, top), (right, bottom) in zip(first.tolist(), last.tolist(), strict=True):
        fields[top:bottom, left:right] = True
    return fields
