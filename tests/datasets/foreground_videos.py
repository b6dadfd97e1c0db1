"""Small videos with foreground labels in the published layouts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[np.uint8]


def save(path: Path, values: Array) -> Path:
    """Write an array as a picture, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def picture(size: tuple[int, int] = (6, 8), level: int = 90) -> Array:
    """A flat RGB picture."""
    return np.full((*size, 3), level, np.uint8)


def save_cdnet_video(
    folder: Path, labels: Mapping[int, Array], roi: Array | None = None, temporal: str | None = None
) -> None:
    """Write a video in the layout of CDnet2014; labels by frame number."""
    for number, values in labels.items():
        save(folder / "input" / f"in{number:06d}.jpg", picture(values.shape, 20 * number % 250))
        save(folder / "groundtruth" / f"gt{number:06d}.png", values)
    size = next(iter(labels.values())).shape
    save(folder / "ROI.bmp", np.full(size, 255, np.uint8) if roi is None else roi)
    text = f"{min(labels)} {max(labels)}" if temporal is None else temporal
    (folder / "temporalROI.txt").write_text(text, encoding="utf-8")


def bitmap_with_two_colours(values: npt.NDArray[np.bool_]) -> bytes:
    """BMP of 8 bits a pixel whose table holds two colours, black and white, as some regions of CDnet2014."""
    height, width = values.shape
    stride = -(-width // 4) * 4
    rows = np.zeros((height, stride), np.uint8)
    rows[:, :width] = values[::-1]  # bottom row first
    start = 14 + 40 + 2 * 4
    header = b"BM" + np.array([start + rows.size, 0, start], "<u4").tobytes()
    size = np.array([40, width, height], "<u4").tobytes()
    rest = np.array([1, 8], "<u2").tobytes() + np.array([0, rows.size, 0, 0, 2, 2], "<u4").tobytes()
    return header + size + rest + bytes((0, 0, 0, 0, 255, 255, 255, 0)) + rows.tobytes()
