"""CPU time and memory of one network on a made-up video, in its own process; zoo.py and costs.py call it.

The video shows squares that move over a textured scene. Seconds are those of the processor, on one thread, so
that other programs on the machine matter little. Memory is the largest resident size of the process, with
interpreter, libraries and weights. Weights are random where none are in the package.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

import segue
from benchmarks.lib.memory import resident_peak
from segue.registry import MODELS
from segue.types import Frame

FRAMES = 8
BUDGET = 15.0
"""Seconds of the processor after which a measurement ends; at least one frame after the first is measured."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured.

    Attributes:
        name: network of the registry that needs no optical flow.
        height, width: of the video, in pixels.
        objects: number of objects that are tracked; other jobs ignore it.
        memory: number of frames in the memory of a network for tracking while it is timed; None is what its
            own schedule gives on a short video.
    """

    name: str
    height: int = 480
    width: int = 854
    objects: int = 1
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What a frame takes.

    Attributes:
        seconds: CPU seconds of a frame after the first ones.
        mebibytes: largest resident size of the process.
    """

    seconds: float
    mebibytes: float

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s, {self.mebibytes:.0f} MiB"


def cost(case: Case, limit: float) -> Cost | None:
    """The cost of a case; None where two frames take more than ``limit`` seconds of a clock.

    Raises:
        RuntimeError: the network failed.
    """
    words = [sys.executable, "-m", "benchmarks.lib.one_network", json.dumps(asdict(case))]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]  # -9: out of memory
        raise RuntimeError(f"{case.name}: {said[-1]}")
    return Cost(**json.loads(done.stdout))


def squares(case: Case) -> list[tuple[slice, slice]]:
    """Where the squares of the first frame are, one for each object; ten fit into the image."""
    unit = case.height / 480
    side = round(90 * unit)
    places = [(round((60 + 200 * (i // 5)) * unit), round((40 + 150 * (i % 5)) * unit)) for i in range(10)]
    return [(np.s_[y : y + side], np.s_[x : x + side]) for y, x in places[: case.objects]]


def video(case: Case, count: int) -> Iterator[Frame]:
    """Squares that cross a textured scene."""
    rng = np.random.default_rng(0)
    rows, columns = -(-case.height // 16), -(-case.width // 16)
    ground = rng.integers(60, 180, (rows, columns, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    ground = ground[: case.height, : case.width]
    step = max(1, case.height // 60)
    for index in range(count):
        image = ground.copy()
        for number, (down, across) in enumerate(squares(case)):
            shift = step * (index % FRAMES)
            image[down, across.start + shift : across.stop + shift] = (
                220 - 20 * number,
                90,
                40 + 20 * number,
            )
        yield Frame(index, index / 25, image)


def network_of(case: Case) -> Any:
    """The network of a case, with random weights where none are in the package."""
    entry = MODELS.find(case.name)
    return segue.load(case.name) if entry.bundled else entry.build().eval()


def results(case: Case, network: Any) -> Iterator[Any]:
    """Run the video through the network."""
    task = MODELS.find(case.name).task
    if task == "track":
        return _tracked(case, network, case.memory or 1)
    images = (item.image for item in video(case, FRAMES))
    if task == "foreground":
        return iter(segue.foreground(images, model=network))
    return iter(segue.instances(images, model=network, window=2, overlap=1))


def measure(case: Case) -> Cost:
    """Run the video through the network, in this process."""

    torch.set_num_threads(1)
    network = network_of(case)
    start = time.process_time()
    steps = results(case, network)
    for _ in range(case.memory or 1):
        next(steps)
    begun, done = time.process_time(), 0
    for _ in steps:
        done += 1
        if time.process_time() - start > BUDGET:
            break
    seconds = (time.process_time() - begun) / done
    return Cost(seconds, resident_peak() / 2**20)


def _tracked(case: Case, network: Any, filled: int) -> Iterator[Any]:
    """Results of a session whose memory holds ``filled`` frames from step ``filled`` on."""
    mask = np.zeros((case.height, case.width), np.uint8)
    for number, place in enumerate(squares(case), 1):
        mask[place] = number
    schedule = network.schedule
    if case.memory is not None:
        schedule = replace(schedule, mem_every=1, memory_frames=case.memory)
    session = segue.TrackSession(network, schedule)
    count = FRAMES if case.memory is None else filled + 3
    for item in video(case, count):
        yield session.step(item, None if item.index else mask)


def main() -> None:
    """Measure the case that the parent process describes."""
    from segue.utils.allocation import prepare_process

    prepare_process()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("case", help="a case in JSON")
    case = Case(**json.loads(parser.parse_args().case))
    print(json.dumps(asdict(measure(case))))


if __name__ == "__main__":
    main()
