"""What the parts of a foreground session cost besides the network, in this tree and in another one.

Example::

    git worktree add ../before 6acd98e
    python benchmarks/foreground_parts.py --data ../shared/data/foreground/cdnet2014 --tree ../before

CPU time of one thread, which a busy machine changes less than time on the clock: mean milliseconds a frame of
looking for changes of the whole picture, alignment, background and ghosts, with the running median in place
of a network. Each tree plays each film in turn, some rounds; the median of the rounds counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

HERE = Path(__file__).resolve().parents[1]

PARTS = {
    ("SceneChangeDetector", "look"): "changes",
    ("Aligner", "find"): "alignment",
    ("MaskedMedian", "update"): "background",
    ("Ghosts", "look"): "ghosts",
    ("ForegroundSession", "step"): "session",
}
"""Methods that are timed, by class; the last one holds all others."""


def measure(data: Path, shake: bool, name: str) -> dict[str, float]:
    """Milliseconds a frame of each part, in the tree that is imported."""
    import segue.sessions.foreground as rooms
    from foreground_clips import read_films, shaken
    from segue.sessions.subtractors import BackgroundDifference
    from segue.types import Frame

    seconds = dict.fromkeys(PARTS.values(), 0.0)
    for (kind, method), part in PARTS.items():
        _time(getattr(rooms, kind), method, seconds, part)
    (film,) = read_films(data, [name])
    frames = [frame for frame, _ in (shaken(film) if shake else film).frames()]
    frames += [Frame(len(frames) + i, (len(frames) + i) / 25, frame.image) for i, frame in enumerate(frames)]
    session = rooms.ForegroundSession(BackgroundDifference())
    for frame in frames:
        session.step(frame)
    return {part: 1000 * spent / len(frames) for part, spent in seconds.items()}


def _time(kind: type, name: str, seconds: dict[str, float], part: str) -> None:
    method: Callable[..., Any] = getattr(kind, name)

    def timed(*arguments: Any, **named: Any) -> Any:
        begun = time.thread_time()
        result = method(*arguments, **named)
        seconds[part] += time.thread_time() - begun
        return result

    setattr(kind, name, timed)


def in_tree(tree: Path, options: argparse.Namespace, shake: bool, name: str) -> dict[str, float]:
    """The same in a process of its own that imports another tree."""
    places = os.pathsep.join(str(tree / folder) for folder in ("src", "benchmarks"))
    command = [sys.executable, __file__, "--data", str(options.data), "--films", name, "--alone"]
    command += ["--shake"] if shake else []
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": places}, check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of CDnet2014")
    parser.add_argument("--tree", type=Path, action="append", default=[], help="folder of another tree")
    parser.add_argument("--films", default="baseline/highway,baseline/office", help="category/video")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shake", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = parse(arguments)
    names = options.films.split(",")
    if options.alone:
        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        print(json.dumps(measure(options.data, options.shake, names[0])))
        return
    parts = list(PARTS.values())
    print("| film | tree | " + " | ".join(parts) + " |\n| --- | --- |" + " ---: |" * len(parts))
    trees = [*options.tree, HERE]
    for name in names:
        for shake in (False, True):
            runs = [[in_tree(tree, options, shake, name) for tree in trees] for _ in range(options.rounds)]
            for place, tree in enumerate(trees):
                means = (float(np.median([found[place][part] for found in runs])) for part in parts)
                film = f"{name.rpartition('/')[2]}{', shaken' if shake else ''}"
                print(
                    f"| {film} | {tree.name} | " + " | ".join(f"{ms:.2f}" for ms in means) + " |", flush=True
                )


if __name__ == "__main__":
    main()
