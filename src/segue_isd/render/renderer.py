"""Render scenes to images and ground truth.

Still solids are drawn once for each position of the camera, with the light of each lamp. Every frame draws
the moving solids and composes all maps (see :mod:`.gl`): it subtracts the light that moving solids block,
which gives the share of their shadows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from segue.utils.arrays import Float64Array
from segue_isd.render.gl import COARSE, FINE, LIGHTS, OCCLUDERS, Batch, Uniforms, assign, open_context, source
from segue_isd.render.maps import Maps
from segue_isd.render.patterns import SIDE
from segue_isd.scene.camera import View
from segue_isd.scene.lights import Light
from segue_isd.scene.scene import Moment, Stage

if TYPE_CHECKING:
    import moderngl

SHADOW_SIDE = 512
"""Texels along one side of a shadow map."""
SAMPLES = 4
"""Samples of a pixel at smooth borders."""

NO_CLIP = (0.0, 0.0, 0.0, 1.0)
"""A plane that everything is in front of."""

_VERTEX = {"still": "scene", "moving": "scene", "shadow": "shadow"}
"""Vertex shaders of the programs that draw solids; the others run on every pixel."""

_CLIP_DISTANCE0 = 0x3000
"""OpenGL's number of the switch for the first clip plane."""


class _Surfaces:
    """Render targets with a depth buffer."""

    def __init__(self, context: moderngl.Context, size: tuple[int, int], kinds: str, samples: int) -> None:
        height, width = size
        self.textures = [
            context.texture((width, height), 4, samples=samples, dtype=kind) for kind in kinds.split()
        ]
        depth = context.depth_renderbuffer((width, height), samples=samples)
        self.target: Any = context.framebuffer(self.textures, depth)
        self.single = [context.framebuffer([texture]) for texture in self.textures]

    def draw_here(self) -> None:
        """Bind and clear these targets."""
        self.target.use()
        self.target.clear()


class Pipeline:
    """Renders parts to maps at one size, view after view."""

    STILL = "f1 f2 f2 f2 f4"
    MOVING = "f1 f1 f1 f4"
    OUT = "f1 f1 f4"

    def __init__(self, kit: Renderer, size: tuple[int, int], smooth: bool) -> None:
        self._kit, self._size, self._smooth = kit, size, smooth
        context = kit.context
        self._still = _Surfaces(context, size, self.STILL, 0)
        self._moving = _Surfaces(context, size, self.MOVING, SAMPLES if smooth else 0)
        self._front = _Surfaces(context, size, self.OUT, 0)
        self._out = _Surfaces(context, size, self.OUT, 0)
        if smooth:
            self._fine_still = _Surfaces(context, size, self.STILL, SAMPLES)
        self._static_projection: Any = None  # projection of what stands still

    @property
    def image(self) -> Any:
        """Last image, with the share of foreground."""
        return self._out.textures[0]

    def forget(self) -> None:
        """Redraw static parts at the next frame."""
        self._static_projection = None

    def draw(
        self,
        stage: Stage,
        view: View,
        next_view: View,
        mirror: Float64Array | None = None,
        mirrored: Any = None,
    ) -> None:
        """Draw one frame; static parts are redrawn only if the camera moved.

        ``mirror``: plane that all that is drawn lies before; ``mirrored``: texture of what the scene's mirror
        shows.
        """
        context, kit, size = self._kit.context, self._kit, self._size
        projection = view.projection(size).T
        values = {
            **kit.light,
            "projection": projection,
            "next_projection": next_view.projection(size).T,
            "to_camera": view.pose[:, :3].T,
            "eye": view.place,
            "size": size[::-1],
            "focal": view.focal * size[1],
            "clip_plane": NO_CLIP if mirror is None else mirror,
            "textures": 0,
            "still_shadows": 1,
            "moving_shadows": 2,
        }
        for unit, texture in enumerate((kit.textures, kit.still_map, kit.moving_map)):
            texture.use(unit)
        mirroring = mirror is not None
        if mirroring:
            context.enable_direct(_CLIP_DISTANCE0)
        smooth_still = self._smooth and stage.still_camera
        context.front_face = "cw"  # the image is drawn upside down, so that row 0 comes first
        if not (stage.still_camera and np.array_equal(self._static_projection, projection)):
            self._draw_still(values, smooth_still, culled=not mirroring)
            self._static_projection = projection
        places = (self._fine_still if smooth_still else self._still).textures[4]
        self._draw_moving(values, places, smooth_still, culled=not mirroring)
        if mirroring:
            context.disable_direct(_CLIP_DISTANCE0)
        self._light_moving(values)
        self._compose(values, places, smooth_still, mirrored or kit.nothing)

    def read(self) -> Maps:
        """Read the maps of the last frame."""
        height, width = self._size
        colour, normal = (
            np.frombuffer(texture.read(), np.uint8).reshape(height, width, 4)
            for texture in self._out.textures[:2]
        )
        truth = np.frombuffer(self._out.textures[2].read(), np.float32).reshape(height, width, 4)
        return Maps(
            image=np.ascontiguousarray(colour[..., :3]),
            coverage=np.ascontiguousarray(colour[..., 3]),
            normal=np.ascontiguousarray(normal[..., :3]),
            shadow=np.ascontiguousarray(normal[..., 3]),
            depth=np.ascontiguousarray(truth[..., 0]),
            ids=np.rint(truth[..., 1]).astype(np.int32),
            flow=np.ascontiguousarray(truth[..., 2:]),
        )

    def _draw_still(self, values: Uniforms, smooth: bool, culled: bool) -> None:
        surfaces = self._fine_still if smooth else self._still
        surfaces.draw_here()
        program = self._kit.program("still")
        assign(program, values)
        self._kit.still.draw(program, culled=culled)
        if smooth:  # places are not averaged: between two surfaces there is none
            for fine, coarse in zip(surfaces.single[:4], self._still.single[:4], strict=True):
                self._kit.context.copy_framebuffer(coarse, fine)

    def _draw_moving(self, values: Uniforms, places: Any, smooth_still: bool, culled: bool) -> None:
        self._moving.draw_here()
        program = self._kit.program("moving", SMOOTH_STILL=smooth_still)
        assign(program, {**values, **_bound({"place": places})})
        self._kit.moving.draw(program, culled=culled)

    def _light_moving(self, values: Uniforms) -> None:
        """Light moving parts separately, since small triangles waste whole pixel blocks."""
        names = ("moving_shown", "moving_normal", "moving_finish", "moving_truth")
        textures = _bound(dict(zip(names, self._moving.textures, strict=True)))
        self._front.draw_here()
        self._kit.fill(self._kit.program("front", SMOOTH_MOVING=self._smooth), {**values, **textures})

    def _compose(self, values: Uniforms, places: Any, smooth_still: bool, mirrored: Any) -> None:
        names = ("shown", "direct", "highlight", "facing")
        fronts = ("front_colour", "front_normal", "front_truth")
        textures = {
            **dict(zip(names, self._still.textures, strict=False)),
            **dict(zip(fronts, self._front.textures, strict=True)),
            "place": places,
            "mirrored": mirrored,
        }
        self._out.draw_here()
        program = self._kit.program("compose", SMOOTH_STILL=smooth_still)
        self._kit.fill(program, {**values, **_bound(textures)})


def _bound(textures: dict[str, Any]) -> dict[str, int]:
    """Bind textures to units, after those of :meth:`Pipeline.draw`."""
    for unit, texture in enumerate(textures.values(), start=4):
        texture.use(unit)
    return {name: unit for unit, name in enumerate(textures, start=4)}


class Renderer:
    """Renders the frames of scenes.

    ``exact``: maps of the pixel's centre and of finely cut shapes, without smooth borders.
    """

    def __init__(self, size: tuple[int, int], exact: bool = False) -> None:
        self.size = size
        self.context = context = open_context()
        context.depth_func = "<="
        detail = FINE if exact else COARSE
        self.still, self.moving = Batch(context, detail), Batch(context, detail)
        self._programs: dict[tuple[str, tuple[tuple[str, bool], ...]], moderngl.Program] = {}
        self._corners = context.buffer(np.array([[-1, -1], [3, -1], [-1, 3]], np.float32).tobytes())
        self._screens: dict[moderngl.Program, Any] = {}
        self.still_shadows, self.still_map = self._shadow_map()
        self.moving_shadows, self.moving_map = self._shadow_map()
        self.nothing = context.texture((1, 1), 4, bytes(4))
        self.textures: Any = None
        self._layers: dict[str, int] = {}
        self.light: Uniforms = {}
        self.stage: Stage | None = None
        self._main = Pipeline(self, size, smooth=not exact)
        self._mirror = Pipeline(self, (max(1, size[0] // 3), max(1, size[1] // 3)), smooth=False)

    def program(self, name: str, **switches: bool) -> moderngl.Program:
        """Compile a program on first use."""
        key = name, tuple(sorted(switches.items()))
        if key not in self._programs:
            files = f"{_VERTEX.get(name, 'screen')}.vert", f"{name}.frag"
            vertex, fragment = (source(file, **switches) for file in files)
            self._programs[key] = self.context.program(vertex, fragment)
        return self._programs[key]

    def fill(self, program: moderngl.Program, values: Uniforms) -> None:
        """Run a program for every pixel."""
        if program not in self._screens:
            content = [(self._corners, "2f", "in_corner")]
            self._screens[program] = self.context.vertex_array(program, content)
        assign(program, values)
        self.context.enable_only(self.context.NOTHING)
        self._screens[program].render()

    def set_stage(self, stage: Stage) -> None:
        """Set the scene, and render its static shadows once."""
        names = sorted(stage.textures)
        self._layers = {name: layer for layer, name in enumerate(names)}
        pixels = np.stack([stage.textures[name] for name in names])
        with self.context:
            if self.textures is not None:
                self.textures.release()
            self.textures = self.context.texture_array((SIDE, SIDE, len(names)), 4, pixels.tobytes())
            self.textures.build_mipmaps()
            self.still.fill(stage.parts, stage.parts, (0.0, 0.0), self._layers)
            self._cast(self.still_shadows, self.still, stage.lighting.lights, casting=False)
        self.stage = stage
        for pipeline in (self._main, self._mirror):
            pipeline.forget()

    def render(self, moment: Moment) -> Maps:
        """Draw one frame of the scene."""
        stage = self.stage
        if stage is None:
            raise RuntimeError("set_stage comes first")
        with self.context:
            times = moment.time, moment.next_time
            self.moving.fill(moment.parts, moment.next_parts, times, self._layers)
            self._cast(self.moving_shadows, self.moving, stage.lighting.lights, casting=True)
            self.light = _light(stage, moment)
            mirrored = None
            if stage.mirror is not None:
                view, next_view = (_reflected(v, stage.mirror) for v in (moment.view, moment.next_view))
                self._mirror.draw(stage, view, next_view, stage.mirror)
                mirrored = self._mirror.image
            self._main.draw(stage, moment.view, moment.next_view, mirrored=mirrored)
            return self._main.read()

    def _cast(self, target: Any, batch: Batch, lights: Sequence[Light], casting: bool) -> None:
        """Fill a shadow map, one tile per light."""
        target.use()
        target.clear()
        self.context.polygon_offset = 3.0, 4.0
        program = self.program("shadow")
        for number, light in enumerate(lights):
            target.viewport = (number * SHADOW_SIDE, 0, SHADOW_SIDE, SHADOW_SIDE)
            assign(program, {"projection": light.projection.T, "clip_plane": NO_CLIP})
            batch.draw(program, casting=casting)
        self.context.polygon_offset = 0.0, 0.0

    def _shadow_map(self) -> tuple[Any, Any]:
        depth = self.context.depth_texture((LIGHTS * SHADOW_SIDE, SHADOW_SIDE))
        depth.compare_func = "<="
        depth.repeat_x = depth.repeat_y = False
        return self.context.framebuffer(depth_attachment=depth), depth


def _reflected(view: View, mirror: Float64Array) -> View:
    """View from behind a mirror's plane."""
    normal, offset = mirror[:3], mirror[3]
    flip = np.column_stack([np.eye(3) - 2 * np.outer(normal, normal), -2 * offset * normal])
    pose = view.pose[:, :3] @ flip
    pose[:, 3] += view.pose[:, 3]
    return View(pose, view.focal)


def _light(stage: Stage, moment: Moment) -> dict[str, Any]:
    """Light uniforms at a moment."""
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
