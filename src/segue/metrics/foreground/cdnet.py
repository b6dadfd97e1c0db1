"""Score foreground masks on CDnet2014 and other data sets, equal to the official programs.

Every measure of a category is the mean over its videos, and overall is the mean over the categories; F is
never computed from mean recall and precision or from pooled counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from segue.datasets.foreground.cdnet import VIDEO_KEYS
from segue.datasets.foreground.folder import ForegroundFolder
from segue.datasets.foreground.labels import OUTSIDE, SHADOW, UNKNOWN
from segue.datasets.foreground.sets import MOVING_CAMERA, STATIC_CAMERA
from segue.datasets.results import Results
from segue.metrics.evaluation import Evaluation, Measures, Progress, map_sequences
from segue.metrics.foreground.counts import (
    MEASURES,
    Counts,
    ForegroundSettings,
    Missing,
    VideoScore,
    VideoTask,
    frame_name,
    pair_results,
)
from segue.metrics.foreground.object_sizes import SIZES, measures_by_size
from segue.registry import DATASETS
from segue.utils.naming import first_few

OFFICIAL = ForegroundSettings()

BY_SIZE = tuple(f"F {size}" for size in SIZES)

HOFAM = ForegroundSettings(threshold=15, ignored=(UNKNOWN, OUTSIDE, SHADOW))
"""Settings of the released program of HOFAM: foreground from a probability of 0.059 on, labels 0 and 255."""


@dataclass(frozen=True, slots=True)
class CdnetProtocol:
    """Scoring rules of a data set with foreground labels.

    ``title`` is its name in reports; None is the title of the data set.
    """

    title: str | None = None
    settings: ForegroundSettings = OFFICIAL
    finish: Callable[[Evaluation, Sequence[VideoScore]], Evaluation] = lambda evaluation, _: evaluation


def rules_of(dataset: str) -> CdnetProtocol:
    """Scoring rules of a data set, by default those of CDnet2014."""
    rules = DATASETS.find(dataset).rules if dataset in DATASETS else None
    return CdnetProtocol() if rules is None else rules()


def evaluate_foreground(
    results: Results | Path | str,
    videos: ForegroundFolder,
    protocol: str = "cdnet",
    settings: ForegroundSettings | None = None,
    *,
    missing: Missing = "error",
    exclude: Mapping[str, Collection[int]] | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Score ``<category>/<video>/bin000001.png`` ... or ``<video>/*`` by the seven measures of CDnet2014.

    >>> evaluate_foreground("results", open_cdnet("CDnet2014")).overall["F"]

    Without categories, overall is the mean over the videos. Of CDnet2014 the files of the evaluation are
    those of the official script: ``stats.txt`` overall, for each category and for each video. LASIESTA's
    overall is the mean over the ten categories whose camera stands still; those whose camera moves are scored
    too, and both groups are rows of ``categories``. HOFAM is scored as its released program does, which is
    not comparable: the pixels of all frames and videos are pooled, and only Mean Dice is a mean over frames,
    without those that have foreground neither in their labels nor in their result.

    Args:
        results: folder or zip archive of PNG, JPEG, BMP or PPM images, read as grey values 0 to 255, or
            what :func:`segue.datasets.open_results` gives; the names of the files end in the numbers of the
            frames. Each image has the size of its labels.
        videos: the ground truth.
        protocol: name of a data set, whose rules count; another name is that of the report alone.
        settings: scoring settings; default: those of the protocol.
        missing: handling of a labelled frame without a result: ``"error"``, ``"empty"`` (a frame without
            foreground) or ``"skip"`` (not counted). If all lack a result, that is an error in any case.
        exclude: numbers of frames to leave out by ``category/video``, such as training frames; by the name
            of the video alone where there are no categories.
        workers: processes that count videos side by side; 1 counts in this process.
        progress: called in this process after each video, see :data:`segue.metrics.evaluation.Progress`.

    Returns:
        Scores overall, in ``sequences`` by video and in ``categories``: ``Re``, ``Sp``, ``FPR``, ``FNR``,
        ``Pr`` and ``F`` (the headline) in [0, 1], ``PWC`` in percent, ``MCC`` in [-1, 1] and ``FPR-S`` in
        [0, 1], NaN without shadow; ``F small``, ``F medium`` and ``F large``, NaN without such objects, see
        :mod:`.object_sizes`. HOFAM has ``Mean Dice``, ``Re``, ``Pr``, ``F``, ``PWC``, ``IoU``
        and F by size, and no categories. ``series`` holds F of each counted frame, NaN where neither labels
        nor result have foreground.

    Raises:
        DatasetError: results are missing or do not fit, or a video has no labelled frame left to score.
        SegueError: a process that scored videos died.
    """
    rules = rules_of(protocol)
    entry = DATASETS.find(protocol) if protocol in DATASETS else None
    title = rules.title or (protocol if entry is None else entry.title)
    settings = settings or rules.settings
    tasks = pair_results(results, videos, missing, exclude or {})
    count = partial(VideoTask.count, settings=settings, skip=missing == "skip")
    scores = map_sequences(count, tasks, workers=workers, progress=progress)
    sequences = {score.video.key: _measures(score, settings) for score in scores}
    categories = _category_means(scores, sequences, settings)
    left_out = ", training frames left out" if exclude else ""
    evaluation = Evaluation(
        protocol=f"{title}{left_out}{_deviations(settings, missing)}",
        headline="F",
        overall=mean(list(categories.values())),
        sequences=sequences,
        categories={name: measures for name, measures in categories.items() if name},
        groups=_condition_means(scores, sequences, settings),
        series={score.video.key: {"F": score.series(settings.alpha)} for score in scores},
        remarks=tuple(_remarks(scores, settings, missing, () if entry is None else entry.expected)),
        view=lambda key, frame: tasks[key].view(int(frame), settings),
    )
    return rules.finish(evaluation, scores)


def mean(rows: Sequence[Measures]) -> dict[str, float]:
    """Mean of each measure over the rows that have it; NaN if none does."""
    means = {}
    for name in rows[0] if rows else (*MEASURES, "MCC", "FPR-S", *BY_SIZE):
        values = [row[name] for row in rows if not math.isnan(row[name])]
        means[name] = sum(values) / len(values) if values else math.nan
    return means


def _measures(score: VideoScore, settings: ForegroundSettings) -> dict[str, float]:
    counts = score.counts
    measures = counts.measures(settings.alpha) | measures_by_size(score.sizes, settings.alpha)
    if settings.empty == "one" and counts.tp + counts.fp + counts.fn == 0:
        measures |= {"Re": 1.0, "Pr": 1.0, "F": 1.0}
    return measures


def _category_means(
    scores: Sequence[VideoScore], videos: Mapping[str, Measures], settings: ForegroundSettings
) -> dict[str, dict[str, float]]:
    """Means by category; the settings may exclude videos without foreground."""
    counted = [score for score in scores if settings.empty != "skip" or score.counts.tp + score.counts.fn]
    groups = _by_category(counted).items()
    return {category: mean([videos[score.video.key] for score in group]) for category, group in groups}


def _condition_means(
    scores: Sequence[VideoScore], videos: Mapping[str, Measures], settings: ForegroundSettings
) -> dict[str, dict[str, float]]:
    """Means over the videos of each condition, sorted by name."""
    names = sorted({name for score in scores for name in score.video.conditions})
    return {
        name: mean([videos[score.video.key] for score in scores if name in score.video.conditions])
        for name in names
    }


def _by_category(scores: Sequence[VideoScore]) -> dict[str, list[VideoScore]]:
    groups: dict[str, list[VideoScore]] = {}
    for score in scores:
        groups.setdefault(score.video.category, []).append(score)
    return groups


def _total(scores: Collection[VideoScore]) -> Counts:
    return sum((score.counts for score in scores), Counts())


def _deviations(settings: ForegroundSettings, missing: Missing) -> str:
    """Deviations from the official protocol; scores of different protocols are not comparable."""
    descriptions = {
        "threshold": f"foreground from {settings.threshold}",
        "ignored": f"ignored labels: {', '.join(map(str, settings.ignored)) or 'none'}",
        "alpha": f"alpha {settings.alpha:g}",
        "empty": f"videos without foreground: {settings.empty}",
    }
    parts = [
        text for name, text in descriptions.items() if getattr(settings, name) != getattr(OFFICIAL, name)
    ]
    if missing == "skip":
        parts.append("frames without result left out")
    return f" ({'; '.join(parts)})" if parts else ""


def _remarks(
    scores: Sequence[VideoScore], settings: ForegroundSettings, missing: Missing, expected: Collection[str]
) -> Iterator[str]:
    keys = {score.video.key for score in scores}
    absent = [key for key in expected if key not in keys]
    if 0 < len(absent) < len(expected):  # neither complete nor other videos in the same layout
        yield f"{len(absent)} of {len(expected)} videos are not among the data: {first_few(absent)}"
    dark = [score for score in scores if 0 < score.largest < settings.threshold]
    if dark:
        videos, largest = first_few(score.video.key for score in dark), max(score.largest for score in dark)
        yield (
            f"no result of {videos} reaches {settings.threshold}, the value of foreground; the largest is "
            f"{largest}; give --threshold (ForegroundSettings(threshold=...)), 1 for masks of 0 and 1"
        )
    treatment = "left out" if missing == "skip" else "taken as empty"
    for score in scores:
        video = score.video
        if score.missing:
            frames = first_few(map(frame_name, score.missing))
            yield f"{video.key}: {len(score.missing)} frames without result are {treatment}: {frames}"
        if video.temporal_roi is not None:
            first, last = video.temporal_roi
            if lacking := last - first + 1 - len(video.scored):
                frames = f"{lacking} of the frames {first} to {last}"
                yield f"{video.key}: {frames} have no labels and do not count"
        if score.unlabelled and OUTSIDE not in settings.ignored:
            yield (
                f"{video.key}: {score.unlabelled} frames are labelled {OUTSIDE} (outside) throughout; as in "
                "the official program all foreground found there is wrong, unless that label is ignored"
            )


def stats_files(scores: Sequence[VideoScore]) -> dict[str, str]:
    """Texts of the official programs' files by path: counts, and means by the official formula."""
    texts = {f"{score.video.key}/stats.txt": f"cm: {_numbers(score.counts)}" for score in scores}
    blocks, rows, means = "", "", []
    for category, videos in _by_category(scores).items():
        lines = [f"cm video {category} {score.video.name} {_numbers(score.counts)}\n" for score in videos]
        block = "".join(lines) + f"cm category {category} {_numbers(_total(videos))}\n\n"
        means.append(mean([score.counts.measures() for score in videos]))
        texts[f"{category}/stats.txt"] = f"{_COMMENT}{block}\n{_COLUMNS}\n{_row(means[-1])}"
        blocks += block
        rows += f"\n{category[:7] if len(category) > 8 else category} :\t{_row(means[-1])}"
    texts["stats.txt"] = (
        f"{_COMMENT}{blocks}\n\ncm overall {_numbers(_total(scores))}"
        f"\n\n\n\n\t\t\t{_COLUMNS}{rows}\n\nOverall :\t{_row(mean(means))}{_FEW if len(means) < 6 else ''}"
    )
    return texts


_COMMENT = (
    "#This is the statistical file we use to compare each method.\n"
    '#Only the lines starting with "cm" are importants.\n'
    "#cm NbTruePositive NbFalsePositive NbFalseNegative NbTrueNegative NbErrorShadow\n\n"
)
_COLUMNS = "Recall\t\t\tSpecificity\t\tFPR\t\t\t\tFNR\t\t\t\tPBC\t\t\t\tPrecision\t\tFMeasure"
_FEW = (
    "\nYour method will not be visible in the Overall section."
    "\nYou need all 6 categories to appear in the overall section."
)


def _numbers(counts: Counts) -> str:
    return f"{counts.tp} {counts.fp} {counts.fn} {counts.tn} {counts.se}"


def _row(measures: Measures) -> str:
    return "\t".join(f"{measures[name]:1.10f}" for name in MEASURES)


def _official(evaluation: Evaluation, scores: Sequence[VideoScore]) -> Evaluation:
    """Add the files of CDnet2014's program; other videos only get its measures."""
    title = evaluation.protocol
    if not {score.video.key for score in scores}.intersection(VIDEO_KEYS):
        title = title.replace("CDnet2014", "measures of CDnet2014", 1)
    return replace(evaluation, protocol=title, files=stats_files(scores))


def _static_camera(evaluation: Evaluation, _: Sequence[VideoScore]) -> Evaluation:
    present = {}
    for group, names in (("static camera", STATIC_CAMERA), ("moving camera", MOVING_CAMERA)):
        if rows := [measures for name, measures in evaluation.categories.items() if name in names]:
            present[group] = mean(rows)
    name, overall = next(iter(present.items()), ("other categories", evaluation.overall))
    return replace(
        evaluation,
        protocol=evaluation.protocol.replace("LASIESTA", f"LASIESTA, {name}", 1),
        overall=overall,
        categories={**evaluation.categories, **present},
    )


def _pooled_pixels(evaluation: Evaluation, scores: Sequence[VideoScore]) -> Evaluation:
    sequences = {score.video.key: _pooled([score]) for score in scores}
    return replace(evaluation, overall=_pooled(scores), sequences=sequences, categories={})


def _pooled(scores: Collection[VideoScore]) -> dict[str, float]:
    """Measures of pooled pixels; NaN if a denominator is 0."""
    total = _total(scores)
    frames = [counts for score in scores for counts in score.frames.values()]
    dices = [_share(2 * item.tp, 2 * item.tp + item.fn + item.fp) for item in frames]
    dices = [dice for dice in dices if not math.isnan(dice)]
    recall = _share(total.tp, total.tp + total.fn)
    precision = _share(total.tp, total.tp + total.fp)
    return {
        "Mean Dice": _share(sum(dices), len(dices)),
        "Re": recall,
        "Pr": precision,
        "F": _share(2 * recall * precision, recall + precision),
        "PWC": 100 * _share(total.fn + total.fp, total.tp + total.fp + total.fn + total.tn),
        "IoU": _share(total.tp, total.tp + total.fn + total.fp),
    } | measures_by_size(sum((score.sizes for score in scores), np.zeros((3, 3), np.int64)), 0)


def _share(part: float, total: float) -> float:
    return part / total if total else math.nan


def cdnet_rules() -> CdnetProtocol:
    """Scoring rules of CDnet2014, with the files of its program."""
    return CdnetProtocol(finish=_official)


def lasiesta_rules() -> CdnetProtocol:
    """Scoring rules of LASIESTA: the overall score is over static cameras."""
    return CdnetProtocol(finish=_static_camera)


def hofam_rules() -> CdnetProtocol:
    """Scoring rules of the released program of HOFAM."""
    return CdnetProtocol("HOFAM, pooled pixels", HOFAM, _pooled_pixels)
