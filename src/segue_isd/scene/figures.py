"""Human figures: proportions, random clothes, and the solids of a body in a pose."""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np

from segue.utils.arrays import Float64Array
from segue_isd.scene.furniture import pick
from segue_isd.scene.parts import Colour, Part, Shape, Surface, placed, stems, transformed

X, Y, Z = np.eye(3)
"""Forward, left and up in a figure's own frame, whose origin is on the floor between the feet."""


@dataclass(frozen=True)
class Wardrobe:
    """Clothes of a figure; None for missing ones."""

    skin: Surface
    hair: Surface
    face: Surface
    top: Surface
    sleeve: Surface
    trousers: Surface
    shoes: Surface
    coat: Surface | None = None
    skirt: Surface | None = None
    hat: Surface | None = None
    backpack: Surface | None = None
    long_hair: bool = False


@dataclass(frozen=True)
class Build:
    """Proportions: height in metres, and factors of the breadth of body and limbs."""

    height: float
    breadth: float
    belly: float


@dataclass(frozen=True)
class Pose:
    """Angles in radians; pairs are left and right."""

    hip: tuple[float, float] = (0.0, 0.0)  # of the thighs, forward
    spread: tuple[float, float] = (0.05, 0.05)  # of the thighs, aside
    knee: tuple[float, float] = (0.04, 0.04)  # bending
    shoulder: tuple[float, float] = (0.0, 0.0)  # of the upper arms, forward
    raise_: tuple[float, float] = (0.12, 0.12)  # of the upper arms, aside
    elbow: tuple[float, float] = (0.2, 0.2)  # bending
    lean: float = 0.02  # of the trunk, forward
    sway: float = 0.0  # of the trunk, to the left
    twist: float = 0.0  # of the trunk, to the left
    head_turn: float = 0.0  # of the head, to the left
    nod: float = 0.0  # of the head, forward
    lift: float = 0.0  # of the whole body above the floor, metres


def blend(first: Pose, second: Pose, share: float) -> Pose:
    """Interpolate between two poses."""

    def between(a: Any, b: Any) -> Any:
        return tuple(map(between, a, b)) if isinstance(a, tuple) else a + (b - a) * share

    return Pose(*map(between, astuple(first), astuple(second)))


def walking(phase: float, vigour: float) -> Pose:
    """Pose while walking: ``phase`` in radians, 2 pi for two steps; ``vigour`` about 1 (running: 1.7)."""
    swing = 0.42 * min(vigour, 1.4)
    left, right = np.sin(phase), -np.sin(phase)
    lifted = 0.75 * vigour**0.7

    def knee(angle: float) -> float:
        return float(0.10 + lifted * max(0.0, np.cos(angle + 0.25)) ** 1.5)

    arm = 0.45 * vigour
    return Pose(
        hip=(float(swing * left + 0.05), float(swing * right + 0.05)),
        spread=(0.02, 0.02),
        knee=(knee(phase), knee(phase + np.pi)),
        shoulder=(float(-arm * left), float(-arm * right)),
        elbow=(float(0.25 + 0.35 * vigour * max(0.0, -left)), float(0.25 + 0.35 * vigour * max(0.0, -right))),
        lean=0.05 * vigour,
        sway=float(0.03 * np.cos(phase)),
        twist=float(-0.10 * left),
    )


STANDING = Pose()
SITTING = Pose(
    hip=(1.5, 1.45), knee=(1.5, 1.5), spread=(0.12, 0.12), shoulder=(0.55, 0.5), elbow=(1.0, 1.1), lean=0.1
)
BENDING = Pose(hip=(0.5, 0.6), knee=(0.7, 0.8), shoulder=(1.2, 1.3), elbow=(0.2, 0.2), lean=0.95, nod=0.3)
TYPING = replace(SITTING, shoulder=(0.75, 0.75), elbow=(0.95, 0.95), nod=0.25, lean=0.15)
PHONE = replace(STANDING, shoulder=(0.1, 0.55), elbow=(0.2, 2.3), nod=0.25)
REACHING = replace(STANDING, shoulder=(0.3, 1.7), elbow=(0.3, 0.4), lean=0.12)
WAVING = replace(STANDING, raise_=(0.12, 2.2), elbow=(0.2, 0.9))
ARMS_CROSSED = replace(STANDING, shoulder=(0.5, 0.5), raise_=(0.05, 0.05), elbow=(1.9, 1.9))


class _Body:
    """Solids of one body, added limb by limb."""

    def __init__(self, build: Build, wear: Wardrobe, pose: Pose) -> None:
        self.h, self.wide, self.wear, self.pose = build.height, build.breadth, wear, pose
        self._tubes: list[
            tuple[Float64Array, Float64Array, tuple[float, float], Float64Array, Surface, float]
        ] = []
        self.other_parts: list[Part] = []

    def tube(
        self,
        start: Float64Array,
        end: Float64Array,
        radius: tuple[float, float],
        surface: Surface,
        taper: float = 1.0,
        across: Float64Array = Y,
    ) -> None:
        self._tubes.append((start, end, radius, across, surface, taper))

    def parts(self) -> list[Part]:
        *places, surfaces, tapers = zip(*self._tubes, strict=True)
        poses = stems(*(np.asarray(values, float) for values in places))
        tubes = zip(poses, surfaces, tapers, strict=True)
        return [Part(Shape.TUBE, pose, surface, taper) for pose, surface, taper in tubes] + self.other_parts

    def legs(self) -> float:
        """Add the legs; returns the height of the lowest sole relative to the hips."""
        h, wide, wear, pose = self.h, self.wide, self.wear, self.pose
        low = 0.0
        bare = wear.skirt is not None
        for number, side in enumerate((1.0, -1.0)):
            a, k, s = pose.hip[number], pose.knee[number], pose.spread[number]
            joint = 0.046 * h * wide * side * Y - 0.01 * h * Z
            thigh = np.array([np.sin(a), side * np.sin(s), -np.cos(a)])
            shin = np.array([np.sin(a - k), 0.3 * side * np.sin(s), -np.cos(a - k)])
            knee = joint + 0.245 * h * thigh
            ankle = knee + 0.235 * h * shin
            cloth = wear.skin if bare else wear.trousers
            self.tube(joint, knee, (0.052 * h * wide, 0.056 * h * wide), cloth, 0.70)
            self.tube(knee, ankle, (0.036 * h * wide, 0.038 * h * wide), cloth, 0.72 if bare else 0.9)
            toe = np.array([np.cos(0.6 * (a - k)), 0.15 * side, np.sin(0.6 * (a - k))])
            heel = ankle - 0.02 * h * toe - 0.018 * h * Z
            tip = heel + 0.105 * h * toe
            self.tube(heel, tip, (0.026 * h, 0.022 * h), wear.shoes, 0.85)
            low = min(low, heel[2] - 0.022 * h, tip[2] - 0.019 * h)
        return float(low)

    def arms(self, shoulders: Float64Array, reach: float, trunk: Float64Array) -> Float64Array:
        h, wide, wear, pose = self.h, self.wide, self.wear, self.pose
        hands = np.zeros((2, 3))
        for number, side in enumerate((1.0, -1.0)):
            a, r, e = pose.shoulder[number], pose.raise_[number], pose.elbow[number]
            upper = np.array([np.sin(a) * np.cos(r), side * np.sin(r), -np.cos(a) * np.cos(r)])
            out = side * np.sin(r) * np.cos(e) - 0.25 * side * np.sin(e)
            fore = np.array([np.sin(a + e), out, -np.cos(a + e)])
            if r > 1.0:  # a raised arm bends upwards
                fore = np.array([0.25, side * np.sin(r - e), -np.cos(r + e)])
            fore /= np.linalg.norm(fore)
            joint = shoulders + reach * side * trunk[:, 1]
            elbow = joint + 0.165 * h * (trunk @ upper)
            wrist = elbow + 0.14 * h * (trunk @ fore)
            hand = wrist + 0.055 * h * (trunk @ fore)
            self.tube(joint, elbow, (0.034 * h * wide, 0.034 * h * wide), wear.top, 0.78)
            self.tube(elbow, wrist, (0.027 * h * wide, 0.027 * h * wide), wear.sleeve, 0.72)
            self.tube(wrist, hand, (0.016 * h, 0.022 * h), wear.skin, 0.75)
            hands[number] = hand
        return hands

    def head(self, neck: Float64Array, turn: Float64Array) -> None:
        h, wear = self.h, self.wear
        forward, left, up = turn.T
        middle = neck + 0.075 * h * up + 0.012 * h * forward

        def egg(sizes: tuple[float, float, float], at: Float64Array, surface: Surface) -> None:
            axes = np.column_stack([sizes[0] * h * forward, sizes[1] * h * left, sizes[2] * h * up, at])
            self.other_parts.append(Part(Shape.BALL, axes, surface))

        egg((0.056, 0.045, 0.068), middle, wear.face)
        egg((0.012, 0.008, 0.014), middle + 0.056 * h * forward - 0.008 * h * up, wear.skin)
        cap = middle + 0.018 * h * up - 0.012 * h * forward
        egg((0.056, 0.050, 0.060), cap, wear.hair)
        if wear.long_hair:
            nape = middle - 0.03 * h * forward
            self.tube(nape, nape - 0.10 * h * up, (0.046 * h, 0.028 * h), wear.hair, 0.8, left)
        if wear.hat is not None:
            egg((0.062, 0.056, 0.050), middle + 0.038 * h * up - 0.004 * h * forward, wear.hat)
            egg((0.060, 0.040, 0.010), middle + 0.036 * h * up + 0.045 * h * forward, wear.hat)


def figure(build: Build, wear: Wardrobe, pose: Pose) -> tuple[list[Part], Float64Array]:
    """Solids of a body on the floor in its own frame, and positions of its hands, (2, 3): left, right."""
    h, wide = build.height, build.breadth
    body = _Body(build, wear, pose)
    trunk = _turn(pose.lean, pose.sway, pose.twist)
    feet_low = body.legs()
    forward, left, up = trunk.T  # from the hips on, which are the origin until the feet stand on the floor
    waist = 0.06 * h * up
    chest = 0.25 * h * up
    neck = 0.31 * h * up
    depth = 0.062 * h * wide * build.belly
    body.tube(-0.01 * h * up, waist, (0.086 * h * wide, 0.066 * h * wide), wear.trousers, 0.98, left)
    body.tube(waist, chest, (0.080 * h * wide, depth), wear.top, 1.16, left)
    reach, middle = 0.094 * h * wide, 0.012 * h * up
    girth = (0.044 * h * wide, 0.048 * h * wide)
    body.tube(chest + reach * left + middle, chest - reach * left + middle, girth, wear.top, 1.0, forward)
    hands = body.arms(chest + 0.018 * h * up, reach + 0.018 * h, trunk)
    body.tube(chest + 0.03 * h * up, neck + 0.01 * h * up, (0.031 * h, 0.031 * h), wear.skin, 0.9, left)
    body.head(neck, trunk @ _turn(pose.nod, 0, pose.head_turn))
    if wear.coat is not None:
        body.tube(waist - 0.16 * h * up, chest, (0.098 * h * wide, 0.084 * h * wide), wear.coat, 0.98, left)
    if wear.skirt is not None:
        hem = -0.24 * h * up + 0.05 * h * (np.sin(pose.hip[0]) + np.sin(pose.hip[1])) * forward
        body.tube(hem, waist, (0.125 * h * wide, 0.110 * h * wide), wear.skirt, 0.62, left)
    if wear.backpack is not None:
        spot = chest - 0.105 * h * wide * forward - 0.06 * h * up
        frame = np.column_stack([0.11 * h * forward, 0.17 * h * left, 0.24 * h * up, spot])
        body.other_parts.append(Part(Shape.BOX, frame, wear.backpack))
    rise = np.array([0, 0, pose.lift - feet_low])
    return transformed(body.parts(), placed(*rise)), hands + rise


def _turn(forward: float, aside: float, about_vertical: float) -> Float64Array:
    """Rotation with columns forward, left and up, after leaning, swaying and twisting."""
    c, s = np.cos(about_vertical), np.sin(about_vertical)
    twist = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    c, s = np.cos(forward), np.sin(forward)
    lean = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    c, s = np.cos(aside), np.sin(aside)
    sway = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    return np.asarray(lean @ sway @ twist)


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
    """Draw clothes of one person; ``camouflage`` are surfaces to imitate with upper and lower body."""
    skin_tone = pick(rng, _SKIN, 0.03)
    skin, face = Surface(skin_tone, "plain", 0, gloss=0.08), Surface(skin_tone, "face", 0, gloss=0.08)
    hair = Surface(pick(rng, _HAIR, 0.03), "hair", 0, gloss=0.15)
    top = Surface(pick(rng, _TOPS, 0.12), str(rng.choice(_PATTERNS)), 0, gloss=0.03)
    trousers = Surface(pick(rng, _TROUSERS, 0.06), str(rng.choice(["fabric", "denim"])), 0, gloss=0.03)
    if camouflage is not None:
        top, trousers = (
            replace(surface, tile=surface.tile * 0.5, gloss=0.03, mirror=0.0) for surface in camouflage
        )
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
    """Draw proportions of one person, sometimes a child."""
    height = rng.uniform(1.2, 1.5) if rng.random() < 0.1 else np.clip(rng.normal(1.71, 0.1), 1.5, 2.0)
    return Build(float(height), rng.uniform(0.92, 1.2), rng.uniform(0.92, 1.35))
