"""Speed of stcn-lite, mustan-lite or instances, here and in another checkout; or of stcn-lite as ONNX graphs.

Example::

    git worktree add /tmp/before fe93233
    python -m benchmarks.speed.session_speed /tmp/before --frames DAVIS/JPEGImages/480p/goat \\
        --mask DAVIS/Annotations/480p/goat/00000.png --threads 1

    segue export stcn-lite /tmp/graphs
    python -m benchmarks.speed.session_speed /tmp/graphs --frames DAVIS/JPEGImages/240p/goat \\
        --mask DAVIS/Annotations/240p/goat/00000.png

    python -m benchmarks.speed.session_speed /tmp/before --frames CDNET/baseline/highway/input \\
        --task foreground

    python -m benchmarks.speed.session_speed --frames DAVIS/JPEGImages/240p/goat \\
        --mask DAVIS/Annotations/240p/goat/00000.png --objects 1,2,3,4

With ``--busy 1`` another process keeps one core busy meanwhile, as a compiler or a training would. Two
threads may then take 1.3 times the time of one at most.

Each run is a process of its own that tracks the first frames; the first six are not timed. Several objects
are vertical parts of the mask. Prints a Markdown table with the medians of the rounds. With ``--task
foreground`` or ``instances`` it finds the foreground by mustan-lite, or the instances by the default network,
with one thread, and compares the processor time, of each frame the least of all rounds: that of a busy
machine differs from run to run. ``--processor`` does so for tracking. Several numbers of objects are compared
in the same way, without another checkout: the table shows what each further object takes of the first one's
time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, median

UNTIMED = 6
"""Frames before the clock starts: layers arrange their weights for the sizes that occur."""

RUN = f"""
import importlib, sys, time
root, folder, mask, objects, threads, count = sys.argv[1:]
from pathlib import Path
if (Path(root) / "graphs.json").is_file():
    sys.path.insert(0, root)
    from follow import Tracker
    session = Tracker(root, threads=int(threads))
else:
    sys.path.insert(0, root + "/src")
    for place in ("segue.utils.allocation", "segue.allocation"):  # the second before the modules moved
        try:
            importlib.import_module(place).prepare_process()  # before PyTorch is imported
            break
        except (ImportError, AttributeError):  # an older checkout prepares the process itself
            pass
    import torch
    torch.set_num_threads(int(threads))
    import segue
    session = segue.TrackSession("stcn-lite")
import numpy as np
from PIL import Image
paths = sorted(Path(folder).glob("*.jpg"))[: int(count)]
frames = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
first = (np.asarray(Image.open(mask)) > 0).astype(np.uint8)
columns = np.nonzero(first)[1]
cuts = np.quantile(columns, np.arange(1, int(objects)) / int(objects))
first *= (1 + np.searchsorted(cuts, np.arange(first.shape[1]))).astype(np.uint8)
session.step(frames[0], first)
for frame in frames[1:{UNTIMED}]:
    session.step(frame)
begun = time.perf_counter()
for frame in frames[{UNTIMED}:]:
    session.step(frame)
print((len(frames) - {UNTIMED}) / (time.perf_counter() - begun))
"""
"""Prints the frames per second of one session."""


RUN_TASK = """
import importlib, json, sys, time
root, folder, count, task, mask = sys.argv[1:]
sys.path.insert(0, root + "/src")
for place in ("segue.utils.allocation", "segue.allocation"):  # the second before the modules moved
    try:
        importlib.import_module(place).prepare_process()
        break
    except (ImportError, AttributeError):  # an older checkout prepares the process itself
        pass
import cv2, torch
torch.set_num_threads(1)
cv2.setNumThreads(1)
from pathlib import Path
import segue
from segue.sessions import ForegroundSession
paths = sorted(Path(folder).glob("*.*g"))[: int(count)]
images = [cv2.imread(str(path))[..., ::-1].copy() for path in paths]
if task == "track":
    session = segue.TrackSession("stcn-lite")
    first = (cv2.imread(mask, 0) > 0).astype("uint8")
    steps = (session.step(image, None if i else first) for i, image in enumerate(images))
elif task == "foreground":
    session = ForegroundSession(segue.load("mustan-lite"))
    steps = (session.step(segue.types.Frame(i, i / 25, image)) for i, image in enumerate(images))
else:
    steps = segue.instances(images)
begun, seconds = time.process_time(), []
for _ in steps:
    seconds.append(time.process_time() - begun)
    begun = time.process_time()
print(json.dumps(seconds))
"""
"""Prints the processor time of each frame of one session."""


def processor_time(root: Path, options: argparse.Namespace) -> list[float]:
    """Seconds of each frame in the checkout ``root``."""
    command = [
        sys.executable,
        "-c",
        RUN_TASK,
        str(root),
        str(options.frames),
        str(options.count),
        options.task,
        str(options.mask),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    seconds: list[float] = json.loads(done.stdout)
    return seconds[UNTIMED:]


def compare_processor_time(roots: tuple[Path, Path], options: argparse.Namespace) -> None:
    """Time the frames of both checkouts in turn and print a table."""
    rounds = [[processor_time(root, options) for root in roots] for _ in range(options.rounds)]
    before, now = (
        1000 * mean(min(frame) for frame in zip(*side, strict=True)) for side in zip(*rounds, strict=True)
    )
    print("| other, ms a frame | here, ms a frame | ratio |")
    print("| --- | --- | --- |")
    print(f"| {before:.1f} | {now:.1f} | {now / before:.2f} |")


def compare_objects(options: argparse.Namespace) -> None:
    """Time sessions with several numbers of objects, frame by frame in turn, and print a table."""
    from segue.utils.allocation import prepare_process

    os.environ["OMP_NUM_THREADS"] = "1"
    prepare_process()  # before PyTorch is imported
    import numpy as np
    import torch
    from PIL import Image

    import segue

    torch.set_num_threads(1)
    paths = sorted(options.frames.glob("*.jpg"))[: options.count]
    first, *images = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    whole = (np.asarray(Image.open(options.mask)) > 0).astype(np.uint8)
    columns = np.nonzero(whole)[1]
    best: dict[int, list[float]] = {}
    for _ in range(options.rounds):
        sessions = {}
        for count in options.objects:
            cuts = np.quantile(columns, np.arange(1, count) / count)
            parts = whole * (1 + np.searchsorted(cuts, np.arange(whole.shape[1]))).astype(np.uint8)
            sessions[count] = segue.TrackSession("stcn-lite", device="cpu")
            sessions[count].step(first, parts)
        seconds: dict[int, list[float]] = {count: [] for count in sessions}
        for image in images:
            for count, session in sessions.items():
                begun = time.process_time()
                session.step(image)
                seconds[count].append(time.process_time() - begun)
        for count, new in seconds.items():
            best[count] = [min(pair) for pair in zip(best.get(count, new), new, strict=True)]
    times = {count: 1000 * mean(frames[UNTIMED - 1 :]) for count, frames in best.items()}
    print("| objects | ms a frame | each further object |")
    print("| --- | --- | --- |")
    base = times[1]
    for count, ms in times.items():
        share = "" if count == 1 else f"{(ms - base) / base / (count - 1):.1%}"
        print(f"| {count} | {ms:.1f} | {share} |")


def numbers(text: str) -> list[int]:
    """Numbers of objects, such as ``1,2,3``."""
    return [int(part) for part in text.split(",")]


def frames_per_second(root: Path, options: argparse.Namespace) -> float:
    """Speed of one session in the checkout ``root``."""
    given = [options.frames, options.mask, options.objects, options.threads, options.count]
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
    command = [sys.executable, "-c", RUN, str(root), *map(str, given)]
    with busy_neighbours(options.busy):
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


@contextmanager
def busy_neighbours(count: int) -> Iterator[None]:
    """Inside, so many processes compute something else, each on one thread."""
    neighbours = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.wait()


def main() -> None:
    """Time both checkouts in turn and print a table."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("other", type=Path, nargs="?", help="another checkout, or a folder of ONNX graphs")
    parser.add_argument("--frames", type=Path, required=True, help="folder of images")
    parser.add_argument("--mask", type=Path, help="mask of the first image, to track")
    parser.add_argument("--task", choices=("track", "foreground", "instances"), default="track")
    parser.add_argument("--objects", type=numbers, default=[1], help="or several numbers (default: 1)")
    parser.add_argument("--threads", type=int, default=1, help="threads (default: 1)")
    parser.add_argument("--processor", action="store_true", help="track: processor time, one object")
    parser.add_argument("--busy", type=int, default=0, help="busy processes beside each run (default: 0)")
    parser.add_argument("--count", type=int, default=40, help="frames (default: 40)")
    parser.add_argument("--rounds", type=int, default=2, help="rounds (default: 2)")
    options = parser.parse_args()
    here = Path(__file__).resolve().parents[2]
    if options.task == "track" and options.mask is None:
        parser.error("--mask: tracking begins with the mask of the first image")
    if len(options.objects) > 1:
        if options.task != "track" or options.other is not None or 1 not in options.objects:
            parser.error("--objects: several numbers, with 1 among them, are for tracking in this checkout")
        compare_objects(options)
        return
    (options.objects,) = options.objects
    if options.other is None:
        parser.error("give another checkout, or several numbers as --objects 1,2,3")
    if options.task != "track" or options.processor:
        compare_processor_time((options.other, here), options)
        return
    rounds = [
        [frames_per_second(root, options) for root in (options.other, here)] for _ in range(options.rounds)
    ]
    before, now = (median(side) for side in zip(*rounds, strict=True))
    print("| objects | threads | busy neighbours | other, frames/s | here, frames/s | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    case = f"{options.objects} | {options.threads} | {options.busy}"
    print(f"| {case} | {before:.2f} | {now:.2f} | {now / before:.2f} |")


if __name__ == "__main__":
    main()
