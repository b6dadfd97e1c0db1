"""Score what finds and follows instances: AP of tracks, id switches, HOTA and IDF1.

Example::

    python benchmarks/instance_scores.py --data ../shared/data --sets composites,davis
    python benchmarks/instance_scores.py --data ../shared/data --sets stills --models nanodet
    python benchmarks/instance_scores.py --data ../shared/data --models msstsvis-lite --groups
    python benchmarks/instance_scores.py --data ../shared/data --models nanodet+stcn-lite,text --groups
    python benchmarks/instance_scores.py --annotated isd/val/instances.json --sets annotated

AP is that of YouTube-VIS, over COCO's 80 classes or, with ``--groups``, over person, animal, vehicle and
object; a class counts where the set has it. Id switches, HOTA and IDF1 are those of TrackEval, without
classes. What a video shows beside its labelled objects counts as false, for all alike. Stills are videos of
one frame: images of COCO and Penn-Fudan that segue-prompt was not trained on, of which the detector was
trained on those of COCO. ``nanodet`` is for stills: all that the detector finds, with masks of segue-prompt,
before anything is followed. ``text`` tracks the text "person, animal, vehicle, object". Speed counts the
session alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from instance_clips import TrueClip, annotated, composites, davis, stills
from machine import describe, names_of
from segue.api.instances import instances
from segue.api.track import track
from segue.arrays import UInt8Array
from segue.datasets.instances import DetectedInstance, Instance
from segue.jobs.running import results
from segue.masks.rle import encode_rle
from segue.masks.tracks import RleTrack
from segue.metrics.identity import Identity, identity
from segue.metrics.ytvis import YTVISAccumulator
from segue.models.detection.classes import COCO_NAMES
from segue.prompts.detectors import BoxDetector
from segue.sessions.auto import Auto
from segue.sessions.detecting import detector as make_detector
from segue.sessions.session import Session
from segue.types import Frame, Segmentation

SETS: dict[str, Callable[[Path, int], list[TrueClip]]] = {
    "composites": composites,
    "davis": davis,
    "stills": lambda data, _: stills(data),
    "annotated": annotated,
}

MODELS = ("nanodet+stcn-lite",)

LEAST_SCORE = 0.05
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
        for result in results(session, reading):
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
        found = detector.propose(frame, LEAST_SCORE)
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
                detector = cast(BoxDetector, make_detector("nanodet", score=LEAST_SCORE, max_objects=100))
                for clip in clips:
                    scorer.add_still(clip, detector)
                print(", ".join(f"{key} {value:.3f}" for key, value in scorer.averages().items()))
                continue
            session = _session(model, given, LEAST_SCORE if name == "stills" else given.score)
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
        top=100 if score == LEAST_SCORE else 10,
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
