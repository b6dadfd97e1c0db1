"""Count the events of empty scenes, which all are false, and the objects of real videos that have one.

Example::

    python -m benchmarks.accuracy.foreground_false_events --data ../shared/data --minutes 10 --fps 10
    python -m benchmarks.accuracy.foreground_false_events --data ../shared/data \\
        --only "highway, night" --frames 120

Frames go through a session and a table of events with their defaults, as those of a camera do: one pass, from
a cold start. An empty scene is the median of a video with the noise of a sensor; rain, snow, headlights and
insects before it are drawn anew every half minute, and made while they are looked at. An object of a real
video is what the labels show, followed by the tracker of the session, if it would have an event itself; it
counts as found where objects with events cover half of it on half of its frames. Films of what stays are
rendered, 160 pixels wide.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from benchmarks.lib.foreground_clips import (
    FPS,
    Labels,
    Video,
    changed,
    empty_scene,
    night,
    read_videos,
    sbi_videos,
)
from benchmarks.lib.foreground_scenes import altered, headlights, insects, rain, snow
from benchmarks.lib.foreground_stays import (
    STAYS,
    Stay,
    busy_videos,
    cloud,
    drops,
    flag,
    infrared,
    lamps,
    stay_images,
)
from benchmarks.lib.machine import describe
from segue.datasets.foreground.labels import MOTION, OUTSIDE, UNKNOWN
from segue.events import Event, EventRules, EventSink
from segue.events.scene.memory import SceneMemory
from segue.sessions.foreground.components import ComponentTracker
from segue.sessions.foreground.masks import ForegroundMasks
from segue.sessions.foreground.session import SHORT_SIDE, ForegroundSession
from segue.types import Frame, Image, Segmentation
from segue.video import open_source
from segue_train.data.foreground.scenery import Effect
from segue_train.data.warp import Rng, Size

RENEWED = 30.0
"""Seconds after which an effect is drawn anew."""

COVERED = 0.5
"""Share of an object that must be covered, and of its frames on which it must be."""

LONG = 0.6
"""Seconds for which an object is in view that should be found."""

Make = Callable[[Rng, Size], Effect]
"""Draws an effect for images of a size."""


def shaking(rng: Rng, _: Size) -> Effect:
    """A mast in the wind: a sum of sines moves the image by some pixels."""
    turns, phases = rng.uniform(0.02, 0.3, (2, 3)), rng.uniform(0, 2 * np.pi, (2, 3))

    def move(image: Image, index: int) -> Image:
        across, down = 1.5 * np.sin(2 * np.pi * turns * index + phases).sum(axis=1)
        matrix = np.array([[1, 0, across], [0, 1, down]], np.float32)
        size = image.shape[1], image.shape[0]
        return np.asarray(cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)

    return move


EMPTY: dict[str, tuple[str, Make | None]] = {
    "empty office": ("office", None),
    "empty road": ("highway", None),
    "shaken road": ("highway", shaking),
    "rain": ("highway", rain),
    "snow": ("office", snow),
    "headlights at night": ("highway, night", headlights),
    "insects": ("office", insects),
    "a flag": ("highway", flag),
    "lamps switched on and off": ("office", lamps),
    "clouds": ("highway", cloud),
    "drops on the lens": ("office", drops),
    "infrared on and off": ("office", infrared),
}
"""Before which scene, and what is before it."""

FIXED = (flag, lamps, cloud, drops, infrared)
"""Effects that are drawn once: they stay where they are, and go on five times a second."""

SWAYING = "swaying trees"
"""Frames of Wallflower before anybody enters, forwards and backwards again and again."""

SWAYING_FRAMES = 240

VIDEOS = ["baseline/highway", "baseline/office"]
"""What all scenes are made of."""


@dataclass(frozen=True, slots=True)
class Recall:
    """Objects of a video by its labels, and how many of them were found.

    Attributes:
        objects: that have an event by their labels.
        found: of these.
        long: those that are in view for :data:`LONG` seconds.
        long_found: of these.
        others: found objects with an event that lie on none of them, mostly.
        seconds: of the video.
    """

    objects: int
    found: int
    long: int
    long_found: int
    others: int
    seconds: float


class EventCounter:
    """The table of events with its defaults; notes which objects come, and when.

    Args:
        folder: where it is.
        fps: frames a second, if known.
        live: whether it is that of a camera, with what a camera knows of its scene.
    """

    def __init__(self, folder: Path, fps: float | None = None, *, live: bool = True) -> None:
        self.enters: dict[int, Event] = {}
        self.leaves: dict[int, Event] = {}
        rules = EventRules().at_rate(fps)
        memory = SceneMemory() if live else None
        self._sink = EventSink(
            folder / "events.csv", rules=rules, live=live, memory=memory, on_event=self._note
        )

    def write(self, frame: Frame, result: Segmentation) -> None:
        """Take the next result."""
        self._sink.write(frame, result)

    def close(self) -> None:
        """There are no more frames."""
        self._sink.close()

    def _note(self, event: Event) -> None:
        if event.event == "enter":
            self.enters[event.object] = event
        elif event.event in ("leave", "end"):
            self.leaves[event.object] = event


def empty_images(video: Video, kind: str, fps: float, count: int, seed: int = 0) -> Iterator[Image]:
    """An empty scene with what is before it, one image after the other.

    Args:
        video: whose median is the empty scene.
        kind: a key of :data:`EMPTY`.
        fps: images a second.
        count: images.
        seed: of all that is drawn.
    """
    place, make = EMPTY[kind]
    scene = empty_scene(video, count)
    if place.endswith("night"):
        scene = changed(scene, "night", night, count)
    every = max(1, round(RENEWED * fps))
    effect: Effect | None = None
    for index, (image, _) in enumerate(scene.shots()):
        if make is not None and (effect is None or (index % every == 0 and make not in FIXED)):
            effect = make(np.random.default_rng([seed, index]), (image.shape[0], image.shape[1]))
        time = int(5 * index // fps) if make in FIXED else index
        yield image if effect is None else effect(image.copy(), time)


def swaying_images(root: Path, count: int) -> Iterator[Image]:
    """Trees that sway, without anybody."""
    with open_source(root / "foreground/wallflower/WavingTrees/input", end=SWAYING_FRAMES) as source:
        images = [frame.image for frame in source]
    return islice(cycle([*images, *images[-2:0:-1]]), count)


def new_session(short_side: int) -> ForegroundSession:
    """A session that follows objects, with its defaults."""
    return ForegroundSession(
        "mustan-lite", masks=ForegroundMasks(objects=True), short_side=short_side, device="cpu"
    )


def count_events(images: Iterable[Image], fps: float, session: ForegroundSession) -> EventCounter:
    """The events of a film."""
    with tempfile.TemporaryDirectory() as folder:
        counter = EventCounter(Path(folder), fps)
        for index, image in enumerate(images):
            frame = Frame(index, index / fps, image)
            result = session.step(frame)
            assert result is not None  # mustan-lite waits for no frame that comes later
            counter.write(frame, result)
        counter.close()
    return counter


@dataclass(frozen=True, slots=True)
class Visit:
    """What the events say of something that stays.

    Attributes:
        seconds: of the longest visit, in which it is one object.
        expected: seconds for which it is in view.
        passers: who walk by meanwhile.
        others: objects with an event beside it and them.
    """

    seconds: float
    expected: float
    passers: int
    others: int


def visit_of(images: Iterable[Image], fps: float, session: ForegroundSession, stay: Stay) -> Visit:
    """What the events of a film say of something that stays."""
    counter = count_events(images, fps, session)
    for number, event in counter.enters.items():
        print(f"  {event}\n  {counter.leaves.get(number)}", file=sys.stderr, flush=True)
    begin, end = stay.times
    seconds = max((event.seconds for event in counter.leaves.values()), default=0.0)
    passers = len(stay.passers)
    return Visit(seconds, end - begin, passers, len(counter.enters) - 1 - passers)


def recall(video: Video, session: ForegroundSession, every: int = 1) -> Recall:
    """How many objects of a video have an event, where the session takes every so many frames.

    Where frames are left out a fast object may have the place of the one before: an object with an event then
    counts for one true object, and for others that it covers on the same frame, such as a person's leg.
    """
    truth = ComponentTracker(confirmed=1)
    # Of a true object by frame: pixels, and what is there.
    under: dict[int, dict[int, tuple[int, Counter[int]]]] = {}
    inside: Counter[int] = Counter()  # pixels of found objects that lie in true ones
    times: list[float] = []
    known: Counter[int] = Counter()  # and those of which the labels say what they are
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        true_events, events = EventCounter(Path(one), live=False), EventCounter(Path(other), FPS / every)
        for shot, labels in video.frames():
            times.append(shot.time)
            mask = np.zeros(video.roi.shape, bool)
            if labels is not None:
                mask = np.asarray((labels == MOTION) & video.roi)
                numbers, objects = truth.update(mask, shot.time, mask.astype(np.float32))
                true_events.write(shot, Segmentation(shot.index, shot.time, numbers, objects))
            if shot.index % every:
                continue
            result = session.step(shot)
            assert result is not None
            events.write(shot, result)
            if labels is None:
                continue
            known.update(_pixels(result.mask[(labels != UNKNOWN) & (labels != OUTSIDE) & video.roi]))
            for number, pixels in _pixels(numbers).items():
                there = _pixels(result.mask[numbers == number])
                under.setdefault(number, {})[shot.index] = (pixels, there)
                inside.update(there)
        true_events.close()
        events.close()
    told = set(events.enters)
    visible = {number: under[number] for number in true_events.enters if number in under}
    if every > 1:
        found = _matches(visible, told)
    else:
        found = {number for number, frames in visible.items() if _is_covered(frames, told)}
    long = {number for number in visible if true_events.leaves[number].seconds >= LONG}
    others = sum(known[key] > 0 and inside[key] < COVERED * known[key] for key in told)
    return Recall(len(visible), len(found), len(long), len(long & found), others, times[-1] - times[0])


def _is_covered(frames: Mapping[int, tuple[int, Counter[int]]], told: Collection[int]) -> bool:
    """Whether objects with events cover a true object on enough of its frames."""
    hits = [
        sum(n for key, n in there.items() if key in told) >= COVERED * pixels
        for pixels, there in frames.values()
    ]
    return sum(hits) >= COVERED * len(hits)


def _matches(
    visible: Mapping[int, Mapping[int, tuple[int, Counter[int]]]], told: Collection[int]
) -> set[int]:
    """True objects that an object with an event covers on a frame, those with most such frames first.

    An object with an event counts for several only where it covers them on one frame.
    """
    covered: dict[tuple[int, int], set[int]] = {}
    for number, frames in visible.items():
        for index, (pixels, there) in frames.items():
            for key, n in there.items():
                if key in told and n >= COVERED * pixels:
                    covered.setdefault((number, key), set()).add(index)
    found = set[int]()
    used: dict[int, set[int]] = {}  # of an object with an event: frames on which it covers what it counts for
    for (number, key), indices in sorted(covered.items(), key=lambda item: -len(item[1])):
        if number not in found and (key not in used or used[key] & indices):
            found.add(number)
            used[key] = used.get(key, set()) | indices
    return found


def _pixels(mask: npt.NDArray[Any]) -> Counter[int]:
    """Pixels of each object in a mask."""
    numbers, counts = np.unique(mask[mask > 0], return_counts=True)
    return Counter(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))


def _first(video: Video, length: int) -> Iterator[tuple[Image, Labels | None]]:
    return islice(video.shots(), length)


def real_videos(root: Path, length: int) -> list[Video]:
    """The first frames of videos with objects: SBI2015, and CDnet by day, at night and in bad weather."""
    highway, office = read_videos(root / "foreground/cdnet2014", VIDEOS)
    dark = changed(highway, "night", night, length)
    others = sbi_videos(root / "foreground/sbi2015")
    return [
        *(replace(video, shots=partial(_first, video, length)) for video in others),
        replace(highway, shots=lambda: islice(highway.shots(), length)),
        replace(office, shots=lambda: islice(office.shots(), length)),
        dark,
        altered(dark, "headlights", headlights, 14, length),
        altered(highway, "rain", rain, 3, length),
        altered(office, "snow", snow, 22, length),
    ]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder that holds foreground/cdnet2014")
    add("--minutes", type=float, default=10.0, help="of each empty scene; 0 looks at none")
    add("--fps", type=float, default=FPS, help="frames a second of the empty scenes")
    add("--short-side", type=int, default=SHORT_SIDE, help="of the work, in pixels")
    add("--only", action="append", help="an empty scene or a video by its name; may be given several times")
    add("--frames", type=int, default=300, help="of each real video")
    add("--every", type=int, default=1, help="of so many frames of real videos one is taken: 5 is 5 a second")
    add("--seed", type=int, default=0, help="of what is drawn")
    add("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Count and print."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    print(f"Measured on {describe(options.threads)}.\n", flush=True)
    videos = {video.name: video for video in read_videos(options.data / "foreground/cdnet2014", VIDEOS)}
    real = {video.name: video for video in real_videos(options.data, options.frames)}
    empty = [*EMPTY, SWAYING]
    chosen = options.only or [*(empty if options.minutes else ()), *real]
    real |= {video.name: video for video in busy_videos(options.data, videos["highway"], videos["office"])}
    if unknown := [name for name in chosen if name not in (*empty, *real, *STAYS)]:
        raise SystemExit(f"--only: no {', '.join(unknown)}; there are {'; '.join([*empty, *STAYS, *real])}")
    kinds, names = ([name for name in chosen if name in known] for known in (empty, real))
    count = round(60 * options.minutes * options.fps)
    if kinds:
        print(
            f"| before an empty scene, {options.minutes:g} minutes | events | an hour |\n| --- | --- | --- |"
        )
    for kind in kinds:
        if kind == SWAYING:
            images = swaying_images(options.data, count)
        else:
            plain = videos[EMPTY[kind][0].partition(",")[0]]
            images = empty_images(plain, kind, options.fps, count, options.seed)
        counter = count_events(images, options.fps, new_session(options.short_side))
        found = [*counter.enters.values()]
        for event in found:
            print(f"  {kind}: {event}", file=sys.stderr, flush=True)
        print(f"| {kind} | {len(found)} | {60 * len(found) / options.minutes:.0f} |", flush=True)
    if stays := [name for name in chosen if name in STAYS]:
        print("| what stays | seconds | longest visit | walk by | other events |")
        print("| --- | --- | --- | --- | --- |")
    for name in stays:
        stay = STAYS[name]
        images = stay_images(options.data, videos[stay.video], stay, options.fps)
        visit = visit_of(images, options.fps, new_session(options.short_side), stay)
        print(
            f"| {name} | {visit.expected:.0f} | {visit.seconds:.0f} | {visit.passers} | {visit.others} |",
            flush=True,
        )
    if kinds and names:
        print()
    if names:
        print(
            f"| video | objects | found | in view for {LONG:g} s | found | other events | an hour |\n"
            "| --- | --- | --- | --- | --- | --- | --- |"
        )
    whole = Recall(0, 0, 0, 0, 0, 0.0)
    for name in names:
        item = recall(real[name], new_session(options.short_side), options.every)
        print(_row(name, item), flush=True)
        whole = Recall(*(sum(pair) for pair in zip(astuple(whole), astuple(item), strict=True)))
    if len(names) > 1:
        print(_row("**all**", whole))
    return 0


def _row(name: str, item: Recall) -> str:
    rate = 3600 * item.others / max(item.seconds, 1e-9)
    long = f"{item.long} | {item.long_found}"
    return f"| {name} | {item.objects} | {item.found} | {long} | {item.others} | {rate:.0f} |"


if __name__ == "__main__":
    sys.exit(main())
