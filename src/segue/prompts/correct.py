"""Corrections of a mask by clicks: what is under a click changes, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from segue.arrays import BoolArray, Float32Array
from segue.prompts.answers import ImagePrompter, ImagePrompts

Click = tuple[float, float, bool]
"""A place (x, y), and whether it lies on the object."""


@dataclass(frozen=True)
class Correction:
    probability: Float32Array
    iou: float

    @property
    def mask(self) -> BoolArray:
        return np.asarray(self.probability > 0.5)


def correct(prompter: ImagePrompter, mask: npt.NDArray[np.generic], clicks: Sequence[Click]) -> Correction:
    on, off = ([(x, y) for x, y, inside in clicks if inside is wanted] for wanted in (True, False))
    answer = prompter.answer(ImagePrompts(points=on, negative=off, mask=mask))
    return Correction(answer.probability, float(answer.iou[0]))
