"""Compare ways to find the object of a video without any labels, on first frames with ground truth.

Example::

    python benchmarks/first_frame.py shared/data/vos/davis2016_240p

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
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

import segue
from segue.datasets.davis import DavisFolder, Sequence
from segue.masks.dense_crf import refine
from segue.metrics.tables import count_pairs, region_similarities
from segue.models.dino import FeatureName
from segue.models.stcn_lite import STCNLite
from segue.prompts.detectors import Detector, DiscoveryDetector
from segue.sessions import TrackSession
from segue.sessions.motion import MotionDetector, cut_out
from segue.types import Frame, IndexMask

Way = Callable[[Frame, Frame], IndexMask]


@dataclass
class TrunkFeatures:
    """What stcn-lite makes of a picture, as features of patches of 8 pixels."""

    network: STCNLite
    joint: bool
    patch: int = 8

    def dense(self, images: Tensor, which: FeatureName = "keys") -> tuple[Tensor, tuple[int, int]]:
        """RGB (1, 3, H, W) in [0, 1] → keys or joint features (1, N, d) and the grid."""
        pixels = (images[0] * 255).byte().permute(1, 2, 0)
        query = self.network.encode_query(self.network.prepare(pixels))
        features = query.features[1] if self.joint else query.key
        rows, columns = (-(-side // self.patch) for side in images.shape[-2:])
        features = F.interpolate(features, (rows, columns), mode="bilinear")
        return features.flatten(2).transpose(1, 2), (rows, columns)


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
        first, second, truth = read(sequence)
        for name, way in ways.items():
            begun = time.process_time()
            found = way(first, second)
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
    network = cast(STCNLite, segue.load("stcn-lite"))
    motion = MotionDetector(TrackSession(network, device="cpu"))

    def rough(first: Frame, second: Frame) -> IndexMask:
        return motion.moving(first.image, second.image)

    def motion_cut(first: Frame, second: Frame) -> IndexMask:
        return cut_out(first.image, rough(first, second))

    def motion_there_and_back(first: Frame, second: Frame) -> IndexMask:
        return motion.there_and_back(first, second, rough(first, second))

    ways: dict[str, Way] = {
        "LOST, keys of stcn-lite": using(discovery(network, joint=False, refine="none")),
        "LOST, keys of stcn-lite, CRF": using(discovery(network, joint=False, refine="crf")),
        "LOST, joint features of stcn-lite": using(discovery(network, joint=True, refine="none")),
        "motion": rough,
        "motion, CRF": lambda first, second: refine(rough(first, second), first.image),
        "motion, GrabCut": motion_cut,
        "motion, there and back": motion_there_and_back,
        "motion, GrabCut, there and back": using(motion),
    }
    if deeplab is not None:
        ways["DeepLabV3, all objects"] = using(segue.detector("deeplab", weights=deeplab, device="cpu"))
    return ways


def discovery(network: STCNLite, *, joint: bool, refine: str) -> Detector:
    """LOST on features of stcn-lite; they all agree in part, so their mean is taken away."""
    return DiscoveryDetector(TrunkFeatures(network, joint), centre=True, refine=refine)


def using(detector: Detector) -> Way:
    """A detector as a way."""

    def way(first: Frame, second: Frame) -> IndexMask:
        return detector(first, *[second][: detector.lookahead]).mask

    return way


def read(sequence: Sequence) -> tuple[Frame, Frame, npt.NDArray[np.bool_]]:
    """The first two frames, and the mask of the object on the first."""
    first, second = (Frame(i, i / 24, sequence.read_image(i)) for i in (0, 1))
    return first, second, sequence.read_mask(0) > 0


def region(found: IndexMask, truth: npt.NDArray[np.bool_]) -> float:
    """J of all objects together."""
    pairs = count_pairs((found > 0).astype(np.uint8), truth.astype(np.uint8), 1, 1)
    return float(region_similarities(pairs)[0])


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
