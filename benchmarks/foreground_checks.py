"""What a foreground model must not do: the acceptance test of a new weight file.

Example::

    python benchmarks/foreground_checks.py --weights runs/lite/mustan-lite.safetensors \\
        --data ../shared/data/foreground/cdnet2014 --isd ISD

Events are put into labelled real videos: cut, light switch, exposure jump, missing frames, other
resolution, empty scene, somebody who stops or leaves, waving background, screen. Rendered videos bring moving
backgrounds and lights of their own. Prints a Markdown table with the limits; the exit status is 1 if one is
exceeded.
"""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from foreground_clips import Labels, Video, read_videos
from foreground_events import Event, events
from foreground_methods import session
from machine import describe
from segue.datasets.isd import MOVING_BACKGROUND, IsdClip, open_isd
from segue.errors import SegueError
from segue.jobs.running import results
from segue.metrics.foreground import Counts, ForegroundAccumulator
from segue.sessions.foreground import ForegroundSession, ForegroundWarning
from segue.types import Frame, IndexMask

FLOOD = 0.10
"""Limit of wrong foreground on any frame after an event, as a share of the pixels."""

SETTLED = 0.01
"""Limit of the same over the last frames."""

KEPT = 0.8
"""Limit of the recall after an event, in parts of that before it."""

LAST = 20
"""Frames over which the beginning and the end of something are averaged."""

STILL = 0.85
"""Limit of the recall of somebody who really stands still."""

HARDLY = 0.05
"""Limit of the share of moving background, such as water and screens, that is foreground."""

STANDS = "stands still"
"""Name of the check of somebody who really does."""

LIGHTS = frozenset({"switch", "flash", "flicker", "drift"})
"""Tags of rendered videos in which the light changes."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the table.

    Attributes:
        name, video: what is checked, on what.
        measured: the value.
        limit: what it is compared with.
        least: the value must be at least, not at most, as large.
    """

    name: str
    video: str
    measured: float
    limit: float
    least: bool = False

    @property
    def passed(self) -> bool:
        """Whether the limit is kept; what could not be measured has not passed."""
        return self.measured >= self.limit if self.least else self.measured <= self.limit


def check_event(event: Event, model: ForegroundSession) -> Iterator[Check]:
    """Play an event and look at what comes after it."""
    counts = play(event.video, model)
    before, after = counts[max(0, event.at - LAST) : event.at], counts[event.at :]
    name = event.name
    yield Check(f"{name}: wrong on the worst frame", event.video.name, max(map(wrong, after)), FLOOD)
    end = float(np.mean([wrong(item) for item in after[-LAST:]]))
    yield Check(f"{name}: wrong at the end", event.video.name, end, SETTLED)
    if recall(before) > 0 and not math.isnan(recall(after)) and name not in ("scene cut", "other resolution"):
        kept = recall(after) / recall(before)
        yield Check(f"{name}: recall, parts of that before", event.video.name, kept, KEPT, least=True)


def check_still(video: Video, model: ForegroundSession) -> Check:
    """Recall at the end of a video in which somebody stands for long."""
    found = recall(play(video, model)[-2 * LAST :])
    return Check(f"{STANDS}: recall at the end", video.name, found, STILL, least=True)


def check_rendered(root: Path, fresh: Fresh) -> Iterator[Check]:
    """Moving backgrounds and changing lights of rendered videos whose camera stands still."""
    hit = seen = clips = 0
    worst = 0.0
    for sequence in open_isd(root):
        clip = IsdClip.of(sequence)
        meta = clip.read_meta()
        if meta.camera != "static":
            continue
        clips += 1
        stamped = (Frame(i, i / meta.fps, sequence.read_image(i)) for i in range(len(sequence)))
        for result in results(fresh(), stamped):
            labels, mask = sequence.read_labels(result.index), result.mask == 1
            if LIGHTS.intersection(meta.tags):
                worst = max(worst, wrong(count(mask, labels, None)))
            moves = (clip.read_instances(result.index) >= MOVING_BACKGROUND) & (labels == 0)
            hit, seen = hit + int((mask & moves).sum()), seen + int(moves.sum())
    name = f"{clips} rendered videos"
    yield Check("doors, screens, curtains, water: share that is foreground", name, _share(hit, seen), HARDLY)
    yield Check("lights that change: wrong on the worst frame", name, worst, FLOOD)


def play(video: Video, model: ForegroundSession) -> list[Counts]:
    """Counts of each labelled frame."""
    truths: dict[int, Labels] = {}

    def frames() -> Iterator[Frame]:
        for frame, labels in video.frames():
            if labels is not None:
                truths[frame.index] = labels
            yield frame

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ForegroundWarning)
        found = [(result.index, result.mask) for result in results(model, frames())]
    return [count(mask, truths[index], video.roi) for index, mask in found if index in truths]


def count(mask: IndexMask, labels: Labels, roi: npt.NDArray[np.bool_] | None) -> Counts:
    """Counts of one frame; the region of interest is resized to it."""
    if roi is not None and roi.shape != labels.shape:
        height, width = labels.shape
        roi = cv2.resize(roi.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    return ForegroundAccumulator(roi=roi, threshold=1).update(mask == 1, labels)


def wrong(item: Counts) -> float:
    """Wrong foreground as a share of the pixels that count."""
    return _share(item.fp, item.tp + item.fp + item.fn + item.tn)


def recall(counts: Sequence[Counts]) -> float:
    """Recall over some frames, NaN where nothing moves."""
    total = sum(counts, Counts())
    return _share(total.tp, total.tp + total.fn)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def table(checks: Sequence[Check]) -> str:
    """Markdown."""
    lines = ["| check | video | measured | limit | |", "| --- | --- | ---: | ---: | --- |"]
    for item in checks:
        limit = f"{'≥' if item.least else '≤'} {item.limit:g}"
        verdict = "pass" if item.passed else "**fail**"
        lines.append(f"| {item.name} | {item.video} | {item.measured:.4f} | {limit} | {verdict} |")
    return "\n".join(lines)


class Fresh:
    """Makes sessions of one model."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options

    def __call__(self) -> ForegroundSession:
        options = self._options
        return session(
            options.model,
            weights=options.weights,
            without=options.without or (),
            device=options.device,
            fast=options.fast,
        )


def run(options: argparse.Namespace) -> list[Check]:
    """All checks, printed one by one."""
    fresh, found = Fresh(options), []
    videos = read_videos(options.data, options.videos.split(","))

    def take(checks: Iterator[Check]) -> None:
        for item in checks:
            print(f"  {item.video}, {item.name}: {item.measured:.4f}", file=sys.stderr, flush=True)
            found.append(item)

    for event in events(videos):
        if not options.only or event.name in options.only:
            take(check_event(event, fresh()))
    if not options.only or STANDS in options.only:
        take(iter([check_still(videos[-1], fresh())]))
    if options.isd:
        take(check_rendered(options.isd, fresh))
    return found


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add("--model", default="mustan-lite", help="network, or a classical method of foreground_scores.py")
    add("--weights", type=Path, help="weight file; default: the bundled one")
    add("--data", type=Path, required=True, help="folder of CDnet2014")
    add(
        "--videos",
        default="baseline/highway,baseline/office",
        help="category/video; in the last one\nsomebody stands still",
    )
    add("--isd", type=Path, help="videos of `segue synth isd`, with their instance maps")
    add("--only", type=lambda text: text.split(","), help=f"events by name, or {STANDS}, with commas between")
    add("--without", action="append", help="stage to leave out; may be given several times")
    add("--fast", action="store_true", help="bfloat16 where the hardware has it")
    add("--device", default="cpu")
    add("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check and print."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    try:
        checks = run(options)
    except SegueError as error:
        sys.exit(f"error: {error}")
    print(f"{options.model}, {options.weights or 'bundled weights'}")
    print(f"{describe(options.threads, options.device)}\n")
    print(table(checks))
    return 0 if all(item.passed for item in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
