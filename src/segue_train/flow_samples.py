"""Frames, flow pictures and truth for HOFAM and STAM, from composite pictures or computed from films."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from segue.datasets.foreground import ForegroundSequence
from segue.datasets.foreground_sets import read_flow, read_frame
from segue.datasets.labels import MOTION
from segue.errors import DatasetError
from segue.flow import FlowFiles, FlowPictures, FlowProvider
from segue_train.recipe import Batch, Batches, order_of_pass, stacked
from segue_train.warp import Picture

SIDE = 256
"""Side of the pictures."""


@dataclass(frozen=True, slots=True)
class FlowSample:
    """One picture of a batch.

    Attributes:
        frame: RGB (256, 256, 3), uint8.
        flow: (256, 256, 3 or 1), uint8, the largest gap first.
        labels: (256, 256), uint8, 255 is foreground; what nobody knows is background, as in the release.
    """

    frame: Picture
    flow: Picture
    labels: Picture


class FlowSamples:
    """All labelled frames of films; those of composite pictures bring their flow.

    Args:
        films: labelled films.
        provider: makes a flow provider, once in each process.
        gaps: frames back to each earlier frame, growing. A composite gives STAM its red channel, that of the
            largest gap, as the released demo does.
        files: folder with the flow files of each film, in folders called after the films; None computes flow.
    """

    def __init__(
        self,
        films: Sequence[ForegroundSequence],
        provider: Callable[[], FlowProvider],
        gaps: tuple[int, ...],
        files: Path | None = None,
    ) -> None:
        scored = ((film, set(film.scored)) for film in films)
        self.places = [(film, i) for film, kept in scored for i in film.labels if film.numbers[i] in kept]
        if not self.places:
            raise DatasetError("no film has a labelled frame")
        self._provider, self._gaps = provider, gaps
        self._pictures: FlowPictures | None = None
        computed = [film for film in films if film.decode_image is not read_frame]
        self._files = {film.key: film_flow(files, gaps, film) for film in computed} if files else {}

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> FlowSample:
        film, i = self.places[index]
        frame, labels = _fit(film.read_image(i)), film.read_labels(i)
        moving = np.where(labels == MOTION, np.uint8(MOTION), np.uint8(0))
        truth = cv2.resize(moving, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST_EXACT)
        return FlowSample(frame, self._flow(film, i, frame), np.asarray(truth, np.uint8))

    def _flow(self, film: ForegroundSequence, i: int, frame: Picture) -> Picture:
        if film.decode_image is read_frame:
            return _fit(read_flow(film.frames[i]))[..., : len(self._gaps)]
        if film.key in self._files:
            return np.atleast_3d(_fit(self._files[film.key](i)))
        if self._pictures is None:
            self._pictures = FlowPictures(self._provider(), self._gaps)
        return self._pictures(frame, [_fit(film.read_image(max(i - gap, 0))) for gap in self._gaps])


def film_flow(folder: Path, gaps: tuple[int, ...], film: ForegroundSequence) -> FlowFiles:
    """Flow files of a film, in a folder called after it."""
    return FlowFiles(folder / film.key, gaps, len(film))


@dataclass(frozen=True)
class FlowBatches(Batches):
    """Batches from passes through the samples, each in its own order.

    Items hold ``frames`` (B, 3, 256, 256), ``flow`` (B, 3 or 1, 256, 256) and ``labels`` (B, 256, 256), all
    uint8.
    """

    samples: FlowSamples
    batch: int
    count: int
    seed: int

    def batch_of(self, number: int) -> Batch:
        chosen = []
        for place in range(number * self.batch, (number + 1) * self.batch):
            epoch, rank = divmod(place, len(self.samples))
            chosen.append(self.samples[order_of_pass(len(self.samples), self.seed, epoch)[rank]])
        return {
            "frames": stacked(sample.frame for sample in chosen).movedim(-1, 1),
            "flow": stacked(sample.flow for sample in chosen).movedim(-1, 1),
            "labels": stacked(sample.labels for sample in chosen),
        }


def _fit(picture: Picture) -> Picture:
    if picture.shape[:2] == (SIDE, SIDE):
        return picture
    interpolation = cv2.INTER_AREA if min(picture.shape[:2]) > SIDE else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=interpolation), np.uint8)
