"""OpenGL without a display: programs, meshes of unit shapes, and buffers of solids.

Still and moving solids are composed once per pixel. Moving solids are also lit there: each of their many
small triangles would cost a whole block of pixels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from segue.errors import SegueError
from segue.utils.arrays import Float64Array
from segue.utils.extras import missing_packages
from segue.utils.inputs import first_line
from segue_isd.scene.parts import MOVING_BACKGROUND, Part, Shape

if TYPE_CHECKING:
    import moderngl

LIGHTS = 3
"""Lights that cast shadows."""
OCCLUDERS = 32
"""Spheres that keep ambient light away."""
REACH = 5.0
"""Radii beyond which a sphere keeps no light away."""

_FOLDER = Path(__file__).with_name("glsl")
_HEADLESS: dict[str, Any] = {"backend": "egl"}
_MESH_FORMAT = "4f 3f 2f 2f"
_MESH_NAMES = ("in_point", "in_normal", "in_uv", "in_axes")
_PART_FORMAT = "4f 4f 4f 4f 4f 4f 4f 4f 4f 4f 1f/i"
_PART_NAMES = (
    "now0", "now1", "now2", "next0", "next1", "next2", "tint", "tiling", "finish", "waving", "mirror",
)  # fmt: skip
_PART_FLOATS = 41


class RendererError(SegueError):
    """OpenGL or its Python binding is not available."""


def open_context() -> moderngl.Context:
    """Open an OpenGL 3.3 context without a display."""
    if missing := missing_packages("synth"):
        raise RendererError(f"the ISD generator needs {missing}")
    import moderngl

    try:
        return moderngl.create_context(standalone=True, require=330, **_HEADLESS)
    except Exception as error:  # moderngl raises bare Exception where libEGL cannot be loaded
        raise RendererError(
            f"no usable OpenGL ({first_line(error)}); install the system packages libegl1 and libgl1-mesa-dri"
        ) from error


def check_opengl() -> None:
    """Raise RendererError unless scenes can be rendered here."""
    open_context().release()


Uniforms = Mapping[str, Any]
"""Values for programs by name: numbers, arrays, transposed matrices; whole numbers are counts or units."""


def assign(program: moderngl.Program, values: Uniforms) -> None:
    """Set the uniforms that the compiler kept in a program."""
    for name, value in values.items():
        member: Any = program.get(name, None)
        if isinstance(value, int) and member is not None:
            member.value = value
        elif member is not None:
            member.write(np.asarray(value, np.float32).tobytes())


def source(name: str, **switches: bool) -> str:
    """Source of a program with its includes, preceded by macros."""
    numbers = {"LIGHTS": LIGHTS, "OCCLUDERS": OCCLUDERS, "REACH": REACH}
    values = numbers | {switch: int(value) for switch, value in switches.items()}
    macros = "".join(f"#define {macro} {value}\n" for macro, value in values.items())
    return f"#version 330\n{macros}{_included(name)}"


def _included(name: str) -> str:
    text = (_FOLDER / name).read_text(encoding="utf-8")
    return re.sub(r'^#include "(.+)"$', lambda match: _included(match[1]), text, flags=re.MULTILINE)


Vertices = npt.NDArray[np.float32]
"""(N, 11): point with end mark, normal, texture place, local axes of the texture."""
Corners = npt.NDArray[np.uint32]
"""(M,), rows of the vertices, three to a triangle."""


@dataclass(frozen=True)
class Detail:
    """Tessellation: corners of a circle, and rows of a half sphere."""

    segments: int
    rings: int


COARSE = Detail(10, 2)
"""Enough for images of people; every triangle costs, however small it is."""
FINE = Detail(64, 16)
"""Within a thousandth of the true shape."""


def mesh(shape: Shape, detail: Detail = COARSE) -> tuple[Vertices, Corners]:
    """Vertices and triangles of a shape, seen from outside counter-clockwise."""
    flat = {Shape.BOX: _box, Shape.SHEET: _sheet}
    round_ = {Shape.BALL: _ball, Shape.CYLINDER: _cylinder, Shape.TUBE: _tube}
    rows = (flat[shape]() if shape in flat else round_[shape](detail)).astype(np.float32)
    vertices, corners = np.unique(rows, axis=0, return_inverse=True)
    return vertices, corners.ravel().astype(np.uint32)


def _grid(rows: int, columns: int) -> npt.NDArray[np.intp]:
    """Vertex indices of the triangles of a grid of (rows + 1) x (columns + 1) points."""
    first = (np.arange(rows)[:, None] * (columns + 1) + np.arange(columns)).ravel()
    right, below = first + 1, first + columns + 1
    return np.stack([first, right, below + 1, first, below + 1, below], axis=1).ravel()


def _rows(point: Float64Array, normal: Float64Array, uv: Float64Array, axes: tuple[int, int]) -> Float64Array:
    return np.concatenate([point, normal, uv, np.broadcast_to(axes, uv.shape)], axis=1)


def _box() -> Float64Array:
    sides = []
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    for axis in range(3):
        for sign in (-1.0, 1.0):
            u, v = ((1, 2), (0, 2), (0, 1))[axis]
            point = np.zeros((6, 4))
            point[:, u], point[:, v], point[:, axis] = corners[:, 0], corners[:, 1], 0.5 * sign
            normal = np.zeros((6, 3))
            normal[:, axis] = sign
            # Images stand upright and are not mirrored, whichever side is looked at.
            across = corners[:, 0] * (sign if axis == 0 else -sign if axis == 1 else 1.0)
            rows = _rows(point, normal, np.stack([0.5 + across, 0.5 - corners[:, 1]], axis=1), (u, v))
            inside_out = np.cross(np.eye(3)[u], np.eye(3)[v])[axis] * sign < 0
            sides.append(rows[::-1] if inside_out else rows)
    return np.concatenate(sides)


def _revolved(
    detail: Detail,
    radius: Float64Array,
    height: Float64Array,
    slope: Float64Array,
    end: Float64Array,
    along: Float64Array,
) -> Float64Array:
    """Solid of revolution from its profile, lowest row first; ``slope`` is (rows, 2): outward and up."""
    share = np.linspace(0, 1, detail.segments + 1)
    circle = np.stack([np.cos(2 * np.pi * share), np.sin(2 * np.pi * share)], axis=1)
    rows, columns = len(radius), len(share)
    point = np.zeros((rows, columns, 4))
    point[..., :2] = radius[:, None, None] * circle
    point[..., 2], point[..., 3] = height[:, None], end[:, None]
    normal = np.zeros((rows, columns, 3))
    normal[..., :2] = slope[:, None, :1] * circle
    normal[..., 2] = slope[:, None, 1]
    uv = np.stack(np.broadcast_arrays(share, 1 - along[:, None]), axis=-1)
    flat = _rows(point.reshape(-1, 4), normal.reshape(-1, 3), uv.reshape(-1, 2), (0, 2))
    return flat[_grid(rows - 1, columns - 1)]


def _ball(detail: Detail) -> Float64Array:
    angle = np.linspace(-np.pi / 2, np.pi / 2, 2 * detail.rings + 1)
    out, up = np.cos(angle), np.sin(angle)
    return _revolved(detail, out, up, np.stack([out, up], axis=1), 0 * up, 0.5 + angle / np.pi)


def _tube(detail: Detail) -> Float64Array:
    low = np.linspace(-np.pi / 2, 0, detail.rings)
    angle = np.concatenate([low, -low[::-1]])
    out, up = np.cos(angle), np.sin(angle)
    end = np.repeat([0.0, 1.0], detail.rings)
    return _revolved(detail, out, up, np.stack([out, up], axis=1), end, end)


def _cylinder(detail: Detail) -> Float64Array:
    out, none, height = np.ones(2), np.zeros(2), np.arange(2.0)
    side = _revolved(detail, out, height, np.array([[1.0, 0], [1, 0]]), none, height)
    bottom = _revolved(detail, height, none, np.array([[0.0, -1], [0, -1]]), none, height)
    top = _revolved(detail, height[::-1], out, np.array([[0.0, 1], [0, 1]]), none, height)
    return np.concatenate([bottom, side, top])


def _sheet() -> Float64Array:
    columns, rows = 24, 1  # waves run across; along z a sheet is straight
    z, x = np.mgrid[-0.5 : 0.5 : (rows + 1) * 1j, -0.5 : 0.5 : (columns + 1) * 1j].reshape(2, -1)
    point = np.stack([x, 0 * x, z, 0 * x], axis=1)
    normal = np.broadcast_to([0.0, -1.0, 0.0], (len(x), 3))
    return _rows(point, normal, np.stack([0.5 + x, 0.5 - z], axis=1), (0, 2))[_grid(rows, columns)]


@dataclass
class _Group:
    """Parts of one shape in a buffer, shadow casters on static parts first."""

    buffer: Any
    count: int = 0
    casting: int = 0
    arrays: dict[moderngl.Program, Any] = field(default_factory=dict)


class Batch:
    """Parts in buffers, which any program can draw."""

    def __init__(self, context: moderngl.Context, detail: Detail) -> None:
        self._context = context
        self._meshes = {
            shape: tuple(context.buffer(array.tobytes()) for array in mesh(shape, detail)) for shape in Shape
        }
        self._groups = {shape: _Group(context.buffer(reserve=_PART_FLOATS * 4)) for shape in Shape}

    def fill(
        self,
        parts: Sequence[Part],
        next_parts: Sequence[Part],
        times: tuple[float, float],
        layers: Mapping[str, int],
    ) -> None:
        """Upload parts at this and the next frame, at ``times``; textures by layer."""
        for shape, group in self._groups.items():
            pairs = [pair for pair in zip(parts, next_parts, strict=True) if pair[0].shape is shape]
            group.count = len(pairs)
            group.casting = sum(casts(now) for now, _ in pairs)
            if not pairs:
                continue
            pairs.sort(key=lambda pair: not casts(pair[0]))
            data = _part_rows(pairs, times, layers).tobytes()
            if len(data) > group.buffer.size:
                group.buffer.orphan(2 * len(data))
            group.buffer.write(data)

    def draw(self, program: moderngl.Program, *, casting: bool = False, culled: bool = False) -> None:
        """Draw parts with depth test."""
        context = self._context
        for shape, group in self._groups.items():
            count = group.casting if casting else group.count
            if not count:
                continue
            if program not in group.arrays:
                vertices, corners = self._meshes[shape]
                content = [
                    (vertices, _MESH_FORMAT, *_MESH_NAMES),
                    (group.buffer, _PART_FORMAT, *_PART_NAMES),
                ]
                array = context.vertex_array(program, content, corners, skip_errors=True)  # unused inputs
                group.arrays[program] = array
            assign(program, {"shape": int(shape)})
            cull = culled and shape is not Shape.SHEET
            context.enable_only(context.DEPTH_TEST | (context.CULL_FACE if cull else 0))
            group.arrays[program].render(instances=count)


def casts(part: Part) -> bool:
    """Whether a part is foreground, whose shadows are labelled."""
    return 0 < part.id < MOVING_BACKGROUND


def _part_rows(
    pairs: Sequence[tuple[Part, Part]], times: tuple[float, float], layers: Mapping[str, int]
) -> npt.NDArray[np.float32]:
    rows = np.empty((len(pairs), _PART_FLOATS), np.float32)
    rows[:, :12] = np.stack([now.pose for now, _ in pairs]).reshape(-1, 12)
    rows[:, 12:24] = np.stack([later.pose for _, later in pairs]).reshape(-1, 12)
    rows[:, 24:] = [_appearance(now, times, layers) for now, _ in pairs]
    return rows


def _appearance(part: Part, times: tuple[float, float], layers: Mapping[str, int]) -> tuple[float, ...]:
    surface, wave = part.surface, part.wave
    tiles = 1 / surface.tile if surface.tile else 0.0
    waving = (0.0, 0.0, 0.0, 0.0)
    if wave is not None:
        now, later = (wave.speed * time + wave.phase for time in times)
        waving = (wave.amplitude, wave.count, now, later)
    finish = (surface.gloss, surface.glow, part.taper, part.id)
    return (
        *surface.colour,
        layers[surface.texture],
        tiles,
        tiles,
        *surface.shift,
        *finish,
        *waving,
        surface.mirror,
    )
