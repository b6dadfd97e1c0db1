"""Make the clips of docs/gallery.md and of the README again, by the commands that stand under them.

Example::

    git clone https://github.com/intel-iot-devkit/sample-videos films
    python tools/gallery.py docs/images --films films

Without ``--films`` only the clips of the bundled video are made. The clip of the README shows three jobs side
by side.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

import segue
from segue.sinks import OverlayVideoSink
from segue.types import Frame, Segmentation

SAMPLE = Path(segue.__file__).resolve().parent / "assets" / "sample"
EVERY, QUALITY, SECONDS = 3, 60, 0.125
"""Every how many frames, how well and how long each is shown."""

CLIP = (432, 240)
"""Width and height of a clip."""

PANEL, PANELS = (300, 168), 24
"""Width and height of a job in the clip of the README, and its number of images."""

COMMANDS = {
    "gallery_masks": "segue track video.mp4 --mask first.png --format overlay -o masks",
    "gallery_clicks": "segue track video.mp4 --point 115,62 --point 70,25 --format overlay -o clicks",
    "gallery_moves": "segue foreground still.mp4 --objects --format overlay -o moves",
}
"""What makes each clip, in a folder with the bundled video and ``still.mp4``."""

FILMS = {
    "film_track": (
        "preview/store-aisle-detection.gif",
        "segue track {} --point 1:305,140 --point 2:385,150 --format overlay -o track",
    ),
    "film_worker": (
        "preview/worker-zone-detection.gif",
        "segue track {} --box 240,135,340,268 --format overlay -o worker",
    ),
    "film_moves": (
        "preview/person-bicycle-car-detection.gif",
        "segue foreground {} --objects --format overlay -o moves",
    ),
    "film_cars": (
        "car-detection.mp4",
        "segue foreground {} --objects --start 180 --end 250 --format overlay -o cars",
    ),
    "film_names": ("preview/store-aisle-detection.gif", "segue instances {} --format overlay -o names"),
}
"""Videos of https://github.com/intel-iot-devkit/sample-videos (Intel, CC BY 4.0), with their commands."""

SLIDERS = {"film_track": (24, 0), "film_cars": (215, 180)}
"""Frame of a video that is shown before and after, and the first frame that its command takes."""

JOBS = ("film_track", "film_moves", "film_names")
"""The jobs of the clip of the README."""


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
        write_animation(
            [cv2.resize(frame.image, CLIP, interpolation=cv2.INTER_AREA) for frame in source], target
        )


def write_animation(images: Sequence[np.ndarray], target: Path) -> None:
    """Write RGB images (H, W, 3), uint8, as an animated WebP image."""
    first, *others = map(Image.fromarray, images)
    first.save(
        target,
        save_all=True,
        append_images=others,
        duration=int(1000 * SECONDS),
        loop=0,
        quality=QUALITY,
        method=6,
    )


def write_pair(film: Path, overlay: Path, index: int, start: int, target: Path) -> None:
    """Write a frame as it is and with its masks, for a slider: ``TARGET_before`` and ``TARGET_after``."""
    for path, place, name in ((film, index, "before"), (overlay, index - start, "after")):
        with segue.open_source(path) as source:
            image = cv2.resize(source.frame(place).image, CLIP, interpolation=cv2.INTER_AREA)
        Image.fromarray(image).save(f"{target}_{name}.webp", quality=QUALITY + 15, method=6)


def panel(video: Path) -> list[np.ndarray]:
    """Images of a video spread over its time, cut to the shape of a panel."""
    with segue.open_source(video) as source:
        images = [frame.image for frame in source]
    shown = [images[int(i)] for i in np.linspace(0, len(images) - 1, PANELS)]
    height, width = shown[0].shape[:2]
    rows = min(height, round(width * PANEL[1] / PANEL[0]))
    top = (height - rows) // 2
    return [cv2.resize(image[top : top + rows], PANEL, interpolation=cv2.INTER_AREA) for image in shown]


def run(command: str, folder: Path) -> Path:
    """Run a command, whose last word is its output, in a folder; gives the video that it has made."""
    print(command, flush=True)
    words = [sys.executable, "-m", *shlex.split(command), "--overwrite"]
    subprocess.run(words, cwd=folder, check=True)
    return folder / words[-2] / "overlay.mp4"


def main() -> None:
    """Run the commands in a scratch folder, and write a clip of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("target", type=Path, help="folder of the images")
    parser.add_argument("--films", type=Path, help="clone of intel-iot-devkit/sample-videos")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in ("video.mp4", "first.png"):
            (folder / name).write_bytes((SAMPLE / name).read_bytes())
        write_still_video(folder / "still.mp4")
        for name, command in COMMANDS.items():
            write_clip(run(command, folder), options.target / f"{name}.webp")
        if options.films:
            write_films(options.films.resolve(), folder, options.target)


def write_films(films: Path, folder: Path, target: Path) -> None:
    """Write the clips of real videos, and the one of the README."""
    videos = {}
    for name, (film, command) in FILMS.items():
        videos[name] = run(command.format(shlex.quote(str(films / film))), folder)
        write_clip(videos[name], target / f"{name}.webp")
        if name in SLIDERS:
            write_pair(films / film, videos[name], *SLIDERS[name], target / name)
    gap = np.full((PANEL[1], 6, 3), 255, np.uint8)
    rows = [
        np.hstack([one, gap, two, gap, three])
        for one, two, three in zip(*(panel(videos[name]) for name in JOBS), strict=True)
    ]
    write_animation(rows, target / "three_jobs.webp")


if __name__ == "__main__":
    main()
