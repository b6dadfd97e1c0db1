"""Make the clips of docs/gallery.md again, by the commands that stand under them.

Example::

    python tools/gallery.py docs/images
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

import segue
from segue.types import Frame, Segmentation
from segue.video import OverlayVideoSink

SAMPLE = Path(segue.__file__).resolve().parent / "assets" / "sample"
EVERY, QUALITY, SECONDS = 3, 60, 0.125
"""Every how many frames, how well and how long each is shown."""

COMMANDS = {
    "gallery_masks": "segue track video.mp4 --mask first.png --format overlay -o out",
    "gallery_clicks": "segue track video.mp4 --point 115,62 --point 70,25 --format overlay -o out",
    "gallery_moves": "segue foreground still.mp4 --objects --format overlay -o out",
}
"""What makes each clip, in a folder with the bundled video and ``still.mp4``."""


def still_video(count: int = 60) -> Iterator[Frame]:
    """A still image of the pond through which a fish swims, as in the notebook on foreground."""
    with segue.open_source(SAMPLE / "video.mp4") as source:
        pond = next(iter(source)).image
    mask = np.array(Image.open(SAMPLE / "first.png")) == 1
    rows, columns = np.nonzero(mask)
    area = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    fish, shape = pond[area], mask[area]
    height, width = shape.shape
    noise = np.random.default_rng(0)
    for index in range(count):
        image = pond.copy()
        left = 6 * (index - 15)
        if 0 < left < pond.shape[1] - width:
            image[130 : 130 + height, left : left + width][shape] = fish[shape]
        noisy = np.clip(image + noise.normal(0, 2, image.shape), 0, 255).astype(np.uint8)
        yield Frame(index, index / 24, noisy)


def write_still_video(path: Path) -> None:
    """Write :func:`still_video` as H.264."""
    with OverlayVideoSink(path, fps=24) as sink:
        for frame in still_video():
            sink.write(frame, Segmentation(frame.index, frame.time, np.zeros(frame.size, np.uint8)))


def write_clip(video: Path, target: Path) -> None:
    """Write every third frame of a video as an animated WebP image."""
    with segue.open_source(video, stride=EVERY) as source:
        images = [Image.fromarray(cv2.resize(frame.image, (432, 240))) for frame in source]
    images[0].save(
        target,
        save_all=True,
        append_images=images[1:],
        duration=int(1000 * SECONDS),
        loop=0,
        quality=QUALITY,
        method=6,
    )


def main(target: Path) -> None:
    """Run the commands in a scratch folder, and write a clip of each."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in ("video.mp4", "first.png"):
            (folder / name).write_bytes((SAMPLE / name).read_bytes())
        write_still_video(folder / "still.mp4")
        for name, command in COMMANDS.items():
            print(command, flush=True)
            words = [sys.executable, "-m", *shlex.split(command), "--overwrite"]
            subprocess.run(words, cwd=folder, check=True)
            write_clip(folder / "out" / "overlay.mp4", target / f"{name}.webp")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
