"""Small data sets and results in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from segue.datasets.davis import DavisFolder

Masks = npt.NDArray[np.uint8]


def moving_squares(frames: int = 6, objects: int = 2) -> Masks:
    """Index masks (T, H, W): object k is a square that moves to the right below object k - 1."""
    masks = np.zeros((frames, 40, 50), np.uint8)
    for t in range(frames):
        for k in range(objects):
            masks[t, 4 + 12 * k : 13 + 12 * k, 5 + 3 * t : 15 + 3 * t] = k + 1
    return masks


def save_masks(folder: Path, masks: Masks, step: int = 1) -> None:
    """Write masks as ``00000.png`` and so on, with gaps of ``step``."""
    folder.mkdir(parents=True)
    for i, mask in enumerate(masks):
        Image.fromarray(mask).save(folder / f"{i * step:05d}.png")


def save_davis(root: Path, sequences: dict[str, Masks], split: str | None = None) -> DavisFolder:
    """Write a data set in the layout of DAVIS, its images grey, and open it."""
    for name, masks in sequences.items():
        save_masks(root / "Annotations" / "480p" / name, masks)
        save_masks(root / "JPEGImages" / "480p" / name, masks * np.uint8(40))
    if split is not None:
        (root / "ImageSets" / "2017").mkdir(parents=True)
        (root / "ImageSets" / "2017" / f"{split}.txt").write_text("\n".join(sequences))
    return DavisFolder(root, split)
