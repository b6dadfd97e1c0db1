"""Tiny data sets with results, in the layouts that they are published in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from segue.masks import encode_rle, write_index_mask

HEIGHT, WIDTH = 48, 64


def square(x: int, value: int = 1) -> np.ndarray:
    """Index mask with a square of 16 x 16 pixels whose left side is at ``x``."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[16:32, x : x + 16] = value
    return mask


def image(path: Path) -> None:
    """Write a grey image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 120, np.uint8)).save(path)


def mask_file(path: Path, mask: np.ndarray) -> None:
    """Write an index mask."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_index_mask(path, mask)


def grey_file(path: Path, values: np.ndarray) -> None:
    """Write a grey image with these values."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def make_davis(root: Path, names: tuple[str, ...] = ("ant", "bee"), frames: int = 5) -> Path:
    """A square that moves to the right in every sequence; the split val names all of them."""
    for name in names:
        for i in range(frames):
            image(root / "JPEGImages" / "480p" / name / f"{i:05d}.jpg")
            for kind in ("Annotations", "Annotations_unsupervised"):
                mask_file(root / kind / "480p" / name / f"{i:05d}.png", square(4 + 2 * i))
    for year in ("2016", "2017"):
        split = root / "ImageSets" / year / "val.txt"
        split.parent.mkdir(parents=True)
        split.write_text("\n".join(names) + "\n")
    return root


def make_davis_results(
    root: Path, shifts: dict[str, int], names: tuple[str, ...] = ("ant", "bee"), frames: int = 5
) -> Path:
    """The same squares, those of some sequences shifted to the right."""
    for name in names:
        for i in range(frames):
            mask_file(root / name / f"{i:05d}.png", square(4 + 2 * i + shifts.get(name, 0)))
    return root


def make_cdnet(root: Path, result: bool = False, shift: int = 0) -> Path:
    """Two videos of one category: images and labels, or results."""
    for video in ("highway", "office"):
        folder = root / "baseline" / video
        for number in range(1, 5):
            values = square(8 + 2 * number + shift, 255)
            if result:
                grey_file(folder / f"bin{number:06d}.png", values)
            else:
                image(folder / "input" / f"in{number:06d}.jpg")
                grey_file(folder / "groundtruth" / f"gt{number:06d}.png", values)
        if not result:
            grey_file(folder / "ROI.bmp", np.full((HEIGHT, WIDTH), 255, np.uint8))
            (folder / "temporalROI.txt").write_text("2 4\n")
    return root


def make_ytvis(folder: Path) -> tuple[Path, Path]:
    """Annotation and result file of one video; the one track found is right."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = [encode_rle(square(8 + i)) for i in range(3)]
    track = {"video_id": 1, "category_id": 1, "segmentations": runs}
    video = {"id": 1, "width": WIDTH, "height": HEIGHT, "length": 3}
    truth = {
        "videos": [{**video, "file_names": [f"clip/{i:05d}.jpg" for i in range(3)]}],
        "categories": [{"id": 1, "name": "dog"}],
        "annotations": [
            {**track, "id": 1, "iscrowd": 0, "areas": [256.0] * 3, "height": HEIGHT, "width": WIDTH}
        ],
    }
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps([{**track, "score": 0.9}]))
    return folder / "truth.json", folder / "results.json"
