"""A contact sheet of a generated data set: pictures beside their labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Picture

from segue.datasets.files import read_rgb
from segue.datasets.foreground import numbered_files
from segue.datasets.labels import read_cdnet_labels
from segue.video.partial import PartialFile, writing

COLUMNS = 4
MOST = 16
"""Clips on a sheet."""
WIDTH = 240
"""Of each picture, in pixels."""


def write_sheet(path: Path, clips: Sequence[Path]) -> None:
    """Write a PNG with the fullest frame of clips, evenly chosen: labels below each picture.

    Raises:
        SinkError: the file cannot be written.
        DatasetError: a clip cannot be read.
    """
    chosen = [clips[i] for i in np.unique(np.linspace(0, len(clips) - 1, min(MOST, len(clips))).astype(int))]
    cells = [_cell(clip) for clip in chosen]
    columns = min(COLUMNS, len(cells))
    height = max(cell.shape[0] for cell in cells)
    blank = np.zeros((height, WIDTH, 3), np.uint8)
    cells = [np.vstack([cell, blank[: height - cell.shape[0]]]) for cell in cells]
    cells += [blank] * (-len(cells) % columns)
    rows = [np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)]
    partial = PartialFile(path)
    partial.prepare()
    with writing(path):
        Picture.fromarray(np.vstack(rows)).quantize(256).save(partial.path, format="PNG", optimize=True)
    partial.commit()


def _cell(clip: Path) -> npt.NDArray[np.uint8]:
    pictures, truths = (list(numbered_files(clip / name).values()) for name in ("input", "groundtruth"))
    tried = range(0, len(pictures), max(1, len(pictures) // 8))
    labels = {i: read_cdnet_labels(truths[i]) for i in tried}
    fullest = max(tried, key=lambda i: (int((labels[i] == 255).sum()), -i))
    image = read_rgb(pictures[fullest])
    both = np.vstack([image, np.repeat(labels[fullest][..., None], 3, axis=2)])
    size = (WIDTH, round(both.shape[0] * WIDTH / both.shape[1]))
    return np.asarray(cv2.resize(both, size, interpolation=cv2.INTER_AREA), np.uint8)
