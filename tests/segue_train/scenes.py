"""Tiny labelled videos of still cameras for the tests of training."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segue.datasets.foreground.labels import MOTION
from tests.datasets.foreground_videos import save, save_cdnet_video


def save_scene(
    root: Path, category: str, name: str, frames: int = 9, size: tuple[int, int] = (48, 64)
) -> Path:
    """A video in the layout of CDnet 2014: a bright square moves by 6 pixels a frame over a ramp."""
    height, width = size
    ramp = np.broadcast_to(np.linspace(40, 120, width, dtype=np.uint8)[:, None], (height, width, 3))
    numbers = range(1, frames + 1)
    labels, images = {}, {}
    for k, number in enumerate(numbers):
        square = np.s_[height // 3 : height // 3 + 12, 6 * k : 6 * k + 12]
        labels[number], images[number] = np.zeros(size, np.uint8), ramp.copy()
        labels[number][square], images[number][square] = MOTION, 240
    folder = root / category / name
    save_cdnet_video(folder, labels)
    for number, image in images.items():
        save(folder / "input" / f"in{number:06d}.jpg", image)
    return folder


def save_composites(root: Path, count: int = 3) -> Path:
    """Composite images of HOFAM: frame, flow that is its number in red, truth in the upper half."""
    for number in range(1, count + 1):
        panels = np.full((256, 768, 3), 60, np.uint8)
        panels[:, 256:512] = (10 * number, 2, 1)
        panels[:128, 512:], panels[128:, 512:] = 255, 0
        save(root / f"{number}.png", panels)
    return root
