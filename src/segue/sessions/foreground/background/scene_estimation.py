"""Background initialisation from a whole video whose frames all contain objects.

The image begins as the largest consensus of each patch over time, which survives where something stands
before the scene most of the time but never looks the same for long, as leaves do. For a region that
shows something else for some time, the content that fits best into the image around it is used: an object has
an outline, which the scene behind it has not. With this image, the network then finds the foreground of each
frame; the quantiles of the remaining pixels are the scene.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from segue.masks.pieces import Pieces
from segue.sessions.foreground.background.median import MASK_ABOVE
from segue.sessions.foreground.background.quantiles import Scene, scene_planes
from segue.sessions.foreground.camera.registration import agree
from segue.types import Image
from segue.utils.arrays import BoolArray, Float32Array, UInt8Array


@dataclass(frozen=True, slots=True)
class EstimationSettings:
    """Settings of :func:`estimate_scene`; no source of the values is recorded.

    Attributes:
        agree_levels: levels by which two frames may differ and still show the same.
        moving_weight: weight of a pixel that has just changed, in the consensus.
        patch: side of the patches that agree together, in shorter sides of the image; larger values blur
            borders.
        min_rival: share of the frames that support a second consensus.
        rival_levels: levels by which a second consensus differs from the first.
        min_ratio: ratio of outline contrasts, first to second, for the second to win.
        min_excess: levels per pixel that the contrast must exceed in addition.
        max_regions: regions that are compared, the largest first; bounds the time.
        min_area: pixels of a region; smaller ones are left to the median.
    """

    agree_levels: int = 12
    moving_weight: float = 0.1
    patch: float = 0.04
    min_rival: float = 0.1
    rival_levels: int = 40
    min_ratio: float = 1.2
    min_excess: float = 1.0
    max_regions: int = 50
    min_area: int = 40


SETTINGS = EstimationSettings()

_GROW = np.ones((5, 5), np.uint8)
_JOIN = np.ones((5, 5), np.uint8)

_BORDER = np.ones((7, 7), np.uint8)  # by which a piece is grown, for the border of an object is blurred
_MARGIN = 4


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A frame of the video with its neighbours for the network."""

    image: Image  # RGB (H, W, 3), uint8
    context: Mapping[int, Image]  # frames by their offset, such as -3, of the same size


Probe = Callable[[Sample, Scene], Float32Array]
"""Probability of foreground in a sample, (H, W), when the empty scene is that."""


def estimate_scene(samples: Sequence[Sample], probe: Probe) -> Scene:
    """Estimate the background of a video."""
    frames = [sample.image for sample in samples]
    planar = np.ascontiguousarray(np.stack([frame.transpose(2, 0, 1) for frame in frames]))
    outside = _outside_consensus(samples, planar)
    scene = Scene(scene_planes(planar, outside, min_frames=1))
    foreground = [cv2.dilate((probe(sample, scene) > MASK_ABOVE).view(np.uint8), _GROW) for sample in samples]
    return Scene(scene_planes(planar, np.stack(foreground) > 0, min_frames=1))


def _outside_consensus(samples: Sequence[Sample], planar: UInt8Array) -> npt.NDArray[np.bool_]:
    """Masks of pixels that do not show the background in each frame, (n, H, W), by consensus."""
    frames = [sample.image for sample in samples]
    support = _support(samples)
    side = 1 + 2 * round(SETTINGS.patch * min(frames[0].shape[:2]) / 2)
    best = np.stack([cv2.blur(each, (side, side)) for each in support]).argmax(axis=0)
    first = np.take_along_axis(planar, best[None, None], axis=0)[0].transpose(1, 2, 0)
    outside = np.stack([~agree(frame, first, SETTINGS.agree_levels) for frame in frames])
    image = Scene(scene_planes(planar, outside, min_frames=1)).image
    rivals = np.where(np.stack([agree(frame, image, SETTINGS.rival_levels) for frame in frames]), 0, support)
    for region in _regions(rivals.max(axis=0) >= SETTINGS.min_rival * len(frames)):
        better = _better(region, image, frames, support)
        if better is not None:
            region = cv2.dilate(region.view(np.uint8), _BORDER) > 0
            outside[:, region] = np.stack(
                [~agree(frame, better, SETTINGS.agree_levels)[region] for frame in frames]
            )
    return outside


def _support(samples: Sequence[Sample]) -> Float32Array:
    """Number of frames that agree with each one at each pixel, (n, H, W); moving pixels have less weight."""
    count, shape = len(samples), samples[0].image.shape[:2]
    weights = np.ones((count, *shape), np.float32)
    for i, sample in enumerate(samples):
        for other in list(sample.context.values())[:1]:
            weights[i][~agree(sample.image, other, SETTINGS.agree_levels)] = SETTINGS.moving_weight
    support = weights.copy()
    for i in range(count):
        for j in range(i):
            same = agree(samples[i].image, samples[j].image, SETTINGS.agree_levels)
            support[i] += same * weights[j]
            support[j] += same * weights[i]
    return np.asarray(support, np.float32)


def _regions(mask: BoolArray) -> list[BoolArray]:
    """Connected regions of a mask, (H, W), without small ones."""
    joined = cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_CLOSE, _JOIN)
    joined = cv2.morphologyEx(joined, cv2.MORPH_OPEN, _JOIN)
    pieces = Pieces.of(joined > 0)
    numbers = np.arange(len(pieces) + 1)
    order = np.argsort(-pieces.areas, kind="stable")[: SETTINGS.max_regions]
    return [pieces.where(numbers == i) for i in order if pieces.areas[i] >= SETTINGS.min_area]


def _better(region: BoolArray, image: Image, frames: Sequence[Image], support: Float32Array) -> Image | None:
    """Frame whose content fits best into the surroundings of a region, if it is clearly better."""
    stays = [i for i, each in enumerate(support) if each[region].mean() >= SETTINGS.min_rival * len(frames)]
    rows, columns = (slice(max(0, at.min() - _MARGIN), at.max() + 1 + _MARGIN) for at in region.nonzero())
    part, image_part = region[rows, columns], image[rows, columns]
    filled = (np.where(part[..., None], frames[i][rows, columns], image_part) for i in stays)
    contrasts = _outline_contrasts(part, (image_part, *filled))
    if contrasts is None or not stays:
        return None
    now, lowest = contrasts[0], min(contrasts[1:])
    return (
        frames[stays[contrasts[1:].index(lowest)]]
        if now > SETTINGS.min_ratio * lowest + SETTINGS.min_excess
        else None
    )


def _outline_contrasts(piece: BoolArray, images: Iterable[Image]) -> list[float] | None:
    """Edge strength along the outline of a region (H, W) in several images."""
    smooth = cv2.GaussianBlur(piece.astype(np.float32), (0, 0), 1.5)
    across = np.stack([cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)])
    steepness = np.linalg.norm(across, axis=0)
    outline = steepness > max(0.5 * steepness.max(), 1e-3)
    if not outline.any():  # the piece fills the image
        return None
    normal = across[:, outline] / steepness[outline]
    return [_contrast(image, outline, normal) for image in images]


def _contrast(image: Image, outline: BoolArray, normal: npt.NDArray[np.float32]) -> float:
    """Mean colour change across an outline, in levels per pixel."""
    smooth = cv2.GaussianBlur(image, (0, 0), 1.0).astype(np.float32)
    right, down = (cv2.Sobel(smooth, cv2.CV_32F, dx, 1 - dx, scale=1 / 8)[outline] for dx in (1, 0))
    return float(np.abs(right * normal[0][:, None] + down * normal[1][:, None]).max(axis=1).mean())
