"""Does memory stay flat on a long video? Play a clip forwards and backwards and watch the process.

    python -m benchmarks.memory.long_run VIDEO --mask first.png
    python -m benchmarks.memory.long_run VIDEO --mask first.png --model xmem --long-term --random
    python -m benchmarks.memory.long_run VIDEO --task foreground
    python -m benchmarks.memory.long_run VIDEO --task instances --model msstsvis-lite

Masks, and for foreground the table of events, are written to a temporary folder as the commands do, so that
decoding, session and sinks are all part of what is measured. ``--random`` gives the network random weights:
what is remembered, how often and for how long does not depend on them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from types import MappingProxyType
from typing import cast

import numpy as np
import torch

import segue
from benchmarks.lib.scenes import randomise
from segue.api.instances import instances
from segue.masks import read_index_mask
from segue.models.base import MemoryNetwork
from segue.models.memory import LongTermSchedule, LongTermTracker, MemoryTable
from segue.registry import MODELS
from segue.sessions.foreground.masks import ForegroundMasks
from segue.sessions.foreground.segmenters.by_name import foreground_segmenter
from segue.sessions.foreground.session import ForegroundSession
from segue.sessions.official import SHORT_SIDE
from segue.sessions.session import Session
from segue.sinks import open_sinks
from segue.types import Frame, Image, IndexMask, Segmentation
from segue.utils.allocation import prepare_process
from segue.video import Source, open_source

MODEL = {"track": "stcn-lite", "foreground": "mustan-lite", "instances": "nanodet+stcn-lite"}
"""Networks of the tasks without ``--model``."""


def main() -> None:
    """Parse, run, print."""
    prepare_process()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("source", help="video or image folder")
    parser.add_argument("--task", choices=tuple(MODEL), default="track")
    parser.add_argument("--mask", help="mask of the first frame, to track")
    parser.add_argument("--model", help="default: the shipped network of the task")
    parser.add_argument("--weights", type=Path, default=None)
    parser.add_argument("--random", action="store_true", help="random weights, to track")
    parser.add_argument("--long-term", action="store_true", help="long-term memory of xmem and cutie")
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=500, help="frames between two lines")
    parser.add_argument("--threads", type=int, default=0, help="0 leaves the choice to PyTorch")
    parser.add_argument("--short-side", type=int, default=SHORT_SIDE, help="of what finds the instances")
    parser.add_argument("--score", type=float, default=None, help="least score of instances")
    parser.add_argument("--fast", action="store_true")
    arguments = parser.parse_args()
    if arguments.task == "track" and arguments.mask is None:
        parser.error("--task track needs --mask")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    source = open_source(there_and_back(arguments.source, arguments.frames))
    session = session_of(arguments, source)
    watch_memory(
        session,
        source,
        arguments.mask,
        formats=("png", "events") if arguments.task == "foreground" else ("png",),
        every=arguments.every,
        columns=long_term_columns(session) if arguments.long_term else {},
    )


def watch_memory(
    session: Session,
    source: Source,
    mask: str | IndexMask | None = None,
    *,
    formats: Sequence[str] = ("png",),
    every: int = 500,
    columns: Mapping[str, Callable[[], object]] = MappingProxyType({}),
) -> None:
    """Take a source through a session into files that are thrown away, and print the memory now and then.

    Args:
        session, source: what is run, and on what.
        mask: path of the mask of the first frame, or the mask.
        formats: files to write.
        every: frames between two lines.
        columns: heads of further columns, and what gives a cell.
    """
    heads = ["frame", "resident memory, MB", "frames/s", *columns]
    print(f"| {' | '.join(heads)} |\n{'| ---: ' * len(heads)}|", flush=True)
    measured: dict[int, float] = {}
    ids: set[int] = set()
    mark = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        open_sinks(Path(folder) / "out", formats, source).sink as sink,
        source,
    ):
        for frame, result in followed(session, source, mask):
            sink.write(frame, result)
            ids.update(result.ids)
            if (frame.index + 1) % every == 0:
                sink.flush()
                now = time.perf_counter()
                measured[frame.index + 1] = resident_megabytes()
                rate = every / (now - mark)
                cells = [str(frame.index + 1), f"{measured[frame.index + 1]:.1f}", f"{rate:.1f}"]
                cells += [str(cell()) for cell in columns.values()]
                print(f"| {' | '.join(cells)} |", flush=True)
                mark = now
    first, last = next(iter(measured.values())), list(measured.values())[-1]
    highest = max(measured.values())
    print(f"\nlast / first: {last / first:.4f}; highest / first: {highest / first:.4f}; {len(ids)} objects")


def session_of(arguments: argparse.Namespace, source: Source) -> Session:
    """The session of a task."""
    model = arguments.model or MODEL[arguments.task]
    if arguments.task == "foreground":
        scene = foreground_segmenter(model, arguments.weights)
        return ForegroundSession(scene, masks=ForegroundMasks(objects=True, min_area=20))
    if arguments.task == "instances":
        found = instances(
            source,
            model=model,
            weights=arguments.weights,
            score=arguments.score,
            window=10,
            short_side=arguments.short_side,
            fast=arguments.fast,
        )
        return found.session
    if arguments.random:
        network = MODELS.find(model).build().eval()
        randomise(network)
    else:
        network = segue.load(model, arguments.weights)
    tracker = cast(MemoryNetwork, network)
    schedule = tracker.schedule
    if arguments.long_term:
        assert isinstance(schedule, LongTermSchedule)
        schedule = replace(schedule, long_term=True)
    return segue.TrackSession(tracker, schedule, fast=arguments.fast)


def long_term_columns(session: Session) -> dict[str, Callable[[], object]]:
    """What a session with long-term memory remembers, by the head of a column."""
    assert isinstance(session, segue.TrackSession)

    def tables() -> Sequence[MemoryTable]:
        tracker = session.tracker
        assert isinstance(tracker, LongTermTracker)
        (memory,) = tracker.memories
        return memory.tables

    return {
        "frames": lambda: max(len(table.frames) for table in tables()),
        "long-term elements": lambda: max(table.long for table in tables()),
        "keys and values, MB": lambda: f"{sum(table.nbytes for table in tables()) / 1e6:.1f}",
    }


def followed(
    session: Session, source: Source, mask: str | IndexMask | None
) -> Iterator[tuple[Frame, Segmentation]]:
    """Each frame with its result, which may come some frames later."""
    waiting: deque[Frame] = deque()
    for frame in source:
        waiting.append(frame)
        prompt = None
        if mask is not None and frame.index == 0:
            prompt = read_index_mask(mask) if isinstance(mask, str) else mask
        result = session.step(frame, prompt)
        if result is not None:
            yield waiting.popleft(), result
    for result in session.finish():
        yield waiting.popleft(), result


def there_and_back(path: str, count: int) -> Iterator[Image]:
    """``count`` images of a clip played forwards and backwards; the short clip itself is kept decoded."""
    with open_source(path) as source:
        images = [np.asarray(frame.image) for frame in source]
    order = cycle([*range(len(images)), *range(len(images) - 2, 0, -1)])
    for _, index in zip(range(count), order, strict=False):
        yield images[index]


def resident_megabytes() -> float:
    """Resident set of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
