"""The experiment of the STCN report: the first frame of each video comes from a detector instead of a person.

Every source of first frames is followed through all sequences by one network and scored as DAVIS does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import numpy.typing as npt

from segue.datasets.davis import DavisFolder
from segue.datasets.davis import Sequence as DavisSequence
from segue.errors import CheckpointError
from segue.masks import measure
from segue.metrics.davis import VOID, DavisAccumulator, SemiSupervised
from segue.metrics.report import DavisReport, SequenceScore
from segue.models.detection.mask_rcnn import MaskRCNN
from segue.models.detection.pointrend import PointRend
from segue.prompts.detectors import Detector, NetworkDetector
from segue.prompts.selection import Found, nearest_detections
from segue.sessions import TrackSession
from segue.sessions.detecting import detector
from segue.sessions.inference import choose_device
from segue.types import Frame, IndexMask
from segue.weights import load

LEAST_SCORE = 0.01
"""Detections of less are not chosen from."""

NETWORKS = {"Mask R-CNN": "maskrcnn-v1", "Mask R-CNN v2": "maskrcnn", "PointRend": "pointrend"}
"""Rows of detectors with classes, and their networks; the report's Mask R-CNN is version 1."""

DISCOVERIES = {"LOST + CRF": "lost-b16", "LOST + CRF, ViT-S/16": "lost", "motion": "motion"}
"""Rows of detectors that know nothing of the objects."""

Mask = npt.NDArray[np.uint8]

FirstFrame = Callable[[Sequence[Frame], IndexMask], Mask]
"""From the first frames and the ground truth of the first to an index mask with ids of the ground truth."""


@dataclass(frozen=True)
class Row:
    """One source of first frames over all sequences.

    Attributes:
        name: of the source.
        report: J and F of all sequences.
        fps: frames a second, with the time of the source.
    """

    name: str
    report: DavisReport
    fps: float


def first_frames(device: str | None = None) -> tuple[dict[str, FirstFrame], tuple[str, ...]]:
    """The sources whose weights are at hand, by name, and what is said of the others."""
    found: dict[str, FirstFrame] = {"ground truth": truth_itself, "boxes, filled": filled_boxes}
    remarks = []
    for row, name in NETWORKS.items():
        try:
            network = cast("MaskRCNN | PointRend", load(name))
        except CheckpointError as error:
            remarks.append(f"{row} is left out: {error}")
            continue
        network.least_score = LEAST_SCORE
        found[row] = partial(nearest_objects, NetworkDetector(network, {}, device=choose_device(device)))
    for row, name in DISCOVERIES.items():
        try:
            found[row] = partial(discovered, detector(name, device=device))
        except CheckpointError as error:
            remarks.append(f"{row} is left out: {error}")
    return found, tuple(remarks)


def truth_itself(frames: Sequence[Frame], truth: IndexMask) -> Mask:
    """The ground truth."""
    return np.where(truth == VOID, 0, truth).astype(np.uint8)


def filled_boxes(frames: Sequence[Frame], truth: IndexMask) -> Mask:
    """The whole box of each object; later ones cover earlier ones."""
    mask = np.zeros(truth.shape, np.uint8)
    for number, extent in measure(truth_itself(frames, truth)).items():
        x0, y0, x1, y1 = (int(side) for side in extent.box)
        mask[y0:y1, x0:x1] = number
    return mask


def nearest_objects(find: NetworkDetector, frames: Sequence[Frame], truth: IndexMask) -> Mask:
    """For each object the detection whose box is nearest to its own; the more probable wins a pixel."""
    detections = find.detections(frames[0].image)
    boxes = _boxes(truth_itself(frames, truth))
    chosen = nearest_detections(
        np.array(list(boxes.values())), detections.boxes.cpu().numpy(), detections.scores.cpu().numpy()
    )
    mask, best = np.zeros(truth.shape, np.uint8), np.full(truth.shape, 0.5, np.float32)
    for number, i in zip(boxes, chosen, strict=True):
        if i is not None:
            plane = detections.masks[i].cpu().numpy()
            won = (plane > best) | ((plane == best) & (mask == 0))
            mask[won], best[won] = number, plane[won]
    return mask


def discovered(find: Detector, frames: Sequence[Frame], truth: IndexMask) -> Mask:
    """What is found stands for the object whose box is nearest; an object is found once."""
    found: Found = find(frames[0], *frames[1 : 1 + find.lookahead])
    boxes = _boxes(truth_itself(frames, truth))
    mask = np.zeros(truth.shape, np.uint8)
    for item in found.objects:
        if boxes and item.box is not None:
            box = np.array(item.box)
            number = min(boxes, key=lambda i: float(np.linalg.norm(np.array(boxes[i]) - box)))
            mask[found.mask == item.id] = number
            del boxes[number]
    return mask


def compare_first_frames(
    folder: DavisFolder,
    sources: Mapping[str, FirstFrame],
    session: TrackSession,
    protocol: SemiSupervised = "2017",
    progress: Callable[[int, int, str], None] = lambda done, total, name: None,
) -> list[Row]:
    """Follow the objects of all sequences from each source of first frames.

    Args:
        folder: sequences whose first frames are annotated.
        sources: what gives the first frames, by name.
        session: what follows them.
        protocol: of DAVIS.
        progress: told sequences that are done, their number in all rows, and the row.
    """
    rows: list[Row] = []
    for name, source in sources.items():
        scores: list[SequenceScore] = []
        seconds = 0.0
        for sequence in folder:
            score, taken = _follow(sequence, source, session, protocol)
            scores.append(score)
            seconds += taken
            progress(len(rows) * len(folder) + len(scores), len(sources) * len(folder), name)
        frames = sum(len(sequence) for sequence in folder)
        rows.append(Row(name, DavisReport(tuple(scores)), frames / seconds))
    return rows


def _follow(
    sequence: DavisSequence, source: FirstFrame, session: TrackSession, protocol: SemiSupervised
) -> tuple[SequenceScore, float]:
    """Score of a sequence, and the seconds without reading files."""
    accumulator = DavisAccumulator(sequence.name, protocol=protocol)
    session.reset()
    seconds = 0.0
    for i in range(len(sequence)):
        frame = Frame(i, float(i), sequence.read_image(i))
        following = [Frame(1, 1.0, sequence.read_image(1))] if i == 0 and len(sequence) > 1 else []
        truth = sequence.read_mask(i) if i in sequence.annotations else None
        begun = time.perf_counter()
        given = source([frame, *following], truth) if i == 0 and truth is not None else None
        result = session.step(frame, given if given is not None and given.any() else None)
        seconds += time.perf_counter() - begun
        if truth is not None:
            accumulator.update(result.mask, truth)
    return accumulator.score(), seconds


def _boxes(mask: IndexMask) -> dict[int, tuple[float, float, float, float]]:
    return {number: extent.box for number, extent in measure(mask).items()}
