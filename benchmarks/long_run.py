"""Does memory stay flat on a long video? Follow objects through a looped clip and watch the process.

    python benchmarks/long_run.py ../shared/data/vos/davis2016_240p/JPEGImages/soapbox \\
        --mask ../shared/data/vos/davis2016_240p/Annotations/soapbox/00000.png

Without ``--mask`` the model finds the objects, as in ``segue instances``. Masks are written to a temporary
folder as the commands do, so that decoding, session and sink are all part of what is measured. The clip is
played forwards and backwards in turn, without jumps.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from types import MappingProxyType
from typing import cast

import numpy as np
import torch

import segue
from segue.allocation import prepare_process
from segue.api.instances import instances
from segue.models.base import MemoryNetwork
from segue.prompts import read_prompt_masks
from segue.sessions.official import SHORT_SIDE
from segue.sessions.session import Session
from segue.types import Frame, Image, IndexMask, Segmentation
from segue.video import Source, open_sinks, open_source


def main() -> None:
    """Parse, run, print."""
    prepare_process()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("source", help="video or image folder")
    parser.add_argument("--mask", help="mask of its first frame; without it the model finds the objects")
    parser.add_argument("--model", default="stcn-lite")
    parser.add_argument("--weights", default=None)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=500, help="frames between two lines")
    parser.add_argument("--threads", type=int, default=0, help="0 leaves the choice to PyTorch")
    parser.add_argument("--short-side", type=int, default=SHORT_SIDE, help="of what finds the objects")
    parser.add_argument("--score", type=float, default=None, help="least score of what is found")
    parser.add_argument("--fast", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    source = open_source(there_and_back(arguments.source, arguments.frames))
    session = session_of(arguments, source)
    watch_memory(session, source, arguments.mask, every=arguments.every)


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
    """What follows the objects, or finds and follows them."""
    if arguments.mask:
        network = cast(MemoryNetwork, segue.load(arguments.model, arguments.weights))
        return segue.TrackSession(network, fast=arguments.fast)
    found = instances(
        source,
        model=arguments.model,
        weights=arguments.weights,
        score=arguments.score,
        window=10,
        short_side=arguments.short_side,
        fast=arguments.fast,
    )
    return found.session


def followed(
    session: Session, source: Source, mask: str | IndexMask | None
) -> Iterator[tuple[Frame, Segmentation]]:
    """Each frame with its result, which may come some frames later."""
    waiting: deque[Frame] = deque()
    for frame in source:
        waiting.append(frame)
        prompt = None
        if mask is not None and frame.index == 0:
            prompt = read_prompt_masks([mask], frame.size) if isinstance(mask, str) else mask
        result = session.step(frame, prompt)
        if result is not None:
            yield waiting.popleft(), result
    for result in session.finish():
        yield waiting.popleft(), result


def there_and_back(path: str, count: int) -> Iterator[Image]:
    """``count`` pictures of a clip played forwards and backwards; the short clip itself is kept decoded."""
    with open_source(path) as source:
        pictures = [np.asarray(frame.image) for frame in source]
    order = cycle([*range(len(pictures)), *range(len(pictures) - 2, 0, -1)])
    for _, index in zip(range(count), order, strict=False):
        yield pictures[index]


def resident_megabytes() -> float:
    """Resident set of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
