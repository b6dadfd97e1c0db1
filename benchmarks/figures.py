"""Make the pictures of the documentation with the program itself.

    python benchmarks/figures.py [--weights FILE]

Follows the bundled sample and writes ``docs/images/demo.png`` (a frame, its mask, the overlay) and
``docs/images/demo_strip.png`` (overlays from beginning to end).
"""

from __future__ import annotations

import argparse
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image

import segue
from segue.masks import DAVIS_PALETTE, overlay, read_index_mask

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
SHOWN = 44
STRIP = (0, 22, 36, 50, 64, 79)


def main() -> None:
    """Parse, follow, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--weights", default=None)
    arguments = parser.parse_args()
    IMAGES.mkdir(parents=True, exist_ok=True)
    network = segue.load("stcn-lite", arguments.weights)
    with resources.as_file(resources.files("segue") / "assets" / "sample") as sample:
        first = read_index_mask(sample / "first.png")
        source = sample / "video.mp4"
        frames = {frame.index: frame.image for frame in segue.open_source(source)}
        masks = {result.index: result.mask for result in segue.track(source, {0: first}, model=network)}
    drawn = {index: overlay(frames[index], masks[index]) for index in {SHOWN, *STRIP}}
    coloured = DAVIS_PALETTE[masks[SHOWN]]
    save(IMAGES / "demo.png", [[frames[SHOWN], coloured, drawn[SHOWN]]])
    save(IMAGES / "demo_strip.png", [[drawn[i] for i in STRIP[:3]], [drawn[i] for i in STRIP[3:]]])


def save(path: Path, rows: list[list[segue.types.Image]], gap: int = 6) -> None:
    """Write pictures side by side with white gaps, 256 colours to keep the file small."""
    lines = []
    for row in rows:
        white = np.full((row[0].shape[0], gap, 3), 255, np.uint8)
        lines.append(np.hstack([part for picture in row for part in (picture, white)][:-1]))
        lines.append(np.full((gap, lines[0].shape[1], 3), 255, np.uint8))
    image = Image.fromarray(np.vstack(lines[:-1])).quantize(256, method=Image.Quantize.MEDIANCUT)
    image.save(path, optimize=True)
    print(f"{path}: {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
