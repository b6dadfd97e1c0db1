"""Average precision of video instance segmentation, equal to the official evaluations.

Yang, Fan and Xu, "Video Instance Segmentation", ICCV 2019. Objects and detections are compared as whole
tracks, so that a wrong class, a lost or a switched identity cost as much as a wrong mask. Overlaps come from
run lengths; no video is decoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from segue.datasets.instances import DetectedInstance, Instance
from segue.datasets.ytvis import YTVISDataset, YTVISVideo, read_results
from segue.errors import DatasetError
from segue.metrics.average_precision import Matches, TrackScores, match_tracks, score_tracks
from segue.metrics.evaluation import Evaluation, FrameView, Series
from segue.types import IndexMask
from segue.utils.arrays import Float64Array
from segue.utils.naming import first_few

__all__ = ["TrackScores", "YTVISAccumulator", "evaluate_ytvis"]

_Item = TypeVar("_Item", Instance, DetectedInstance)


class YTVISAccumulator:
    """Scores one video after the other, keeping matches only.

    >>> accumulator = YTVISAccumulator(dataset.categories)
    >>> for video in dataset:
    ...     accumulator.update(video.id, dataset.annotations(video), detections[video.id])
    >>> accumulator.score().stats["AP"]

    Args:
        categories: numbers of the categories that are scored.
    """

    def __init__(self, categories: Iterable[int]) -> None:
        self._categories = tuple(sorted(set(categories)))
        self._videos: dict[int, dict[int, Matches]] = {}

    def update(
        self, video: int, objects: Sequence[Instance], detections: Sequence[DetectedInstance]
    ) -> Mapping[int, Matches]:
        """Match the detections of a video to its objects.

        Detections of categories that are not scored are left out, as in the official evaluation.

        Args:
            video: its number; equal scores are ranked by it.
            objects: all annotated objects.
            detections: in the order in which equal scores are ranked.

        Returns:
            Matches by the number of the category, for the categories that occur in the video.

        Raises:
            DatasetError: the video was there before, an object has a category that is not scored, or masks
                differ in size or number of frames.
        """
        if video in self._videos:
            raise DatasetError(f"video {video} was added before; give each video once")
        _check_tracks(video, objects, detections)
        categories = {item.category for item in objects}
        if unknown := categories - set(self._categories):
            raise DatasetError(f"video {video}: an object has category {min(unknown)}, which is not scored")
        categories |= {item.category for item in detections}
        self._videos[video] = {
            number: match_tracks(_of_category(detections, number), _of_category(objects, number))
            for number in self._categories
            if number in categories
        }
        return self._videos[video]

    def score(self, videos: Iterable[int] | None = None) -> TrackScores:
        """Score the videos so far.

        Args:
            videos: ids of the videos that count; None counts all.

        Returns:
            AP and AR over all categories.

        Raises:
            DatasetError: a video was not added.
        """
        selected = sorted(self._videos if videos is None else set(videos))
        if missing := [str(number) for number in selected if number not in self._videos]:
            raise DatasetError(f"no video {first_few(missing)} was added")
        per_video = [self._videos[number] for number in selected]
        return score_tracks(
            {number: [video[number] for video in per_video if number in video] for number in self._categories}
        )


def _check_tracks(video: int, objects: Sequence[Instance], detections: Sequence[DetectedInstance]) -> None:
    if len({len(item.masks) for item in objects}) > 1:
        raise DatasetError(f"video {video}: its objects have different numbers of frames")
    sizes = {item.masks.size for item in objects} | {item.masks.size for item in detections}
    if len(sizes) > 1:
        raise DatasetError(f"video {video}: masks have different sizes {sorted(sizes)} (height, width)")


def evaluate_ytvis(results: Path | str, ground_truth: YTVISDataset | Path | str) -> Evaluation:
    """Score a result file.

    ``overall`` holds the twelve official numbers. ``sequences`` holds those that papers report, measured as
    if the video were the whole set; NaN if it has no object. Scores are then ranked within the video only, so
    that a detection that is sure and wrong costs nothing in other videos. ``categories`` holds them for each
    class that occurs, ``groups`` AP of objects by size, motion and change of shape, see
    :mod:`segue.metrics.track_groups`. ``series`` holds for each frame the mean IoU of the objects with the
    tracks that were matched with them at a threshold of 0.5; objects that were not found count 0.

    Args:
        results: JSON list of the official form, or a zip file with one.
        ground_truth: the annotations, or their file; a data set that was opened with images shows them in
            :attr:`Evaluation.view`.

    Returns:
        Scores in [0, 1], by the headline ``AP``. ``overall`` holds ``AP``, ``AP50``, ``AP75``, ``APs``,
        ``APm``, ``APl``, ``AR1``, ``AR10``, ``AR100``, ``ARs``, ``ARm`` and ``ARl``, each -1 if no object
        counts for it. ``sequences`` and ``categories`` hold ``AP``, ``AP50``, ``AP75``, ``AR1`` and ``AR10``,
        ``groups`` the first three of them.

    Raises:
        DatasetError: a file is missing or damaged, the ground truth has no annotations, the results are
            empty, or an entry is wrong, such as one of an unknown video.
    """
    dataset = ground_truth if isinstance(ground_truth, YTVISDataset) else YTVISDataset(ground_truth)
    if not dataset.annotated:
        raise DatasetError(
            f"{dataset.path} has no annotations; results on it can only be scored by the official server"
        )
    detections = read_results(results, dataset)
    accumulator = YTVISAccumulator(dataset.categories)
    matches = {
        video.id: accumulator.update(video.id, dataset.annotations(video), detections.get(video.id, []))
        for video in dataset
    }
    scores = accumulator.score()
    names = dataset.categories
    videos = {video.name: video for video in dataset}

    def view(sequence: str, frame: str) -> FrameView:
        video = videos[sequence]
        return _frame_view(dataset, video, frame, detections.get(video.id, []), matches[video.id])

    return Evaluation(
        protocol=f"YouTube-VIS, {dataset.path.name}",
        headline="AP",
        overall=scores.stats,
        sequences={video.name: accumulator.score([video.id]).headlines for video in dataset},
        categories={names[number]: scores.category(number).headlines for number in scores.categories},
        groups=scores.groups,
        series={
            video.name: {"IoU": Series(video.frame_names, _frame_means(len(video), matches[video.id]))}
            for video in dataset
        },
        remarks=tuple(_remarks(dataset, detections, scores)),
        view=view,
    )


def _frame_means(frames: int, matches: Mapping[int, Matches]) -> Float64Array:
    """Mean IoU of the objects on each frame, (frames,); NaN without visible objects."""
    rows = [row for match in matches.values() for row in match.frame_overlaps[match.counted[0]]]
    table: Float64Array = np.array(rows).reshape(-1, frames)
    counts = (~np.isnan(table)).sum(axis=0)
    means: Float64Array = np.full(frames, np.nan)
    np.divide(np.nansum(table, axis=0), counts, out=means, where=counts > 0)
    return means


def _of_category(items: Iterable[_Item], number: int) -> list[_Item]:
    return [item for item in items if item.category == number]


def _remarks(
    dataset: YTVISDataset, detections: Mapping[int, Sequence[DetectedInstance]], scores: TrackScores
) -> Iterable[str]:
    """Tables beyond those of the official tool."""
    if empty := [video.name for video in dataset if video.id not in detections]:
        yield (
            f"{len(empty)} of {len(dataset)} videos have no results, their objects count as missed: "
            f"{first_few(empty)}"
        )
    detected = [item for items in detections.values() for item in items]
    if strange := [item.category for item in detected if item.category not in dataset.categories]:
        numbers = first_few(str(number) for number in sorted(set(strange)))
        yield f"{len(strange)} results of categories that the set does not have are left out: {numbers}"
    uneven = sum(
        len(item.masks) != len(dataset.video(number))
        for number, items in detections.items()
        for item in items
    )
    if uneven:
        yield f"{uneven} results have more or fewer frames than their video; frames of both are compared"
    names = dataset.categories
    if unseen := [name for number, name in names.items() if number not in scores.categories]:
        yield (
            f"{len(unseen)} of {len(names)} categories have no object and do not count: {first_few(unseen)}"
        )


def _frame_view(
    dataset: YTVISDataset,
    video: YTVISVideo,
    frame: str,
    detections: Sequence[DetectedInstance],
    matches: Mapping[int, Matches],
) -> FrameView:
    """A frame with each object and the detection matched to it at threshold 0.5."""
    t = video.frame_names.index(frame)
    objects = dataset.annotations(video)
    ids = {item.id: k for k, item in enumerate(objects, start=1)}
    ignored = np.zeros(video.size, np.bool_)
    for item in objects:
        if item.crowd:
            ignored |= item.masks.decode(t)
    single = [(ids[item.id], item) for item in objects if not item.crowd]
    return FrameView(
        truth=_paint(single, t, video.size),
        result=_paint(_visible_detections(objects, ids, detections, matches), t, video.size),
        ignored=ignored,
        image=None if dataset.images is None else dataset.read_image(video, t),
    )


def _visible_detections(
    objects: Sequence[Instance],
    ids: Mapping[int, int],
    detections: Sequence[DetectedInstance],
    matches: Mapping[int, Matches],
) -> list[tuple[int, DetectedInstance]]:
    """Detections with the ids to draw, the best last."""
    right: list[tuple[int, DetectedInstance]] = []
    wrong: list[DetectedInstance] = []
    for number, category_matches in matches.items():
        candidates, targets = _of_category(detections, number), _of_category(objects, number)
        for place, match, skip in zip(
            category_matches.order,
            category_matches.matched[0, 0],
            category_matches.ignored[0, 0],
            strict=True,
        ):
            if match >= 0 and not skip:
                right.append((ids[targets[match].id], candidates[place]))
            elif match < 0:
                wrong.append(candidates[place])
    best = max((item.score for item in wrong), default=0.0)
    min_score = min((item.score for _, item in right), default=best)
    confident = [item for item in wrong if item.score >= min_score]
    numbered = right + list(enumerate(confident, start=len(ids) + 1))
    return sorted(numbered, key=lambda pair: pair[1].score)


def _paint(
    items: Sequence[tuple[int, Instance | DetectedInstance]], frame: int, size: tuple[int, int]
) -> IndexMask:
    """Paint objects into an index mask (H, W), uint16; later ones on top."""
    mask = np.zeros(size, np.uint16)
    for number, item in items:
        if frame < len(item.masks):
            mask[item.masks.decode(frame)] = number
    return mask
