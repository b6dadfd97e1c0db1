"""Outlines of objects in a box of the MP4 file of a clip, which players ignore."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import cv2
import numpy as np
import numpy.typing as npt

from segue.types import Segmentation
from segue.utils.files import writing

_BOX = b"uuid" + bytes.fromhex("5e6075654f75746c696e657300000001")
"""Type of the MP4 box, with the UUID that identifies it."""

MAX_BYTES = 8 << 20
"""Maximum size in bytes of a box that is read."""

_MAX_BOXES = 64
"""Maximum number of boxes of a file that are searched."""

_STEPS = 10_000
"""Resolution of corners: steps per image side."""

_TOLERANCE = 1.0
"""Deviation of an outline from its mask in pixels; larger values give fewer corners."""

Outline = tuple[int, str | None, list[list[int]]]
"""An object: its id, its class, and corners of its parts, x and y by turns."""


def outlines_of(segmentation: Segmentation) -> list[Outline]:
    """Outlines of the objects of a frame, independent of its size."""
    x, y, width, height = cv2.boundingRect((segmentation.mask != 0).view(np.uint8))
    if not width:
        return []
    cropped = segmentation.mask[y : y + height, x : x + width]
    labels = {item.id: item.label for item in segmentation.objects}
    return [
        (int(number), labels.get(int(number)), _corners(cropped == number, (x, y), segmentation.mask.shape))
        for number in np.unique(cropped)
        if number
    ]


def _corners(mask: npt.NDArray[np.bool_], place: tuple[int, int], size: tuple[int, ...]) -> list[list[int]]:
    """Corners of the parts of a mask at an offset in an image of this size."""
    contours = cv2.findContours(
        mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=place
    )[0]
    scale = np.array([_STEPS / size[1], _STEPS / size[0]])
    parts = [cv2.approxPolyDP(part, _TOLERANCE, True)[:, 0] for part in contours]
    return [np.rint((part + 0.5) * scale).astype(int).ravel().tolist() for part in parts if len(part) > 2]


def outline_track(frames: Iterable[tuple[float, list[Outline]]]) -> bytes:
    """Encode the outlines of a clip as JSON.

    Args:
        frames: seconds of the clip, and the outlines from then on.

    Returns:
        ``{"steps": 10000, "frames": [[SECONDS, [[ID, LABEL, [[x, y, x, y, ...], ...]], ...]], ...]}``.
    """
    listed = [[round(time, 3), outlines] for time, outlines in frames]
    return json.dumps({"steps": _STEPS, "frames": listed}, separators=(",", ":")).encode()


def append_outlines(path: Path, track: bytes) -> None:
    """Append outlines to an MP4 file; SinkError if the disk is full."""
    with writing(path), path.open("ab") as file:
        file.write(struct.pack(">I", 4 + len(_BOX) + len(track)) + _BOX + track)


def read_outlines(path: Path) -> bytes | None:
    """Read the outlines of a clip as JSON; None without outlines or for other files. Raises OSError."""
    with path.open("rb") as file:
        length = os.fstat(file.fileno()).st_size
        for _ in range(_MAX_BOXES):
            start, (size, kind) = file.tell(), _next_box(file)
            if size < 8 or start + size > length:
                break
            if kind == _BOX and 4 + len(_BOX) <= size <= MAX_BYTES:
                return file.read(size - 4 - len(_BOX))
            file.seek(start + size)
    return None


def _next_box(file: IO[bytes]) -> tuple[int, bytes]:
    """Read size and type of the next box; size 0 at the end of the file."""
    head = file.read(4 + len(_BOX))
    if len(head) < 8:
        return 0, b""
    size, kind = int(struct.unpack(">I", head[:4])[0]), head[4:]
    if size == 1 and len(head) >= 16:  # its length stands behind its type
        return int(struct.unpack(">Q", head[8:16])[0]), kind
    return size, kind
