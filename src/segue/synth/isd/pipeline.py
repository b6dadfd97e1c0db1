"""Drawing of parts into maps: what stands still, what moves, and both together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from segue.synth.isd.camera import View
from segue.synth.isd.canvas import SIDE
from segue.synth.isd.gl import Group, Solids, assign, matrix
from segue.synth.isd.lights import Light
from segue.synth.isd.meshes import Detail
from segue.synth.isd.parts import Floats, Part, Shape
from segue.synth.isd.shaders import (
    COMPOSE_FRAGMENT,
    LIGHTS,
    MOVING_FRAGMENT,
    SCENE_VERTEX,
    SCREEN_VERTEX,
    SHADOW_FRAGMENT,
    SHADOW_VERTEX,
    STILL_FRAGMENT,
    source,
)
from segue.synth.isd.staging import Stage

if TYPE_CHECKING:
    import moderngl

SHADOW_SIDE = 512
"""Texels along one side of a shadow map."""
SAMPLES = 4
"""Samples of a pixel at smooth borders."""

NO_CLIP = (0.0, 0.0, 0.0, 1.0)
"""A plane that everything is in front of."""

PROGRAMS = {
    "still": (SCENE_VERTEX, STILL_FRAGMENT),
    "moving": (SCENE_VERTEX, MOVING_FRAGMENT),
    "shadow": (SHADOW_VERTEX, SHADOW_FRAGMENT),
    "compose": (SCREEN_VERTEX, COMPOSE_FRAGMENT),
}
"""Vertex and fragment shaders."""

_CLIP_DISTANCE0 = 0x3000
"""OpenGL's number of the switch for the first clip plane."""


@dataclass(frozen=True)
class Maps:
    """One rendered frame.

    Attributes:
        image: RGB, (H, W, 3), uint8.
        coverage: share of each pixel that foreground covers, (H, W), uint8, 255 = all.
        normal: camera space (x right, y down, z away), (n + 1) / 2 * 255, (H, W, 3), uint8.
        shadow: share of the light that foreground takes from the background, (H, W), uint8, 255 = all.
        depth: distance along the optical axis in metres, (H, W), float32.
        ids: (H, W), int32; mirrors are marked by :data:`MIRRORED`.
        flow: x and y in pixels to the next frame, (H, W, 2), float32.
    """

    image: npt.NDArray[np.uint8]
    coverage: npt.NDArray[np.uint8]
    normal: npt.NDArray[np.uint8]
    shadow: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    ids: npt.NDArray[np.int32]
    flow: npt.NDArray[np.float32]


class Kit:
    """What all pipelines share: programs, shadow maps and textures."""

    def __init__(self, context: moderngl.Context, detail: Detail) -> None:
        self.context = context
        self.solids = Solids(context, detail)
        self._programs: dict[str, Any] = {}
        self._corners = context.buffer(np.array([[-1, -1], [3, -1], [-1, 3]], np.float32).tobytes())
        self.still_shadows, self.still_map = self._shadow_map()
        self.moving_shadows, self.moving_map = self._shadow_map()
        self.nothing = context.texture((1, 1), 4, bytes(4))
        self.textures: Any = None
        self._layers: dict[str, int] = {}
        self.light: dict[str, Any] = {}

    def program(self, name: str, smooth_still: bool = False, smooth_moving: bool = False) -> Any:
        """The program of a name in :data:`PROGRAMS`, for pictures with or without samples."""
        key = f"{name} {smooth_still} {smooth_moving}"
        if key not in self._programs:
            defines = {"SMOOTH_STILL": int(smooth_still), "SMOOTH_MOVING": int(smooth_moving)}
            vertex, fragment = (source(text, **defines) for text in PROGRAMS[name])
            self._programs[key] = self.context.program(vertex, fragment)
        return self._programs[key]

    def fill(self, program: Any) -> None:
        """Run a program for every pixel of the picture."""
        screen = self.context.vertex_array(program, [(self._corners, "2f", "in_corner")])
        screen.render()
        screen.release()

    def set_textures(self, stage: Stage) -> None:
        """Take the textures of a scene."""
        if self.textures is not None:
            self.textures.release()
        names = sorted(stage.textures)
        self._layers = {name: layer for layer, name in enumerate(names)}
        pixels = np.stack([stage.textures[name] for name in names])
        self.textures = self.context.texture_array((SIDE, SIDE, len(names)), 4, pixels.tobytes())
        self.textures.build_mipmaps()

    def upload(
        self, parts: Sequence[Part], next_parts: Sequence[Part], times: tuple[float, float]
    ) -> list[Group]:
        """Buffers of parts."""
        return self.solids.upload(parts, next_parts, times, self._layers)

    def cast(self, target: Any, groups: Sequence[Group], lights: Sequence[Light]) -> None:
        """Fill a shadow map, one tile a light."""
        target.use()
        target.clear()
        self.context.enable_only(self.context.DEPTH_TEST)
        self.context.polygon_offset = 2.0, 4.0
        program = self.program("shadow")
        for _, array, count in self.solids.arrays(program, groups):
            for number, light in enumerate(lights):
                target.viewport = (number * SHADOW_SIDE, 0, SHADOW_SIDE, SHADOW_SIDE)
                assign(program, {"projection": matrix(light.projection()), "clip_plane": NO_CLIP})
                array.render(instances=count)
        self.context.polygon_offset = 0.0, 0.0

    def _shadow_map(self) -> tuple[Any, Any]:
        depth = self.context.depth_texture((LIGHTS * SHADOW_SIDE, SHADOW_SIDE))
        depth.compare_func = "<="
        depth.repeat_x = depth.repeat_y = False
        return self.context.framebuffer(depth_attachment=depth), depth


class _Surfaces:
    """Pictures to draw into, with a depth buffer."""

    def __init__(self, context: moderngl.Context, size: tuple[int, int], kinds: str, samples: int) -> None:
        height, width = size
        self.textures = [
            context.texture((width, height), 4, samples=samples, dtype=kind) for kind in kinds.split()
        ]
        depth = context.depth_renderbuffer((width, height), samples=samples)
        self.target: Any = context.framebuffer(self.textures, depth)
        self.single = [context.framebuffer([texture]) for texture in self.textures]


class Pipeline:
    """From parts to maps at one size, for one view after another."""

    STILL = "f1 f2 f2 f2 f4"
    MOVING = "f1 f1 f1 f4"
    OUT = "f1 f1 f4"

    def __init__(self, kit: Kit, size: tuple[int, int], smooth: bool) -> None:
        self._kit, self._size, self._smooth = kit, size, smooth
        context = kit.context
        self._still = _Surfaces(context, size, self.STILL, 0)
        self._moving = _Surfaces(context, size, self.MOVING, 0)
        self._out = _Surfaces(context, size, self.OUT, 0)
        if smooth:
            self._fine_still = _Surfaces(context, size, self.STILL, SAMPLES)
            self._fine_moving = _Surfaces(context, size, self.MOVING, SAMPLES)
        self._drawn: bytes | None = None

    @property
    def picture(self) -> Any:
        """The last picture, with the share of foreground."""
        return self._out.textures[0]

    def forget(self) -> None:
        """Draw what stands still anew at the next frame."""
        self._drawn = None

    def draw(
        self,
        still: Sequence[Group],
        moving: Sequence[Group],
        view: View,
        next_view: View,
        still_camera: bool,
        mirrored: Any,
        mirror: Floats | None,
    ) -> None:
        """Draw all maps; for a mirror's picture, of things in front of the plane ``mirror``."""
        context = self._kit.context
        values = {
            **self._kit.light,
            "projection": matrix(view.projection(self._size)),
            "next_projection": matrix(next_view.projection(self._size)),
            "to_camera": matrix(view.pose[:, :3]),
            "eye": view.place,
            "size": self._size[::-1],
            "focal": np.asarray(view.focal * self._size[1]),
            "clip_plane": NO_CLIP if mirror is None else mirror,
            "textures": 0,
            "still_shadows": 1,
            "moving_shadows": 2,
        }
        for unit, texture in enumerate((self._kit.textures, self._kit.still_map, self._kit.moving_map)):
            texture.use(unit)
        if mirror is not None:
            context.enable_direct(_CLIP_DISTANCE0)
        culled = mirror is None
        smooth_still = self._smooth and still_camera
        key = values["projection"]
        if self._drawn != key or not still_camera:
            self._draw_still(still, values, smooth_still, culled)
            self._drawn = key
        self._draw_moving(moving, values, smooth_still, culled)
        if mirror is not None:
            context.disable_direct(_CLIP_DISTANCE0)
        self._compose(values, smooth_still, mirrored)

    def read(self) -> Maps:
        """The maps of the last frame."""
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

    def _draw_still(self, still: Sequence[Group], values: dict[str, Any], smooth: bool, culled: bool) -> None:
        surfaces = self._fine_still if smooth else self._still
        surfaces.target.use()
        surfaces.target.clear()
        # Depth first, so that each pixel is lit once; sheets have holes and come with the second round.
        solid = [group for group in still if group.shape is not Shape.SHEET]
        surfaces.target.color_mask = ((False,) * 4,) * len(surfaces.textures)
        self._draw_groups(self._kit.program("shadow"), solid, values, culled)
        surfaces.target.color_mask = ((True,) * 4,) * len(surfaces.textures)
        self._draw_groups(self._kit.program("still"), still, values, culled)
        if smooth:  # places are not averaged: between two surfaces there is none
            self._reduce(self._fine_still, self._still, 4)

    def _draw_moving(
        self, moving: Sequence[Group], values: dict[str, Any], smooth_still: bool, culled: bool
    ) -> None:
        surfaces = self._fine_moving if self._smooth else self._moving
        surfaces.target.use()
        surfaces.target.clear()
        self._places(smooth_still).use(3)
        program = self._kit.program("moving", smooth_still)
        self._draw_groups(program, moving, {**values, "place": 3}, culled)
        if self._smooth:
            self._reduce(self._fine_moving, self._moving, 3)

    def _places(self, smooth: bool) -> Any:
        return (self._fine_still if smooth else self._still).textures[4]

    def _draw_groups(
        self, program: Any, groups: Sequence[Group], values: dict[str, Any], culled: bool
    ) -> None:
        context = self._kit.context
        context.depth_func = "<="
        context.front_face = "cw"  # the picture is drawn upside down, so that row 0 comes first
        assign(program, values)
        for shape, array, count in self._kit.solids.arrays(program, groups):
            cull = culled and shape is not Shape.SHEET
            context.enable_only(context.DEPTH_TEST | (context.CULL_FACE if cull else 0))
            array.render(instances=count)

    def _reduce(self, fine: _Surfaces, coarse: _Surfaces, count: int) -> None:
        """Average the samples of the first ``count`` pictures."""
        for source_buffer, target_buffer in zip(fine.single[:count], coarse.single[:count], strict=True):
            self._kit.context.copy_framebuffer(target_buffer, source_buffer)

    def _compose(self, values: dict[str, Any], smooth_still: bool, mirrored: Any) -> None:
        program = self._kit.program("compose", smooth_still, self._smooth)
        textures = {
            "shown": self._still.textures[0],
            "direct": self._still.textures[1],
            "highlight": self._still.textures[2],
            "facing": self._still.textures[3],
            "place": self._places(smooth_still),
            "moving_shown": self._moving.textures[0],
            "moving_normal": self._moving.textures[1],
            "moving_finish": self._moving.textures[2],
            "moving_truth": (self._fine_moving if self._smooth else self._moving).textures[3],
            "mirrored": mirrored,
        }
        units = {}
        for unit, (name, texture) in enumerate(textures.items(), start=3):
            texture.use(unit)
            units[name] = unit
        self._out.target.use()
        self._kit.context.enable_only(0)
        assign(program, {**values, **units})
        self._kit.fill(program)
