"""Training clips for stcn-lite: real video, animated still images, pasted objects and occluders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from segue.errors import DatasetError
from segue.prompts.planes import tight_box
from segue.types import Image
from segue.utils.arrays import BoolArray, Float32Array
from segue_train.clip_pass import object_masks
from segue_train.data import warp
from segue_train.data.footage import VOID, Footage, object_ids, relabel
from segue_train.data.warp import Motion, Pair, Rng, picked
from segue_train.recipe import Batch, Batches, stacked

MAX_DRAWS = 200  # clips that are drawn for each one of a batch before the material is found to be empty

Pairs = Sequence[Pair]
Steps = Sequence[tuple[warp.Matrix, Float32Array | None]]  # where a frame is moved, and how it is bent

WHOLE_IMAGE = Motion(rotation=7, log_scale=0.08, shear=4, shift=0.05)
CUT_OUT = Motion(rotation=10, log_scale=0.10, shear=5, shift=0.09)
HANDHELD_CAMERA = Motion(rotation=2, log_scale=0.03, shear=1, shift=0.02)
BACKDROP = Motion(rotation=3, log_scale=0.04, shear=2, shift=0.03)


@dataclass(frozen=True, slots=True)
class ClipShape:
    """Shape of a batch: clips, frames of a clip, side of the square crop, object slots.

    ``pace`` scales all artificial motion. A slow clip (below 1) is like a fixed camera: most of its backdrops
    do not move, and regions that an object uncovers were not visible before. ``zoom`` is the largest change
    of scale within a clip, as a factor; above 1, objects take a tenth to the whole of the crop.
    """

    batch: int
    frames: int
    side: int
    objects: int
    pace: float = 1.0
    zoom: float = 1.0


Curriculum = Callable[[float, Rng], tuple[ClipShape, float, int]]
"""Shape of a batch at a point of training in [0, 1], its share of videos, and the largest gap of frames."""


@dataclass(slots=True)
class Clip:
    """Frames (T, S, S, 3) and index masks (T, S, S), with void, under composition."""

    frames: list[Image]
    masks: list[Image]

    @classmethod
    def animated(cls, pairs: Pairs, matrix: warp.Matrix, steps: Steps, side: int) -> Clip:
        """Warp frames to a crop by ``matrix``, and then each by its step."""
        clip = cls([], [])
        for (image, mask), (step, field) in zip(pairs, steps, strict=True):
            clip.frames.append(warp.apply(image, step @ matrix, side, field))
            clip.masks.append(warp.apply(mask, step @ matrix, side, field, mask=True))
        return clip

    def paste(self, other: Clip, index: int, behind: bool) -> None:
        """Paste the masked content of another clip with soft edges."""
        for t, (image, solid) in enumerate(zip(other.frames, other.masks, strict=True)):
            weight = blur(solid, 3, 0.8).astype(np.float32) / 255
            if behind:
                weight = weight * (self.masks[t] == 0)
            mixed = self.frames[t] + weight[..., None] * (image.astype(np.float32) - self.frames[t])
            self.frames[t] = mixed.astype(np.uint8)
            self.masks[t] = np.where(weight > 0.5, np.uint8(index), self.masks[t])


class ClipSampler:
    """Draws clips from videos and still images, or only from labelled frames of videos."""

    def __init__(self, videos: Sequence[Footage], stills: Sequence[Footage]) -> None:
        self.videos = list(videos)
        self.stills = list(stills) or [still for video in videos for still in video.as_stills()]
        if not self.stills:
            raise DatasetError("neither videos nor still images to train on; add a folder")

    def draw(self, rng: Rng, video: bool, max_gap: int, shape: ClipShape) -> Clip:
        """Draw a clip with mask ids 1 to ``shape.objects`` (some may be missing)."""
        if video and self.videos:
            pairs, camera = self._video_frames(rng, max_gap, shape), _still_or_slow(rng, shape.pace)
            clip = around_object(rng, pairs, shape, HANDHELD_CAMERA, camera, bends=False)
        elif rng.random() < 0.5:
            pairs = [picked(rng, self.stills).read(0)] * shape.frames
            clip = around_object(rng, pairs, shape, WHOLE_IMAGE, shape.pace)
        else:
            clip = self._cut_out_still(rng, shape)
        for index in range(2, shape.objects + 1):
            self._paste_object(rng, clip, shape, max_gap, index)
        if rng.random() < 0.3:
            self._paste_object(rng, clip, shape, max_gap, 0)
        return recolour(rng, clip)

    def _cut_out_still(self, rng: Rng, shape: ClipShape) -> Clip:
        """Draw an object over the backdrop of another image, both moving."""
        footage = picked(rng, self.videos if self.videos and rng.random() < 0.3 else self.stills)
        backdrop, mask = footage.read(int(rng.integers(len(footage))))
        matrix = crop_to_object(rng, mask > 0, shape)
        steps = animation(rng, BACKDROP, shape, _still_or_slow(rng, shape.pace))
        clip = Clip.animated([(backdrop, np.zeros_like(mask))] * shape.frames, matrix, steps, shape.side)
        self._paste_object(rng, clip, shape, 1, 1)
        return clip

    def _paste_object(self, rng: Rng, clip: Clip, shape: ClipShape, max_gap: int, index: int) -> None:
        """Paste an object of another source with its own motion; an occluder may enter late."""
        if self.videos and rng.random() < 0.4:
            pairs = self._video_frames(rng, max_gap, shape)
        else:
            pairs = [picked(rng, self.stills).read(0)] * shape.frames
        cut_out_of_video = cut_out_of(rng, pairs, shape)
        if cut_out_of_video is None:
            return
        _, cut_out = cut_out_of_video
        late = index == 0 and shape.frames > 1 and rng.random() < 0.5
        for mask in cut_out.masks[: rng.integers(1, shape.frames) if late else 0]:
            mask[:] = 0
        behind = index != 0 and bool(rng.random() < 0.4) and any(mask.any() for mask in clip.masks)
        clip.paste(cut_out, index, behind)

    def _video_frames(self, rng: Rng, max_gap: int, shape: ClipShape) -> Pairs:
        """Draw frames of a random video."""
        footage = picked(rng, self.videos)
        order = frame_order(rng, len(footage), shape.frames, max(1, max_gap // footage.spacing))
        return [footage.read(i) for i in order]


@dataclass(frozen=True)
class ClipBatches(Batches):
    """Batches of clips that follow a curriculum.

    Items hold ``frames`` (B, T, 3, S, S) uint8, ``masks`` (B, T, S, S) int64 with ids 0..K and void, and
    ``exists`` (B, K) float32, 1 for the objects that are in the first frame.
    """

    sampler: ClipSampler
    curriculum: Curriculum

    def batch_of(self, number: int) -> Batch:
        rng = np.random.default_rng([self.seed, number])
        shape, video_share, max_gap = self.curriculum(number / self.count, rng)
        clips: list[Clip] = []
        tries = 0
        while len(clips) < shape.batch:
            if tries == MAX_DRAWS * shape.batch:
                raise DatasetError(
                    f"{tries} clips were drawn, and {len(clips)} of them show an object: nearly all masks of "
                    "the still images and videos are empty"
                )
            tries += 1
            clip = self.sampler.draw(rng, bool(rng.random() < video_share), max_gap, shape)
            if ((clip.masks[0] > 0) & (clip.masks[0] < VOID)).sum() >= 40:
                clips.append(clip)
        return collate(clips, shape.objects)


def collate(clips: Sequence[Clip], slots: int) -> Batch:
    """Stack clips of one shape to a batch; see :class:`ClipBatches`."""
    frames = stacked(np.stack(clip.frames) for clip in clips).movedim(-1, 2)
    masks = stacked(np.stack(clip.masks) for clip in clips).long()
    exists = object_masks(masks[:, 0], slots).flatten(2).amax(-1)
    return {"frames": frames, "masks": masks, "exists": exists}


def frame_order(rng: Rng, count: int, length: int, max_gap: int) -> list[int]:
    """Choose frames with random gaps, reversed half the time."""
    gaps = rng.integers(1, max_gap + 1, length - 1)
    while gaps.sum() > count - 1 and gaps.max() > 1:
        gaps = np.maximum(gaps - 1, 1)
    start = int(rng.integers(0, max(count - int(gaps.sum()), 1)))
    order = [min(start + int(offset), count - 1) for offset in np.concatenate([[0], np.cumsum(gaps)])]
    return order[::-1] if rng.random() < 0.5 else order


def around_object(
    rng: Rng, pairs: Pairs, shape: ClipShape, motion: Motion, pace: float, *, bends: bool = True
) -> Clip:
    """Crop around one object, with only this object in the masks, or around anything."""
    object_id = random_object(rng, pairs[0][1])
    matrix = crop_to_object(rng, pairs[0][1] == object_id, shape)
    alone = [(image, relabel(mask, [object_id] if object_id else [])) for image, mask in pairs]
    return Clip.animated(alone, matrix, animation(rng, motion, shape, pace, bends=bends), shape.side)


def cut_out_of(rng: Rng, pairs: Pairs, shape: ClipShape, min_pixels: int = 30) -> tuple[int, Clip] | None:
    """Draw an object of the first frame with its own motion over the crop; its masks are 255."""
    object_id = random_object(rng, pairs[0][1], min_pixels)
    if not object_id:
        return None
    matrix = place_object(rng, pairs[0][1] == object_id, shape.side)
    solid = [(image, (mask == object_id).astype(np.uint8) * np.uint8(255)) for image, mask in pairs]
    return object_id, Clip.animated(solid, matrix, animation(rng, CUT_OUT, shape, shape.pace), shape.side)


def random_object(rng: Rng, mask: Image, min_pixels: int = 30) -> int:
    """Choose an object of a mask."""
    ids = object_ids(mask, min_pixels)
    return int(rng.choice(ids)) if ids else 0


def _box(mask: BoolArray) -> tuple[float, float, float]:
    """Centre (x, y) of the box of a mask, and the root of its area; the whole image for an empty mask."""
    x0, y0, x1, y1 = tight_box(mask if mask.any() else np.ones_like(mask))
    return (x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2, float(np.sqrt((x1 - x0) * (y1 - y0)))


def crop_to_object(rng: Rng, mask: BoolArray, shape: ClipShape) -> warp.Matrix:
    """Draw a crop that contains the object at a moderate scale."""
    side = shape.side
    x, y, extent = _box(mask)
    if shape.zoom > 1:
        scale = warp.log_uniform(rng, 0.1, 1.0) * side / extent
    else:
        scale = warp.log_uniform(rng, 0.5, 1.6)
        scale = float(np.clip(scale, 0.12 * side / extent, 0.9 * side / extent))
    height, width = mask.shape
    scale = min(max(scale, side / (1.5 * max(height, width))), max(2.5, 0.12 * side / extent))
    x, y = np.array([x, y]) + rng.uniform(-0.25, 0.25, 2) * side / scale
    half = side / scale / 2
    x = float(np.clip(x, min(half, width / 2), max(width - half, width / 2)))
    y = float(np.clip(y, min(half, height / 2), max(height - half, height / 2)))
    return warp.crop_matrix((x, y), scale, side, bool(rng.random() < 0.5))


def place_object(rng: Rng, mask: BoolArray, side: int) -> warp.Matrix:
    """Draw a placement of an object in the crop, with 15 to 60 % of its side."""
    x, y, extent = _box(mask)
    scale = float(rng.uniform(0.15, 0.6)) * side / extent
    matrix = warp.crop_matrix((x, y), scale, side, bool(rng.random() < 0.5))
    matrix[:2, 2] += rng.uniform(-0.35, 0.35, 2) * side
    return matrix


def _still_or_slow(rng: Rng, pace: float) -> float:
    """Pace of a camera, which is mostly static in slow clips."""
    return 0.0 if pace < 1 and rng.random() < 0.6 else pace


def animation(rng: Rng, motion: Motion, shape: ClipShape, pace: float, *, bends: bool = True) -> Steps:
    """Draw an affine path and optionally a displacement for each frame of a clip."""
    centre = (shape.side / 2, shape.side / 2)
    path = warp.walk(rng, motion.scaled(pace), shape.frames, centre, shape.side)
    if shape.zoom > 1 and rng.random() < 0.5:
        scales = _scales(rng, shape)
        path = [warp.zoom(scale, centre) @ step for scale, step in zip(scales, path, strict=True)]
    if not bends or rng.random() < 0.3 or pace == 0:
        return [(step, None) for step in path]
    strength = rng.uniform(0.3, 1.0) * 0.03 * shape.side * pace
    fields = [warp.displacement(rng, shape.side, strength) for _ in path]
    for t in range(1, len(fields)):
        fields[t] = 0.6 * fields[t - 1] + 0.8 * fields[t]
    return list(zip(path, fields, strict=True))


def _scales(rng: Rng, shape: ClipShape) -> Float32Array:
    """Scale of each frame relative to the first: steady growth or shrinking, or a jump."""
    factor = warp.log_uniform(rng, 1 / shape.zoom, shape.zoom)
    along = np.linspace(0, 1, shape.frames)
    if rng.random() < 0.5:
        along = (np.arange(shape.frames) >= rng.integers(1, shape.frames)).astype(float)
    return np.asarray(factor**along, np.float32)


def recolour(rng: Rng, clip: Clip) -> Clip:
    """Change colours of the clip once, slightly per frame, and rarely to grey or blurred."""
    matrix = warp.colour_jitter(rng, 0.3)
    is_grey, is_blurred = rng.random() < 0.05, rng.random() < 0.1
    for t, image in enumerate(clip.frames):
        image = warp.apply_colour(warp.apply_colour(image, matrix), warp.colour_jitter(rng, 0.05))
        if is_grey:
            image = np.repeat(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[..., None], 3, -1)
        if is_blurred:
            image = blur(image, 0, float(rng.uniform(0.4, 1.2)))
        clip.frames[t] = image
    return clip


def blur(image: Image, size: int, sigma: float) -> Image:
    """Blur an image with a Gaussian."""
    return np.asarray(cv2.GaussianBlur(image, (size, size), sigma), np.uint8)
