"""Speed and memory of foreground models, against OpenCV's subtractors and FgSegNet_v2, in one run.

Each frame goes through all models in turn, so that a busy machine slows all of them; sessions are whole:
change detection, background, alignment check, network or subtractor, mask. Peak memory is measured in a
process of its own for each model. Pictures are made up, weights random: neither changes the time. Prints a
Markdown table.

Example::

    python benchmarks/foreground.py --models mustan-lite,mustan-slim --size 240x320 --threads 2
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from foreground_methods import CLASSICAL, session
from machine import describe, names_of
from segue.sessions.foreground import ForegroundSession
from segue.types import Frame, Image
from timing import resident_peak

PEERS = ("mog2", "knn", "fgsegnet")
WARM_UP = 12
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one model.

    Attributes:
        seconds: of one frame, median.
        slowest: of one frame, 95th percentile.
        peak: bytes that its process needed at most.
    """

    model: str
    device: str
    seconds: float
    slowest: float
    peak: int


def picture(t: int, height: int, width: int) -> Image:
    """Frame ``t`` of a made-up film: a noisy wall, and two bright blocks that cross it."""
    rng = np.random.default_rng(0)
    wall = cv2.GaussianBlur(rng.random((height, width, 3)).astype(np.float32), (0, 0), 4)
    wall = 60 + 120 * (wall - wall.min()) / (wall.max() - wall.min())
    side = height // 5
    for row, speed in ((height // 5, 3), (3 * height // 5, -2)):
        column = (speed * t) % (width - side)
        wall[row : row + side, column : column + side] = 230
    noise = np.random.default_rng(t + 1).normal(0, 2, wall.shape)
    return np.asarray(np.clip(wall + noise, 0, 255), np.uint8)


def make(model: str, device: str, fast: bool) -> ForegroundSession:
    """A session with a network of random weights, or a classical one."""
    return session(model, device=device, fast=fast, untrained=True)


def step(model: ForegroundSession, device: str, frame: Frame) -> float:
    """Seconds of one frame."""
    begun = time.perf_counter()
    model.step(frame)
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def measure(models: Sequence[str], device: str, options: argparse.Namespace) -> list[Row]:
    """Time all models frame by frame in turn, then their memory."""
    sessions = {model: make(model, device, options.fast) for model in models}
    seconds: dict[str, list[float]] = {model: [] for model in models}
    for t in range(WARM_UP + options.frames):
        frame = Frame(t, t / 25, picture(t, *options.size))
        for model in models if t % 2 else reversed(models):
            taken = step(sessions[model], device, frame)
            if t >= WARM_UP:
                seconds[model].append(taken)
    return [
        Row(
            model,
            device,
            statistics.median(seconds[model]),
            float(np.quantile(seconds[model], 0.95)),
            peak_memory(model, device, options),
        )
        for model in models
    ]


def peak_memory(model: str, device: str, options: argparse.Namespace) -> int:
    """Bytes that a process of its own needs at most for some frames."""
    task = {
        "model": model,
        "device": device,
        "size": options.size,
        "fast": options.fast,
        "threads": options.threads,
    }
    child = [sys.executable, str(Path(__file__)), "--alone", json.dumps(task)]
    done = subprocess.run(child, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{model} failed: {done.stderr.strip()}")
    return int(done.stdout)


def run_alone(task: dict[str, object]) -> int:
    """What the child process of :func:`peak_memory` does."""
    torch.set_num_threads(int(str(task["threads"])))
    device, (height, width) = str(task["device"]), task["size"]  # type: ignore[misc]
    model = make(str(task["model"]), device, bool(task["fast"]))
    for t in range(WARM_UP):
        step(model, device, Frame(t, t / 25, picture(t, height, width)))
    return torch.cuda.max_memory_allocated() if device.startswith("cuda") else resident_peak()


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = [
        "| device | model | ms a frame | 95 % of frames within, ms | frames/s | peak memory, MiB |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        lines.append(
            f"| {row.device} | {row.model} | {1000 * row.seconds:.1f} | {1000 * row.slowest:.1f} "
            f"| {1 / row.seconds:.1f} | {row.peak / MIB:.0f} |"
        )
    return "\n".join(lines)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line."""
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add("--models", default="mustan-lite,mustan-slim,median", help="networks by name, median, difference")
    add("--peers", default=",".join(PEERS), help=f"to compare with (default: {','.join(PEERS)})")
    add("--size", type=_size, default=(240, 320), help="height x width (default: 240x320)")
    add("--frames", type=int, default=60, help="timed frames (default: 60)")
    add("--threads", type=int, default=torch.get_num_threads())
    add("--devices", type=names_of(devices), default=devices, help=f"of {','.join(devices)}")
    add("--fast", action="store_true", help="bfloat16 where the hardware has it")
    add("--json", type=argparse.FileType("w"), help="write all numbers here")
    add("--alone", type=json.loads, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _size(text: str) -> tuple[int, int]:
    height, width = (int(part) for part in text.split("x"))
    return height, width


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    options = parse(arguments)
    if options.alone:
        print(run_alone(options.alone))
        return 0
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    height, width = options.size
    print(f"Pictures {width}x{height}, random weights. {describe(options.threads)}.\n")
    models = [name for name in f"{options.models},{options.peers}".split(",") if name]
    rows: list[Row] = []
    for device in options.devices:
        on_device = [name for name in models if device == "cpu" or name not in CLASSICAL]
        rows += measure(on_device, device, options)
    print(table(rows))
    if options.json:
        json.dump([asdict(row) for row in rows], options.json, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
