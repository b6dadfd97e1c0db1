"""A model over a whole data set by its protocol, and the score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

from segue.batch.do import BatchObserver, run_tasks
from segue.batch.protocols import dataset_videos, is_clips, protocol_of, results_of, scored_here, tasks_of
from segue.batch.work import JobConfig
from segue.errors import ArgumentError
from segue.inputs import kind_of
from segue.jobs.options import ForegroundOptions, InstanceOptions, TrackOptions, checked
from segue.jobs.parts import Model, Outputs, VideoSource
from segue.jobs.values import ForegroundJob, InstancesJob, TrackJob, VideoJob
from segue.metrics.data_sets import Request
from segue.metrics.evaluation import Evaluation, Progress
from segue.weights.available import default_model


@dataclass(frozen=True, slots=True)
class DatasetRun:
    """Result of running a model over a data set.

    Attributes:
        results: what is scored: a folder of masks, or for instances one file.
        evaluation: the scores; None where a server keeps the annotations.
        failed: number of videos that failed; their frames count as empty masks.
    """

    results: Path
    evaluation: Evaluation | None
    failed: int


def run(
    dataset: str,
    data: str | Path,
    *,
    output: str | Path,
    model: str | None = None,
    weights: str | Path | None = None,
    subset: str | None = None,
    sequences: Sequence[str] = (),
    year: str = "2017",
    options: Mapping[str, Any] | None = None,
    workers: int | None = None,
    resume: bool = False,
    device: str | None = None,
    fast: bool = False,
    observer: BatchObserver | None = None,
) -> DatasetRun:
    """Run a model over a data set by its protocol, and score it, as `segue run` does.

    First masks, late objects and regions of interest are those of the data set. What is missing is found
    before the first video starts; a video that fails later costs one line, and the others are scored. Workers
    are processes: a script calls this below ``if __name__ == "__main__":``.

    Args:
        dataset: ``davis``, ``folder``, ``something``, ``ytvos``, ``ytvis``, ``ovis``, ``cdnet``, ``sbi``,
            ``lasiesta``, ``limu``, ``hofam``, ``foreground``, or a data set of another package.
        data: its folder.
        output: folder of the results.
        model: name of the network; None is the one that the job has without a name.
        weights: weight file; None is the network's own.
        subset: part of the data set, such as ``val``; None takes the protocol's.
        sequences: only these sequences, videos or categories; empty is all.
        year: edition of DAVIS, ``2016`` or ``2017``.
        options: options of :func:`segue.track`, :func:`segue.foreground` or :func:`segue.instances` by name.
        workers: number of worker processes; None is one for each GPU, without GPUs one for each core.
        resume: continue an interrupted run.
        device: where networks run; None takes a GPU if there is one.
        fast: bfloat16 on GPUs and processors that are faster with it.
        observer: receives the progress.

    Returns:
        The scores, and where the results are.

    Raises:
        DatasetError: the data set is unknown or not there, or an argument means nothing for it.
        CheckpointError: the model is unknown or made for something else, or its weights are missing.
        ArgumentError: an option has the wrong type or range.
        SegueError: results are there already, or cannot be resumed.
        KeyboardInterrupt: it was interrupted; ``resume=True`` goes on.

    Example:
        >>> done = segue.run("davis", "DAVIS", output="results", model="stcn-lite")  # doctest: +SKIP
        >>> done.evaluation.overall["J&F-Mean"]  # doctest: +SKIP
    """
    if model is not None and not isinstance(model, str):
        raise ArgumentError(
            f"model: {kind_of(model)}; workers are other processes: give a name, and weights if it needs some"
        )
    asked: dict[str, Any] = {
        "dataset": dataset,
        "data": Path(data),
        "subset": subset,
        "sequences": list(sequences),
        "year": year,
    }
    plain = {item.name: item.default for item in fields(Request)}
    request = Request(
        **{name: value for name, value in asked.items() if value not in (plain[name], [], None)}
    )
    template = template_for(request, model, weights, options or {})
    template = template.model_copy(update={"device": device, "fast": fast})
    how = JobConfig(command=protocol_of(dataset).command, output=str(output), workers=workers, resume=resume)
    videos = tasks_of(request, dataset_videos(request, Path(output)), template)
    failed = run_tasks(videos, how, observer or BatchObserver())
    evaluation = score_run(request, how, failed) if scored_here(request) else None
    return DatasetRun(results_of(request, Path(output)), evaluation, failed)


def template_for(
    request: Request, model: str | None, weights: str | Path | None, options: Mapping[str, Any]
) -> VideoJob:
    """The job of every video of a data set, whose source is still to be named."""
    protocol = protocol_of(request.dataset)
    source, path = VideoSource(place=None), None if weights is None else Path(weights)
    if protocol.command == "track":
        named = Model(name=model or protocol.model or "stcn-lite", weights=path)
        following, masks = checked(TrackOptions, options), Outputs(formats=("png",))
        return TrackJob(source=source, model=named, outputs=masks, options=following)
    if protocol.command == "foreground":
        named = Model(name=model or protocol.model or "mustan-lite", weights=path)
        finding, cdnet = checked(ForegroundOptions, options), Outputs(formats=("cdnet",))
        return ForegroundJob(source=source, model=named, outputs=cdnet, options=finding)
    named = Model(name=model or default_model(path, detectors=False), weights=path)
    return InstancesJob(source=source, model=named, whole=True, options=checked(InstanceOptions, options))


def score_run(request: Request, how: JobConfig, failed: int, report: Progress | None = None) -> Evaluation:
    """Score the results of a data set; frames of videos that failed count as empty."""
    results = results_of(request, Path(how.output))
    if not is_clips(request.dataset):
        request = changed(request, missing="empty" if failed else "error", workers=how.workers or 1)
    return request.score(results, report or (lambda done, total, name: None))
