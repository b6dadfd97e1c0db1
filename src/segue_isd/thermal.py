"""Scenes as a thermal camera sees them: what matters is how warm things are, not how they are lit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from segue_isd.lights import Mood
from segue_isd.parts import Part, Surface

WARM = frozenset({"person", "pet", "car"})
"""Classes of what is warmer than a room."""
_LUMA = (0.3, 0.59, 0.11)


def warmth(parts: Iterable[Part], kinds: dict[int, str]) -> list[Part]:
    """The parts in shades of their temperature.

    Args:
        parts: of a scene.
        kinds: classes of the foreground by their ids.
    """
    known: dict[tuple[Surface, bool], Surface] = {}
    result = []
    for part in parts:
        warm = kinds.get(part.id) in WARM
        key = part.surface, warm
        if key not in known:
            known[key] = _shade(part.surface, warm)
        result.append(replace(part, surface=known[key]))
    return result


def heat(mood: Mood) -> Mood:
    """A mood without lamps, in which everything shines by itself."""
    return replace(mood, lights=(), up=(0.7, 0.7, 0.7), down=(1.0, 1.0, 1.0), tint=(1.0, 1.0, 1.0))


def _shade(surface: Surface, warm: bool) -> Surface:
    level = sum(weight * value for weight, value in zip(_LUMA, surface.colour, strict=True))
    # Light clothes lie thin and skin is bare: both are warmer than dark coats.
    shade = 0.66 + 0.3 * level if warm else 0.22 + 0.16 * level + 0.1 * min(surface.glow, 1.0)
    texture = "plain" if warm else surface.texture
    return replace(surface, colour=(shade, shade, shade), texture=texture, gloss=0.0, glow=0.0, mirror=0.0)
