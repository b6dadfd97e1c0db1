"""Training clips of YouTube-VIS, OVIS and COCO, drawn and batched as the training of SeqFormer does.

Wu et al., "SeqFormer" (ECCV 2022), and its release. An epoch has one clip for every frame of every video,
which is its key frame, and one for every COCO picture with one of the classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.datasets.ytvis import YTVISDataset
from segue.errors import DatasetError
from segue.types import Image
from segue_train.instance_augment import PUBLISHED, InstanceClip, Sizes, augmented
from segue_train.instance_losses import ClipTargets
from segue_train.recipe import Batch, Batches, order_of_pass
from segue_train.warp import Bools, Matrix, Plane, Rng

BRIGHTNESS, COLOUR = 40, 5
"""Most that is added to all values, and to hue and saturation."""

PERSPECTIVE = 0.08
"""Deviation of how far the corners of the part that fills the picture lie inside, in parts of a side."""

SHIFT, TURN = 0.1, 20.0
"""Most that a picture is moved, in parts of a side, and turned, in degrees."""

BLUR_SHARE, BLUR_SIZES = 0.25, (9, 11)


def pseudo_clip(
    rng: Rng, picture: Image, masks: Bools, labels: npt.NDArray[np.int64], frames: int
) -> InstanceClip:
    """A clip of views of a picture; of masks (K, H, W), at most 254, that overlap the later one counts."""
    index = np.zeros(picture.shape[:2], np.uint8)
    for number, mask in enumerate(masks, start=1):
        index[mask] = number
    views = [(picture, index)] + [_view(rng, picture, index) for _ in range(frames - 1)]
    chosen = [views[i] for i in rng.permutation(frames)]
    ids = np.arange(1, len(masks) + 1)[:, None, None, None]
    planes = np.asarray(np.stack([mask for _, mask in chosen])[None] == ids, np.bool_)
    return InstanceClip([view for view, _ in chosen], labels, planes, tight_boxes(planes))


def tight_boxes(planes: Bools) -> Plane:
    """Boxes ``(x0, y0, x1, y1)``, (..., 4), around masks (..., H, W); zeros where no pixel is set."""
    sides = []
    for axis in (-2, -1):
        line = np.asarray(planes.any(axis))
        sides.append((line.argmax(-1), line.shape[-1] - line[..., ::-1].argmax(-1)))
    (x0, x1), (y0, y1) = sides
    boxes = np.stack((x0, y0, x1, y1), -1).astype(np.float32)
    boxes[~np.asarray(planes.any((-2, -1)))] = 0
    return boxes


def _view(rng: Rng, picture: Image, index: Image) -> tuple[Image, Image]:
    """Another view of a picture and its index mask; what comes in from outside is black and 0."""
    height, width = index.shape
    matrix = _moved(rng, height, width) @ _perspective(rng, height, width)
    size = (width, height)
    seen = cv2.warpPerspective(_recoloured(rng, picture), matrix, size, flags=cv2.INTER_LINEAR)
    mask = cv2.warpPerspective(index, matrix, size, flags=cv2.INTER_NEAREST)
    if rng.random() < BLUR_SHARE:
        seen = cv2.filter2D(seen, -1, _streak(rng), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(seen, np.uint8), np.asarray(mask, np.uint8)


def _recoloured(rng: Rng, picture: Image) -> Image:
    """Brightness, or hue and saturation, or both changed."""
    which = int(rng.integers(3))
    if which != 1:
        brighter = picture.astype(np.int16) + rng.integers(-BRIGHTNESS, BRIGHTNESS + 1)
        picture = np.clip(brighter, 0, 255).astype(np.uint8)
    if which != 0:
        hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV).astype(np.int16)
        hue, saturation = rng.integers(-COLOUR, COLOUR + 1, 2)
        hsv[..., 0] = (hsv[..., 0] + hue) % 180
        hsv[..., 1] = np.clip(hsv[..., 1] + saturation, 0, 255)
        picture = np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB), np.uint8)
    return picture


def _perspective(rng: Rng, height: int, width: int) -> Matrix:
    """Map that brings a quadrangle inside the picture to its corners."""
    inward = np.abs(rng.normal(0, PERSPECTIVE, (4, 2))) % 0.5
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    inner = np.where(corners == 0, inward, 1 - inward)
    source, target = ((points * [width, height]).astype(np.float32) for points in (inner, corners))
    return np.asarray(cv2.getPerspectiveTransform(source, target), np.float64)


def _moved(rng: Rng, height: int, width: int) -> Matrix:
    """Rotation around the centre and a shift."""
    matrix = np.eye(3)
    matrix[:2] = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-TURN, TURN), 1.0)
    matrix[:2, 2] += rng.uniform(-SHIFT, SHIFT, 2) * (width, height)
    return matrix


def _streak(rng: Rng) -> Plane:
    """Kernel that blurs along a line of random direction."""
    size = int(rng.choice(BLUR_SIZES))
    kernel = np.zeros((size, size), np.float32)
    kernel[size // 2] = 1
    centre = ((size - 1) / 2, (size - 1) / 2)
    turned = cv2.warpAffine(kernel, cv2.getRotationMatrix2D(centre, rng.uniform(0, 180), 1.0), (size, size))
    return np.asarray(turned / turned.sum(), np.float32)


FRAMES = 5
"""Frames of a clip."""

NEAREST = 3
"""Farthest from the key frame that its two neighbours in the clip are taken."""

MOST_OBJECTS = 25
"""Objects of a COCO picture from which on another one is taken."""

ATTEMPTS = 1000
"""Clips without any object in a row after which the data are no good."""

MULTIPLE = 32
"""Sides of a batch are multiples of this."""

# COCO category: category of YouTube-VIS, as the release maps them (so that computer mice, 74, become foxes in
# the edition of 2019).
COCO_TO_2019: Mapping[int, int] = dict(
    zip(
        (1, 2, 3, 4, 5, 7, 8, 9, 17, 18, 19, 21, 22, 23, 24, 25, 36, 41, 42, 43, 74),
        (1, 21, 6, 21, 28, 17, 29, 34, 14, 8, 18, 15, 32, 20, 30, 22, 33, 5, 27, 40, 24),
        strict=True,
    )
)
COCO_TO_2021: Mapping[int, int] = dict(
    zip(
        (1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 18, 19, 21, 22, 23, 24, 25, 36, 41, 42, 43, 74),
        (26, 23, 5, 23, 1, 36, 37, 4, 3, 6, 9, 19, 7, 12, 2, 40, 18, 31, 29, 33, 34, 24),
        strict=True,
    )
)


class ClipSource(Protocol):
    """What training clips are drawn from."""

    def __len__(self) -> int:
        """Clips of an epoch."""
        ...

    def draw(self, rng: Rng, place: int) -> InstanceClip | None:
        """The augmented clip at a place of the epoch, or None where it shows too little or too much."""
        ...


class VideoClips:
    """One clip for every frame of every video of YouTube-VIS or OVIS; categories are the class channels."""

    def __init__(self, dataset: YTVISDataset, sizes: Sizes = PUBLISHED) -> None:
        self.dataset, self.sizes = dataset, sizes
        self._starts = np.cumsum([0, *(len(video) for video in dataset.videos)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def draw(self, rng: Rng, place: int) -> InstanceClip | None:
        i = int(np.searchsorted(self._starts, place, side="right")) - 1
        video = self.dataset.videos[i]
        frames = clip_frames(rng, len(video), place - int(self._starts[i]))
        found = self.dataset.instances(video, frames)
        alone = ~found.crowd
        if not alone.any():
            return None
        read = {t: self.dataset.read_image(video, t) for t in set(frames)}
        pictures = [read[t] for t in frames]
        clip = InstanceClip(pictures, found.labels[alone], found.masks[alone], found.boxes[alone])
        return augmented(rng, clip, colours=True, sizes=self.sizes)


class StillClips:
    """One clip for every COCO picture with one of the classes, which are ``channels`` by category."""

    def __init__(self, dataset: YTVISDataset, channels: Mapping[int, int], sizes: Sizes = PUBLISHED) -> None:
        self.dataset, self.sizes = dataset, sizes
        self.channels = dict(channels)
        self._images = [
            image
            for image in dataset.videos
            if any(item.category in self.channels and not item.crowd for item in dataset.annotations(image))
        ]

    def __len__(self) -> int:
        return len(self._images)

    def draw(self, rng: Rng, place: int) -> InstanceClip | None:
        image = self._images[place]
        found = self.dataset.instances(image, [0])
        wanted = np.array([label in self.channels for label in found.labels.tolist()], bool) & ~found.crowd
        if not 0 < wanted.sum() <= MOST_OBJECTS:
            return None
        labels = np.array([self.channels[label] for label in found.labels[wanted].tolist()], np.int64)
        picture = self.dataset.read_image(image, 0)
        views = pseudo_clip(rng, picture, found.masks[wanted, 0], labels, FRAMES)
        return augmented(rng, views, colours=False, sizes=self.sizes)


def clip_frames(rng: Rng, length: int, key: int) -> list[int]:
    """Frames of a clip in order: a key frame, one near it on either side, and two from farther away."""
    before, after = (int(n) for n in rng.integers(1, NEAREST + 1, 2))
    near = [key, max(0, key - before), min(length - 1, key + after)]
    # The release counts the last of the near frames among the far ones.
    far = [*range(min(near)), *range(max(near), length)]
    if len(far) <= 2:
        far = list(range(length))
    more = rng.choice(far, 2, replace=length < 2)
    return sorted([*near, *more.tolist()])


@dataclass(frozen=True)
class ClipBatches(Batches):
    """Every epoch goes through all clips once, in an order of its own; see :func:`collate`."""

    sources: Sequence[ClipSource]
    batch: int
    count: int
    seed: int

    def __post_init__(self) -> None:
        if self.clips == 0:
            raise DatasetError("the data hold no clip with an object; see --data")

    @property
    def clips(self) -> int:
        """Clips of an epoch."""
        return sum(map(len, self.sources))

    def batch_of(self, number: int) -> Batch:
        rng = np.random.default_rng((self.seed, 1, number))
        clips = []
        for place in range(number * self.batch, (number + 1) * self.batch):
            epoch, rank = divmod(place, self.clips)
            clips.append(self._draw(rng, int(order_of_pass(self.clips, self.seed, 0, epoch)[rank])))
        return collate(clips)

    def _draw(self, rng: Rng, place: int) -> InstanceClip:
        """The clip at a place, or another one where that shows nothing."""
        for _ in range(ATTEMPTS):
            clip = self._at(place, rng)
            if clip is not None:
                return clip
            place = int(rng.integers(self.clips))
        raise DatasetError(f"{ATTEMPTS} clips in a row hold no object; are these annotations for training?")

    def _at(self, place: int, rng: Rng) -> InstanceClip | None:
        for source in self.sources:
            if place < len(source):
                return source.draw(rng, place)
            place -= len(source)
        raise IndexError(place)


def collate(clips: Sequence[InstanceClip]) -> Batch:
    """One batch of clips of different sizes, padded with zeros at the right and at the bottom.

    Returns:
        ``frames`` (N, T, H, W, 3), uint8, with sides that are multiples of 32; ``sizes`` (N, 2), height and
        width without padding; ``counts`` (N,), objects of each clip; and of all objects, clip by clip,
        ``labels`` (K,), ``boxes`` (K, T, 4), centre form in 0..1 of the frame without padding, and ``masks``
        (K, T, H, W), bool.
    """
    height, width = (-(-max(clip.size[axis] for clip in clips) // MULTIPLE) * MULTIPLE for axis in (0, 1))
    frames, masks, boxes = [], [], []
    for clip in clips:
        h, w = clip.size
        missing = (0, width - w, 0, height - h)
        frames.append(F.pad(torch.from_numpy(np.stack(clip.frames)), (0, 0, *missing)))
        masks.append(F.pad(torch.from_numpy(np.ascontiguousarray(clip.masks)), missing))
        x0, y0, x1, y1 = np.moveaxis(clip.boxes / np.array([w, h, w, h], np.float32), -1, 0)
        boxes.append(torch.from_numpy(np.stack(((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0), -1)))
    return {
        "frames": torch.stack(frames),
        "sizes": torch.tensor([clip.size for clip in clips]),
        "counts": torch.tensor([len(clip.labels) for clip in clips]),
        "labels": torch.from_numpy(np.concatenate([clip.labels for clip in clips])),
        "boxes": torch.cat(boxes),
        "masks": torch.cat(masks),
    }


def clip_targets(batch: Mapping[str, Tensor]) -> list[ClipTargets]:
    """Objects of each clip of a batch of :func:`collate`, their masks without padding."""
    counts = batch["counts"].tolist()
    split = (batch[name].split(counts) for name in ("labels", "boxes", "masks"))
    return [
        ClipTargets(labels, boxes, masks[..., :height, :width])
        for (height, width), labels, boxes, masks in zip(batch["sizes"].tolist(), *split, strict=True)
    ]


def valid_places(sizes: Tensor, height: int, width: int) -> Tensor:
    """Where the frames of each clip are in the padded ones, (N, H, W), bool, from sizes (N, 2)."""
    rows = torch.arange(height, device=sizes.device) < sizes[:, :1]
    columns = torch.arange(width, device=sizes.device) < sizes[:, 1:]
    return rows[:, :, None] & columns[:, None]
