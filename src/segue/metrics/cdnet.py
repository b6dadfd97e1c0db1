"""Scores of CDnet2014 and of other videos with foreground labels, as the official programs count them.

Every measure of a category is the mean over its videos, and overall is the mean over the categories; F is
never computed from mean recall and precision or from pooled counts.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from segue.datasets.cdnet import VIDEOS
from segue.datasets.foreground import ForegroundFolder
from segue.datasets.labels import OUTSIDE
from segue.datasets.results import Results
from segue.metrics.evaluation import Evaluation, Measures, Progress
from segue.metrics.foreground import MEASURES, Counts
from segue.metrics.foreground_results import (
    ForegroundSettings,
    Missing,
    Scoring,
    VideoScore,
    find_scoring,
    frame_name,
)
from segue.naming import first_few

OFFICIAL = ForegroundSettings()


def evaluate_cdnet(
    results: Results | Path | str,
    videos: ForegroundFolder,
    settings: ForegroundSettings = OFFICIAL,
    *,
    missing: Missing = "error",
    exclude: Mapping[str, Collection[int]] | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Score ``<category>/<video>/bin000001.png`` ... by the seven measures of CDnet2014.

    >>> evaluate_cdnet("results", open_cdnet("CDnet2014")).overall["F"]

    The files of the evaluation are those of the official script: ``stats.txt`` overall, for each category
    and for each video.

    Args:
        results: folder or zip archive; the names of its files end in the numbers of the frames.
        videos: the ground truth.
        settings: how to score; the default is the official way.
        missing: what a labelled frame without a result is.
        exclude: numbers of frames to leave out by ``category/video``, such as training frames.
        workers: processes that count videos side by side; 1 counts in this process.
        progress: see :data:`segue.metrics.evaluation.Progress`.

    Raises:
        DatasetError: results are missing or do not fit.
    """
    scoring = find_scoring(results, videos, settings, missing, exclude)
    scores = scoring.run(workers, progress)
    known = [f"{category}/{name}" for category, names in VIDEOS.items() for name in names]
    protocol = "CDnet2014" if set(known) & set(videos.keys) else "measures of CDnet2014"
    if exclude:
        protocol += ", training frames left out"
    return summarise(protocol, scoring, scores, files=stats_files(scores), expected=known)


def evaluate_videos(
    results: Results | Path | str,
    videos: ForegroundFolder,
    settings: ForegroundSettings = OFFICIAL,
    *,
    missing: Missing = "error",
    protocol: str = "foreground",
    expected: Collection[str] = (),
    workers: int = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Score any videos with foreground labels by the measures of CDnet2014, such as SBI2015 and LIMU.

    Without categories, overall is the mean over the videos.

    Args:
        results: folder or zip archive with ``<video>/*``; names end in the numbers of the frames.
        videos: the ground truth.
        settings: how to score.
        missing: what a labelled frame without a result is.
        protocol: name of the data set for the report.
        expected: keys of the videos that a complete data set has.
        workers: processes that count videos side by side; 1 counts in this process.
        progress: see :data:`segue.metrics.evaluation.Progress`.

    Raises:
        DatasetError: results are missing or do not fit.
    """
    scoring = find_scoring(results, videos, settings, missing)
    return summarise(protocol, scoring, scoring.run(workers, progress), expected=expected)


def summarise(
    protocol: str,
    scoring: Scoring,
    scores: Sequence[VideoScore],
    *,
    files: Mapping[str, str] | None = None,
    expected: Collection[str] = (),
) -> Evaluation:
    """Means and remarks of counted videos.

    Args:
        protocol: name of the data set.
        scoring: what was counted.
        scores: the counts.
        files: texts of official programs.
        expected: keys of the videos that a complete data set has.
    """
    settings = scoring.settings
    videos = {score.video.key: _measures(score.counts, settings) for score in scores}
    categories = _category_means(scores, videos, settings)
    return Evaluation(
        protocol=protocol + _deviations(settings, scoring.missing),
        headline="F",
        overall=mean(list(categories.values())),
        sequences=videos,
        categories={name: measures for name, measures in categories.items() if name},
        series={score.video.key: {"F": score.series(settings.alpha)} for score in scores},
        remarks=(*_absent(expected, videos), *_remarks(scores, scoring)),
        files=files or {},
        view=scoring.view,
    )


def mean(rows: Sequence[Measures]) -> dict[str, float]:
    """Mean of each measure over the rows that have it; NaN where none has."""
    means = {}
    for name in rows[0] if rows else (*MEASURES, "MCC", "FPR-S"):
        values = [row[name] for row in rows if not math.isnan(row[name])]
        means[name] = sum(values) / len(values) if values else math.nan
    return means


def _measures(counts: Counts, settings: ForegroundSettings) -> dict[str, float]:
    measures = counts.measures(settings.alpha)
    if settings.empty == "one" and counts.tp + counts.fp + counts.fn == 0:
        measures |= {"Re": 1.0, "Pr": 1.0, "F": 1.0}
    return measures


def _category_means(
    scores: Sequence[VideoScore], videos: Mapping[str, Measures], settings: ForegroundSettings
) -> dict[str, dict[str, float]]:
    """Means by category; videos without foreground are left out if the settings say so."""
    counted = [score for score in scores if settings.empty != "skip" or score.counts.tp + score.counts.fn]
    groups: dict[str, list[Measures]] = {}
    for score in counted:
        groups.setdefault(score.video.category, []).append(videos[score.video.key])
    return {category: mean(rows) for category, rows in groups.items()}


def _deviations(settings: ForegroundSettings, missing: Missing) -> str:
    """What is not scored in the official way; numbers of different ways must not be compared."""
    parts = []
    if settings.threshold != OFFICIAL.threshold:
        parts.append(f"foreground from {settings.threshold}")
    if settings.ignored != OFFICIAL.ignored:
        labels = ", ".join(map(str, settings.ignored)) or "none"
        parts.append(f"ignored labels: {labels}")
    if settings.alpha != OFFICIAL.alpha:
        parts.append(f"alpha {settings.alpha:g}")
    if settings.empty != OFFICIAL.empty:
        parts.append(f"videos without foreground: {settings.empty}")
    if missing == "skip":
        parts.append("frames without result left out")
    return f" ({'; '.join(parts)})" if parts else ""


def _absent(expected: Collection[str], videos: Collection[str]) -> list[str]:
    absent = [key for key in expected if key not in videos]
    if len(absent) in (0, len(expected)):  # complete, or other videos in the same layout
        return []
    return [f"{len(absent)} of {len(expected)} videos are not among the data: {first_few(absent)}"]


def _remarks(scores: Sequence[VideoScore], scoring: Scoring) -> list[str]:
    remarks = []
    taken = "left out" if scoring.missing == "skip" else "taken as empty"
    for score in scores:
        video = score.video
        if score.missing:
            frames = first_few(map(frame_name, score.missing))
            remarks.append(f"{video.key}: {len(score.missing)} frames without result are {taken}: {frames}")
        if video.temporal_roi is not None:
            first, last = video.temporal_roi
            lacking = last - first + 1 - len(video.scored)
            if lacking:
                remarks.append(
                    f"{video.key}: {lacking} of the frames {first} to {last} have no labels and do not count"
                )
        if score.unlabelled and OUTSIDE not in scoring.settings.ignored:
            remarks.append(
                f"{video.key}: {score.unlabelled} frames are labelled {OUTSIDE} (outside) throughout; as in "
                "the official program all foreground found there is wrong, unless that label is ignored"
            )
    return remarks


def stats_files(scores: Sequence[VideoScore]) -> dict[str, str]:
    """Texts that the official programs write, by path: counts, and means by the official formula."""
    texts = {}
    blocks, means = [], {}
    ordered = {
        category: list(group) for category, group in groupby(scores, lambda score: score.video.category)
    }
    for category, videos in ordered.items():
        lines = [f"cm video {category} {score.video.name} {_numbers(score.counts)}\n" for score in videos]
        total = sum((score.counts for score in videos), Counts())
        block = "".join(lines) + f"cm category {category} {_numbers(total)}\n\n"
        blocks.append(block)
        means[category] = _row(mean([score.counts.measures() for score in videos]))
        texts[f"{category}/stats.txt"] = f"{_COMMENT}{block}\n{_COLUMNS}\n{means[category]}"
        texts |= {f"{score.video.key}/stats.txt": f"cm: {_numbers(score.counts)}" for score in videos}
    overall = mean([mean([score.counts.measures() for score in videos]) for videos in ordered.values()])
    rows = "".join(f"\n{_short(category)} :\t{row}" for category, row in means.items())
    total = sum((score.counts for score in scores), Counts())
    texts["stats.txt"] = (
        f"{_COMMENT}{''.join(blocks)}\n\ncm overall {_numbers(total)}"
        f"\n\n\n\n\t\t\t{_COLUMNS}{rows}\n\nOverall :\t{_row(overall)}{_FEW if len(ordered) < 6 else ''}"
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


def _short(category: str) -> str:
    return category[:7] if len(category) > 8 else category
