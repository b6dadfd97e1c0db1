"""Clothes, hair and builds of people, drawn at random."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from segue_isd.figures import Build, Wardrobe
from segue_isd.furniture import pick
from segue_isd.parts import Colour, Surface

_SKIN: tuple[Colour, ...] = (
    (0.93, 0.76, 0.66),
    (0.86, 0.66, 0.53),
    (0.72, 0.52, 0.4),
    (0.55, 0.38, 0.28),
    (0.4, 0.27, 0.2),
)
_HAIR: tuple[Colour, ...] = (
    (0.1, 0.08, 0.07),
    (0.25, 0.16, 0.1),
    (0.45, 0.3, 0.17),
    (0.75, 0.6, 0.35),
    (0.6, 0.6, 0.6),
    (0.5, 0.22, 0.12),
)
_TOPS: tuple[Colour, ...] = (
    (0.9, 0.9, 0.9),
    (0.12, 0.12, 0.14),
    (0.3, 0.35, 0.45),
    (0.55, 0.15, 0.17),
    (0.2, 0.32, 0.22),
    (0.6, 0.6, 0.62),
    (0.25, 0.4, 0.65),
    (0.7, 0.62, 0.5),
    (0.45, 0.3, 0.4),
    (0.85, 0.7, 0.3),
    (0.8, 0.45, 0.4),
    (0.15, 0.18, 0.3),
)
_TROUSERS: tuple[Colour, ...] = (
    (0.2, 0.25, 0.38),
    (0.12, 0.12, 0.13),
    (0.55, 0.48, 0.38),
    (0.35, 0.35, 0.37),
    (0.3, 0.25, 0.2),
    (0.42, 0.5, 0.62),
    (0.8, 0.78, 0.74),
)
_SHOES: tuple[Colour, ...] = ((0.1, 0.1, 0.1), (0.85, 0.85, 0.85), (0.35, 0.22, 0.13), (0.5, 0.1, 0.1))
_PATTERNS = ("fabric", "fabric", "fabric", "denim", "stripes", "plaid", "dots", "logo", "logo", "blotches")


def dressed(rng: np.random.Generator, camouflage: tuple[Surface, Surface] | None = None) -> Wardrobe:
    """Clothes of one person.

    Args:
        rng: source of all choices.
        camouflage: surfaces behind the upper and the lower body to look like, or None.
    """
    skin_tone = pick(rng, _SKIN, 0.03)
    skin, face = Surface(skin_tone, "plain", 0, gloss=0.08), Surface(skin_tone, "face", 0, gloss=0.08)
    hair = Surface(pick(rng, _HAIR, 0.03), "hair", 0, gloss=0.15)
    top = Surface(pick(rng, _TOPS, 0.12), str(rng.choice(_PATTERNS)), 0, gloss=0.03)
    trousers = Surface(pick(rng, _TROUSERS, 0.06), str(rng.choice(["fabric", "denim"])), 0, gloss=0.03)
    if camouflage is not None:
        top = replace(camouflage[0], tile=camouflage[0].tile * 0.5, gloss=0.03, mirror=0.0)
        trousers = replace(camouflage[1], tile=camouflage[1].tile * 0.5, gloss=0.03, mirror=0.0)
    shoes = Surface(pick(rng, _SHOES, 0.05), "plain", 0, gloss=0.25)
    kind = rng.random()
    coat = replace(top, texture="fabric") if 0.15 < kind < 0.35 and camouflage is None else None
    skirt = Surface(pick(rng, _TOPS, 0.15), str(rng.choice(_PATTERNS)), 0) if kind < 0.15 else None
    extra = rng.random(3)
    return Wardrobe(
        skin=skin,
        hair=hair,
        face=face,
        top=coat or top,
        sleeve=skin if coat is None and rng.random() < 0.4 else coat or top,
        trousers=trousers,
        shoes=shoes,
        coat=coat,
        skirt=skirt,
        hat=Surface(pick(rng, _TOPS, 0.2), "fabric", 0) if extra[0] < 0.15 else None,
        backpack=Surface(pick(rng, _TOPS, 0.2), "fabric", 0.3) if extra[1] < 0.2 else None,
        long_hair=bool(extra[2] < 0.4),
    )


def grown(rng: np.random.Generator) -> Build:
    """Proportions of one person, now and then a child."""
    height = rng.uniform(1.2, 1.5) if rng.random() < 0.1 else np.clip(rng.normal(1.71, 0.1), 1.5, 2.0)
    return Build(float(height), float(rng.uniform(0.92, 1.2)), float(rng.uniform(0.92, 1.35)))
