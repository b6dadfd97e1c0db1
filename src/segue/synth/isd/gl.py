"""OpenGL without a display, and the solids of a scene in its buffers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from segue.errors import SegueError
from segue.synth.isd.meshes import Detail, mesh
from segue.synth.isd.parts import Floats, Part, Shape

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
    """An OpenGL 3.3 context without a display.

    Raises:
        RendererError: the binding or the system's OpenGL is missing.
    """
    try:
        import moderngl
    except ImportError:
        raise RendererError('the ISD generator needs moderngl: pip install "segue[synth]"') from None
    try:
        return moderngl.create_context(standalone=True, require=330, **_HEADLESS)
    except Exception as error:  # moderngl raises bare Exception where libEGL cannot be loaded
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RendererError(
            f"no usable OpenGL ({reason}); install the system packages libegl1 and libgl1-mesa-dri"
        ) from error


def check_opengl() -> None:
    """See that scenes can be rendered here, before any work is spent.

    Raises:
        RendererError: they cannot.
    """
    open_context().release()


@dataclass(frozen=True)
class Group:
    """Parts of one shape in a buffer."""

    shape: Shape
    buffer: Any
    count: int


class Solids:
    """The unit shapes as triangles, and buffers of parts.

    Args:
        context: where they are.
        detail: of round shapes.
    """

    def __init__(self, context: moderngl.Context, detail: Detail) -> None:
        self._context = context
        self._meshes = {
            shape: tuple(context.buffer(array.tobytes()) for array in mesh(shape, detail)) for shape in Shape
        }

    def upload(
        self,
        parts: Sequence[Part],
        next_parts: Sequence[Part],
        times: tuple[float, float],
        layers: Mapping[str, int],
    ) -> list[Group]:
        """Buffers of parts as they are now and at the next frame, at ``times``; textures by their layer."""
        groups = []
        for shape in Shape:
            chosen = [i for i, part in enumerate(parts) if part.shape is shape]
            if chosen:
                rows = _rows([parts[i] for i in chosen], [next_parts[i] for i in chosen], times, layers)
                groups.append(Group(shape, self._context.buffer(rows.tobytes()), len(chosen)))
        return groups

    def arrays(self, program: Any, groups: Sequence[Group]) -> Iterator[tuple[Shape, Any, int]]:
        """Shape, vertex array and number of instances of each group, with ``program`` set up for it."""
        for group in groups:
            vertices, corners = self._meshes[group.shape]
            content = [
                (vertices, *_used(_MESH_FORMAT, _MESH_NAMES, program)),
                (group.buffer, *_used(_PART_FORMAT, _PART_NAMES, program)),
            ]
            array = self._context.vertex_array(program, content, corners)
            program["shape"].value = int(group.shape)
            yield group.shape, array, group.count
            array.release()


def release(groups: Sequence[Group]) -> None:
    """Free buffers of parts."""
    for group in groups:
        group.buffer.release()


def _rows(
    parts: Sequence[Part], next_parts: Sequence[Part], times: tuple[float, float], layers: Mapping[str, int]
) -> npt.NDArray[np.float32]:
    rows = np.zeros((len(parts), _PART_FLOATS), np.float32)
    rows[:, :12] = np.stack([part.pose for part in parts]).reshape(-1, 12)
    rows[:, 12:24] = np.stack([part.pose for part in next_parts]).reshape(-1, 12)
    for row, part in zip(rows, parts, strict=True):
        look = part.surface
        tiles = 1 / look.tile if look.tile else 0.0
        row[24:28] = (*look.colour, layers[look.texture])
        row[28:32] = (tiles, tiles, *look.shift)
        row[32:36] = (look.gloss, look.glow, part.taper, part.id)
        if part.wave is not None:
            wave = part.wave
            now, later = (wave.speed * time + wave.phase for time in times)
            row[36:40] = (wave.amplitude, wave.count, now, later)
        row[40] = look.mirror
    return rows


def matrix(values: Floats) -> bytes:
    """Bytes as OpenGL wants them: column after column."""
    return np.asarray(values.T, np.float32).tobytes()


def assign(program: Any, values: Mapping[str, Any]) -> None:
    """Set those uniforms that ``program`` has; whole numbers are counts and texture units."""
    for name, value in values.items():
        if name not in program:
            continue
        if isinstance(value, int):
            program[name].value = value
        else:
            program[name].write(
                value if isinstance(value, bytes) else np.asarray(value, np.float32).tobytes()
            )


def _used(formats: str, names: Sequence[str], program: Any) -> tuple[Any, ...]:
    """Buffer layout with padding in place of what the compiler left out of ``program``."""
    per = formats.endswith("/i")
    kinds = formats.removesuffix("/i").split()
    layout = [
        kind if name in program else f"{int(kind[0]) * 4}x" for kind, name in zip(kinds, names, strict=True)
    ]
    return (" ".join(layout) + ("/i" if per else ""), *(name for name in names if name in program))
