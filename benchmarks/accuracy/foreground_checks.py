"""What a foreground model must not do: the acceptance test of a new weight file.

Example::

    python -m benchmarks.accuracy.foreground_checks --weights runs/lite/mustan-lite.safetensors \\
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
from scipy import ndimage

from benchmarks.lib.foreground_clips import Labels, Shot, Video, read_videos
from benchmarks.lib.foreground_methods import session
from benchmarks.lib.machine import describe
from segue.datasets.foreground.isd import MOVING_BACKGROUND, IsdClip, open_isd
from segue.datasets.foreground.labels import MOTION, STATIC, UNKNOWN
from segue.errors import SegueError
from segue.jobs.frame_loop import FrameLoop
from segue.metrics.foreground.counts import Counts, ForegroundAccumulator
from segue.sessions.foreground.background.quantiles import Scene, scene_planes
from segue.sessions.foreground.session import ForegroundSession, ForegroundWarning
from segue.types import Frame, Image, IndexMask

BEFORE, AFTER = 100, 60
"""Frames of a video before and after an event."""

SENSOR = 2.0
"""Standard deviation of the noise that is put on repeated images, in levels."""

LIGHT_OFF = 0.45
"""Share of the light that is left at the darker side of an image when the light is switched off."""

JUMP = 1.45
"""Gain of a camera that changes its exposure from one frame to the next."""

WAVE_PIXELS, WAVE_FRAMES = 3.0, 20
"""Standard deviation of what a background waves, and how many frames a wave takes."""

SCREEN_FRAMES = 5
"""Frames between two images of a screen."""


@dataclass(frozen=True, slots=True)
class Event:
    """A video in which something happens.

    Attributes:
        name: what happens.
        video: the video.
        at: frame from which on all must be well again.
    """

    name: str
    video: Video
    at: int


def cut(first: Video, second: Video) -> Event:
    """One video, then another one of the same size."""

    def shots() -> Iterator[Shot]:
        size = first.roi.shape
        yield from _part(first, 0, BEFORE)
        for image, labels in _part(second, 0, AFTER):
            yield _resized(image, labels, (size[0], size[1]))

    name = f"{first.name} to {second.name}"
    return Event("scene cut", Video(name, np.ones_like(first.roi), shots), BEFORE)


def switched(video: Video) -> Event:
    """The light goes, more at one side than at the other, and comes back."""

    def shots() -> Iterator[Shot]:
        for index, (image, labels) in enumerate(_part(video, 0, BEFORE + AFTER)):
            if BEFORE <= index < BEFORE + AFTER // 2:
                across = np.linspace(LIGHT_OFF, 1.6 * LIGHT_OFF, image.shape[1])[None, :, None]
                image = _bytes(image * across)
            yield image, labels

    return Event("light switch", Video(video.name, video.roi, shots), BEFORE)


def exposed(video: Video) -> Event:
    """The camera takes another exposure, for good."""

    def shots() -> Iterator[Shot]:
        for index, (image, labels) in enumerate(_part(video, 0, BEFORE + AFTER)):
            yield (image if index < BEFORE else _bytes(image * JUMP)), labels

    return Event("exposure jump", Video(video.name, video.roi, shots), BEFORE)


def stopped(video: Video, frames: int = 250) -> Event:
    """The video stands still from some frame on, but for the noise of the sensor."""

    def shots() -> Iterator[Shot]:
        last: Shot | None = None
        for last in _part(video, 0, BEFORE):
            yield last
        assert last is not None
        yield from ((image, last[1]) for image in _noisy(last[0], frames))

    return Event("everybody stops", Video(video.name, video.roi, shots), BEFORE)


def empty(video: Video) -> Event:
    """The scene without anybody."""

    def shots() -> Iterator[Shot]:
        scene = without_anybody(video)
        yield from ((image, _nothing(scene)) for image in _noisy(scene, AFTER))

    return Event("empty scene", Video(video.name, video.roi, shots), 0)


def left(video: Video, leaves: int = 40, heals: int = 150) -> Event:
    """Somebody who was there from the first frame on leaves, and nobody comes: what stays is a ghost."""

    def shots() -> Iterator[Shot]:
        image, labels = max(
            ((image, labels) for image, labels in video.shots() if labels is not None),
            key=lambda shot: int((shot[1] == MOTION).sum()),
        )
        # Somebody who has always been there cannot be told from the scene: that part counts for nothing.
        doubtful = np.where(labels == MOTION, UNKNOWN, STATIC).astype(np.uint8)
        scene = without_anybody(video)
        yield from ((shown, doubtful) for shown in _noisy(image, leaves))
        yield from ((shown, _nothing(scene)) for shown in _noisy(scene, heals + AFTER))

    return Event("somebody leaves", Video(video.name, video.roi, shots), leaves + heals)


def dropped(video: Video) -> Event:
    """The connection fails: frames are missing, a second of them and then two of three."""

    def shots() -> Iterator[Shot]:
        yield from _part(video, 0, BEFORE)
        yield from list(_part(video, BEFORE + 25, BEFORE + 25 + 3 * AFTER))[::3]

    return Event("frames missing", Video(video.name, video.roi, shots), BEFORE)


def resized(video: Video) -> Event:
    """The camera changes its resolution, twice."""

    def shots() -> Iterator[Shot]:
        height, width = video.roi.shape
        for index, (image, labels) in enumerate(_part(video, 0, BEFORE + AFTER)):
            factor = 1.0 if index < BEFORE else 0.5 if index < BEFORE + AFTER // 2 else 1.5
            yield _resized(image, labels, (round(factor * height), round(factor * width)))

    return Event("other resolution", Video(video.name, video.roi, shots), BEFORE)


def waving(video: Video, seed: int = 0) -> Event:
    """The empty scene, half of which waves as leaves and water do."""

    def shots() -> Iterator[Shot]:
        scene = without_anybody(video)
        height, width = scene.shape[:2]
        rows, columns = np.indices((height, width), dtype=np.float32)
        edge = ndimage.gaussian_filter(np.where(columns < width / 2, 1.0, 0.0), 4)
        fields = [_field(seed + i, (height, width)) for i in range(4)]
        for index, shown in enumerate(_noisy(scene, BEFORE)):
            turn = 2 * np.pi * index / WAVE_FRAMES
            down, right = (
                edge * (np.sin(turn) * one + np.cos(1.7 * turn) * other)
                for one, other in (fields[:2], fields[2:])
            )
            moved = cv2.remap(
                shown,
                (columns + right).astype(np.float32),
                (rows + down).astype(np.float32),
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REFLECT,
            )
            yield np.asarray(moved, np.uint8), _nothing(scene)

    return Event("waving background", Video(video.name, video.roi, shots), AFTER)


def screens(video: Video, other: Video) -> Event:
    """The empty scene with a screen on which another video runs."""

    def shots() -> Iterator[Shot]:
        scene = without_anybody(video)
        height, width = (side // 4 for side in scene.shape[:2])
        on_screen = [image for image, _ in _part(other, 0, BEFORE)][::SCREEN_FRAMES]
        for index, image in enumerate(_noisy(scene, BEFORE)):
            screen = cv2.resize(on_screen[index // SCREEN_FRAMES], (width, height))
            image[height : 2 * height, 2 * width : 3 * width] = screen
            yield image, _nothing(scene)

    return Event("screen", Video(video.name, video.roi, shots), AFTER)


def events(videos: list[Video]) -> Iterator[Event]:
    """All events of the videos."""
    yield cut(videos[0], videos[-1])
    for video in videos:
        yield from (switched(video), exposed(video), dropped(video), resized(video))
        yield from (empty(video), stopped(video), left(video), waving(video), screens(video, videos[0]))


def without_anybody(video: Video) -> Image:
    """Median of a video over the frames in which a pixel is labelled as background."""
    shots = [(image, labels) for image, labels in video.shots() if labels is not None][::5]
    frames = np.ascontiguousarray(np.stack([image.transpose(2, 0, 1) for image, _ in shots]))
    near = np.ones((9, 9), np.uint8)
    hidden = [cv2.dilate((labels != STATIC).astype(np.uint8), near) > 0 for _, labels in shots]
    return Scene(scene_planes(frames, np.stack(hidden), min_frames=1)).image


def _part(video: Video, first: int, last: int) -> Iterator[Shot]:
    """Shots ``first`` to ``last - 1``, as far as there are so many."""
    for index, shot in enumerate(video.shots()):
        if index >= last:
            return
        if index >= first:
            yield shot


def _noisy(shown: Image, frames: int) -> Iterator[Image]:
    """An image again and again, with the noise of a sensor."""
    rng = np.random.default_rng(0)
    for _ in range(frames):
        yield _bytes(shown + rng.normal(0, SENSOR, shown.shape))


def _field(seed: int, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """A smooth field with a deviation of :data:`WAVE_PIXELS`."""
    noise = np.random.default_rng(seed).standard_normal(size)
    smooth = ndimage.gaussian_filter(noise, max(size) / 24)
    return np.asarray(smooth / smooth.std() * WAVE_PIXELS / 2**0.5)


def _nothing(scene: Image) -> Labels:
    return np.zeros(scene.shape[:2], np.uint8)


def _bytes(values: npt.NDArray[np.floating]) -> Image:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _resized(image: Image, labels: Labels | None, size: tuple[int, int]) -> Shot:
    height, width = size
    shown = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    if labels is not None:
        labels = np.asarray(cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
    return shown, labels


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
        for _, result in FrameLoop(fresh()).over(stamped):
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
        found = [(result.index, result.mask) for _, result in FrameLoop(model).over(frames())]
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
