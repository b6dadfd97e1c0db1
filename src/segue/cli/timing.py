"""Time networks and layer forms on this machine, for ``segue doctor``."""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

import segue
from segue.errors import ArgumentError
from segue.inference import tuning
from segue.inference.cpu.features import can_fuse, instruction_set
from segue.inference.cpu.forms import tuned_file
from segue.inference.running import choose_device
from segue.masks.files import read_index_mask
from segue.registry import MODELS
from segue.types import Frame
from segue.utils.cache import ASSETS
from segue.utils.files import prepare
from segue.video import open_source
from segue.weights.download import is_available

NETWORKS = (
    *("stcn-lite", "mustan-lite", "msstsvis-lite", "nanodet", "segue-prompt"),
    *("stcn", "cutie", "sam2-tiny"),
)
"""Networks that are timed by default: the bundled ones and the most common others."""

FRAMES, FIRST = 20, 8
"""Frames of the bundled video, and how many of them are not timed: layers and memories are made there."""

BUDGET = 20.0
"""Seconds of the clock for each network."""


def table(device: str | None) -> Iterator[str]:
    """Lines of a table in Markdown, as the networks are timed."""
    place = choose_device(device)
    mask = read_index_mask(ASSETS / "sample" / "first.png")
    with open_source(ASSETS / "sample" / "video.mp4") as source:
        frames = list(itertools.islice(source, FRAMES))
    height, width = frames[0].size
    yield f"| network, {width}x{height} | ms a frame | frames per second | MiB of the GPU | weights |"
    yield "| --- | ---: | ---: | ---: | --- |"
    for name in NETWORKS:
        if place.type == "cuda":
            torch.cuda.reset_peak_memory_stats(place)
        seconds = statistics.fmean(_times(_step(name, mask, str(place)), frames))
        used = f"{torch.cuda.max_memory_allocated(place) >> 20}" if place.type == "cuda" else ""
        weights = "random" if _is_random(name) else "its own"
        yield f"| {name} | {1000 * seconds:.0f} | {1 / seconds:.1f} | {used} | {weights} |"


def tune_machine() -> Iterator[str]:
    """Measure layer forms with one thread, two, and the configured number; write them for this machine.

    Yields:
        Progress lines.

    Raises:
        ArgumentError: PyTorch has one form only for this processor.
        SinkError: the cache folder cannot be written.
    """
    if not can_fuse():
        raise ArgumentError("--tune: PyTorch has one form of a layer only for this processor")
    prepare(tuned_file())  # before the minutes that it takes
    counts = sorted({1, 2, torch.get_num_threads()} & set(range(1, (os.cpu_count() or 1) + 1)))
    yield f"measuring {instruction_set()}, {', '.join(map(str, counts))} threads, for about a minute"
    rows = []
    for threads, width, from_positions in tuning.measure(counts):
        rows.append((threads, width, from_positions))
        when = "never" if from_positions is None else f"from {from_positions} positions"
        yield f"threads {threads}, channels {width}: Winograd {when}"
    tuning.write(tuned_file(), rows)
    yield f"wrote {tuned_file()}; runs that go on keep the forms they began with"


def _is_random(name: str) -> bool:
    entry = MODELS.find(name)
    return not entry.bundled and not is_available(entry)


def _step(name: str, mask: Any, device: str) -> Callable[[Frame], object]:
    """Make a function that processes a frame with a network and returns its result."""
    task = MODELS.find(name).task
    if task == "detect":
        return segue.detector(name, device=device)
    if task == "prompt":
        return lambda frame: segue.Prompter(frame.image, device=device)(points=[(215, 60)])
    network: Any = MODELS.find(name).build().eval() if _is_random(name) else name
    if task == "foreground":
        return segue.ForegroundSession(network, device=device).step
    if task == "instances":
        return segue.InstanceSession(network, device=device).step
    session = segue.TrackSession(network, device=device)
    return lambda frame: session.step(frame, None if session.ids else mask)


def _times(step: Callable[[Frame], object], frames: list[Frame]) -> list[float]:
    """Wall-clock seconds per frame after the first ones, at least one."""
    seconds: list[float] = []
    loop_start = time.perf_counter()
    for frame in frames:
        start = time.perf_counter()
        step(frame)
        seconds.append(time.perf_counter() - start)
        if time.perf_counter() - loop_start > BUDGET and len(seconds) > 2:
            break
    return seconds[FIRST:] or seconds[-1:]
