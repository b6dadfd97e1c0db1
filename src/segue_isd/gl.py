"""OpenGL without a display, and the solids of a scene in its buffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from segue.arrays import Float64Array
from segue.errors import SegueError
from segue.extras import missing_packages
from segue.inputs import first_line
from segue_isd.meshes import Detail, mesh
from segue_isd.parts import MOVING_BACKGROUND, Part, Shape

if TYPE_CHECKING:
    import moderngl

_HEADLESS: dict[str, Any] = {"backend": "egl"}
_MESH_FORMAT = "4f 3f 2f 2f"
_MESH_NAMES = ("in_point", "in_normal", "in_uv", "in_axes")
_PART_FORMAT = "4f 4f 4f 4f 4f 4f 4f 4f 4f 4f 1f/i"
_PART_NAMES = (
    "now0", "now1", "now2", "next0", "next1", "next2", "tint", "tiling", "finish", "waving", "mirror",
)  # fmt: skip
_PART_FLOATS = 41


class RendererError(SegueError):
    """There is no usable OpenGL, or no binding for it."""


def open_context() -> moderngl.Context:
    """An OpenGL 3.3 context without a display."""
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
    """See that scenes can be rendered here, before any work is spent; raises RendererError."""
    open_context().release()


Uniform = bytes | int
"""A value for a program: bytes of numbers, or a count or texture unit."""


def packed(values: Mapping[str, Any]) -> dict[str, Uniform]:
    """Values for programs; whole numbers are counts and texture units."""
    return {
        name: value if isinstance(value, (bytes, int)) else np.asarray(value, np.float32).tobytes()
        for name, value in values.items()
    }


def matrix(values: Float64Array) -> bytes:
    """Bytes as OpenGL wants them: column after column. ``values``: (R, C), a matrix in rows."""
    return np.asarray(values.T, np.float32).tobytes()


def assign(program: moderngl.Program, values: Mapping[str, Uniform]) -> None:
    """Set those values that the compiler left in a program."""
    for name, value in values.items():
        member: Any = program.get(name, None)
        if isinstance(value, int) and member is not None:
            member.value = value
        elif member is not None:
            member.write(value)


@dataclass
class _Group:
    """Parts of one shape in a buffer, those that throw shadows on what stands still first."""

    buffer: Any
    count: int = 0
    casting: int = 0
    arrays: dict[moderngl.Program, Any] = field(default_factory=dict)


class Batch:
    """Parts in buffers, to be drawn by any program."""

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
        """Take parts as they are now and at the next frame, at ``times``; textures by their layer."""
        for shape, group in self._groups.items():
            pairs = [pair for pair in zip(parts, next_parts, strict=True) if pair[0].shape is shape]
            group.count = len(pairs)
            group.casting = sum(casts(now) for now, _ in pairs)
            if not pairs:
                continue
            pairs.sort(key=lambda pair: not casts(pair[0]))
            data = _rows(pairs, times, layers).tobytes()
            if len(data) > group.buffer.size:
                group.buffer.orphan(2 * len(data))
            group.buffer.write(data)

    def draw(
        self, program: moderngl.Program, *, casting: bool = False, sheets: bool = True, culled: bool = False
    ) -> None:
        """Draw parts, the nearer ones hiding others."""
        context = self._context
        for shape, group in self._groups.items():
            count = group.casting if casting else group.count
            if not count or (shape is Shape.SHEET and not sheets):
                continue
            if program not in group.arrays:
                vertices, corners = self._meshes[shape]
                content = [
                    (vertices, _MESH_FORMAT, *_MESH_NAMES),
                    (group.buffer, _PART_FORMAT, *_PART_NAMES),
                ]
                # What the compiler left out of the program is skipped.
                group.arrays[program] = context.vertex_array(program, content, corners, skip_errors=True)
            assign(program, {"shape": int(shape)})
            cull = culled and shape is not Shape.SHEET
            context.enable_only(context.DEPTH_TEST | (context.CULL_FACE if cull else 0))
            group.arrays[program].render(instances=count)


def casts(part: Part) -> bool:
    """Whether a part is foreground, whose shadows have a label of their own."""
    return 0 < part.id < MOVING_BACKGROUND


def _rows(
    pairs: Sequence[tuple[Part, Part]], times: tuple[float, float], layers: Mapping[str, int]
) -> npt.NDArray[np.float32]:
    rows = np.empty((len(pairs), _PART_FLOATS), np.float32)
    rows[:, :12] = np.stack([now.pose for now, _ in pairs]).reshape(-1, 12)
    rows[:, 12:24] = np.stack([later.pose for _, later in pairs]).reshape(-1, 12)
    rows[:, 24:] = [_look(now, times, layers) for now, _ in pairs]
    return rows


def _look(part: Part, times: tuple[float, float], layers: Mapping[str, int]) -> tuple[float, ...]:
    look, wave = part.surface, part.wave
    tiles = 1 / look.tile if look.tile else 0.0
    waving = (0.0, 0.0, 0.0, 0.0)
    if wave is not None:
        now, later = (wave.speed * time + wave.phase for time in times)
        waving = (wave.amplitude, wave.count, now, later)
    finish = (look.gloss, look.glow, part.taper, part.id)
    return (*look.colour, layers[look.texture], tiles, tiles, *look.shift, *finish, *waving, look.mirror)
