"""Flow files as other programs write them."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt


def save_flo(path: Path, flow: npt.NDArray[np.floating]) -> None:
    """Write flow (H, W, 2) in Middlebury's format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = flow.shape[:2]
    path.write_bytes(struct.pack("<fii", 202021.25, width, height) + flow.astype("<f4").tobytes())


def save_kitti(
    path: Path, flow: npt.NDArray[np.floating], known: npt.NDArray[np.bool_] | None = None
) -> None:
    """Write flow (H, W, 2) as 16-bit PNG of KITTI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    valid = np.ones(flow.shape[:2]) if known is None else known
    channels = np.dstack([flow * 64 + 2**15, valid]).round().astype(np.uint16)
    assert cv2.imwrite(str(path), channels[..., ::-1])
