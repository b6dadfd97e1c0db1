"""A detector: the pixels with much more red than anything else."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from segue.prompts.proposals import Rules, select
from segue.registry import DetectorEntry, DetectorOptions
from segue.types import Frame, Segmentation


class Reddest:
    names: Mapping[int, str] = {1: "red"}
    lookahead = 0

    def __init__(self, score: float) -> None:
        self.score = score

    def __call__(self, frame: Frame, *_: Frame) -> Segmentation:
        red, green, blue = np.moveaxis(frame.image.astype(np.float32) / 255, -1, 0)
        mask = np.clip(red - np.maximum(green, blue), 0, 1)
        planes = (mask > 0.5).astype(np.float32)[None]
        return select(frame, planes, np.array([1.0]), ["red"], Rules(score=self.score))


def build(options: DetectorOptions) -> Reddest:
    return Reddest(options.score or 0.5)


REDDEST = DetectorEntry("reddest", build, supported_options=frozenset({"score", "classes"}))
