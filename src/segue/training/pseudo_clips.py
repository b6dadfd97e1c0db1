"""Clips made of one annotated picture: itself and random transforms of it, in random order.

SeqFormer's joint training takes its COCO pictures so. Ranges are those of the release; the random numbers are
drawn in an order of our own.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from segue.training.instance_augment import InstanceClip
from segue.training.warp import Matrix, Rng
from segue.types import Image

BRIGHTNESS, COLOUR = 40, 5
"""Most that is added to all values, and to hue and saturation."""

PERSPECTIVE = 0.08
"""Deviation of how far the corners of the part that fills the picture lie inside, in parts of a side."""

SHIFT, TURN = 0.1, 20.0
"""Most that a picture is moved, in parts of a side, and turned, in degrees."""

BLUR_SHARE, BLUR_SIZES = 0.25, (9, 11)


def pseudo_clip(
    rng: Rng, picture: Image, masks: npt.NDArray[np.bool_], labels: npt.NDArray[np.int64], frames: int
) -> InstanceClip:
    """A clip of ``frames`` views of a picture.

    Args:
        rng: source of everything random.
        picture: RGB.
        masks: (K, H, W), at most 254; where they overlap, the later one counts.
        labels: class channels, (K,).
        frames: length of the clip.
    """
    index = np.zeros(picture.shape[:2], np.uint8)
    for number, mask in enumerate(masks, start=1):
        index[mask] = number
    views = [(picture, index)] + [_view(rng, picture, index) for _ in range(frames - 1)]
    chosen = [views[i] for i in rng.permutation(frames)]
    ids = np.arange(1, len(masks) + 1)[:, None, None, None]
    planes = np.asarray(np.stack([mask for _, mask in chosen])[None] == ids, np.bool_)
    return InstanceClip([view for view, _ in chosen], labels, planes, tight_boxes(planes))


def tight_boxes(planes: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
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
    image = picture
    if which != 1:
        image = np.clip(image.astype(np.int16) + rng.integers(-BRIGHTNESS, BRIGHTNESS + 1), 0, 255)
        image = image.astype(np.uint8)
    if which != 0:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.int16)
        hue, saturation = rng.integers(-COLOUR, COLOUR + 1, 2)
        hsv[..., 0] = (hsv[..., 0] + hue) % 180
        hsv[..., 1] = np.clip(hsv[..., 1] + saturation, 0, 255)
        image = np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB), np.uint8)
    return image


def _perspective(rng: Rng, height: int, width: int) -> Matrix:
    """Map that brings a quadrangle inside the picture to its corners."""
    inward = np.abs(rng.normal(0, PERSPECTIVE, (4, 2))) % 0.5
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    inner = np.where(corners == 0, inward, 1 - inward)
    side = np.array([width, height])
    return np.asarray(
        cv2.getPerspectiveTransform((inner * side).astype(np.float32), (corners * side).astype(np.float32)),
        np.float64,
    )


def _moved(rng: Rng, height: int, width: int) -> Matrix:
    """Rotation around the centre and a shift."""
    matrix = np.eye(3)
    matrix[:2] = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-TURN, TURN), 1.0)
    matrix[:2, 2] += rng.uniform(-SHIFT, SHIFT, 2) * (width, height)
    return matrix


def _streak(rng: Rng) -> npt.NDArray[np.float32]:
    """Kernel that blurs along a line of random direction."""
    size = int(rng.choice(BLUR_SIZES))
    kernel = np.zeros((size, size), np.float32)
    kernel[size // 2] = 1
    centre = ((size - 1) / 2, (size - 1) / 2)
    turned = cv2.warpAffine(kernel, cv2.getRotationMatrix2D(centre, rng.uniform(0, 180), 1.0), (size, size))
    return np.asarray(turned / turned.sum(), np.float32)
