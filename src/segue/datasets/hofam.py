"""Composite pictures of HOFAM: frame, optical flow and ground truth side by side in one PNG.

Released with the code of "CrossNet: Cross-Scene Background Subtraction Network via 3D Optical Flow". Each
picture is 256 pixels high and 768 wide. The flow panel holds the length of the flow to three earlier frames,
the largest distance in red. The ground truth is resized with grey values between, its foreground is white.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segue.datasets.files import read_rgb
from segue.datasets.foreground import ForegroundFolder, ForegroundSequence, numbered_files
from segue.datasets.labels import MOTION, Labels
from segue.errors import DatasetError
from segue.types import Image

WHITE = 128
"""Foreground is where all three channels of the ground truth are at least this bright."""


def open_hofam(folder: Path | str) -> ForegroundFolder:
    """Open a folder of composite pictures as one video; neighbouring numbers may be of different scenes.

    Raises:
        DatasetError: there is no picture, or one has no number.
    """
    folder = Path(folder)
    files = numbered_files(folder, {".png"})
    video = ForegroundSequence(
        folder.resolve().name,
        "",
        tuple(files.values()),
        tuple(files),
        files,
        decode_image=read_frame,
        decode_labels=read_truth,
    )
    return ForegroundFolder(folder, [video])


def read_frame(path: Path) -> Image:
    """Frame of a composite, RGB, (H, W, 3), uint8."""
    return _panel(path, 0)


def read_flow(path: Path) -> Image:
    """Flow panel of a composite, (H, W, 3), uint8."""
    return _panel(path, 1)


def read_truth(path: Path) -> Labels:
    """Ground truth of a composite, (H, W), uint8: 0 or 255."""
    panel = _panel(path, 2)
    labels = np.zeros(panel.shape[:2], np.uint8)
    labels[(panel >= WHITE).all(axis=2)] = MOTION
    return labels


def _panel(path: Path, i: int) -> Image:
    composite = read_rgb(path)
    width, rest = divmod(composite.shape[1], 3)
    if rest:
        raise DatasetError(
            f"{path} is {composite.shape[1]} pixels wide; three panels side by side are needed"
        )
    return composite[:, i * width : (i + 1) * width]
