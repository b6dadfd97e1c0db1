"""Score what finds and follows instances: AP of tracks, id switches, HOTA and IDF1.

Example::

    python -m benchmarks.accuracy.instance_scores --data ../shared/data --sets composites,davis
    python -m benchmarks.accuracy.instance_scores --data ../shared/data --sets stills --models nanodet
    python -m benchmarks.accuracy.instance_scores --data ../shared/data --models msstsvis-lite --groups
    python -m benchmarks.accuracy.instance_scores --data ../shared/data \\
        --models nanodet+stcn-lite,text --groups
    python -m benchmarks.accuracy.instance_scores --annotated isd/val/instances.json --sets annotated

AP is that of YouTube-VIS, over COCO's 80 classes or, with ``--groups``, over person, animal, vehicle and
object; a class counts where the set has it. Id switches, HOTA and IDF1 are those of TrackEval, without
classes. What a video shows beside its labelled objects counts as false, for all alike. Stills are videos of
one frame: images of COCO and Penn-Fudan that segue-prompt was not trained on, of which the detector was
trained on those of COCO. ``nanodet`` is for stills: all that the detector finds, with masks of segue-prompt,
before anything is followed. ``text`` tracks the text "person, animal, vehicle, object". Speed counts the
session alone.

In composites, cut-outs of labelled stills move through a video of DAVIS, whose own object counts too. Two
people cross, one passes behind another, one leaves and comes back, several things move at once. Their paths
follow from the name and the number of frames.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from benchmarks.lib.machine import describe, names_of
from segue.api.instances import instances
from segue.api.track import track
from segue.datasets.davis import DavisFolder, ImageMaskFolder
from segue.datasets.instances import DetectedInstance, Instance
from segue.datasets.ytvis import YTVISDataset, YTVISVideo
from segue.jobs.frame_loop import FrameLoop
from segue.masks.rle import encode_rle
from segue.masks.tracks import RleTrack
from segue.metrics.identity import Identity, identity
from segue.metrics.ytvis import YTVISAccumulator
from segue.models.detection.classes import COCO_NAMES, COCO_ORDER
from segue.prompts.detectors import BoxDetector
from segue.sessions.auto import Auto
from segue.sessions.detecting import detector as make_detector
from segue.sessions.session import Session
from segue.types import Frame, Image, Segmentation
from segue.utils.arrays import UInt8Array
from segue_train.data.cut_outs import MARGIN, CutOut, cut_outs_of_stills, place
from segue_train.data.footage import Footage
from segue_train.data.prompt_samples import is_held_out

FRAME_RATE = 24.0

DAVIS_CLASSES = {
    "bear": "bear",
    "breakdance": "person",
    "bus": "bus",
    "car-turn": "car",
    "breakdance-flare": "person",
    "dance-jump": "person",
    "drift-turn": "car",
    "elephant": "elephant",
    "flamingo": "bird",
    "hike": "person",
    "lucia": "person",
    "mallard-fly": "bird",
    "train": "train",
}
"""Sequences of DAVIS 2016 whose object is one object of one of COCO's classes."""


@dataclass(frozen=True)
class TrueClip:
    """A video with everything that is to be found in it.

    Attributes:
        name: for people.
        pairs: reads its images and index masks, in order.
        classes: COCO's name of each id.
    """

    name: str
    pairs: Callable[[], Iterator[tuple[Image, UInt8Array]]]
    classes: Mapping[int, str]

    def frames(self) -> Iterator[tuple[Frame, UInt8Array]]:
        """Frames and index masks (H, W), 0 background."""
        for t, (image, mask) in enumerate(self.pairs()):
            yield Frame(t, t / FRAME_RATE, image), mask


@dataclass(frozen=True)
class Walk:
    """How one cut-out goes through a composite.

    Attributes:
        cast: class of the cut-out, and which of that class.
        height: of the object, as a share of the height of the image.
        foot: height of its foot in the image, 0 top, 1 bottom; who stands lower stands in front.
        stops: places of its middle at equal distances of time, as shares of the width; None is out of sight.
    """

    cast: tuple[str, int]
    height: float
    foot: float
    stops: tuple[float | None, ...]

    def at(self, share: float) -> float | None:
        """Where it is at a time in 0..1."""
        position = share * (len(self.stops) - 1)
        before = min(int(position), len(self.stops) - 2)
        first, second = self.stops[before], self.stops[before + 1]
        if first is None or second is None:
            return None
        return first + (second - first) * (position - before)


def _person(number: int, foot: float, *stops: float | None, height: float = 0.55) -> Walk:
    return Walk(("person", number), height, foot, stops)


COMPOSITES: dict[str, tuple[str, tuple[Walk, ...]]] = {
    "cross": ("bear", (_person(0, 0.9, 0.1, 0.9), _person(1, 0.93, 0.9, 0.1))),
    "cross twice": ("mallard-fly", (_person(2, 0.9, 0.2, 0.8, 0.2), _person(3, 0.95, 0.8, 0.2, 0.8))),
    "hide": ("train", (_person(4, 0.88, 0.15, 0.5, 0.5, 0.85), _person(5, 0.95, 0.5, 0.5, height=0.65))),
    "leave": ("elephant", (_person(6, 0.95, 0.7, 1.2, None, 1.2, 0.6), _person(7, 0.9, 0.2, 0.25))),
    "many": (
        "car-turn",
        (
            _person(8, 0.95, 0.1, 0.5, 0.3),
            Walk(("dog", 0), 0.3, 0.97, (0.9, 0.2)),
            Walk(("cat", 0), 0.3, 0.8, (0.3, 0.7)),
            _person(9, 0.85, 0.6, 0.9),
        ),
    ),
}
"""Videos and who walks through them."""


def composites(data: Path, frames: int) -> list[TrueClip]:
    """All composites, each of ``frames`` frames at 240p; ``data`` holds ``vos`` and ``static``."""
    videos = DavisFolder(data / "vos" / "davis2016_240p")
    cast = _cast(data / "static")
    clips = []
    for name, (video, walks) in COMPOSITES.items():
        actors = [(cast[walk.cast[0]][walk.cast[1] % len(cast[walk.cast[0]])], walk) for walk in walks]
        classes = {i: walk.cast[0] for i, walk in enumerate(walks, start=1)}
        read = partial(_composed, Footage(video, videos[video], (0,)), actors, frames)
        clips.append(TrueClip(f"{name} ({video})", read, {**classes, len(walks) + 1: DAVIS_CLASSES[video]}))
    return clips


def davis(data: Path, frames: int) -> list[TrueClip]:
    """The sequences of ``DAVIS_CLASSES`` at 240p, at most ``frames`` frames of each."""
    folder = DavisFolder(data / "vos" / "davis2016_240p")

    def read(name: str) -> Iterator[tuple[Image, UInt8Array]]:
        for t in range(min(frames, len(folder[name]))):
            yield folder[name].read_image(t), (folder[name].read_mask(t) > 0).astype(np.uint8)

    return [TrueClip(name, partial(read, name), {1: label}) for name, label in DAVIS_CLASSES.items()]


def stills(data: Path) -> list[TrueClip]:
    """Stills with classes that segue-prompt was not trained on, each a video of one frame."""
    folder = data / "static"
    names = json.loads((folder / "coco_instance_classes.json").read_text())
    clips = []
    for still in _stills(folder):
        if not is_held_out(still.name):
            continue

        ids = np.unique(still.read(0)[1])
        labels = names.get(still.name)
        classes = {int(i): COCO_ORDER[labels[i - 1]] if labels else "person" for i in ids if i}
        clips.append(TrueClip(still.name, partial(_still, still), classes))
    return clips


def annotated(file: Path, frames: int) -> list[TrueClip]:
    """Videos of a file in the layout of YouTube-VIS, such as rendered rooms, with names of COCO."""
    dataset = YTVISDataset.open(file)

    def read(video: YTVISVideo) -> Iterator[tuple[Image, UInt8Array]]:
        for t in range(min(frames, len(video))):
            mask = np.zeros(video.size, np.uint8)
            for number, item in enumerate(dataset.annotations(video), start=1):
                mask[item.masks.decode(t)] = number
            yield dataset.read_image(video, t), mask

    return [
        TrueClip(
            f"video {video.id}",
            partial(read, video),
            {
                number: dataset.categories[item.category].lower().replace("_", " ")
                for number, item in enumerate(dataset.annotations(video), start=1)
            },
        )
        for video in dataset
    ]


def _still(still: Footage) -> Iterator[tuple[Image, UInt8Array]]:
    yield still.read(0)


def _stills(folder: Path) -> list[Footage]:
    """Stills whose objects have classes: those of COCO and of Penn-Fudan."""
    images = ImageMaskFolder(folder / "images", folder / "masks")
    return [
        Footage(path.stem, images, (i,))
        for i, path in enumerate(images.images)
        if path.stem.startswith(("coco_", "penn_"))
    ]


def _cast(folder: Path) -> dict[str, list[CutOut]]:
    """Cut-outs by class, from stills with one object of it, the largest images of each class first."""
    names = json.loads((folder / "coco_instance_classes.json").read_text())
    found: dict[str, list[CutOut]] = {"person": [], "dog": [], "cat": []}
    for still in _stills(folder):
        labels = names.get(still.name)
        if labels is not None and not (len(labels) == 1 and COCO_ORDER[labels[0]] in ("dog", "cat")):
            continue
        label = "person" if labels is None else COCO_ORDER[labels[0]]
        found[label] += [cut for cut in cut_outs_of_stills([still]) if cut.height >= 100]
    for label, cuts in found.items():
        cuts.sort(key=lambda cut: zlib.crc32(cut.alphas[0].tobytes()))
        if not cuts:
            raise SystemExit(f"{folder}: no still with one {label}")
    return found


def _composed(
    video: Footage, actors: Sequence[tuple[CutOut, Walk]], frames: int
) -> Iterator[tuple[Image, UInt8Array]]:
    """The images of a composite; the video runs to and fro."""
    count = len(cast(Sized, video.source))
    there = list(range(count))
    order = itertools.cycle(there + there[-2:0:-1])
    # Who stands lower is nearer.
    drawn = sorted(range(len(actors)), key=lambda i: actors[i][1].foot)
    for t, index in zip(range(frames), order, strict=False):
        image = video.source.read_image(index).copy()
        height, width = image.shape[:2]
        mask = np.where(video.source.read_mask(index) > 0, len(actors) + 1, 0).astype(np.uint8)
        for i in drawn:
            cut, walk = actors[i]
            x = walk.at(t / max(frames - 1, 1))
            if x is not None:
                sway = 0.01 * np.sin(2 * np.pi * (t / 12 + i / 3))
                _paste(
                    image, mask, cut, i + 1, (x * width, (walk.foot + sway) * height), walk.height * height
                )
        yield image, mask


def _paste(
    image: Image, mask: UInt8Array, cut: CutOut, number: int, foot: tuple[float, float], height: float
) -> None:
    """Put a cut-out of a height in pixels with its foot at (x, y) into an image and its mask."""
    scale = height / cut.height
    patch, alpha = cut.images[0], cut.alphas[0]
    rows, columns = alpha.shape
    matrix = np.array(
        [[scale, 0, foot[0] - scale * columns / 2], [0, scale, foot[1] - scale * (rows - MARGIN)]]
    )
    size = image.shape[0], image.shape[1]
    placed, cover = place(patch, matrix, size), place(alpha, matrix, size)
    if placed is None or cover is None:
        return
    where, pixels = placed
    share = cover[1][..., None] / np.float32(255)
    image[where] = np.round(pixels * share + image[where] * (1 - share)).astype(np.uint8)
    mask[where][cover[1] > 127] = number


SETS: dict[str, Callable[[Path, int], list[TrueClip]]] = {
    "composites": composites,
    "davis": davis,
    "stills": lambda data, _: stills(data),
    "annotated": annotated,
}

MODELS = ("nanodet+stcn-lite",)

MIN_SCORE = 0.05
"""Of what is found in stills."""

GROUPS = {1: "person", 2: "animal", 3: "vehicle", 4: "object"}
_ANIMALS = {
    "animal",
    "pet",
    "bird",
    "cat",
    "dog",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
}
_VEHICLES = {"vehicle", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"}


def group(name: str) -> int:
    """Which of ``GROUPS`` a category of COCO or of rendered rooms belongs to."""
    return 1 if name == "person" else 2 if name in _ANIMALS else 3 if name in _VEHICLES else 4


_NUMBERS = {name: number for number, name in COCO_NAMES.items()}


@dataclass
class Row:
    """What was measured on one video."""

    name: str
    identity: Identity
    frames: int
    seconds: float
    ids: int


@dataclass
class Scorer:
    """Takes videos one by one.

    Args:
        groups: score four groups instead of 80 classes.
    """

    groups: bool
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._accumulator = YTVISAccumulator(GROUPS if self.groups else COCO_NAMES)

    def number(self, label: str | None) -> int | None:
        """Of the group or class of a label; None for one that AP leaves out."""
        if label is None:
            return None
        return group(label) if self.groups else _NUMBERS.get(label)

    def add(self, clip: TrueClip, session: Session) -> Row:
        """Run a session over a video."""
        truth: list[UInt8Array] = []
        found: list[Segmentation] = []
        seconds = 0.0

        def watched() -> Any:
            for frame, mask in clip.frames():
                truth.append(mask)
                yield frame

        begun = time.perf_counter()
        reading = _Clock(watched())
        for _, result in FrameLoop(session).over(reading):
            found.append(result)
        seconds = time.perf_counter() - begun - reading.seconds
        objects = self._objects(truth, clip.classes)
        self._accumulator.update(len(self.rows), objects, self._detections(found))
        row = Row(
            clip.name,
            identity(truth, [result.mask for result in found]),
            len(truth),
            seconds,
            len({item.id for result in found for item in result.objects if item.area}),
        )
        self.rows.append(row)
        return row

    def add_still(self, clip: TrueClip, detector: BoxDetector) -> None:
        """Take all that a detector finds in the one frame of a video."""
        ((frame, mask),) = clip.frames()
        found = detector.propose(frame, MIN_SCORE)
        detections = []
        for number, label in enumerate(found.labels):
            plane = found.mask(number) > 0.5
            category = self.number(label)
            if category is not None and plane.any():
                score = found.scores[number] * found.quality(number)
                detections.append(DetectedInstance(category, score, _track([plane])))
        self._accumulator.update(
            len(self.rows),
            self._objects([mask], clip.classes),
            sorted(detections, key=lambda item: -item.score),
        )
        self.rows.append(Row(clip.name, identity([mask], [mask]), 1, 0.0, len(detections)))

    def averages(self) -> Mapping[str, float]:
        """AP, AP50 and their like, in 0..1."""
        return self._accumulator.score().stats

    def _objects(self, masks: Sequence[UInt8Array], classes: Mapping[int, str]) -> list[Instance]:
        found = []
        for number, label in classes.items():
            track = _track([mask == number for mask in masks])
            category = self.number(label)
            if track.areas.any() and category is not None:
                found.append(Instance(number, category, track, float(track.mean_area)))
        return found

    def _detections(self, found: Sequence[Segmentation]) -> list[DetectedInstance]:
        tracks: dict[int, dict[int, Any]] = {}
        for t, result in enumerate(found):
            for item in result.objects:
                if item.area and self.number(item.label) is not None:
                    tracks.setdefault(item.id, {})[t] = item
        detections = []
        for number, frames in tracks.items():
            category = self.number(frames[max(frames)].label)
            assert category is not None
            track = _track([result.mask == number for result in found])
            score = float(np.mean([item.score for item in frames.values()]))
            detections.append(DetectedInstance(category, score, track))
        return sorted(detections, key=lambda item: -item.score)


class _Clock:
    """Frames, and the seconds that it took to make them."""

    def __init__(self, frames: Any) -> None:
        self._frames, self.seconds = frames, 0.0

    def __iter__(self) -> _Clock:
        return self

    def __next__(self) -> Frame:
        begun = time.perf_counter()
        try:
            frame: Frame = next(self._frames)
        finally:
            self.seconds += time.perf_counter() - begun
        return frame


def _track(planes: Sequence[Any]) -> RleTrack:
    runs = [encode_rle(plane) if plane.any() else None for plane in planes]
    return RleTrack.parse(runs, planes[0].shape)


def main() -> int:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder with vos and static"
    )
    parser.add_argument("--annotated", type=Path, help="file in the layout of YouTube-VIS, for that set")
    parser.add_argument("--sets", type=names_of(SETS), default=["composites"], help=",".join(SETS))
    parser.add_argument("--models", type=lambda text: text.split(","), default=list(MODELS))
    parser.add_argument("--groups", action="store_true", help="person, animal, vehicle, object")
    parser.add_argument("--frames", type=int, default=100, help="of each video, at most")
    parser.add_argument(
        "--only", type=lambda text: text.split(","), default=[""], help="parts of names of videos"
    )
    parser.add_argument("--weights", type=Path, help="of a network, else those that come with segue")
    parser.add_argument("--window", type=int, help="frames from look to look")
    parser.add_argument("--score", type=float, help="least score; stills are always scored from 0.05 on")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(describe(given.threads))
    for name in given.sets:
        root = given.annotated if name == "annotated" else given.data
        everything = SETS[name](root, given.frames)
        clips = [clip for clip in everything if any(part in clip.name for part in given.only)]
        for model in given.models:
            scorer = Scorer(given.groups)
            print(f"\n{model} on {name}\n")
            if model == "nanodet":
                if name != "stills":
                    parser.error("the detector alone is for stills")
                detector = cast(BoxDetector, make_detector("nanodet", score=MIN_SCORE, max_objects=100))
                for clip in clips:
                    scorer.add_still(clip, detector)
                print(", ".join(f"{key} {value:.3f}" for key, value in scorer.averages().items()))
                continue
            session = _session(model, given, MIN_SCORE if name == "stills" else given.score)
            if name != "stills":
                print("| video | HOTA | DetA | AssA | IDF1 | id switches | ids | frames/s |")
                print("| --- " * 8 + "|")
            for clip in clips:
                session.reset()
                row = scorer.add(clip, session)
                if name != "stills":
                    _print(row.name, [row])
            if name != "stills":
                _print("**mean**", scorer.rows)
            stats = scorer.averages()
            print("\n" + ", ".join(f"{key} {value:.3f}" for key, value in stats.items()), flush=True)
    return 0


def _session(model: str, given: argparse.Namespace, score: float | None) -> Session:
    if model == "text":
        asked = Auto("nanodet", every=given.window, text=[*GROUPS.values()], score=score)
        nothing = np.zeros((1, 32, 32, 3), np.uint8)  # the session is given the videos
        return track(nothing, asked, device="cpu").session
    found = instances(
        iter(()),  # the session is given the videos
        model=model,
        weights=given.weights,
        score=score,
        top=100 if score == MIN_SCORE else 10,
        window=given.window,
        device="cpu",
    )
    return found.session


def _print(name: str, rows: Sequence[Row]) -> None:
    marks = [(row.identity.hota, row.identity.deta, row.identity.assa, row.identity.idf1) for row in rows]
    means = " | ".join(f"{mean:.3f}" for mean in np.mean(marks, 0))
    switches, ids = sum(row.identity.switches for row in rows), sum(row.ids for row in rows)
    speed = sum(row.frames for row in rows) / sum(row.seconds for row in rows)
    print(f"| {name} | {means} | {switches} | {ids} | {speed:.1f} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
