"""Labelled folders for the tests of training, made on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tests.clips import Bytes, clip


def write_video(
    root: Path, name: str, frames: Bytes, masks: Bytes, stems: Sequence[str] | None = None
) -> Path:
    """A sequence of a DAVIS-style folder; masks are palette images."""
    stems = stems or [f"{i:05d}" for i in range(len(frames))]
    for kind in ("JPEGImages", "Annotations"):
        (root / kind / name).mkdir(parents=True)
    for stem, frame, mask in zip(stems, frames, masks, strict=True):
        Image.fromarray(frame).save(root / "JPEGImages" / name / f"{stem}.png")
        Image.fromarray(mask).save(root / "Annotations" / name / f"{stem}.png")
    return root


def write_stills(root: Path, frames: Bytes, masks: Bytes) -> Path:
    """A folder with ``images`` and ``masks``."""
    for kind, images in (("images", frames), ("masks", masks)):
        (root / kind).mkdir(parents=True)
        for i, image in enumerate(images):
            Image.fromarray(image).save(root / kind / f"{i}.png")
    return root


def write_all(root: Path, objects: int = 2, frames: int = 6) -> tuple[Path, Path]:
    """Two videos with ``objects`` objects, and four still images."""
    for seed, name in ((1, "boat"), (2, "kite")):
        write_video(root / "videos", name, *clip(seed, frames, 64, 96, objects))
    stills = [clip(seed, 1, 64, 80, 1) for seed in range(4)]
    write_stills(
        root / "stills", np.concatenate([f for f, _ in stills]), np.concatenate([m for _, m in stills])
    )
    return root / "videos", root / "stills"
