"""Local YouTube-VOS score: J and F on the user's annotations, split by seen categories.

Xu et al., "YouTube-VOS: A Large-Scale Video Object Segmentation Benchmark", section 5. The annotations of the
public validation sets are not released and the exact rule of the server is not public, so that this number
must not be mixed with numbers of the server.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from segue.datasets.results import Results, open_results
from segue.datasets.ytvos import YtvosFolder, YtvosObject, YtvosVideo
from segue.errors import DatasetError
from segue.metrics.evaluation import (
    Evaluation,
    FrameView,
    Missing,
    Progress,
    SequenceResults,
    check_shift,
    find_results,
    map_sequences,
    object_series,
)
from segue.metrics.measures import DEFAULT_BOUND_TH, contour_accuracies, count_pairs, region_similarities
from segue.metrics.report import Scores, mean_of_valid
from segue.types import IndexMask
from segue.utils.naming import first_few


def evaluate_ytvos(
    results: Results | Path | str,
    ytvos: YtvosFolder,
    *,
    seen: Collection[str] | None = None,
    bound_th: float = DEFAULT_BOUND_TH,
    missing: Missing = "error",
    workers: int = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Score results by the local YouTube-VOS score.

    Each object is scored on the annotated frames after the one in which it is given, up to the end of the
    video. ``G`` is the mean of J and F over the objects of seen categories (``J_s``, ``F_s``) and over those
    of unseen ones (``J_u``, ``F_u``); without objects of one kind it is the mean of the other two.

    >>> evaluate_ytvos("results", YtvosFolder("train", videos=held_out), seen=read_categories("seen.txt"))

    Args:
        results: index masks ``<video>/<frame>.png`` in a folder or zip archive, or what
            :func:`segue.datasets.open_results` gives, with the ids of the annotations; each mask has the size
            of its annotation.
        ytvos: the ground truth.
        seen: names of the categories that occur in the training set; default: all are taken as seen.
        bound_th: tolerance of the contour accuracy, see :func:`segue.metrics.contour_accuracy`.
        missing: handling of scored frames without a result, as for
            :func:`segue.metrics.evaluate_davis`.
        workers: processes that score videos side by side; 1 scores in this process.
        progress: called in this process after each video, with the number done, the number of all and the
            name of this one.

    Returns:
        Scores in [0, 1]. ``overall`` and ``sequences`` hold ``G`` (the headline), ``J_s``, ``J_u``, ``F_s``
        and ``F_u``; NaN where no object counts. ``objects`` (by ``<video>_<id>``) and ``categories`` hold
        ``J`` and ``F``, ``series`` J and F of the scored frames.

    Raises:
        DatasetError: results are missing (then nothing is scored), cannot be read or do not fit, no object
            is annotated after the frame in which it is given, or ``bound_th`` is not a positive number.
        SegueError: a process that scored sequences died.
    """
    scored = {video.name: _scored_frames(video) for video in ytvos}
    by_video, remarks = find_results(open_results(results), scored, missing)
    check_shift(by_video, {video.name: [*video.frames] for video in ytvos})
    tasks = {name: (ytvos[name], by_video[name]) for name, frames in scored.items() if frames}
    if not tasks:
        raise DatasetError(f"{ytvos.root}: no object is annotated after the frame in which it is given")
    score_video = partial(_score_video, bound_th=bound_th)
    counted = map_sequences(score_video, tasks, workers=workers, progress=progress)
    scores = dict(zip(tasks, counted, strict=True))
    objects = {name: list(_object_scores(ytvos[name], score, seen)) for name, score in scores.items()}
    everything = [item for items in objects.values() for item in items]
    overall = _measures(everything)
    return Evaluation(
        protocol=f"local YouTube-VOS score, {ytvos.root.resolve().name}",
        headline="G",
        overall=overall,
        sequences={name: _measures(items) for name, items in objects.items()},
        objects={item.name: {"J": item.region, "F": item.contour} for item in everything},
        categories={
            category: _means([item for item in everything if item.category == category])
            for category in sorted({item.category for item in everything})
        },
        series={
            name: object_series(
                score.region, score.contour, scored[name], [item.id for item in ytvos[name].objects]
            )
            for name, score in scores.items()
        },
        remarks=(*remarks, *_remarks(scores, everything, seen, overall["J_u"])),
        view=lambda sequence, frame: _frame_view(*tasks[sequence], frame),
    )


@dataclass(frozen=True, slots=True)
class _VideoScore:
    """J and F, (objects, scored frames), NaN if an object is not scored.

    ``unknown`` are result ids without an object, ``hidden`` ids of objects without a result.
    """

    region: Scores
    contour: Scores
    unknown: tuple[int, ...]
    hidden: tuple[int, ...]


def _scored_frames(video: YtvosVideo) -> tuple[str, ...]:
    """Annotated frames after the first appearance of an object."""
    names = tuple(video.annotations)
    first = min((names.index(item.given) for item in video.objects), default=len(names))
    return names[first + 1 :]


def _score_video(task: tuple[YtvosVideo, SequenceResults], bound_th: float) -> _VideoScore:
    video, results = task
    objects = video.objects
    order = {name: place for place, name in enumerate(video.annotations)}
    first_frames = np.array([order[item.given] for item in objects])
    region, contour = (np.full((len(objects), len(results.frames)), np.nan) for _ in range(2))
    ids: set[int] = set()
    for t, name in enumerate(results.frames):
        truth = video.read_mask(name)
        prediction = results.read(name, truth, _only(video))
        ids.update(np.flatnonzero(np.bincount(prediction.ravel())).tolist())
        active = np.flatnonzero(first_frames < order[name])
        pair = _ranks(prediction, objects), _ranks(truth, objects)
        region[active, t] = region_similarities(count_pairs(*pair, len(objects), len(objects)))[active]
        contour[active, t] = contour_accuracies(*pair, (active + 1).tolist(), bound_th)
    expected = {item.id for item in objects}
    return _VideoScore(region, contour, tuple(sorted(ids - expected - {0})), tuple(sorted(expected - ids)))


def _ranks(mask: IndexMask, objects: tuple[YtvosObject, ...]) -> IndexMask:
    """Renumber a mask: object k of the list as k + 1, the rest as background."""
    ranks = np.zeros(max(int(mask.max()), *(item.id for item in objects)) + 1, np.uint8)
    for rank, item in enumerate(objects, start=1):
        ranks[item.id] = rank
    return ranks[mask]


@dataclass(frozen=True, slots=True)
class _ObjectScore:
    """Mean J and F of one object; NaN without scored frames."""

    name: str
    category: str
    is_seen: bool
    region: float
    contour: float


def _object_scores(
    video: YtvosVideo, score: _VideoScore, seen: Collection[str] | None
) -> Iterator[_ObjectScore]:
    for item, *rows in zip(video.objects, score.region, score.contour, strict=True):
        is_seen = seen is None or item.category in seen
        yield _ObjectScore(f"{video.name}_{item.id}", item.category, is_seen, *map(mean_of_valid, rows))


def _measures(objects: Collection[_ObjectScore]) -> dict[str, float]:
    """``G`` and the means of the two splits, under their published names."""
    seen_means, unseen = (
        _means([item for item in objects if item.is_seen is kind]) for kind in (True, False)
    )
    parts = {"J_s": seen_means["J"], "J_u": unseen["J"], "F_s": seen_means["F"], "F_u": unseen["F"]}
    return {"G": mean_of_valid(np.array(list(parts.values()))), **parts}


def _means(objects: Collection[_ObjectScore]) -> dict[str, float]:
    return {
        "J": mean_of_valid(np.array([item.region for item in objects])),
        "F": mean_of_valid(np.array([item.contour for item in objects])),
    }


def _remarks(
    scores: dict[str, _VideoScore],
    objects: Collection[_ObjectScore],
    seen: Collection[str] | None,
    unseen_j: float,
) -> Iterator[str]:
    if hidden := [f"{name}_{k}" for name, score in scores.items() for k in score.hidden]:
        yield f"objects that the results never show, scored as empty masks: {first_few(hidden)}"
    if unknown := [f"{name}_{k}" for name, score in scores.items() for k in score.unknown]:
        yield f"ids in results that no object has, taken as background: {first_few(unknown)}"
    if unscored := [item.name for item in objects if math.isnan(item.region)]:
        yield f"objects given in the last annotated frame, not scored: {first_few(unscored)}"
    if seen is None:
        yield "no list of seen categories: all are taken as seen, and G is the mean of J_s and F_s"
    elif math.isnan(unseen_j):
        yield "no object of an unseen category: G is the mean of J_s and F_s"
    elif not any(item.is_seen for item in objects):
        yield "no object of a seen category: G is the mean of J_u and F_u"


def _only(video: YtvosVideo) -> int | None:
    """Id of the object, in a video with only one."""
    return video.objects[0].id if len(video.objects) == 1 else None


def _frame_view(video: YtvosVideo, results: SequenceResults, frame: str) -> FrameView:
    """A scored frame; unknown ids are background, as in the score."""
    if frame not in results.frames:
        raise DatasetError(f"video {video.name}: frame {frame} was not scored")
    truth = video.read_mask(frame)
    masks = (truth, results.read(frame, truth, _only(video)))
    ids = np.array([item.id for item in video.objects])
    truth, result = (np.where(np.isin(mask, ids), mask, 0) for mask in masks)
    return FrameView(truth, result, np.zeros(truth.shape, np.bool_), video.read_image(frame))
