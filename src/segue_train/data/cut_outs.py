"""Moving content of artificial clips: cut-outs of labelled stills, and of labelled videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from segue.prompts.planes import tight_box
from segue.types import Image
from segue.utils.arrays import BoolArray
from segue_train.data.footage import VOID, Footage, object_ids
from segue_train.data.warp import Matrix, Rng, Size, log_uniform, picked, random_part

MIN_AREA = 500  # pixels of the smallest object that is cut out
MARGIN = 3  # pixels of air around a cut-out, so that its edge is soft on all sides
HEIGHTS = (14.0, 230.0)  # pixels of the smallest and the largest mover
MAX_SIDE = 240  # cut-outs with a longer side are reduced to it when they are loaded


@dataclass(frozen=True, slots=True)
class CutOut:
    """A cut-out object: one image, or the images of a video in which it moves."""

    images: tuple[Image, ...]  # RGB, (h, w, 3)
    alphas: tuple[Image, ...]  # (h, w), 255 inside
    height: float  # the typical one


def cut_outs_of_stills(stills: Sequence[Footage]) -> list[CutOut]:
    """Cut out all objects of still images that are large enough and at most one border cuts off."""
    cut_outs = []
    for still in stills:
        image, mask = still.read(0)
        for index in object_ids(mask, MIN_AREA):
            solid = mask == index
            if sum(edge.any() for edge in (solid[0], solid[-1], solid[:, 0], solid[:, -1])) < 2:
                cut_outs.append(_cut_out([image], [solid]))
    return cut_outs


def cut_outs_of_videos(videos: Sequence[Footage]) -> list[CutOut]:
    """Cut out the labelled objects of each video, together, with their motion."""
    cut_outs = []
    for video in videos:
        pairs = [video.read(i) for i in range(len(video))]
        visible = [(image, (mask > 0) & (mask < VOID)) for image, mask in pairs]
        visible = [(image, solid) for image, solid in visible if solid.sum() >= MIN_AREA]
        if visible:
            cut_outs.append(_cut_out(*zip(*visible, strict=True)))
    return cut_outs


def _cut_out(images: Sequence[Image], solids: Sequence[BoolArray]) -> CutOut:
    patches, alphas = zip(*map(_patch, images, solids), strict=True)
    return CutOut(patches, alphas, float(np.median([len(alpha) - 2 * MARGIN for alpha in alphas])))


def _patch(image: Image, solid: BoolArray) -> tuple[Image, Image]:
    """Image and soft alpha around an object, eroded at the rim since labels are generous."""
    x0, y0, x1, y1 = map(int, tight_box(solid))
    box = slice(y0, y1), slice(x0, x1)
    patch, alpha = image[box], solid[box].astype(np.uint8) * np.uint8(255)
    shrink = MAX_SIDE / max(alpha.shape)
    if shrink < 1:
        patch, alpha = _small(patch, shrink), _small(alpha, shrink)
    air = (MARGIN,) * 4
    patch = np.asarray(cv2.copyMakeBorder(patch, *air, cv2.BORDER_REPLICATE), np.uint8)
    alpha = np.asarray(cv2.copyMakeBorder(alpha, *air, cv2.BORDER_CONSTANT, value=0), np.uint8)
    alpha = np.asarray(cv2.erode(alpha, np.ones((3, 3), np.uint8)), np.uint8)
    return patch, np.asarray(cv2.GaussianBlur(alpha, (3, 3), 0.8), np.uint8)


@dataclass(frozen=True, slots=True)
class Mover:
    """A cut-out that moves through a clip: straight at a steady pace, with stops."""

    cut_out: CutOut
    place: tuple[float, float]  # (x, y) of its foot at time 0
    velocity: tuple[float, float]  # pixels per frame while it moves
    scale: float  # of its pixels at time 0; negative mirrors it
    stretch: float  # width over height, relative to the original
    first: int  # image shown at time 0
    pace: float  # images per frame of motion, back and forth
    stop: float = np.inf  # time from which it stands still
    start: float = -np.inf  # time until which it stood still
    growth: float = 0.0  # logarithm of the scale gained per frame of motion
    swing: float = 0.0  # amplitude of rocking, in degrees
    period: float = 20.0
    phase: float = 0.0
    comes: float = -np.inf  # time from which it is there without having been seen to come
    leaves: float = np.inf  # time from which it is gone again

    def passing(self, time: float) -> Mover:
        """Copy without stops that is at a time where this one is at time 0."""
        (x, y), (vx, vy) = self.place, self.velocity
        place = x - vx * time, y - vy * time
        return replace(
            self, place=place, growth=0.0, stop=np.inf, start=-np.inf, comes=-np.inf, leaves=np.inf
        )

    def travelled(self, time: float) -> float:
        """Time in motion between time 0 and ``time``, in frames; negative before."""
        return float(np.clip(time, self.start, self.stop) - np.clip(0, self.start, self.stop))

    def at(self, time: float) -> tuple[float, float, float, float]:
        """Foot x, y, scale factor, and angle in degrees."""
        steps = self.travelled(time)
        x, y = (p + v * steps for p, v in zip(self.place, self.velocity, strict=True))
        angle = self.swing * np.sin(self.phase + 2 * np.pi * steps / self.period)
        return x, y, float(np.exp(np.clip(self.growth * steps, -0.9, 0.9))), float(angle)

    def present(self, time: float) -> bool:
        """Whether it is in the scene."""
        return self.comes <= time < self.leaves

    def is_near_image(self, time: float, size: Size) -> bool:
        """Whether it or its shadow may be on a canvas of ``size`` (H, W)."""
        x, y, growth, _ = self.at(time)
        reach = 2.5 * self.cut_out.height * abs(self.scale) * growth + 20
        return -reach < x < size[1] + reach and -reach < y < size[0] + reach

    def image(self, time: float) -> int:
        """Index of the current image; videos run forwards and backwards in turn."""
        count = len(self.cut_out.images)
        if count == 1:
            return 0
        position = round(self.first + self.pace * self.travelled(time)) % (2 * count - 2)
        return min(position, 2 * count - 2 - position)

    def patch(self, time: float) -> Image:
        """Current image with alpha as the fourth channel, (h, w, 4)."""
        index = self.image(time)
        return np.asarray(cv2.merge([self.cut_out.images[index], self.cut_out.alphas[index]]), np.uint8)

    def matrix(self, time: float) -> Matrix:
        """Affine map (2, 3) from its image to the canvas; the foot, bottom centre, goes to its position."""
        height, width = self.cut_out.alphas[self.image(time)].shape
        x, y, growth, angle = self.at(time)
        sy = abs(self.scale) * growth
        sx = np.copysign(sy * self.stretch, self.scale)
        cosine, sine = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        linear = np.array([[cosine, -sine], [sine, cosine]]) @ np.diag([sx, sy])
        foot = np.array([width / 2, height - MARGIN])
        return np.concatenate([linear, (np.array([x, y]) - linear @ foot)[:, None]], 1)


def place(patch: Image, matrix: Matrix, size: Size) -> tuple[tuple[slice, slice], Image] | None:
    """Warp a patch onto a canvas."""
    height, width = patch.shape[:2]
    corners = matrix[:, :2] @ np.array([[0, width, 0, width], [0, 0, height, height]]) + matrix[:, 2:]
    low = np.maximum(np.floor(corners.min(1)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(corners.max(1)).astype(int) + 2, size[::-1])
    if (high - low < 2).any():
        return None
    local = matrix.copy()
    local[:, 2] -= low
    reach = int(high[0] - low[0]), int(high[1] - low[1])
    warped = cv2.warpAffine(patch, local, reach, flags=cv2.INTER_LINEAR)
    return (slice(low[1], high[1]), slice(low[0], high[0])), np.asarray(warped, np.uint8)


def shape_cut_out(rng: Rng, image: Image) -> CutOut:
    """Create a random box, polygon or disc, textured or plain."""
    image_size = image.shape[0], image.shape[1]
    height, width = (min(int(log_uniform(rng, 30, 120)), side) for side in image_size)
    alpha = np.zeros((height + 2 * MARGIN, width + 2 * MARGIN), np.uint8)
    kind = rng.random()
    if kind < 0.5:
        alpha[MARGIN:-MARGIN, MARGIN:-MARGIN] = 255
    elif kind < 0.75:
        centre = width // 2 + MARGIN, height // 2 + MARGIN
        cv2.ellipse(alpha, centre, (max(width // 2, 1), max(height // 2, 1)), 0, 0, 360, 255, -1)
    else:
        corners = rng.uniform(0, 1, (int(rng.integers(3, 7)), 2)) * [width, height] + MARGIN
        cv2.fillConvexPoly(alpha, cv2.convexHull(corners.astype(np.int32)), 255)
    part = image[random_part(rng, image_size, (height, width))].astype(np.float32)
    if rng.random() < 0.5:
        part += rng.uniform(0.7, 1) * (rng.uniform(0, 255, 3) - part)
    patch = cv2.copyMakeBorder(np.clip(part, 0, 255).astype(np.uint8), *(MARGIN,) * 4, cv2.BORDER_REPLICATE)
    soft = np.asarray(cv2.GaussianBlur(alpha, (3, 3), 0.8), np.uint8)
    return CutOut((np.asarray(patch, np.uint8),), (soft,), float(height))


def draw_mover(
    rng: Rng,
    cut_outs: Sequence[CutOut],
    size: Size,
    *,
    heights: tuple[float, float] = HEIGHTS,
    from_start: bool = False,
) -> Mover:
    """Draw a mover that is on a canvas of ``size`` (H, W) at time 0."""
    cut_out = picked(rng, cut_outs)
    height = log_uniform(rng, *heights)
    pace = log_uniform(rng, 0.4, 6) * np.sqrt(height / 60)
    direction = rng.uniform(0, 2 * np.pi)
    velocity = pace * np.cos(direction), pace * np.sin(direction) * rng.uniform(0, 0.7)
    place = rng.uniform(0, size[1]), rng.uniform(0.15 * size[0], size[0] + 0.5 * height)
    kind = rng.uniform(0.34, 0.56) if from_start else rng.random()
    stop, start, comes, leaves = np.inf, -np.inf, -np.inf, np.inf
    if kind < 0.34:
        stop = -float(np.floor(rng.uniform(0, rng.choice([20, 120, 350], p=[0.4, 0.4, 0.2]))))
    elif kind < 0.46:
        leaves = -float(np.floor(log_uniform(rng, 1, 60)) - 1)
        stop = -200.0
    elif kind < 0.56:
        start = -float(np.floor(rng.uniform(1, 25)))
        velocity = velocity[0] * 2, velocity[1] * 2
    elif kind < 0.62:
        comes = -float(np.floor(rng.uniform(0, 12)))
    growth = float(rng.normal(0, 0.004))
    swing = float(rng.uniform(0, 7)) if rng.random() < 0.5 else 0.0
    period, phase = float(rng.uniform(8, 40)), float(rng.uniform(0, 2 * np.pi))
    reduced, scale = _reduced(cut_out, height / cut_out.height)
    return Mover(
        _relit(rng, reduced),
        place,
        velocity,
        scale=float(scale * rng.choice([-1, 1])),
        stretch=float(np.exp(rng.normal(0, 0.08))),
        first=int(rng.integers(200)),
        pace=float(rng.uniform(0.4, 1.4)),
        stop=stop,
        start=start,
        growth=growth,
        swing=swing,
        period=period,
        phase=phase,
        comes=comes,
        leaves=leaves,
    )


def _reduced(cut_out: CutOut, scale: float) -> tuple[CutOut, float]:
    """Reduce a cut-out that is shown much smaller; returns it with the remaining scale."""
    if scale >= 0.6:
        return cut_out, scale
    shrink = scale / 0.9
    images, alphas = (
        tuple(_small(plane, shrink) for plane in planes) for planes in (cut_out.images, cut_out.alphas)
    )
    return CutOut(images, alphas, cut_out.height * shrink), 0.9


def _small(image: Image, shrink: float) -> Image:
    height, width = (max(2, round(side * shrink)) for side in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _relit(rng: Rng, cut_out: CutOut) -> CutOut:
    """Change the light of a cut-out."""
    light = rng.uniform(0.2, 0.65) if rng.random() < 0.2 else rng.uniform(0.65, 1.35)
    gain = np.diag(light * rng.uniform(0.9, 1.1, 3))
    images = tuple(np.asarray(cv2.transform(image, gain), np.uint8) for image in cut_out.images)
    return CutOut(images, cut_out.alphas, cut_out.height)
