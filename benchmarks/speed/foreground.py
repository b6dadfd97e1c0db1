"""Speed and memory of foreground models, against OpenCV's subtractors and FgSegNet_v2, in one run.

Each frame goes through all models in turn, so that a busy machine slows all of them; sessions are whole:
change detection, background, alignment check, network or subtractor, mask. The time of the model
alone is given too. Peak memory is measured in a process of its own for each model. Images are made up and
weights random, which does not change the time of a network; with ``--video`` the images are those of a
video, and networks have the weights that come with segue: what the stages do depends on both. ``--models
NAME=FILE`` takes the network of a weight file, such as one with more frames of context. GSOC is among
the others where OpenCV's package is opencv-contrib. Prints a Markdown table.

Examples::

    python -m benchmarks.speed.foreground --threads 2
    python -m benchmarks.speed.foreground --quick --models mustan-lite --peers ""
    python -m benchmarks.speed.foreground --threads 1 --models mustan-lite --peers knn,mog2,gsoc \\
        --video ../shared/data/foreground/cdnet2014/baseline/highway/input
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import cast

import cv2
import numpy as np
import torch

from benchmarks.lib.foreground_methods import CLASSICAL, CONTRIB, Clocked, clocked
from benchmarks.lib.machine import describe, names_of
from benchmarks.lib.memory import resident_peak
from segue.sessions.foreground.session import ForegroundSession
from segue.types import Frame, Image
from segue.utils.allocation import prepare_process
from segue.video import open_source

MODELS = ("mustan-lite", "mustan2")
PEERS = ("median", "mog2", "knn", "gsoc", "fgsegnet")
WARM_UP = 12
FRAMES, QUICK_FRAMES = 60, 8
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one model.

    Attributes:
        seconds: of one frame, median.
        slowest: of one frame, 95th percentile.
        work: of one frame on all cores together, median; a busy machine changes it little.
        alone: seconds of the network or subtractor in it, median.
        peak: bytes that its process needed at most; on a GPU, those of its tensors.
    """

    model: str
    device: str
    seconds: float
    slowest: float
    work: float
    alone: float
    peak: int


def image(t: int, height: int, width: int) -> Image:
    """Frame ``t`` of a made-up video: a noisy wall, and two bright blocks that cross it."""
    rng = np.random.default_rng(0)
    wall = cv2.GaussianBlur(rng.random((height, width, 3)).astype(np.float32), (0, 0), 4)
    wall = 60 + 120 * (wall - wall.min()) / (wall.max() - wall.min())
    side = height // 5
    for row, speed in ((height // 5, 3), (3 * height // 5, -2)):
        column = (speed * t) % (width - side)
        wall[row : row + side, column : column + side] = 230
    noise = np.random.default_rng(t + 1).normal(0, 2, wall.shape)
    return np.asarray(np.clip(wall + noise, 0, 255), np.uint8)


def frames_of(video: str | None, size: tuple[int, int], count: int) -> Iterator[Frame]:
    """So many frames of a video, or made-up ones of this height and width."""
    if video is None:
        yield from (Frame(t, t / 25, image(t, *size)) for t in range(count))
        return
    with open_source(video) as source:
        yield from islice(source, count)


class Runner:
    """A session, and the seconds of its frames."""

    def __init__(self, model: str, device: str, *, fast: bool, trained: bool) -> None:
        self._clocked: Clocked = clocked(model, device, fast=fast, trained=trained)
        self._session = ForegroundSession(self._clocked)
        self.seconds: list[float] = []
        self.work: list[float] = []
        self.alone: list[float] = []

    def step(self, frame: Frame) -> None:
        """Take the next frame; the masks are made of what a GPU has given back, so nothing is left to do."""
        begun, worked = time.perf_counter(), time.process_time()
        self._session.step(frame)
        self.seconds.append(time.perf_counter() - begun)
        self.work.append(time.process_time() - worked)
        self.alone.append(self._clocked.seconds)


def measure(models: Sequence[str], device: str, options: argparse.Namespace) -> list[Row]:
    """Time all models frame by frame in turn, then their memory."""
    trained = options.video is not None
    runners = {model: Runner(model, device, fast=options.fast, trained=trained) for model in models}
    for t, frame in enumerate(frames_of(options.video, options.size, WARM_UP + options.frames)):
        for model in models if t % 2 else reversed(models):
            runners[model].step(frame)
    rows = []
    for model, runner in runners.items():
        seconds = runner.seconds[WARM_UP:]
        rows.append(
            Row(
                model,
                device,
                statistics.median(seconds),
                float(np.quantile(seconds, 0.95)),
                statistics.median(runner.work[WARM_UP:]),
                statistics.median(runner.alone[WARM_UP:]),
                peak_memory(model, device, options),
            )
        )
    return rows


def peak_memory(model: str, device: str, options: argparse.Namespace) -> int:
    """Bytes that a process of its own needs at most for some frames."""
    task = {
        "model": model,
        "device": device,
        "size": options.size,
        "video": options.video,
        "fast": options.fast,
        "threads": options.threads,
    }
    child = [sys.executable, "-m", "benchmarks.speed.foreground", "--alone", json.dumps(task)]
    done = subprocess.run(child, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{model} failed: {done.stderr.strip()}")
    return int(done.stdout)


def run_alone(task: dict[str, object]) -> int:
    """What the child process of :func:`peak_memory` does."""
    torch.set_num_threads(int(str(task["threads"])))
    device = str(task["device"])
    height, width = cast(tuple[int, int], task["size"])
    video = None if task["video"] is None else str(task["video"])
    runner = Runner(str(task["model"]), device, fast=bool(task["fast"]), trained=video is not None)
    for frame in frames_of(video, (height, width), WARM_UP):
        runner.step(frame)
    return torch.cuda.max_memory_allocated() if device.startswith("cuda") else resident_peak()


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = [
        "| device | model | ms a frame | 95 % within | CPU ms | frames/s | model alone | peak memory, MiB |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        lines.append(
            f"| {row.device} | {row.model} | {1000 * row.seconds:.1f} | {1000 * row.slowest:.1f} "
            f"| {1000 * row.work:.1f} "
            f"| {1 / row.seconds:.1f} | {1 / row.alone:.1f} | {row.peak / MIB:.0f} |"
        )
    return "\n".join(lines)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line."""
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add("--models", default=",".join(MODELS), help=f"networks by name (default: {','.join(MODELS)})")
    add("--peers", default=",".join(PEERS), help=f"to compare with (default: {','.join(PEERS)})")
    add("--size", type=frame_size, default=(240, 320), help="height x width (default: 240x320)")
    add("--video", help="file or folder of a video, in place of made-up images")
    add("--frames", type=int, default=FRAMES, help=f"timed frames (default: {FRAMES})")
    quick = f"time {QUICK_FRAMES} frames"
    add("--quick", action="store_const", dest="frames", const=QUICK_FRAMES, help=quick)
    add("--threads", type=int, default=torch.get_num_threads())
    add("--devices", type=names_of(devices), default=devices, help=f"of {','.join(devices)}")
    add("--fast", action="store_true", help="bfloat16 where the hardware has it")
    add("--json", type=argparse.FileType("w"), help="write all numbers here")
    add("--alone", type=json.loads, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def frame_size(text: str) -> tuple[int, int]:
    """Height and width of a text like 240x320."""
    height, width = (int(part) for part in text.split("x"))
    return height, width


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    prepare_process()
    options = parse(arguments)
    if options.alone:
        print(run_alone(options.alone))
        return 0
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    height, width = options.size
    shown = f"Images {width}x{height}, random weights" if options.video is None else options.video
    print(f"{shown}. {describe(options.threads)}.\n")
    models = [name for name in f"{options.models},{options.peers}".split(",") if name]
    if lacking := [name for name in models if name in CONTRIB and name not in CLASSICAL]:
        models = [name for name in models if name not in lacking]
        print(f"Without {', '.join(lacking)}: this OpenCV is not opencv-contrib.\n")
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
