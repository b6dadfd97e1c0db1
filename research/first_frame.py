"""Compare ways to find the object of a video without any labels, on first frames with ground truth.

Example::

    python -m research.first_frame shared/data/vos/davis2016_240p

``ROOT`` is in the layout of DAVIS 2016, one object a sequence. Printed is the mean J of what is found on the
first frame, and the share of sequences with J above one half. DeepLabV3 knows its classes from labels and is
there for scale.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

import segue
from segue.datasets.davis import DavisFolder, Sequence
from segue.masks.dense_crf import refine
from segue.metrics.measures import count_pairs, region_similarities
from segue.prompts import MakePrompter, Prompter
from segue.prompts.detectors import Detector
from segue.sessions import TrackSession
from segue.sessions.motion import MotionDetector, cut_out
from segue.types import Frame, IndexMask

Way = Callable[..., IndexMask]
"""From a frame and the next two to an index mask."""


@dataclass
class Row:
    """Scores of one way."""

    scores: list[float] = field(default_factory=list)
    seconds: float = 0.0


def main() -> int:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("--deeplab", type=Path, help="weights of DeepLabV3")
    arguments = parser.parse_args()
    ways = make_ways(arguments.deeplab)
    rows: dict[str, Row] = {}
    for sequence in DavisFolder(arguments.root):
        frames, truth = read(sequence)
        for name, way in ways.items():
            begun = time.process_time()
            found = way(*frames)
            row = rows.setdefault(name, Row())
            row.seconds += time.process_time() - begun
            row.scores.append(region(found, truth))
        print(sequence.name, *(f"{row.scores[-1]:.2f}" for row in rows.values()), file=sys.stderr, flush=True)
    print("| way | mean J | J > 0.5 | s a frame |\n| --- | --- | --- | --- |")
    for name, row in rows.items():
        count, good = len(row.scores), sum(score > 0.5 for score in row.scores)
        print(f"| {name} | {np.mean(row.scores):.3f} | {good} of {count} | {row.seconds / count:.2f} |")
    return 0


def make_ways(deeplab: Path | None) -> dict[str, Way]:
    """All ways by name."""
    network = segue.load("stcn-lite")
    follower = TrackSession(network, device="cpu")
    motion = MotionDetector(follower)

    def next_only(first: Frame, *following: Frame) -> IndexMask:
        return motion.moving(first.image, following[0].image)

    def rough(*frames: Frame) -> IndexMask:
        return motion.moving(*(frame.image for frame in frames))

    def cut_by(prompter: MakePrompter) -> Way:
        return lambda first, *following: cut_out(first.image, rough(first, *following), prompter)

    def motion_there_and_back(first: Frame, *following: Frame) -> IndexMask:
        return motion.round_trip(first, following[0], rough(first, *following))

    ways: dict[str, Way] = {
        "motion to the next frame alone": next_only,
        "motion": rough,
        "motion, CRF": lambda first, *following: refine(rough(first, *following), first.image),
        "motion, segue-prompt": cut_by(Prompter),
        "motion, there and back": motion_there_and_back,
        "motion, segue-prompt, there and back": using(motion),
    }
    if deeplab is not None:
        ways["DeepLabV3, all objects"] = using(segue.detector("deeplab", weights=deeplab, device="cpu"))
    return ways


def using(detector: Detector) -> Way:
    """A detector as a way."""

    def way(first: Frame, *following: Frame) -> IndexMask:
        return detector(first, *following[: detector.lookahead]).mask

    return way


def read(sequence: Sequence) -> tuple[list[Frame], npt.NDArray[np.bool_]]:
    """The first three frames, and the mask of the object on the first."""
    frames = [Frame(i, i / 24, sequence.read_image(i)) for i in range(3)]
    return frames, sequence.read_mask(0) > 0


def region(found: IndexMask, truth: npt.NDArray[np.bool_]) -> float:
    """J of all objects together."""
    pairs = count_pairs((found > 0).astype(np.uint8), truth.astype(np.uint8), 1, 1)
    return float(region_similarities(pairs)[0])


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
