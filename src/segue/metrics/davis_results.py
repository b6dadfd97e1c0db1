"""Score results of DAVIS in files: semi-supervised, unsupervised and 2016."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from segue.datasets.davis import DavisFolder, Sequence
from segue.datasets.files import ByName
from segue.datasets.labelled import open_any_results
from segue.datasets.results import Results
from segue.datasets.something import BoxSequence, SomethingElseFolder
from segue.errors import DatasetError
from segue.masks.values import is_white
from segue.metrics.davis import VOID, DavisAccumulator, UnsupervisedAccumulator
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
from segue.metrics.measures import DEFAULT_BOUND_TH
from segue.metrics.report import DavisReport, SequenceScore
from segue.types import IndexMask
from segue.utils.inputs import check_choice, user_path
from segue.utils.naming import first_few

DavisProtocol = Literal["2017", "unsupervised", "2016", "2016-toolkit"]
"""``2017``: semi-supervised, each object for itself. ``unsupervised``: proposals, matched with the objects.
``2016``, ``2016-toolkit``: all objects as one, see :data:`segue.metrics.davis.SemiSupervised`."""

_TITLES: Mapping[DavisProtocol, str] = {
    "2017": "DAVIS 2017 semi-supervised",
    "unsupervised": "DAVIS 2017 unsupervised",
    "2016": "DAVIS 2016",
    "2016-toolkit": "DAVIS 2016 (toolkit of 2016)",
}


def evaluate_davis(
    results: Results | Path | str,
    davis: DavisFolder | SomethingElseFolder | ByName[Sequence] | Path | str,
    *,
    protocol: DavisProtocol = "2017",
    bound_th: float = DEFAULT_BOUND_TH,
    missing: Missing = "error",
    workers: int = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Score results of any program as the official DAVIS evaluation does.

    >>> evaluation = evaluate_davis("results.zip", DavisFolder("DAVIS", "val"), workers=4)
    >>> evaluation.overall["J&F-Mean"]

    In sequences with 0/255 annotations (DAVIS 2016) 255 in a result is the object too, and so it is in a
    result of 0 and 255 alone where the annotations have one object.

    Args:
        results: index masks ``<sequence>/<frame>.png`` in a folder or zip archive, or what
            :func:`segue.datasets.open_results` gives; each mask has the size of its annotation. Any format
            of :data:`segue.registry.FORMATS` that is read will do: a file or folder ``<sequence>`` each, or
            one file of all.
        davis: the ground truth, or its folder, of which ``val`` is taken; for ``unsupervised`` opened with
            ``annotations="Annotations_unsupervised"``.
            For Something-Else these are the filled boxes.
        protocol: see :data:`DavisProtocol`.
        bound_th: tolerance of the contour accuracy, see :func:`segue.metrics.contour_accuracy`.
        missing: handling of scored frames without a result: ``"error"`` refuses to score, ``"empty"``
            scores them as empty masks. If all scored frames lack a result, that is an error in any case.
        workers: processes that score sequences side by side; 1 scores in this process.
        progress: called in this process after each sequence, with the number done, the number of all and the
            name of this one.

    Returns:
        Scores under the official names ``J&F-Mean`` (the headline), ``J-Mean``, ``J-Recall``, ``J-Decay``,
        ``F-Mean``, ``F-Recall`` and ``F-Decay``, as shares (not percent): in ``overall`` means over all
        objects, in ``sequences`` means over the objects of one, in ``objects`` by ``<sequence>_<id>``.
        ``series`` holds J and F of the scored frames, ``files`` the two official CSV files.

    Raises:
        DatasetError: results are missing (then nothing is scored), cannot be read or do not fit, or
            ``protocol`` or ``bound_th`` is not a permitted value.
        SegueError: a process that scored sequences died.
    """
    check_choice("protocol", protocol, DavisProtocol, DatasetError)
    if isinstance(davis, (str, Path)):
        root = user_path(davis)
        davis = DavisFolder(root, "val" if (root / "ImageSets").is_dir() else None)
    results = open_any_results(results, {video.name: video.frames for video in davis})
    scored = {video.name: tuple(_scored_frames(video, protocol).values()) for video in davis}
    by_sequence, remarks = find_results(results, scored, missing)
    check_shift(by_sequence, {video.name: [frame.stem for frame in video.frames] for video in davis})
    tasks = {name: _Task(davis[name], by_sequence[name], protocol, bound_th) for name in scored}
    scores = map_sequences(_score_sequence, tasks, workers=workers, progress=progress)
    report = DavisReport(tuple(scores))
    by_name = {score.name: score for score in scores}
    return Evaluation(
        protocol=f"{_TITLES[protocol]}, {davis.split}",
        headline="J&F-Mean",
        overall=report.measures,
        sequences={score.name: score.measures for score in scores},
        objects={item.name: item.measures for item in report.objects},
        series={
            name: object_series(
                score.region_frames, score.contour_frames, scored[name], [item.id for item in score.objects]
            )
            for name, score in zip(tasks, scores, strict=True)
        },
        remarks=(*remarks, *_foreign_names(davis, by_sequence), *_remarks(report, results, protocol)),
        files={
            f"global_results-{davis.split}.csv": report.global_csv(),
            f"per-sequence_results-{davis.split}.csv": report.per_sequence_csv(),
        },
        view=lambda sequence, frame: _frame_view(tasks[sequence], frame, by_name[sequence]),
    )


@dataclass(frozen=True, slots=True)
class _Task:
    sequence: Sequence | BoxSequence
    results: SequenceResults
    protocol: DavisProtocol
    bound_th: float

    def prediction(self, i: int, truth: IndexMask) -> IndexMask:
        prediction = self.results.read(self.sequence.frames[i].stem, truth)
        if self.sequence.binary:
            prediction[prediction == VOID] = 1
        return prediction


def _scored_frames(sequence: Sequence | BoxSequence, protocol: DavisProtocol) -> dict[int, str]:
    """Names by index of the frames that the protocol scores."""
    frames = [(i, sequence.frames[i].stem) for i in sequence.annotations]
    return dict(frames if protocol in ("unsupervised", "2016-toolkit") else frames[1:-1])


def _score_sequence(task: _Task) -> SequenceScore:
    sequence = task.sequence
    if task.protocol == "unsupervised":
        matcher = UnsupervisedAccumulator(sequence.name, bound_th=task.bound_th)
        for i in sequence.annotations:
            truth = sequence.read_mask(i)
            matcher.update(task.prediction(i, truth), truth)
        return matcher.score()
    accumulator = DavisAccumulator(sequence.name, protocol=task.protocol, bound_th=task.bound_th)
    scored = _scored_frames(sequence, task.protocol)
    for i in sequence.annotations:
        truth = sequence.read_mask(i)
        accumulator.update(task.prediction(i, truth) if i in scored else None, truth)
    return accumulator.score()


def _foreign_names(
    davis: DavisFolder | SomethingElseFolder | ByName[Sequence], by_sequence: Mapping[str, SequenceResults]
) -> Iterator[str]:
    """Advice for results whose names match no frame, as if numbered from 1."""
    foreign = [
        f"{video.name} {name}"
        for video in davis
        for name in by_sequence[video.name].extra_results({frame.stem for frame in video.frames})
    ]
    if foreign:
        yield (
            f"results of frames that are not in the set were not used: {first_few(foreign)}; if they are "
            "numbered from another frame on, all others were scored on the wrong ones"
        )


def _remarks(report: DavisReport, results: Results, protocol: DavisProtocol) -> Iterator[str]:
    if unseen := [f"{score.name}_{k}" for score in report.sequences for k in score.missing]:
        yield f"objects that the results never show, scored as empty masks: {first_few(unseen)}"
    if foreign := results.besides([score.name for score in report.sequences]):
        yield f"results of sequences that are not in this set were not used: {first_few(foreign)}"
    if protocol == "unsupervised":
        yield "objects of a sequence are numbered in the order of their proposals, as in the official tables"


def _frame_view(task: _Task, frame: str, score: SequenceScore) -> FrameView:
    """A scored frame with its masks as the protocol compares them."""
    scored = _scored_frames(task.sequence, task.protocol).items()
    index = next((i for i, name in scored if name == frame), None)
    if index is None:
        raise DatasetError(f"sequence {task.sequence.name}: frame {frame} was not scored")
    truth = task.sequence.read_mask(index)
    result = task.prediction(index, truth)
    if is_white(result) and (task.protocol == "unsupervised" or not ((truth > 1) & (truth != VOID)).any()):
        result = (result != 0).astype(np.uint8)
    void = truth == VOID
    truth = np.where(void, np.uint8(0), truth)
    if task.protocol in ("2016", "2016-toolkit"):
        truth, result = ((mask != 0).astype(np.uint8) for mask in (truth, result))
    else:
        truth[truth > len(score.objects)] = 0  # ids that appear later are not scored
    if task.protocol == "unsupervised":
        result = _rename(result, score.match)
    ignored = void if task.protocol == "unsupervised" else np.zeros_like(void)
    return FrameView(truth, result, ignored, task.sequence.read_image(index))


def _rename(result: IndexMask, match: tuple[tuple[int, int], ...]) -> IndexMask:
    """Rename proposals to the ids of their objects; the rest get higher ids."""
    names = np.arange(256, dtype=np.uint16) + len(match)
    names[0] = 0
    for proposal, item in match:
        names[proposal] = item
    return names[result]
