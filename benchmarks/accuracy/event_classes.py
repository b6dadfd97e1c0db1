"""Count the visits of real videos whose class is right, of those with events.

Example::

    python -m benchmarks.accuracy.event_classes --data ../shared/data --every 5

Frames go through a session, a monitor of events and a detector with their defaults, as those of a camera do.
All objects of a video are of one kind: vehicles on a road, people in a room. The class counts that the last
event of a visit has.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.lib.foreground_clips import FPS, Video, read_videos, sbi_videos
from benchmarks.lib.machine import describe
from segue.events.monitor import EventMonitor
from segue.events.rules import EventRules, with_groups
from segue.events.table import UNKNOWN
from segue.jobs.foreground import object_namer
from segue.sessions.foreground.masks import ForegroundMasks
from segue.sessions.foreground.session import ForegroundSession
from segue.types import Frame

KINDS = {
    "baseline/highway": "vehicle",
    "HighwayI": "vehicle",
    "baseline/office": "person",
    "Board": "person",
    "CaVignal": "person",
}
"""What there is in each video."""


def classes_of(video: Video, every: int, model: str, detector: str) -> Counter[str]:
    """Classes of the visits of a video, of which every so-manieth frame is taken."""
    session = ForegroundSession(model, masks=ForegroundMasks(objects=True))
    rules = EventRules().at_rate(FPS / every)
    monitor = EventMonitor(rules=rules, name=object_namer(detector, None))
    counts = Counter[str]()
    waiting = list[Frame]()
    for number, (frame, _) in enumerate(list(video.frames())[::every]):
        current = Frame(number, number * every / FPS, frame.image)
        waiting.append(current)
        result = session.step(current)
        events = [] if result is None else monitor.update(waiting.pop(0), result)[1]
        counts.update(event.label or UNKNOWN for event in events if event.event == "leave")
    for result in session.finish():
        _, events = monitor.update(waiting.pop(0), result)
        counts.update(event.label or UNKNOWN for event in events if event.event == "leave")
    counts.update(event.label or UNKNOWN for event in monitor.finish() if event.event == "end")
    return counts


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--every", type=int, default=5, help="frames from one to the next")
    parser.add_argument("--model", default="mustan-lite")
    parser.add_argument("--detector", default="nanodet")
    options = parser.parse_args(arguments)
    folder = options.data / "foreground"
    videos = {video.name: video for video in sbi_videos(folder / "sbi2015")}
    wanted = [name for name in KINDS if name not in videos]
    videos |= {video.name: video for video in read_videos(folder / "cdnet2014", wanted)}
    print(f"Measured on {describe(torch.get_num_threads())}\n")
    print("| kind | visits | right | unknown | wrong |\n| --- | --- | --- | --- | --- |")
    for kind in dict.fromkeys(KINDS.values()):
        counts = Counter[str]()
        for name in (name for name, each in KINDS.items() if each == kind):
            video = videos[name.rpartition("/")[2]]
            counts += classes_of(video, options.every, options.model, options.detector)
        total, right = counts.total(), sum(counts[label] for label in with_groups([kind]))
        unknown = counts[UNKNOWN]
        print(f"| {kind} | {total} | {right} | {unknown} | {total - right - unknown} |", flush=True)


if __name__ == "__main__":
    main()
