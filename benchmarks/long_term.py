"""Does memory stay flat when XMem or Cutie follows objects with long-term memory? Watch the process.

    python benchmarks/long_term.py --model xmem
    python benchmarks/long_term.py --model cutie

A made-up film, whose pictures are made one by one and never kept, goes through a session with the settings of
the release, the long-term memory on; masks are written to a temporary folder as the command does. Weights are
random: what is remembered, how often and for how long does not depend on them. After some 2,000 frames the
long-term memory is full, so that from there on elements also go.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import replace

import torch

from foreground import frame_size
from long_run import watch_memory
from recurrent import NETWORKS
from scenes import discs, randomise
from segue.models.memory import LongTermTracker, MemoryTable
from segue.sessions import TrackSession
from segue.video import open_source


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", choices=tuple(NETWORKS), default="xmem")
    parser.add_argument("--objects", type=int, default=1)
    parser.add_argument("--size", type=frame_size, default=(64, 112), help="height x width (default: 64x112)")
    parser.add_argument("--frames", type=int, default=2_400)
    parser.add_argument("--every", type=int, default=200, help="frames between two lines")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    network = NETWORKS[options.model]()
    randomise(network)
    session = TrackSession(network.eval(), replace(network.schedule, long_term=True), device="cpu")
    del network  # a session holds a copy
    _, mask = next(discs(*options.size, options.objects))
    pictures = (picture for picture, _ in discs(*options.size, options.objects))
    columns = {
        "frames": lambda: max(len(store.frames) for store in tables(session)),
        "long-term elements": lambda: max(store.long for store in tables(session)),
        "keys and values, MB": lambda: f"{sum(store.nbytes for store in tables(session)) / 1e6:.1f}",
    }
    film = open_source(itertools.islice(pictures, options.frames))
    watch_memory(session, film, mask, every=options.every, columns=columns)


def tables(session: TrackSession) -> Sequence[MemoryTable]:
    """What a session remembers: one table in XMem, one for each group of objects in Cutie."""
    tracker = session.tracker
    assert isinstance(tracker, LongTermTracker)
    (memory,) = tracker.memories
    return memory.tables


if __name__ == "__main__":
    main()
