"""The experiments of the STCN report: first frames come from a detector instead of a person.

Every source of first frames is followed through all sequences by one network and scored as DAVIS does. Where
the ground truth is masks, masks are followed; where it is boxes, as in Something-Else, whole boxes are.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol, cast

import numpy as np
import numpy.typing as npt

from segue.errors import CheckpointError, DatasetError, PromptError
from segue.masks import fill_boxes, measure
from segue.metrics.davis import VOID, DavisAccumulator, SemiSupervised
from segue.metrics.report import DavisReport, SequenceScore
from segue.models.detection.mask_rcnn import MaskRCNN
from segue.models.detection.pointrend import PointRend
from segue.prompts.detectors import Detector, NetworkDetector
from segue.prompts.grabcut import refine_box
from segue.prompts.selection import nearest_detections
from segue.sessions import TrackSession
from segue.sessions.base import choose_device
from segue.sessions.detecting import detector
from segue.types import Box, Frame, Image, IndexMask
from segue.weights import load

LEAST_SCORE = 0.01
"""Detections of less are not chosen from."""

MANY = 100
"""Detections of a picture that are chosen from."""

INSTANCES = {"Mask R-CNN": "maskrcnn-v1", "Mask R-CNN v2": "maskrcnn", "PointRend": "pointrend"}
"""Rows of detectors of instances, and their names; the report's Mask R-CNN is version 1."""

REGIONS = {"DeepLabV3": "deeplab"}
"""Rows of detectors of connected regions of a class, and their names."""

DISCOVERIES = {"LOST": "lost-b16", "LOST, ViT-S/16": "lost", "LOST, stcn-lite": "lost-lite"}
"""Rows of LOST on features of different networks; those of the report are of ViT-B/16."""

MOTION = {"motion": "motion"}
"""Row of the detector that needs no weights of others."""

Floats = npt.NDArray[np.floating]
Mask = npt.NDArray[np.uint8]
Truth = Literal["masks", "boxes"]


class Video(Protocol):
    """Frames, some of them annotated; the first one is."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def annotations(self) -> Collection[int]:
        """Frames that are annotated."""
        ...

    def __len__(self) -> int:
        """Number of frames."""
        ...

    def read_image(self, i: int) -> Image:
        """Picture of a frame."""
        ...

    def read_mask(self, i: int) -> IndexMask:
        """Annotation of a frame."""
        ...

    def read_boxes(self, i: int) -> Mapping[int, Box]:
        """Boxes of the annotated objects of a frame."""
        ...


class Videos(Protocol):
    """Videos of a data set."""

    def __len__(self) -> int:
        """Number of videos."""
        ...

    def __iter__(self) -> Iterator[Video]:
        """The videos."""
        ...


@dataclass(frozen=True)
class Start:
    """How a video begins.

    Attributes:
        frames: the first one, and the next two as far as there are any.
        truth: annotation of the first.
        boxes: boxes of its objects.
    """

    frames: tuple[Frame, ...]
    truth: IndexMask
    boxes: Mapping[int, Box]


@dataclass(frozen=True)
class Candidate:
    """What stands for one object on the first frame.

    Attributes:
        box: its box.
        plane: probability of each pixel, (H, W).
    """

    box: Box
    plane: Floats


Chosen = Mapping[int, Candidate]
"""Candidates by id of the ground truth; objects without one begin without a mask."""

Choose = Callable[[Start], Chosen]
Draw = Callable[[Start, Chosen], Mask]


@dataclass(frozen=True)
class FirstFrame:
    """A source of first frames.

    Attributes:
        choose: finds what stands for each object.
        draw: makes one index mask of it.
    """

    choose: Choose
    draw: Draw

    def __call__(self, start: Start) -> Mask:
        """Index mask of the first frame, (H, W), with ids of the ground truth."""
        return self.draw(start, self.choose(start))


@dataclass(frozen=True)
class Row:
    """One source of first frames over all videos.

    Attributes:
        name: of the source.
        report: J and F of all videos.
        fps: frames a second, with the time of the source.
    """

    name: str
    report: DavisReport
    fps: float


def first_frames(
    truth: Truth = "masks",
    *,
    rows: Sequence[str] | None = None,
    weights: Mapping[str, str | os.PathLike[str]] | None = None,
    device: str | None = None,
) -> tuple[dict[str, FirstFrame], tuple[str, ...]]:
    """The sources whose weights are at hand, by name, and what is said of the others.

    Args:
        truth: what is known of the objects, and so what is followed.
        rows: names of the sources that are wanted; None is all whose weights are there.
        weights: weight files of detectors by name, where they are not those that `segue weights get` made.
        device: where they run.

    Raises:
        PromptError: there is no such source.
        CheckpointError: weights that were asked for are not there or do not fit.
    """
    files = weights or {}
    makers = _makers(truth, files, device)
    for row in rows or ():
        if row not in makers:
            raise PromptError(f"no row is called {row!r}; there are {'; '.join(makers)}")
    sources, remarks = {}, []
    for row in makers if rows is None else rows:
        name, maker = makers[row]
        try:
            sources[row] = maker()
        except CheckpointError as error:
            if rows is not None or name in files:
                raise
            remarks.append(f"{row} is left out: {error}")
    return sources, tuple(remarks)


def _makers(
    truth: Truth, files: Mapping[str, str | os.PathLike[str]], device: str | None
) -> dict[str, tuple[str, Callable[[], FirstFrame]]]:
    """For each row the name of its detector and what makes its source."""
    boxes = truth == "boxes"
    draw = draw_boxes if boxes else draw_masks

    def given(draw: Draw) -> tuple[str, Callable[[], FirstFrame]]:
        return "", lambda: FirstFrame(truth_itself, draw)

    def instances(name: str) -> FirstFrame:
        network = cast("MaskRCNN | PointRend", load(name, files.get(name)))
        network.least_score = LEAST_SCORE
        find = NetworkDetector(network, {}, device=choose_device(device))
        return FirstFrame(partial(nearest_instances, find), draw)

    def regions(name: str) -> FirstFrame:
        find = detector(name, weights=files.get(name), score=LEAST_SCORE, max_objects=MANY, device=device)
        return FirstFrame(partial(nearest_regions, find), draw)

    def discoveries(name: str) -> FirstFrame:
        # Where boxes are wanted, the report takes those of LOST itself, without CRF.
        find = detector(name, weights=files.get(name), refine="none" if boxes else "crf", device=device)
        return FirstFrame(partial(discovered, find), draw)

    def motion(name: str) -> FirstFrame:
        return FirstFrame(partial(discovered, detector(name, device=device)), draw)

    makers = {"ground truth": given(draw)}
    makers |= {} if boxes else {"boxes, filled": given(draw_boxes)}
    makers["boxes, GrabCut"] = given(cut_boxes)
    ways = ((INSTANCES, instances), (REGIONS, regions), (DISCOVERIES, discoveries), (MOTION, motion))
    for names, way in ways:
        for row, name in names.items():
            title = f"{row} + CRF" if way is discoveries and not boxes else row
            makers[title] = name, partial(way, name)
    return makers


def truth_itself(start: Start) -> Chosen:
    """Each object stands for itself."""
    return {
        number: Candidate(box, (start.truth == number).astype(np.float32))
        for number, box in start.boxes.items()
    }


def nearest_instances(find: NetworkDetector, start: Start) -> Chosen:
    """For each object the instance whose box is nearest to its own."""
    found = find.detections(start.frames[0].image)
    planes, boxes, scores = (item.cpu().numpy() for item in (found.masks, found.boxes, found.scores))
    return _nearest(start, planes, boxes, scores)


def nearest_regions(find: Detector, start: Start) -> Chosen:
    """For each object the region whose box is nearest to its own."""
    found = find(start.frames[0])
    boxes = np.array([item.box for item in found.objects], np.float64)
    return _nearest(
        start, found.planes.astype(np.float32), boxes, np.array([item.score for item in found.objects])
    )


def _nearest(start: Start, planes: Floats, boxes: Floats, scores: Floats) -> Chosen:
    wanted = np.array(list(start.boxes.values()))
    chosen = nearest_detections(wanted, boxes, scores, least=LEAST_SCORE)
    return {
        number: Candidate(_as_box(boxes[i]), planes[i])
        for number, i in zip(start.boxes, chosen, strict=True)
        if i is not None
    }


def discovered(find: Detector, start: Start) -> Chosen:
    """What is found stands for the object whose box is nearest; an object is found once."""
    found = find(start.frames[0], *start.frames[1 : 1 + find.lookahead])
    left = dict(start.boxes)
    chosen: dict[int, Candidate] = {}
    for item in found.objects:
        if left and item.box is not None:
            box = np.array(item.box)
            number = min(left, key=lambda i: float(np.linalg.norm(np.array(left[i]) - box)))
            chosen[number] = Candidate(item.box, (found.mask == item.id).astype(np.float32))
            del left[number]
    return chosen


def draw_masks(start: Start, chosen: Chosen) -> Mask:
    """Masks of probability 0.5 and more; the more probable one wins a pixel, of equals the first."""
    mask = np.zeros(start.truth.shape, np.uint8)
    best = np.full(mask.shape, 0.5, np.float32)
    for number, candidate in chosen.items():
        won = (candidate.plane > best) | ((candidate.plane == best) & (mask == 0))
        mask[won], best[won] = number, candidate.plane[won]
    return mask


def draw_boxes(start: Start, chosen: Chosen) -> Mask:
    """Whole boxes; later ones cover earlier ones."""
    return fill_boxes({number: item.box for number, item in chosen.items()}, start.frames[0].size)


def cut_boxes(start: Start, chosen: Chosen) -> Mask:
    """What GrabCut finds in each box, as where a person gives a box; later ones cover earlier ones."""
    image = start.frames[0].image
    mask = np.zeros(image.shape[:2], np.uint8)
    for number, item in chosen.items():
        inside = measure(fill_boxes({1: item.box}, start.frames[0].size))
        if inside:  # else the box lies beside the picture
            mask[refine_box(image, _as_pixels(inside[1].box))] = number
    return mask


def compare_first_frames(
    videos: Videos,
    sources: Mapping[str, FirstFrame],
    session: TrackSession,
    protocol: SemiSupervised = "2017",
    progress: Callable[[int, int, str], None] = lambda done, total, name: None,
) -> list[Row]:
    """Follow the objects of all videos from each source of first frames.

    Args:
        videos: what is followed.
        sources: what gives the first frames, by name.
        session: what follows them.
        protocol: of DAVIS.
        progress: told videos that are done, their number in all rows, and the row.

    Raises:
        DatasetError: the first frame of a video is not annotated.
    """
    rows: list[Row] = []
    for name, source in sources.items():
        scores: list[SequenceScore] = []
        seconds = 0.0
        for video in videos:
            score, taken = _follow(video, source, session, protocol)
            scores.append(score)
            seconds += taken
            progress(len(rows) * len(videos) + len(scores), len(sources) * len(videos), name)
        frames = sum(len(video) for video in videos)
        rows.append(Row(name, DavisReport(tuple(scores)), frames / seconds))
    return rows


def _follow(
    video: Video, source: FirstFrame, session: TrackSession, protocol: SemiSupervised
) -> tuple[SequenceScore, float]:
    """Score of a video, and the seconds without reading files."""
    accumulator = DavisAccumulator(video.name, protocol=protocol)
    session.reset()
    start = _start(video)
    begun = time.perf_counter()
    given: Mask | None = source(start)
    seconds = time.perf_counter() - begun
    for i in range(len(video)):
        frame = start.frames[i] if i < len(start.frames) else _frame(video, i)
        begun = time.perf_counter()
        result = session.step(frame, given if given is not None and given.any() else None)
        seconds += time.perf_counter() - begun
        given = None
        if i in video.annotations:
            accumulator.update(result.mask, video.read_mask(i))
    return accumulator.score(), seconds


def _start(video: Video) -> Start:
    if 0 not in video.annotations:
        raise DatasetError(
            f"sequence {video.name}: its first frame is not annotated; nothing says what to follow"
        )
    truth = video.read_mask(0)
    known = np.where(truth == VOID, 0, truth)
    return Start(tuple(_frame(video, i) for i in range(min(3, len(video)))), known, video.read_boxes(0))


def _frame(video: Video, i: int) -> Frame:
    return Frame(i, float(i), video.read_image(i))


def _as_box(values: Floats) -> Box:
    x0, y0, x1, y1 = (float(value) for value in values)
    return x0, y0, x1, y1


def _as_pixels(box: Box) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (int(side) for side in box)
    return x0, y0, x1, y1
