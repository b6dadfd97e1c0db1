"""Augment clips with classes, as in the training of SeqFormer.

Wu et al., "SeqFormer" (ECCV 2022), and its release: flips, colours, sizes and crops. All frames of a clip are
changed alike, but for their colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
import torch

from segue.types import Image
from segue.utils.arrays import BoolArray, Float32Array
from segue_train.data.warp import Matrix, Rng, Size, random_part
from segue_train.losses.instances import tight_boxes


@dataclass(frozen=True, slots=True)
class Sizes:
    """Target sizes of clips, by default the published ones."""

    short_sides: tuple[int, ...] = (288, 320, 352, 392, 416, 448, 480, 512)
    longest: int = 768  # bound on the long side
    before_crop: tuple[int, ...] = (400, 500, 600)  # short sides
    min_crop: int = 384  # sides of a crop, from and to
    largest_crop: int = 600

    @property
    def largest(self) -> tuple[int, int]:
        """Largest height and width of a clip, in multiples of 32 pixels, at 16:10."""
        return round(self.longest / 1.6 / 32) * 32, round(self.longest / 32) * 32

    def halved(self) -> Sizes:
        """Half of all sizes, for small networks."""
        short, crop_sides = (
            tuple(side // 2 for side in sides) for sides in (self.short_sides, self.before_crop)
        )
        return Sizes(short, self.longest // 2, crop_sides, self.min_crop // 2, self.largest_crop // 2)


PUBLISHED = Sizes()
STILLS = Sizes(tuple(range(480, 769, 32)), longest=1333)  # those of the training on COCO that comes before


@dataclass(frozen=True, slots=True, eq=False)
class InstanceClip:
    """Frames of one size with their objects."""

    frames: Sequence[Image]  # T images, (H, W, 3)
    labels: npt.NDArray[np.int64]  # class channels, (K,)
    masks: BoolArray  # (K, T, H, W)
    boxes: Float32Array  # (x0, y0, x1, y1) in pixels, (K, T, 4); zeros where there is none

    @property
    def size(self) -> Size:
        height, width = self.frames[0].shape[:2]
        return height, width


def augmented(
    rng: Rng, clip: InstanceClip, *, colours: bool, sizes: Sizes = PUBLISHED
) -> InstanceClip | None:
    """Apply the published augmentations to a clip."""
    if rng.random() < 0.5:
        clip = flipped(clip)
    if colours:
        clip = replace(clip, frames=[distorted(rng, frame) for frame in clip.frames])
    if rng.random() < 0.5:
        clip = resized(clip, size_for(clip.size, int(rng.choice(sizes.before_crop)), None))
        smallest, largest = sizes.min_crop, sizes.largest_crop
        height, width = (int(rng.integers(smallest, min(side, largest) + 1)) for side in clip.size)
        clip = cropped(clip, *random_part(rng, clip.size, (height, width)))
    clip = resized(clip, size_for(clip.size, int(rng.choice(sizes.short_sides)), sizes.longest))
    keep = ~_empty(clip.boxes).all(1)
    if not keep.any():
        return None
    return InstanceClip(clip.frames, clip.labels[keep], clip.masks[keep], clip.boxes[keep])


def flipped(clip: InstanceClip) -> InstanceClip:
    """Mirror a clip left and right."""
    width = clip.size[1]
    boxes = clip.boxes.copy()
    boxes[..., [0, 2]] = width - clip.boxes[..., [2, 0]]
    boxes[_empty(clip.boxes)] = 0
    frames = [np.ascontiguousarray(frame[:, ::-1]) for frame in clip.frames]
    return InstanceClip(frames, clip.labels, clip.masks[..., ::-1], boxes)


def size_for(size: Size, short: int, longest: int | None) -> Size:
    """Height and width with a short side, reduced if the long side exceeds its bound."""
    short_side, long_side = min(size), max(size)
    if longest is not None and long_side / short_side * short > longest:
        short = round(longest * short_side / long_side)
    long = int(short * long_side / short_side)
    return (short, long) if size[0] <= size[1] else (long, short)


def resized(clip: InstanceClip, size: Size) -> InstanceClip:
    """Resize images by Pillow's bilinear filter, and masks by nearest neighbour."""
    height, width = clip.size
    if size == (height, width):
        return clip
    bilinear = PIL.Image.Resampling.BILINEAR
    frames = [np.asarray(PIL.Image.fromarray(f).resize(size[::-1], bilinear)) for f in clip.frames]
    rows = np.arange(size[0]) * height // size[0]
    columns = np.arange(size[1]) * width // size[1]
    scale = np.array([size[1] / width, size[0] / height] * 2, np.float32)
    return InstanceClip(frames, clip.labels, clip.masks[..., rows[:, None], columns], clip.boxes * scale)


def cropped(clip: InstanceClip, rows: slice, columns: slice) -> InstanceClip:
    """Crop all frames, and clip boxes."""
    low = np.array([columns.start, rows.start] * 2, np.float32)
    high = np.array([columns.stop, rows.stop] * 2, np.float32)
    boxes = np.clip(clip.boxes, low, high) - low
    boxes[_empty(boxes) | _empty(clip.boxes)] = 0
    frames = [np.ascontiguousarray(frame[rows, columns]) for frame in clip.frames]
    return InstanceClip(frames, clip.labels, clip.masks[..., rows, columns], boxes)


def distorted(rng: Rng, frame: Image) -> Image:
    """Change brightness, contrast, saturation, hue and channel order, each half of the time."""
    image = frame.astype(np.float32)
    if rng.random() < 0.5:
        image = image + np.float32(rng.uniform(-32, 32))
    contrast = np.float32(rng.uniform(0.5, 1.5)) if rng.random() < 0.5 else np.float32(1)
    contrast_first = rng.random() < 0.5
    image = _turned(rng, image * contrast) if contrast_first else _turned(rng, image) * contrast
    if rng.random() < 0.5:
        image = image[..., rng.permutation(3)]
    # Casting floats beyond 0..255 is undefined, casting integers is not.
    return image.astype(np.int32).astype(np.uint8)


def _turned(rng: Rng, image: Float32Array) -> Float32Array:
    """Change saturation and hue."""
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    if rng.random() < 0.5:
        hsv[..., 1] = hsv[..., 1] * rng.uniform(0.5, 1.5)
    if rng.random() < 0.5:
        hsv[..., 0] = (hsv[..., 0] + rng.uniform(-18, 18)) % 360
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.float32)


def _empty(boxes: Float32Array) -> BoolArray:
    return np.asarray((boxes[..., 2] <= boxes[..., 0]) | (boxes[..., 3] <= boxes[..., 1]))


BRIGHTNESS, COLOUR = 40, 5  # most that is added to all values, and to hue and saturation
PERSPECTIVE = 0.08  # deviation of how far the corners of what is shown lie inside, in parts of a side
SHIFT, TURN = 0.1, 20.0  # most that an image is moved, in parts of a side, and turned, in degrees
BLUR_SHARE, BLUR_SIZES = 0.25, (9, 11)


def pseudo_clip(
    rng: Rng, image: Image, masks: BoolArray, labels: npt.NDArray[np.int64], frames: int
) -> InstanceClip:
    """Create a clip of views of an image (H, W, 3) with at most 254 masks (K, H, W) and labels (K,)."""
    index = np.zeros(image.shape[:2], np.uint8)
    for number, mask in enumerate(masks, start=1):
        index[mask] = number
    views = [(image, index)] + [_view(rng, image, index) for _ in range(frames - 1)]
    selected = [views[i] for i in rng.permutation(frames)]
    ids = np.arange(1, len(masks) + 1)[:, None, None, None]
    planes = np.asarray(np.stack([mask for _, mask in selected])[None] == ids, np.bool_)
    boxes = tight_boxes(torch.from_numpy(planes)).numpy()
    return InstanceClip([view for view, _ in selected], labels, planes, boxes)


def _view(rng: Rng, image: Image, index: Image) -> tuple[Image, Image]:
    """Warp an image and its index mask to another view; outside is black and 0."""
    height, width = index.shape
    matrix = _affine(rng, height, width) @ _perspective(rng, height, width)
    size = (width, height)
    warped = cv2.warpPerspective(_recoloured(rng, image), matrix, size, flags=cv2.INTER_LINEAR)
    mask = cv2.warpPerspective(index, matrix, size, flags=cv2.INTER_NEAREST)
    if rng.random() < BLUR_SHARE:
        warped = cv2.filter2D(warped, -1, _streak(rng), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(warped, np.uint8), np.asarray(mask, np.uint8)


def _recoloured(rng: Rng, image: Image) -> Image:
    """Change brightness, or hue and saturation, or both."""
    which = int(rng.integers(3))
    if which != 1:
        brighter = image.astype(np.int16) + rng.integers(-BRIGHTNESS, BRIGHTNESS + 1)
        image = np.clip(brighter, 0, 255).astype(np.uint8)
    if which != 0:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.int16)
        hue, saturation = rng.integers(-COLOUR, COLOUR + 1, 2)
        hsv[..., 0] = (hsv[..., 0] + hue) % 180
        hsv[..., 1] = np.clip(hsv[..., 1] + saturation, 0, 255)
        image = np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB), np.uint8)
    return image


def _perspective(rng: Rng, height: int, width: int) -> Matrix:
    """Map that brings a quadrangle inside the image to its corners."""
    inward = np.abs(rng.normal(0, PERSPECTIVE, (4, 2))) % 0.5
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    inner = np.where(corners == 0, inward, 1 - inward)
    source, target = ((points * [width, height]).astype(np.float32) for points in (inner, corners))
    return np.asarray(cv2.getPerspectiveTransform(source, target), np.float64)


def _affine(rng: Rng, height: int, width: int) -> Matrix:
    """Rotation around the centre and a shift."""
    matrix = np.eye(3)
    matrix[:2] = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-TURN, TURN), 1.0)
    matrix[:2, 2] += rng.uniform(-SHIFT, SHIFT, 2) * (width, height)
    return matrix


def _streak(rng: Rng) -> Float32Array:
    """Kernel of a motion blur in a random direction."""
    size = int(rng.choice(BLUR_SIZES))
    kernel = np.zeros((size, size), np.float32)
    kernel[size // 2] = 1
    centre = ((size - 1) / 2, (size - 1) / 2)
    turned = cv2.warpAffine(kernel, cv2.getRotationMatrix2D(centre, rng.uniform(0, 180), 1.0), (size, size))
    return np.asarray(turned / turned.sum(), np.float32)
