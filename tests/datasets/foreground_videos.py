"""Small videos with foreground labels in the published layouts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[np.uint8]


def save(path: Path, values: Array) -> Path:
    """Write an array as an image, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def drawn_image(size: tuple[int, int] = (6, 8), level: int = 90) -> Array:
    """A flat RGB image."""
    return np.full((*size, 3), level, np.uint8)


def save_cdnet_video(
    folder: Path, labels: Mapping[int, Array], roi: Array | None = None, temporal: str | None = None
) -> None:
    """Write a video in the layout of CDnet2014; labels by frame number."""
    for number, values in labels.items():
        save(folder / "input" / f"in{number:06d}.jpg", drawn_image(values.shape, 20 * number % 250))
        save(folder / "groundtruth" / f"gt{number:06d}.png", values)
    size = next(iter(labels.values())).shape
    save(folder / "ROI.bmp", np.full(size, 255, np.uint8) if roi is None else roi)
    text = f"{min(labels)} {max(labels)}" if temporal is None else temporal
    (folder / "temporalROI.txt").write_text(text, encoding="utf-8")
