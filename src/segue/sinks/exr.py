"""OpenEXR images of 16-bit floating-point numbers with layers; they need the extra ``exr``."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from segue.errors import ArgumentError
from segue.utils.arrays import Float32Array
from segue.utils.extras import requires_extra

MAX_NAME = 255
"""Bytes of the name of a channel, at most."""


def write_exr(
    path: Path,
    channels: Mapping[str, Float32Array],
    *,
    pixel_aspect: float = 1.0,
    fps: Fraction | None = None,
) -> None:
    """Write an OpenEXR image: one part, scan lines, compressed by zlib.

    Args:
        path: the file.
        channels: (H, W), of the same size, by their names: ``R``, ``G``, ``B``, ``A``, ``layer.R`` ...
        pixel_aspect: width of a pixel by its height.
        fps: frames a second.

    Raises:
        ArgumentError: there is no channel, they differ in size, or a name has no or more than 255 bytes.
        MissingExtraError: the extra is not installed.
    """
    if len({plane.shape for plane in channels.values()}) != 1:
        raise ArgumentError("channels of an image have one size, and there is at least one")
    if not all(0 < len(name.encode()) <= MAX_NAME and "\0" not in name for name in channels):
        raise ArgumentError(f"names of channels have from 1 to {MAX_NAME} bytes, none of them 0")
    with requires_extra("exr"):
        import OpenEXR
    header: dict[str, Any] = {
        "type": OpenEXR.scanlineimage,
        "compression": OpenEXR.ZIP_COMPRESSION,
        "pixelAspectRatio": pixel_aspect,
    }
    if fps is not None:
        header["framesPerSecond"] = fps.limit_denominator(1001)
    half = {name: np.ascontiguousarray(plane, np.float16) for name, plane in channels.items()}
    with OpenEXR.File(header, half) as image:
        image.write(str(path))
