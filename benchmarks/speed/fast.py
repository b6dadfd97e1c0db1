"""What ``fast=True`` gains on this machine: processor time of a frame, or of a click, with and without it.

Example::

    python -m benchmarks.speed.fast
    python -m benchmarks.speed.fast --video DAVIS/JPEGImages/480p/dog-agility --box 100 100 500 400
    python -m benchmarks.speed.fast --published stcn,xmem,cutie

With ``--published`` networks have random weights and follow a made-up disc; the last column is for
convolutions of 8-bit integers, which ``--fast`` takes where a network names ``int8_parts``. Equal pixels are
those of the masks, beside float32.

Both run in turn, frame by frame, on one thread. Of each frame the least of all rounds counts, so that other
programs disturb little.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import torch

import segue
from benchmarks.lib.machine import describe
from benchmarks.lib.scenes import randomise, scene
from segue.registry import MODELS
from segue.types import Box, Image

SAMPLE = Path(__file__).resolve().parents[2] / "src" / "segue" / "assets" / "sample" / "video.mp4"
BOX: Box = (160.0, 60.0, 280.0, 180.0)
UNTIMED = 6
"""Frames before the clock starts: layers arrange their weights for the sizes that occur."""

Work = Callable[[Image], object]

PARTS = {
    "stcn": ("key_encoder", "key_proj", "key_comp", "value_encoder", "decoder"),
    "stm": ("Encoder_M", "Encoder_Q", "KV_M_r4", "KV_Q_r4", "Decoder"),
    "xmem": ("key_encoder", "key_proj", "value_encoder", "decoder"),
    "cutie": ("pixel_encoder", "pix_feat_proj", "key_proj", "mask_encoder", "mask_decoder", "pixel_fuser"),
}
"""Parts of published networks for 8-bit integers; sums over time and attention stay in float32."""


def tracking(fast: bool, first: Image, box: Box) -> Work:
    """Frames of a session of stcn-lite."""
    session = segue.TrackSession("stcn-lite", device="cpu", fast=fast)
    session.step(first, [segue.BoxPrompt(1, box)])
    return session.step


def foreground(fast: bool, first: Image, box: Box) -> Work:
    """Frames of a session of mustan-lite."""
    session = segue.ForegroundSession("mustan-lite", device="cpu", fast=fast)
    session.step(first)
    return session.step


def clicking(fast: bool, first: Image, box: Box) -> Work:
    """First clicks on images."""
    prepared = segue.load("segue-prompt", device="cpu", fast=fast)
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    return lambda image: segue.Prompter(image, prepared)(points=[middle]).mask


def detecting(fast: bool, first: Image, box: Box) -> Work:
    """Boxes of NanoDet-Plus in images."""
    find: Any = segue.detector("nanodet", refine="none", device="cpu", fast=fast)
    return lambda image: find(image)


def seconds(works: Sequence[Work], images: Sequence[Image]) -> list[list[float]]:
    """Processor time of each image by each work, in turn."""
    taken: list[list[float]] = [[] for _ in works]
    for image in images:
        for work, times in zip(works, taken, strict=True):
            begun = time.process_time()
            work(image)
            times.append(time.process_time() - begun)
    return [times[UNTIMED:] for times in taken]


def published(names: Sequence[str], size: tuple[int, int], frames: int) -> None:
    """Time published networks in float32, with ``fast`` and in 8-bit integers, and print a table."""
    images, mask = scene(*size, objects=1, frames=frames)
    print("| | float32, ms | `--fast` | equal pixels | 8-bit integers | equal pixels |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in names:
        network: Any = MODELS.find(name).build().eval()
        randomise(network)
        sessions = [segue.TrackSession(network, device="cpu", fast=fast) for fast in (False, True)]
        network.int8_parts = PARTS[name]
        sessions.append(segue.TrackSession(network, device="cpu", fast=True))
        taken: list[list[float]] = [[] for _ in sessions]
        equal: list[list[float]] = [[] for _ in sessions]
        for number, image in enumerate(images):
            masks = []
            for session, times in zip(sessions, taken, strict=True):
                begun = time.process_time()
                masks.append(session.step(image, None if number else mask).mask)
                times.append(time.process_time() - begun)
            for found, shares in zip(masks, equal, strict=True):
                shares.append(float((found == masks[0]).mean()))
        exact = taken[0][UNTIMED:]
        cells = [f"{1000 * median(exact):.0f}"]
        for times, shares in zip(taken[1:], equal[1:], strict=True):
            gain = median(one / other for one, other in zip(exact, times[UNTIMED:], strict=True))
            cells += [f"{gain:.2f}", f"{mean(shares[UNTIMED:]):.2%}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Time all and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--video", type=Path, default=SAMPLE, help="a video (default: the bundled one)")
    parser.add_argument("--box", type=float, nargs=4, default=BOX, help="of the object on its first frame")
    parser.add_argument("--frames", type=int, default=30, help="frames (default: 30)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)")
    parser.add_argument("--published", type=lambda text: text.split(","), help="time these networks instead")
    parser.add_argument("--size", type=int, nargs=2, default=(240, 432), help="of --published (240 432)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if options.published:
        print(f"Measured on {describe(1)}, {options.size[1]}x{options.size[0]}.\n")
        published(options.published, tuple(options.size), UNTIMED + 6)
        return
    first, *images = [frame.image for frame in segue.open_source(options.video, end=options.frames)]
    box: Box = tuple(options.box)
    jobs = {
        "stcn-lite, a frame": tracking,
        "mustan-lite, a frame": foreground,
        "segue-prompt, a click": clicking,
        "nanodet, an image": detecting,
    }
    print(f"Measured on {describe(1)}, {first.shape[1]}x{first.shape[0]}.\n")
    print("| | float32, ms | `--fast`, ms | ratio |\n| --- | --- | --- | --- |")
    for name, make in jobs.items():
        rounds = [
            seconds([make(fast, first, box) for fast in (False, True)], images) for _ in range(options.rounds)
        ]
        exact, fast = (
            1000 * mean(min(frame) for frame in zip(*side, strict=True)) for side in zip(*rounds, strict=True)
        )
        print(f"| {name} | {exact:.1f} | {fast:.1f} | {exact / fast:.2f} |", flush=True)


if __name__ == "__main__":
    main()
