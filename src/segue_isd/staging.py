"""What a renderer is told: what stays through a clip, and what changes from frame to frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segue_isd.camera import View
from segue_isd.canvas import Texture
from segue_isd.lights import Gains, Mood
from segue_isd.parts import Floats, Part


@dataclass(frozen=True)
class Moment:
    """What changes from frame to frame.

    Attributes:
        view: the camera.
        next_view: the camera at the next frame.
        parts: everything that moves.
        next_parts: the same at the next frame, in the same order.
        gains: of the light.
        time: seconds.
        next_time: seconds of the next frame.
        occluders: (N, 4), spheres of the foreground that keep ambient light away: centre and radius.
    """

    view: View
    next_view: View
    parts: Sequence[Part]
    next_parts: Sequence[Part]
    gains: Gains
    time: float
    next_time: float
    occluders: Floats


@dataclass(frozen=True)
class Stage:
    """What stays through a clip.

    Attributes:
        parts: all that never moves.
        textures: by name.
        mood: the light.
        room: (3,), size in metres; one corner is the origin.
        still_camera: whether the camera never moves.
        mirror: plane (a, b, c, d) of the one mirroring surface, ax + by + cz + d > 0 in front, or None.
    """

    parts: Sequence[Part]
    textures: Mapping[str, Texture]
    mood: Mood
    room: Floats
    mirror: Floats | None
    still_camera: bool
