"""OpenEXR images of 16-bit floating-point numbers with layers: one part, scan lines, compressed by zlib.

The format is that of https://openexr.com/en/latest/OpenEXRFileLayout.html.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from segue.errors import ArgumentError
from segue.utils.arrays import Float32Array

MAGIC, VERSION, LONG_NAMES = 20000630, 2, 0x400
HALF = 1
"""Code of 16-bit floating-point numbers."""

ZIP, ROWS = 3, 16
"""Code of the compression, and the rows that are compressed together."""

SHORT_NAME, MAX_NAME = 31, 255
"""Bytes of the names of channels: those that each reader takes, and the most of the format."""


def exr_image(
    channels: Mapping[str, Float32Array], *, pixel_aspect: float = 1.0, fps: Fraction | None = None
) -> bytes:
    """An OpenEXR image.

    Args:
        channels: (H, W), of the same size, by their names: ``R``, ``G``, ``B``, ``A``, ``layer.R`` ...
        pixel_aspect: width of a pixel by its height.
        fps: frames a second.

    Returns:
        The content of the file.

    Raises:
        ArgumentError: there is no channel, they differ in size, or a name has no or more than 255 bytes.
    """
    planes = {name.encode(): plane for name, plane in channels.items()}
    if len({plane.shape for plane in planes.values()}) != 1:
        raise ArgumentError("channels of an image have one size, and there is at least one")
    if not all(0 < len(name) <= MAX_NAME and b"\0" not in name for name in planes):
        raise ArgumentError(f"names of channels have from 1 to {MAX_NAME} bytes, none of them 0")
    names = sorted(planes)  # as the format wants it
    height, width = planes[names[0]].shape
    image = np.stack([planes[name] for name in names], axis=1).astype("<f2")  # rows, channels, columns
    head = _head(names, (height, width), pixel_aspect, fps)
    chunks = [_chunk(first, image[first : first + ROWS]) for first in range(0, height, ROWS)]
    place, table = len(head) + 8 * len(chunks), b""
    for chunk in chunks:
        table += struct.pack("<Q", place)
        place += len(chunk)
    return b"".join((head, table, *chunks))


def _head(names: list[bytes], size: tuple[int, int], pixel_aspect: float, fps: Fraction | None) -> bytes:
    """What stands before the table of chunks."""
    box = struct.pack("<4i", 0, 0, size[1] - 1, size[0] - 1)
    channels = b"".join(name + struct.pack("<xiB3x2i", HALF, 0, 1, 1) for name in names) + b"\0"
    attributes = [
        (b"channels", b"chlist", channels),
        (b"compression", b"compression", bytes([ZIP])),
        (b"dataWindow", b"box2i", box),
        (b"displayWindow", b"box2i", box),
        (b"lineOrder", b"lineOrder", b"\0"),
        (b"pixelAspectRatio", b"float", struct.pack("<f", pixel_aspect)),
        (b"screenWindowCenter", b"v2f", struct.pack("<2f", 0, 0)),
        (b"screenWindowWidth", b"float", struct.pack("<f", 1)),
    ]
    if fps is not None:
        rate = fps.limit_denominator(1001)
        attributes.append(
            (b"framesPerSecond", b"rational", struct.pack("<iI", rate.numerator, rate.denominator))
        )
    flags = LONG_NAMES if max(map(len, names)) > SHORT_NAME else 0
    written = b"".join(
        b"%b\0%b\0%b%b" % (name, kind, struct.pack("<i", len(value)), value)
        for name, kind, value in attributes
    )
    return struct.pack("<2i", MAGIC, VERSION | flags) + written + b"\0"


def _chunk(first: int, rows: np.ndarray) -> bytes:
    """Some rows: bytes of even places before those of odd ones, each as the difference to the one before."""
    raw = rows.tobytes()
    flat = np.frombuffer(raw, np.uint8)
    turned = np.concatenate([flat[::2], flat[1::2]])
    steps = turned.copy()
    steps[1:] = turned[1:] - turned[:-1] + np.uint8(128)
    packed = zlib.compress(steps.tobytes(), 4)
    content = packed if len(packed) < len(raw) else raw
    return struct.pack("<2i", first, len(content)) + content
