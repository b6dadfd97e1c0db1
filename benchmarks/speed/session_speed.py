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

    python -m benchmarks.speed.session_speed /tmp/before --scene shaken --data ../shared/data \\
        --task foreground
    python -m benchmarks.speed.session_speed --scene crown --data ../shared/data --count 200 \\
        --task foreground --without agreement

    python -m benchmarks.speed.session_speed --frames DAVIS/JPEGImages/240p/goat \\
        --mask DAVIS/Annotations/240p/goat/00000.png --objects 1,2,3,4

With ``--busy 1`` another process keeps one core busy meanwhile, as a compiler or a training would. Two
threads may then take 1.3 times the time of one at most.

Each run is a process of its own that tracks the first frames; the first six are not timed. Several objects
are vertical parts of the mask. Prints a Markdown table with the medians of the rounds. With ``--task
foreground`` or ``instances`` it finds the foreground by mustan-lite, or the instances by the default network,
with one thread, and compares the processor time. Both sides compute each frame in turn, and the least of all
rounds counts: the speed of a busy machine differs from minute to minute. ``--processor`` does so for
tracking. ``--scene`` is the first video of a group of scenes of ``benchmarks.accuracy.foreground_scores``.
``--without`` compares this checkout with and without a stage of the foreground. Several numbers of objects
are compared in the same way, without another checkout: the table shows what each further object takes of the
first one's time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
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
import importlib, sys, time
root, folder, count, task, mask, without = sys.argv[1:]
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
    stages = {"without": [without]} if without else {}
    session = ForegroundSession(segue.load("mustan-lite"), **stages)
    steps = (session.step(segue.types.Frame(i, i / 25, image)) for i, image in enumerate(images))
else:
    steps = segue.instances(images)
print(len(images), flush=True)
for _ in sys.stdin:
    begun = time.process_time()
    next(steps)
    print(time.process_time() - begun, flush=True)
"""
"""Prints the number of images, then for each line that it reads the processor time of a frame."""


def start(root: Path, without: str, options: argparse.Namespace) -> subprocess.Popen[str]:
    """Start a session in the checkout ``root``, without a stage."""
    given = [root, options.frames, options.count, options.task, options.mask, without]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", RUN_TASK, *map(str, given)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True, bufsize=1)


def processor_times(sides: Sequence[tuple[Path, str]], options: argparse.Namespace) -> list[list[float]]:
    """Seconds of each timed frame of each side; all sides compute a frame in turn."""
    with ExitStack() as stack:
        sessions = [stack.enter_context(start(*side, options)) for side in sides]
        counts = [int(answer(session)) for session in sessions]
        seconds = [[float(answer(each, "\n")) for each in sessions] for _ in range(min(counts))]
    return [list(side) for side in zip(*seconds[UNTIMED:], strict=True)]


def answer(session: subprocess.Popen[str], line: str = "") -> str:
    """The next line of a session, after one for it."""
    assert session.stdin is not None
    assert session.stdout is not None
    session.stdin.write(line)
    return session.stdout.readline()


def compare_processor_time(sides: Sequence[tuple[Path, str]], options: argparse.Namespace) -> None:
    """Time the frames of two checkouts, each without a stage or with all, and print a table."""
    rounds = [processor_times(sides, options) for _ in range(options.rounds)]
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


@contextmanager
def images_of(options: argparse.Namespace) -> Iterator[Path]:
    """The folder of images; those of a scene are written into a temporary one."""
    if options.scene is None:
        yield options.frames
        return
    import cv2

    from benchmarks.lib.foreground_scenes import development_scenes
    from benchmarks.lib.foreground_swaying import swaying_scenes

    groups = {**development_scenes(options.data), **swaying_scenes(options.data)}
    if options.scene not in groups:
        raise SystemExit(f"--scene {options.scene}: there are {', '.join(groups)}")
    with tempfile.TemporaryDirectory() as name:
        for index, (image, _) in enumerate(islice(groups[options.scene][0].shots(), options.count)):
            cv2.imwrite(f"{name}/{index:06}.png", image[..., ::-1])
        yield Path(name)


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
    images = parser.add_mutually_exclusive_group(required=True)
    images.add_argument("--frames", type=Path, help="folder of images")
    images.add_argument("--scene", help="such as shaken or crown, with --task foreground")
    parser.add_argument("--data", type=Path, help="folder of the data of --scene")
    parser.add_argument("--mask", type=Path, help="mask of the first image, to track")
    parser.add_argument("--task", choices=("track", "foreground", "instances"), default="track")
    parser.add_argument("--without", default="", help="compare with the foreground without this stage")
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
    if (options.scene is None) != (options.data is None):
        parser.error("--scene and --data: give both, or --frames")
    if (options.scene or options.without) and options.task != "foreground":
        parser.error("--scene and --without are for --task foreground")
    if len(options.objects) > 1:
        if options.task != "track" or options.other is not None or 1 not in options.objects:
            parser.error("--objects: several numbers, with 1 among them, are for tracking in this checkout")
        compare_objects(options)
        return
    (options.objects,) = options.objects
    if (options.other is None) != bool(options.without):
        parser.error("give another checkout, --without, or several numbers as --objects 1,2,3")
    if options.task != "track" or options.processor:
        with images_of(options) as options.frames:
            compare_processor_time([(options.other or here, options.without), (here, "")], options)
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
