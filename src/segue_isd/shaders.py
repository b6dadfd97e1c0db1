"""The GLSL programs in ``glsl`` and constants that they share with Python.

What stands still and what moves are put together once a pixel. Light that moving things keep away is looked
up only where some can: a first pass marks these pixels in the depth buffer, and the dear one runs on them
alone. What moves is lit there too: its many small triangles would each cost a whole block of pixels.
"""

from __future__ import annotations

import re
from pathlib import Path

LIGHTS = 3
"""Lights that cast shadows."""
OCCLUDERS = 32
"""Spheres that keep ambient light away."""
REACH = 5.0
"""Radii beyond which a sphere keeps no light away."""
GRID = 64
"""Cells along one side of the grids that bound moving shadows."""
FAR, SHADED, FRONT = 0.75, 0.5, 0.25
"""Depths that mark pixels: background as it stands, background that may lack light, and what moves."""

_FOLDER = Path(__file__).with_name("glsl")


def source(name: str, **switches: bool) -> str:
    """Text of a program with what it includes; the numbers above and its switches are macros."""
    numbers = {"LIGHTS": LIGHTS, "OCCLUDERS": OCCLUDERS, "REACH": REACH, "GRID": GRID}
    values = numbers | {switch: int(value) for switch, value in switches.items()}
    macros = "".join(f"#define {macro} {value}\n" for macro, value in values.items())
    return f"#version 330\n{macros}{_included(name)}"


def _included(name: str) -> str:
    text = (_FOLDER / name).read_text(encoding="utf-8")
    return re.sub(r'^#include "(.+)"$', lambda found: _included(found[1]), text, flags=re.MULTILINE)
