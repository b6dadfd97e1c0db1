"""Images of what the encoder of an instance network attends to, for ``--explain``: by scale and frame."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.arrays import Float32Array
from segue.masks.drawing import heated
from segue.models.seqformer.observing import EncoderAttention
from segue.types import Image, IndexMask

SCALE_SIDE, FRAME_SIDE = 180, 120
"""Largest short sides in pixels of an image in a table of scales, and of frames, which has more of them."""


def draw_encoder(
    attention: EncoderAttention,
    frame: int,
    image: Image,
    images: Sequence[Image],
    mask: IndexMask,
    ids: Sequence[int],
) -> dict[str, Image]:
    """Draw all that an encoder attends to for a frame, with ``image`` as the network saw it."""
    figures = {"-scales": draw_scales(attention, frame, image, mask, ids)}
    if attention.within or attention.between:
        figures["-frames"] = draw_frames(attention, frame, images)
    return figures


def draw_scales(
    attention: EncoderAttention, frame: int, image: Image, mask: IndexMask, ids: Sequence[int]
) -> Image:
    """Draw where a frame is read by its own places, one row a scale that is read, fine to coarse."""
    shapes = attention.shapes
    whole = torch.as_tensor(mask.astype(np.int32))
    columns: list[tuple[str, Tensor | None]] = [("all", None)]
    for number in sorted(ids):
        covered = (whole == number).float()[None, None]
        if bool(covered.any()):
            parts = [F.adaptive_avg_pool2d(covered, shape).flatten() for shape in shapes]
            columns.append((str(number), torch.cat(parts)))
    small = _reduced(image, SCALE_SIDE)
    drawn = []
    for name, tokens in columns:
        maps = [plane.cpu().numpy() for plane in attention.spatial_maps(frame, tokens)]
        drawn.append(
            np.vstack(
                [
                    _captioned(
                        heated(small, np.asarray(cv2.GaussianBlur(plane, (0, 0), 1), np.float32)),
                        f"{name}, {_stride(image, shape)}: {plane.sum():.2f}",
                    )
                    for plane, shape in zip(maps, shapes, strict=True)
                ]
            )
        )
    return np.hstack(drawn)


def draw_frames(attention: EncoderAttention, frame: int, images: Sequence[Image]) -> Image:
    """Draw which frames of its window a frame reads, one column a frame."""
    rows: list[tuple[str, Float32Array, float]] = []
    shapes = list(
        zip(attention.shapes, (_stride(images[0], shape) for shape in attention.shapes), strict=True)
    )
    for (shape, stride), weights in zip(shapes, attention.within, strict=False):
        rows.append((f"in {stride}", _by_frame(weights[0, frame], shape), 1 / len(images)))
    for (shape, stride), weights in zip(shapes, attention.between, strict=False):
        own = weights.shape[3] > 1
        for i, part in enumerate(weights[0, frame].unbind(1)):
            name = ("own", "next")[i] if own else "both"
            even = 1 / (weights.shape[3] * len(images))
            rows.append((f"{stride} {name}", _by_frame(part, shape), even))
    cells = [_reduced(image, FRAME_SIDE) for image in images]
    return np.vstack(
        [
            np.hstack(
                [
                    _captioned(
                        heated(cell, plane, max(2 * even, planes.max())),
                        f"{name} {t - frame:+d}: {plane.mean():.3f}",
                    )
                    for t, (cell, plane) in enumerate(zip(cells, planes, strict=True))
                ]
            )
            for name, planes, even in rows
        ]
    )


def _by_frame(weights: Tensor, shape: tuple[int, int]) -> Float32Array:
    """Weights (h·w, T) as maps (T, h, w)."""
    return np.asarray(weights.T.reshape(-1, *shape).cpu().numpy(), np.float32)


def _stride(image: Image, shape: tuple[int, int]) -> str:
    """Name a scale by the pixels of the network's image between its places."""
    return f"1/{2 ** round(np.log2(image.shape[0] / shape[0]))}"


def _reduced(image: Image, side: int) -> Image:
    height, width = image.shape[:2]
    factor = min(1.0, side / min(height, width))
    size = round(width * factor), round(height * factor)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _captioned(image: Image, text: str) -> Image:
    """The image under a black bar with a text."""
    bar = np.zeros((14, image.shape[1], 3), np.uint8)
    cv2.putText(bar, text, (2, 11), cv2.FONT_HERSHEY_PLAIN, 0.8, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack((bar, image))
