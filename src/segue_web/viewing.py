"""Backend of ``segue view``: one result, or two compared as in DAVIS or CDnet2014."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from segue.datasets.foreground.labels import MOTION, OUTSIDE, SHADOW, STATIC, UNKNOWN
from segue.errors import SegueError
from segue.formats.labels import Labels
from segue.formats.reading import read_labels
from segue.jobs import VideoJob, read_job
from segue.jobs.record import RECORD
from segue.masks import encode_rle
from segue.metrics.foreground.counts import Counts, ForegroundAccumulator
from segue.metrics.measures import contour_accuracy, region_similarity
from segue.utils.arrays import BoolArray
from segue.utils.inputs import absolute_path
from segue.utils.naming import distinct_ends
from segue.video.sources.images import is_source
from segue.video.sources.kinds import is_image
from segue_web.colours import colour_of
from segue_web.project.project import Project
from segue_web.project.store import Store
from segue_web.server import messages
from segue_web.server.server import Backend
from segue_web.snapshot import Snapshot, snapshot
from segue_web.video import Video

LABELS = frozenset({SHADOW, OUTSIDE, UNKNOWN, MOTION})
"""Values of CDnet2014, which would be objects in an index mask."""

MATCHED_FRAMES = 24
"""Frames, spread over the video, on which objects of two results are matched."""


class MaskComparison:
    """Comparison of two results by J and F of DAVIS, averaged over scored frames."""

    columns: tuple[str, ...] = ("J", "F")
    left_out = "the first and last frame with ground truth are left out, as in DAVIS"

    def __init__(self, first: Labels, second: Labels) -> None:
        self.first, self.second = first, second
        self.scored: Sequence[int] = sorted(second.masks)[1:-1]  # not the first, which is given, nor the last
        self.ids = self._matched()  # of the second result's objects among the first one's
        self._scores: dict[int, dict[int, Any]] = {}
        self._means: dict[int, list[float]] = {}

    def compare(self, index: int, predicted: BoolArray, truth: BoolArray) -> Any:
        """Statistics of one object on a frame."""
        return region_similarity(predicted, truth), contour_accuracy(predicted, truth)

    def values(self, frame_scores: Sequence[Any]) -> list[float]:
        """Measures from the statistics of frames."""
        means: list[float] = np.mean(frame_scores, axis=0).tolist()
        return means

    def frame_scores(self, index: int) -> dict[int, Any]:
        """Measure of the second result's objects on a frame, by ids of the first."""
        if index not in self._scores:
            one, two = self.first.mask(index), self.second.mask(index)
            pairs = {mine: (one == mine, two == theirs) for theirs, mine in self.ids.items()}
            self._scores[index] = {i: self.compare(index, *pair) for i, pair in pairs.items()}
        return self._scores[index]

    def score(self, index: int) -> dict[str, Any]:
        """Rows by object: measures on the frame, and over the frames visited so far."""
        here = self.frame_scores(index) if index in self.second.masks else {}
        scored = [self._scores[i] for i in self.scored if i in self._scores]
        rows = [
            {
                "object": i,
                "here": self.values([here[i]]) if i in here else None,
                "all": self.values([scores[i] for scores in scored]) if scored else None,
            }
            for i in self.ids.values()
        ]
        return {
            "columns": self.columns,
            "rows": rows,
            "done": len(scored),
            "total": len(self.scored),
            "truths": len(self.second.masks),
            "left_out": self.left_out,
            "curve": self.curve(),
        }

    def curve(self) -> list[list[float]]:
        """Mean measures over objects for each visited frame."""
        for index in [i for i in list(self._scores) if i not in self._means and self._scores[i]]:
            each = [self.values([object_scores]) for object_scores in self._scores[index].values()]
            self._means[index] = np.mean(each, axis=0).round(4).tolist()
        return [[index, *self._means[index]] for index in sorted(self._means)]

    def _matched(self) -> dict[int, int]:
        """Match objects by names given by people, otherwise by overlap; others get new ids."""
        ours, theirs = sorted(self.first.names), sorted(self.second.names)
        names = {i: self.second.names[i] for i in theirs if self.second.names[i] != f"Object {i}"}
        agreed = {i: i for i, name in names.items() if self.first.names.get(i) == name}
        left = [i for i in theirs if i not in agreed], [i for i in ours if i not in agreed]
        partners = agreed | self._overlapping(*left)
        unused = set(ours) - set(partners.values())
        free = iter(range(max(ours, default=0) + 1, 65536))
        return {i: partners.get(i) or (i if i in unused else next(free)) for i in theirs}

    def _overlapping(self, theirs: Sequence[int], ours: Sequence[int]) -> dict[int, int]:
        """Match each object of the second result with the most overlapping one of the first."""
        both, either = np.zeros((len(theirs), len(ours))), np.zeros((len(theirs), len(ours)))
        shared = sorted(set(self.first.masks) & set(self.second.masks))
        for index in shared[:: max(1, len(shared) // MATCHED_FRAMES)]:
            one, two = self.first.mask(index), self.second.mask(index)
            for row, i in enumerate(theirs):
                for column, j in enumerate(ours):
                    both[row, column] += ((two == i) & (one == j)).sum()
                    either[row, column] += ((two == i) | (one == j)).sum()
        overlap = both / np.maximum(either, 1)
        pairs = zip(*linear_sum_assignment(-overlap), strict=True)
        return {theirs[row]: ours[column] for row, column in pairs if overlap[row, column] > 0}


class ForegroundComparison(MaskComparison):
    """Comparison by recall, precision and F of CDnet2014, over labelled pixels."""

    columns = ("Re", "Pr", "F")
    left_out = ""

    def __init__(self, first: Labels, second: Labels) -> None:
        super().__init__(foreground_of(first), foreground_of(second))
        self.scored = sorted(second.masks)
        self._truth = second if is_labels(second) else None

    def compare(self, index: int, predicted: BoolArray, truth: BoolArray) -> Counts:
        labels = np.where(truth, MOTION, STATIC).astype(np.uint8)
        if self._truth is not None and index in self._truth.masks:
            truth_mask = self._truth.mask(index)
            labels = np.where(truth_mask == 1, MOTION, truth_mask).astype(np.uint8)
        return ForegroundAccumulator(ignored=(UNKNOWN, OUTSIDE)).update(predicted, labels)

    def values(self, frame_scores: Sequence[Counts]) -> list[float]:
        measures = sum(frame_scores, Counts()).measures()
        return [measures[name] for name in self.columns]


def is_labels(labels: Labels) -> bool:
    """Whether index masks are labels of CDnet2014."""
    return bool(set(labels.names) & LABELS) and set(labels.names) <= LABELS | {1}


def foreground_of(labels: Labels) -> Labels:
    """Foreground as one object: everything but shadow, or the moving class of CDnet2014."""
    shadow = {i for i, name in labels.names.items() if name == "shadow"}
    foreground = set() if is_labels(labels) else set(labels.names)
    moving = {MOTION, 1} | foreground - shadow  # an image of labels without shadow reads as 1
    result = Labels(labels.size, {1: "foreground"})
    for index, masks in labels.masks.items():
        result.masks[index] = {}
        for number in moving & masks.keys():
            result.add_mask(index, 1, masks[number].encode())
    return result


def video_of(results: Path) -> Path:
    """Video of segue's results.

    It is named by the record of the job beside them, or by their project; an export may have images itself.
    """
    if not results.exists():
        raise SegueError(f"{results}: no such file or folder")
    place = absolute_path(results)
    records = (place / RECORD, place.with_name(f"{place.name}.{RECORD}"), place.parent / RECORD)
    record = next((path for path in records if path.is_file()), None)
    job = None if record is None else read_job(record)
    if isinstance(job, VideoJob) and job.source.place is not None:
        video: Path | None = Path(job.source.place)
    else:
        # An export lies in the folder ``exports`` of its project.
        video = Store.video_of(results) or Store.video_of(place.parent.parent)
    if video is None or not is_source(video):
        video = _own_images(results) or video
    if video is None:
        raise SegueError(f"{results}: does not name its video; give --video")
    if not is_source(video):
        raise SegueError(f"{results}: is of {video}, which is not there; give --video")
    return video


def _own_images(results: Path) -> Path | None:
    """Image folder of a DAVIS, COCO or YOLO export; None without exactly one."""
    folders = [folder for pattern in ("JPEGImages/*/*", "images/*") for folder in results.glob(pattern)]
    image_folders = [folder for folder in folders if folder.is_dir() and any(map(is_image, folder.iterdir()))]
    return image_folders[0] if len(image_folders) == 1 else None


def read_results(results: Path, video: Video) -> Labels:
    """Read masks of results, of an export, or of a project, which may be open in a page.

    Raises:
        SegueError: there are no masks of this video.
    """
    if not (results / "project.db").is_file():
        return read_labels(results, video)
    annotations = read_project(results, video)
    names = {row["id"]: row["name"] for row in annotations.objects}
    annotated = {index: masks for index, masks in annotations.masks.items() if masks}
    return replace(annotations, names=names, masks=annotated)


def read_project(place: Path, video: Video, **options: Any) -> Snapshot:
    """Read masks of a project, which may be open in a page; options as for :func:`snapshot`."""
    with TemporaryDirectory(prefix="segue-view-") as temporary:
        folder = Path(temporary, "project")
        Store.copy(place, folder)
        with closing(Project(folder, video.describe(), video.size)) as project:
            return snapshot(project, video, **options)


class ViewBackend(Backend):
    """Backend for results, optionally compared with others; see :class:`MaskComparison`."""

    def __init__(
        self, video: Video, results: Path, against: Path | None = None, measure: str | None = None
    ) -> None:
        requests: dict[str, Callable[..., Any]] = {
            "hello": self._hello,
            "look": self._frame_data,
        }
        super().__init__(video, requests | ({"score": self._score} if against else {}))
        self._names = distinct_ends(results, against) if against else (results.name, "")
        self._first = read_results(results, video)
        self._comparison: MaskComparison | None = None
        if against:
            truth = read_results(against, video)
            by = measure or ("foreground" if is_labels(truth) else "davis")
            kind = ForegroundComparison if by == "foreground" else MaskComparison
            self._comparison = kind(self._first, truth)
            self._first = self._comparison.first
        self._ended = threading.Event()

    def open(self) -> None:
        if self._comparison:
            work, compared = self._score_all, (self._comparison,)
            threading.Thread(target=work, args=compared, daemon=True, name="segue-view-score").start()

    def close(self) -> None:
        self._ended.set()
        super().close()

    def _frame_data(self, frames: messages.Indices) -> dict[str, Any]:
        return {"frames": [self._frame(index) for index in frames if index < self.video.count]}

    def _score(self, frame: messages.Index) -> dict[str, Any]:
        assert self._comparison is not None
        return {"score": self._comparison.score(frame)}

    def _hello(self, browser: messages.ShortText = "", guest: bool = False) -> dict[str, Any]:
        """Initial data of a page."""
        names = dict(self._first.names)
        if self._comparison:
            compared = self._comparison.second.names.items()
            names = {self._comparison.ids[i]: name for i, name in compared} | names
        objects = [
            {"id": i, "name": name, "colour": colour_of(n + 1), "visible": True, "locked": True}
            for n, (i, name) in enumerate(sorted(names.items()))
        ]
        timeline = [
            [index, i, *mark] for index in sorted(self._first.masks) for i, mark in self._marks(index).items()
        ]
        return {
            "mode": "compare" if self._comparison else "view",
            "video": self.video.display(),
            "objects": objects,
            "timeline": timeline,
            "names": self._names,
            "settings": {},
        }

    def _marks(self, index: int) -> dict[int, list[Any]]:
        """Kind, score and area by object, as in projects."""
        first = self._first
        masks = first.masks.get(index, {})
        return {i: ["imported", first.score(index, i), first.area(index, i)] for i in masks}

    def _frame(self, index: int) -> dict[str, Any]:
        frame_data = {"frame": index, "revision": 0, "prompts": {}, "marks": self._marks(index)}
        frame_data["masks"] = self._first.masks.get(index, {})
        if self._comparison:
            second, ids = self._comparison.second, self._comparison.ids
            frame_data["other"] = {ids[i]: counts for i, counts in second.masks.get(index, {}).items()}
            planes = self._first.planes(index)
            compared_planes = {ids[i]: plane for i, plane in second.planes(index).items()}
            none = np.zeros(self.video.size, np.bool_)
            pairs = {
                i: (planes.get(i, none), compared_planes.get(i, none)) for i in {*planes, *compared_planes}
            }
            frame_data["difference"] = {i: _difference(*pair) for i, pair in pairs.items()}
        return frame_data

    def _score_all(self, comparison: MaskComparison) -> None:
        for index in sorted(comparison.second.masks):
            if self._ended.is_set():
                return
            comparison.frame_scores(index)


def _difference(predicted: BoolArray, truth: BoolArray) -> list[str]:
    """Run lengths of hits, misses and false alarms."""
    return [
        encode_rle(plane)["counts"] for plane in (predicted & truth, truth & ~predicted, predicted & ~truth)
    ]
