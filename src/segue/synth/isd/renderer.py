"""Scenes as pictures and truth.

What stands still is drawn once for as long as the camera does, with the light that each lamp throws on it.
Every frame draws what moves, and one pass over the picture then composes all maps: it takes from the still
light what moving things keep away, and so knows the share that their shadows take.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from segue.synth.isd.camera import View
from segue.synth.isd.gl import Group, open_context, release
from segue.synth.isd.lights import Light
from segue.synth.isd.meshes import COARSE, FINE
from segue.synth.isd.parts import MOVING_BACKGROUND, Floats, Part
from segue.synth.isd.pipeline import SHADOW_SIDE, Kit, Maps, Pipeline
from segue.synth.isd.shaders import (
    LIGHTS,
    OCCLUDERS,
    REACH,
)
from segue.synth.isd.staging import Moment, Stage

if TYPE_CHECKING:
    pass

MIRRORED = 4096
"""Added to the id where a mirror shows something of the foreground."""


class Renderer:
    """Renders the frames of one scene after another.

    Args:
        size: height and width of the pictures.
        exact: whether all maps are those of the pixel's centre and of finely cut shapes, without smooth
            borders.
    """

    def __init__(self, size: tuple[int, int], exact: bool = False) -> None:
        self.size = size
        self._context = open_context()
        self._kit = Kit(self._context, FINE if exact else COARSE)
        self._main = Pipeline(self._kit, size, smooth=not exact)
        self._mirror = Pipeline(self._kit, (max(1, size[0] // 3), max(1, size[1] // 3)), smooth=False)
        self._stage: Stage | None = None
        self._still: list[Group] = []

    def set_stage(self, stage: Stage) -> None:
        """Take a scene; its still shadows are computed here, once."""
        with self._context:
            release(self._still)
            self._kit.set_textures(stage)
            self._still = self._kit.upload(stage.parts, stage.parts, (0.0, 0.0))
            self._kit.cast(self._kit.still_shadows, self._still, stage.mood.lights)
        self._stage = stage
        for pipeline in (self._main, self._mirror):
            pipeline.forget()

    def render(self, moment: Moment) -> Maps:
        """All maps of one frame of the scene."""
        if self._stage is None:
            raise RuntimeError("set_stage comes first")
        with self._context:
            self._draw(self._stage, moment)
            return self._main.read()

    def close(self) -> None:
        """Free the context."""
        self._context.release()

    def _draw(self, stage: Stage, moment: Moment) -> None:
        kit = self._kit
        moving = kit.upload(moment.parts, moment.next_parts, (moment.time, moment.next_time))
        casting = [part for part in moment.parts if 0 < part.id < MOVING_BACKGROUND]
        casters = kit.upload(casting, casting, (moment.time, moment.time))
        kit.cast(kit.moving_shadows, casters, stage.mood.lights)
        kit.light = _light(stage, moment, casting)
        mirrored = kit.nothing
        if stage.mirror is not None:
            view, next_view = (_reflected(v, stage.mirror) for v in (moment.view, moment.next_view))
            self._mirror.draw(
                self._still, moving, view, next_view, stage.still_camera, kit.nothing, stage.mirror
            )
            mirrored = self._mirror.picture
        self._main.draw(
            self._still, moving, moment.view, moment.next_view, stage.still_camera, mirrored, None
        )
        release(moving)
        release(casters)


def _reflected(view: View, mirror: Floats) -> View:
    """The view of the world behind a mirror's plane."""
    normal, offset = mirror[:3], mirror[3]
    flip = np.column_stack([np.eye(3) - 2 * np.outer(normal, normal), -2 * offset * normal])
    pose = view.pose[:, :3] @ flip
    pose[:, 3] += view.pose[:, 3]
    return View(pose, view.focal)


def _light(stage: Stage, moment: Moment, casting: Sequence[Part]) -> dict[str, Any]:
    """Uniforms of the light at a moment."""
    mood, gains = stage.mood, moment.gains
    lights = mood.lights
    empty = [(0.0,) * 4] * (LIGHTS - len(lights))
    matrices = np.stack([light.projection().T for light in lights] + [np.zeros((4, 4))] * len(empty))
    powers = [
        (*(np.asarray(light.power) * gain), light.softness)
        for light, gain in zip(lights, gains.lights, strict=True)
    ]
    spheres = np.zeros((OCCLUDERS, 4))
    count = min(len(moment.occluders), OCCLUDERS)
    spheres[:count] = moment.occluders[:count]
    reach = REACH * spheres[:count, 3:]
    return {
        "light_count": len(lights),
        "light_projection": matrices,
        "light_place": [(*light.place, 0.0 if light.is_sun else 1.0) for light in lights] + empty,
        "light_axis": [(*light.towards, float(np.cos(light.cone))) for light in lights] + empty,
        "light_colour": powers + empty,
        "light_bounds": [_bounds(light, casting) for light in lights] + empty,
        "ambient_up": np.asarray(mood.up) * gains.ambient,
        "ambient_down": np.asarray(mood.down) * gains.ambient,
        "room": stage.room,
        "occluder": spheres,
        "occluder_count": count,
        "near_low": (spheres[:count, :3] - reach).min(axis=0, initial=1e3),
        "near_high": (spheres[:count, :3] + reach).max(axis=0, initial=-1e3),
        "white": mood.tint,
        "exposure": np.asarray(mood.exposure * gains.exposure),
    }


def _bounds(light: Light, casting: Sequence[Part]) -> tuple[float, ...]:
    """Part of a light's shadow map, in [0, 1], that the casters can reach: two corners."""
    if not casting:
        return 2.0, 2.0, -1.0, -1.0
    poses = np.stack([part.pose for part in casting])
    reach = 1.5 * np.linalg.norm(poses[:, :, :3], axis=1).max(axis=1)
    offsets = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    corners = (poses[:, None, :, 3] + reach[:, None, None] * offsets).reshape(-1, 3)
    clip = np.column_stack([corners, np.ones(len(corners))]) @ light.projection().T
    if (clip[:, 3] < 0.2).any():  # something is beside or behind the lamp
        return 0.0, 0.0, 1.0, 1.0
    spots = 0.5 * clip[:, :2] / clip[:, 3:] + 0.5
    margin = 2.0 * (light.softness + 2.0) / SHADOW_SIDE
    low, high = spots.min(axis=0) - margin, spots.max(axis=0) + margin
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
