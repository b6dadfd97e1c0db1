"""Scenes as images and truth.

What stands still is drawn once for as long as the camera does, with the light that each lamp throws on it.
Every frame draws what moves and composes all maps (see :mod:`.gl`): that takes from the still light
what moving things keep away, and so knows the share that their shadows take.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from segue.arrays import Float64Array
from segue_isd.camera import View
from segue_isd.gl import COARSE, FINE, LIGHTS, OCCLUDERS, open_context, packed
from segue_isd.maps import Maps
from segue_isd.pipeline import Kit, Pipeline, Sight
from segue_isd.scene import Moment, Stage


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
        stage, kit = self._stage, self._kit
        if stage is None:
            raise RuntimeError("set_stage comes first")
        with self._context:
            kit.set_moving(moment, stage.lighting.lights)
            kit.light = packed(_light(stage, moment))
            mirrored = None
            if stage.mirror is not None:
                view, next_view = (_reflected(v, stage.mirror) for v in (moment.view, moment.next_view))
                self._mirror.draw(Sight(view, next_view, stage.still_camera, stage.mirror))
                mirrored = self._mirror.picture
            self._main.draw(Sight(moment.view, moment.next_view, stage.still_camera, mirrored=mirrored))
            return self._main.read()

    def close(self) -> None:
        self._context.release()


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
