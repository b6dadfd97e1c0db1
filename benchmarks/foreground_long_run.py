"""Does memory stay flat when a camera runs on? Take a made-up film through a session and watch the process.

    python benchmarks/foreground_long_run.py --model mustan-lite
    python benchmarks/foreground_long_run.py --model knn

Objects get ids of their own; masks and the table of events are written to a temporary folder as by ``segue
foreground --events``, so that background, components, session and sinks are all part of what is measured.
Frames are made one by one and are never kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from foreground import frame_size, picture
from long_run import watch_memory
from segue.sessions.foreground import ForegroundSession
from segue.sessions.foreground_masks import ForegroundMasks
from segue.sessions.networks import foreground_model
from segue.video import open_source


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--model", default="mustan-lite", help="network by name, mog2, knn, median, difference"
    )
    parser.add_argument("--weights", type=Path, default=None)
    parser.add_argument("--size", type=frame_size, default=(96, 128), help="height x width (default: 96x128)")
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--every", type=int, default=500, help="frames between two lines")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    session = ForegroundSession(
        foreground_model(options.model, options.weights), masks=ForegroundMasks(objects=True, min_area=20)
    )
    film = open_source(picture(t, *options.size) for t in range(options.frames))
    watch_memory(session, film, formats=("png", "events"), every=options.every)


if __name__ == "__main__":
    main()
