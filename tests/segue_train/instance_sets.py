"""Tiny data sets in the layouts of YouTube-VIS and COCO: grey noise with bright and dark squares."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from segue.masks import encode_rle

SIZE = (72, 96)

BRIGHT, DARK = 1, 2
"""Class channels of the bright and of the dark square."""


def drawn_image(seed: int, shift: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """An image, and the masks of its bright and its dark square, (2, H, W)."""
    image = np.random.default_rng(seed).integers(90, 150, (*SIZE, 3)).astype(np.uint8)
    masks = np.zeros((2, *SIZE), np.bool_)
    masks[0, 10:34, 10 + shift : 40 + shift] = True
    masks[1, 44:68, 50 - shift : 80 - shift] = True
    image[masks[0]], image[masks[1]] = 240, 10
    return image, masks


def save_ytvis(root: Path, names: Mapping[int, str], length: int = 6, split: str = "train") -> Path:
    """Two videos; the dark square is away on every other frame."""
    videos: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in (1, 2):
        files = [f"v{number}/{t:05d}.png" for t in range(length)]
        videos.append(_size() | {"id": number, "length": length, "file_names": files})
        (root / split / "JPEGImages" / f"v{number}").mkdir(parents=True)
        tracks: list[list[Any]] = [[], []]
        for t, name in enumerate(files):
            image, masks = drawn_image(10 * number + t, 2 * t)
            Image.fromarray(image).save(root / split / "JPEGImages" / name)
            tracks[0].append(encode_rle(masks[0]))
            tracks[1].append(None if t % 2 else encode_rle(masks[1]))
        for category, track in enumerate(tracks, start=1):
            areas = [None if mask is None else 720.0 for mask in track]
            annotations.append(
                {"id": len(annotations) + 1, "video_id": number, "category_id": category, "iscrowd": 0}
                | {"segmentations": track, "areas": areas}
            )
    content = {"videos": videos, "annotations": annotations, "categories": _categories(names)}
    (root / f"{split}.json").write_text(json.dumps(content))
    return root


def save_coco(root: Path, names: Mapping[int, str]) -> Path:
    """Two images with a square of categories 1 and 2 each, and one without any."""
    (root / "train2017").mkdir(parents=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in (1, 2, 3):
        image, masks = drawn_image(number, 3 * number)
        Image.fromarray(image).save(root / "train2017" / f"{number}.png")
        images.append(_size() | {"id": number, "file_name": f"{number}.png"})
        for category, mask in enumerate(masks if number < 3 else [], start=1):
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": category, "iscrowd": 0}
                | {"segmentation": encode_rle(mask), "area": 720.0}
            )
    content = {"images": images, "annotations": annotations, "categories": _categories(names)}
    (root / "train2017.json").write_text(json.dumps(content))
    return root


def _size() -> dict[str, Any]:
    return {"height": SIZE[0], "width": SIZE[1]}


def _categories(names: Mapping[int, str]) -> list[dict[str, Any]]:
    return [{"id": number, "name": name} for number, name in names.items()]
