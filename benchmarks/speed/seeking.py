"""What ``--start`` and ``--reverse`` cost in a long video: processor time beside that of a forward run.

The video has the frames of the bundled one again and again, and a key frame every 250 frames, as encoders
place them. Ends with 1 where a bound is exceeded.

Example::

    python -m benchmarks.speed.seeking
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

import segue
from benchmarks.lib.machine import describe, processor_seconds
from segue.prompt_types import BoxPrompt
from segue.sessions.videos.reverse import ReversePass
from segue.types import Frame, Segmentation

SAMPLE = Path(__file__).resolve().parents[2] / "src" / "segue" / "assets" / "sample" / "video.mp4"
BOX = (160.0, 60.0, 280.0, 180.0)
START_SECONDS, REVERSE_TIMES = 2.0, 1.3
"""Bounds: seconds to the first frame of the last hundred, and times a forward run."""


class Nothing:
    """A session that follows nothing, so that reading alone is measured."""

    def step(self, frame: Frame, prompts: object = None) -> Segmentation:
        """A result without objects."""
        return Segmentation(frame.index, frame.time, np.zeros(frame.size, np.uint8))

    def reset(self) -> None:
        """There is nothing to forget."""


def images() -> Iterator[Any]:
    """Images of the bundled video, forwards and backwards by turns, so that there is no cut."""
    images = [frame.image for frame in segue.open_source(SAMPLE)]
    return itertools.cycle([*images, *reversed(images)])


def write_video(path: Path, count: int, height: int) -> None:
    """Encode ``count`` frames, with a key frame every 250."""
    width = height * 9 // 5
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=24, width=width, height=height)
        for image in itertools.islice(images(), count):
            resized = cv2.resize(image, (width, height))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(resized, format="rgb24")))
        container.mux(stream.encode())


def seconds_of(work: Callable[[], object]) -> float:
    """Processor seconds of all threads of this process."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def backwards(video: Path, last: int) -> None:
    """Read a video as ``--reverse`` does."""
    prompts = {last: [BoxPrompt(1, BOX)]}
    for _ in ReversePass(Nothing(), segue.open_source(video), lambda _: prompts).learning():  # type: ignore[arg-type]
        pass


def run(video: Path, end: int, out: Path, *words: str) -> float:
    """Processor seconds of ``segue track`` over the first frames of a video."""
    words = ("track", str(video), "--end", str(end), "--format", "png", "--device", "cpu", "-q", *words)
    return processor_seconds(["-m", "segue", *words, "-o", str(out)])


def main() -> int:
    """Print a table; 1 where a bound is exceeded."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=3000, help="of the video")
    parser.add_argument("--height", type=int, default=240, help="of its frames, in pixels")
    parser.add_argument("--tracked", type=int, default=100, help="frames of the runs that track")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, last = Path(name), options.frames - 1
        video = folder / "video.mp4"
        write_video(video, options.frames, options.height)
        begun = time.perf_counter()
        start = seconds_of(lambda: next(iter(segue.open_source(video, start=last - 99))))
        waited = time.perf_counter() - begun
        tail = seconds_of(lambda: list(segue.open_source(video, start=last - 99)))
        ahead = seconds_of(lambda: [frame.index for frame in segue.open_source(video)])
        back = seconds_of(lambda: backwards(video, last))
        box = ",".join(f"{side:g}" for side in BOX)
        forward = run(video, options.tracked, folder / "forward", "--box", box)
        at = f"{options.tracked - 1}@{box}"
        reverse = run(video, options.tracked, folder / "reverse", "--box", at, "--reverse")
    rows = [
        (f"first frame of `--start {last - 99}`, {waited:.1f} s elapsed", start, None),
        ("the last 100 frames", tail, None),
        (f"all {options.frames} frames, forwards", ahead, 1.0),
        (f"all {options.frames} frames, read as by `--reverse`", back, back / ahead),
        (f"`segue track`, {options.tracked} frames", forward, 1.0),
        (f"`segue track --reverse`, {options.tracked} frames", reverse, reverse / forward),
    ]
    print(
        describe(1),
        "",
        "| step | CPU seconds | times a forward run |",
        "| --- | --- | --- |",
        sep="\n",
    )
    for what, seconds, times in rows:
        print(f"| {what} | {seconds:.2f} | {'' if times is None else f'{times:.2f}'} |")
    slow = start > START_SECONDS
    if slow:
        print(f"the first frame takes {start:.2f} s, more than {START_SECONDS}", file=sys.stderr)
    long = reverse > REVERSE_TIMES * forward
    if long:
        print(
            f"--reverse takes {reverse / forward:.2f} times a forward run, more than {REVERSE_TIMES}",
            file=sys.stderr,
        )
    return int(slow or long)


if __name__ == "__main__":
    sys.exit(main())
