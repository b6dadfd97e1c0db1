"""Images of what the encoder of an instance network attends to, for ``--explain``: by scale and frame."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.masks.drawing import heated
from segue.models.geometry import ResizePadGeometry
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
    columns = [("all", attention.spatial_maps(frame))]
    for number in sorted(ids):
        covered = torch.as_tensor(mask == number)[None, None].float()
        if bool(covered.any()):
            parts = [F.adaptive_avg_pool2d(covered, shape).flatten() for shape in attention.shapes]
            columns.append((str(number), attention.spatial_maps(frame, torch.cat(parts))))
    small = ResizePadGeometry.of(image.shape[:2], SCALE_SIDE, 1).to_network(image)
    rows: list[list[Image]] = [[] for _ in attention.shapes]
    for name, planes in columns:
        for row, shape, plane in zip(rows, attention.shapes, planes, strict=True):
            smooth = cv2.GaussianBlur(plane.cpu().numpy(), (0, 0), 1)
            text = f"{name}, {_stride(image, shape)}: {plane.sum():.2f}"
            row.append(_captioned(heated(small, np.asarray(smooth, np.float32)), text))
    return np.vstack([np.hstack(row) for row in rows])


def draw_frames(attention: EncoderAttention, frame: int, images: Sequence[Image]) -> Image:
    """Draw which frames of its window a frame reads, one column a frame."""
    reads: list[tuple[Tensor, tuple[str, ...]]]
    reads = [(each[..., None, :], ("in",)) for each in attention.within]
    reads += [(each, ("own", "next") if each.shape[3] > 1 else ("both",)) for each in attention.between]
    geometry, rows = ResizePadGeometry.of(images[0].shape[:2], FRAME_SIDE, 1), list[Image]()
    cells = list(map(geometry.to_network, images))
    for shape, (weights, names) in zip(itertools.cycle(attention.shapes), reads, strict=False):
        for name, part in zip(names, weights[0, frame].unbind(1), strict=True):
            planes = np.asarray(part.T.reshape(-1, *shape).cpu().numpy(), np.float32)
            most = max(2 / (len(names) * len(images)), planes.max())
            row = []
            for t, (cell, plane) in enumerate(zip(cells, planes, strict=True)):
                text = f"{name} {_stride(images[0], shape)} {t - frame:+d}: {plane.mean():.3f}"
                row.append(_captioned(heated(cell, plane, most), text))
            rows.append(np.hstack(row))
    return np.vstack(rows)


def _stride(image: Image, shape: tuple[int, int]) -> str:
    """Name a scale by the pixels of the network's image between its places."""
    return f"1/{2 ** round(np.log2(image.shape[0] / shape[0]))}"


def _captioned(image: Image, text: str) -> Image:
    """The image under a black bar with a text."""
    bar = np.zeros((14, image.shape[1], 3), np.uint8)
    cv2.putText(bar, text, (2, 11), cv2.FONT_HERSHEY_PLAIN, 0.8, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack((bar, image))
