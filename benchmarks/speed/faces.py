"""One job by Python function, command line, batch worker and bare session: processor time side by side.

A bare session is the loop that everybody would write: open the video, step, write the mask. The four are
processes of their own with one thread each and take turns, and each goes through a long and through a short
part of it: the difference leaves out what starting costs. Time is that of the processor, of the process
and all its children, threads included. Whatever else the machine does can only add to it, so that of the
rounds the least time of each part counts, not the middle one; where a face seems to cost too much, as many
rounds follow once more. Their masks must be the same bytes. What fails is named at the end.

Example::

    python -m benchmarks.speed.faces --rounds 5
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.lib.machine import describe, processor_seconds

SAMPLE = Path(__file__).resolve().parents[2] / "src" / "segue" / "assets" / "sample"
VIDEO, FIRST = SAMPLE / "video.mp4", SAMPLE / "first.png"
SHORT = 8  # frames of the short part: tracking is at its usual speed from then on
BOUND = 1.05  # times the bare session from which on a face costs too much

BARE = """
import sys
from pathlib import Path

import segue
from segue.masks import read_index_mask, write_index_mask

video, first, end, out = sys.argv[1:]
Path(out).mkdir(parents=True)
session = segue.TrackSession("stcn-lite", device="cpu")
for frame in segue.open_source(video, end=int(end)):
    result = session.step(frame, read_index_mask(first) if frame.index == 0 else None)
    write_index_mask(Path(out) / f"{frame.index:05d}.png", result.mask)
"""

FUNCTION = """
import sys

import segue

video, first, end, out = sys.argv[1:]
source = segue.open_source(video, end=int(end))
segue.track(source, first, model="stcn-lite", device="cpu").save(out, formats=["png"])
"""


def bare(end: int, out: Path) -> Sequence[str]:
    """A loop over a session; ``end`` frames, masks into ``out``/masks."""
    return ["-c", BARE, str(VIDEO), str(FIRST), str(end), str(out / "masks")]


def function(end: int, out: Path) -> Sequence[str]:
    """``segue.track``."""
    return ["-c", FUNCTION, str(VIDEO), str(FIRST), str(end), str(out)]


def command(end: int, out: Path) -> Sequence[str]:
    """``segue track``."""
    words = ["track", str(VIDEO), "--mask", str(FIRST), "--end", str(end), "--format", "png"]
    return ["-m", "segue", *words, "--model", "stcn-lite", "--device", "cpu", "-q", "-o", str(out)]


def batch(end: int, out: Path) -> Sequence[str]:
    """``segue batch`` with one worker."""
    out.mkdir()
    videos = out / "videos.csv"
    videos.write_text(f"source,name,mask\n{VIDEO},video,{FIRST}\n", encoding="utf-8")
    words = [
        "batch",
        str(videos),
        "--do",
        "track",
        "--end",
        str(end),
        "--format",
        "png",
        "--model",
        "stcn-lite",
    ]
    return [
        "-m",
        "segue",
        *words,
        "--device",
        "cpu",
        "-q",
        "--workers",
        "1",
        "--threads",
        "1",
        "-o",
        str(out / "b"),
    ]


Times = dict[str, tuple[list[float], list[float]]]
"""Seconds of the short and of the long part by face, one for each round."""

FACES: dict[str, Callable[[int, Path], Sequence[str]]] = {
    "bare session": bare,
    "Python function": function,
    "command line": command,
    "batch worker": batch,
}


def masks(out: Path) -> list[bytes]:
    """The mask files below a folder, in the order of the frames."""
    return [path.read_bytes() for path in sorted(out.rglob("0*.png"))]


def in_turn(turn: int) -> list[str]:
    """The faces, another one first in each round."""
    names = list(FACES)
    first = turn % len(names)
    return names[first:] + names[:first]


def seconds_of_a_frame(short: Sequence[float], long: Sequence[float], frames: int) -> float:
    """What a frame takes, from the times of both parts in several rounds.

    The least of the differences of a round would prefer a round whose short part was disturbed, so that the
    least of each part is taken first.

    Args:
        short: seconds for the first :data:`SHORT` frames, one for each round.
        long: seconds for all frames.
        frames: number of all frames.
    """
    return (min(long) - min(short)) / (frames - SHORT)


def measure(turn: int, folder: Path, frames: int, seconds: Times) -> None:
    """Add the seconds of one round; ends the program where masks differ."""
    written = {}
    for name in in_turn(turn):
        for part, end, times in zip(("short", "long"), (SHORT, frames), seconds[name], strict=True):
            out = folder / f"{turn} {name} {part}"
            times.append(processor_seconds(FACES[name](end, out)))
            print(f"{name}, {part} part: {times[-1]:.2f} s", file=sys.stderr, flush=True)
        written[name] = masks(out)
    for name, found in written.items():
        if found != written["bare session"]:
            raise SystemExit(f"the masks of the {name} differ from those of the bare session")


def ratios_of(seconds: Times, frames: int) -> dict[str, float]:
    """What a frame takes, times the bare session."""
    least = {name: seconds_of_a_frame(*times, frames) for name, times in seconds.items()}
    return {name: value / least["bare session"] for name, value in least.items()}


def main() -> int:
    """Print a table; 1 where a face costs more than :data:`BOUND` times the bare session."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=48, help="of the long part")
    options = parser.parse_args()
    seconds: Times = {name: ([], []) for name in FACES}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(2 * options.rounds):
            if turn >= options.rounds and max(ratios_of(seconds, options.frames).values()) <= BOUND:
                break
            measure(turn, Path(folder), options.frames, seconds)
    ratios = ratios_of(seconds, options.frames)
    print(describe(1), "", "| interface | CPU ms per frame | times the bare session |", sep="\n")
    print("| --- | --- | --- |")
    for name, ratio in ratios.items():
        value = seconds_of_a_frame(*seconds[name], options.frames)
        print(f"| {name} | {1000 * value:.1f} | {ratio:.2f} |")
    dear = [f"{name} takes {ratio:.3f} times" for name, ratio in ratios.items() if ratio > BOUND]
    if dear:
        print(f"{', '.join(dear)} the bare session; the bound is {BOUND}", file=sys.stderr)
    return int(bool(dear))


if __name__ == "__main__":
    sys.exit(main())
