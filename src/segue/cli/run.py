"""``segue run``: run a model over a data set by its protocol, and score it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from segue.batch.plan import Task
from segue.batch.work import JobConfig
from segue.cli.batch import BatchCommand, do_tasks, given_by_batch, job_of
from segue.cli.options import Options, Values, command
from segue.dataset_runs.protocols import (
    is_clips,
    protocol_of,
    results_of,
    score_run,
    scored_here,
    tasks_of,
    to_be_scored,
)
from segue.dataset_runs.submission import check_served, write_submission
from segue.jobs.values import VideoJob, checked
from segue.metrics.data_sets import Request, data_sets
from segue.metrics.evaluation import Evaluation
from segue.reports import evaluation_values
from segue.reports.terminal import Files, print_evaluation, progress
from segue.utils.inputs import printable
from segue.utils.notices import notice


class RunCommand(BatchCommand):
    """Keeps the options of the command that runs on the data set."""

    def handed_on(self, args: list[str]) -> str:
        """``track`` or ``foreground``, depending on the data set."""
        name = next((word for word in args if word in data_sets()), "davis")
        return protocol_of(name).command


def _run(
    values: Values,
    running: Values,
    outputs: Values,
    *,
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(help="Name of the data set.", show_default=False)],
    root: Annotated[Path, typer.Argument(help="Folder of the data set.", show_default=False)],
    published: Annotated[
        str | None,
        typer.Option(
            help="Numbers of a paper, printed after the scores; commands of `segue reproduce` have it."
        ),
    ] = None,
) -> None:
    """Run a model on a whole data set with its protocol, and score it.

    DATASET is davis, folder (DAVIS's layout), something, ytvos, cdnet, sbi, lasiesta, limu, hofam
    (composites) or foreground. First masks, late objects and regions of interest come from the data set.
    Options not listed here are passed to `segue track`, `segue foreground` or `segue instances`. Missing
    videos are left out, a failed video causes one line, and the remaining videos are scored.

    Examples:

        segue run davis DAVIS --model stcn --weights stcn.safetensors -o results

        segue run cdnet CDnet2014 --sequence shadow --model mustan-lite -o results --resume

        segue run ytvis youtube_vis_2019 --set train --model seqformer-r50 -o results --workers 2

        segue run ytvos YouTubeVOS --set valid --model stcn --short-side 480 -o results --submission stcn.zip
    """
    request = checked(Request, {"dataset": dataset, "data": root, **values})
    files, how = checked(Files, outputs), checked(JobConfig, {**running, "options": context.args})
    files.check(request.data)
    if files.submission is not None:
        check_served(request)
    failed = run_videos(request, how, template_of(request, how))
    if files.submission is not None:
        write_submission(files.submission, request, Path(how.output))
    if scored_here(request):
        evaluation = score_videos(request, how, failed)
        print_evaluation(evaluation)
        if published is not None:
            typer.echo(f"published: {printable(published)}")
        files.save(evaluation_values(evaluation))
    else:
        results = results_of(request, Path(how.output))
        typer.echo(f"results: {results}; the official server scores them", err=True)
        files.announce()
        if published is not None:
            typer.echo(f"published: {printable(published)}")
    if failed:
        raise typer.Exit(1)


run = command(
    _run,
    Options(Request, only=["subset", "sequences", "year", "metrics"]),
    Options(
        JobConfig,
        only=["output", "workers", "resume"],
        defaults={"output": ...},
        help={"output": "Folder of the results.", "resume": "Continue an interrupted run."},
    ),
    Options(Files, only=["json_file", "submission"]),
    kind=RunCommand,
)


def run_videos(
    request: Request,
    how: JobConfig,
    template: VideoJob,
    adapt: Callable[[Iterator[Task]], Iterable[Task]] = iter,
) -> int:
    """Run a job over the videos of a request, changed by ``adapt``; return the number of failures."""
    tasks = tasks_of(request, Path(how.output), template, adapt)
    return do_tasks(tasks, how.model_copy(update={"command": template.kind}))


def template_of(request: Request, how: JobConfig) -> VideoJob:
    """Job for every video of a request from the options, without a source."""
    protocol = protocol_of(request.dataset)
    defaults: dict[str, Any] = {} if protocol.model is None else {"model": protocol.model}
    if protocol.command == "instances":
        defaults["whole"] = protocol.format is None
    job = job_of(protocol.command, defaults, given_by_batch(protocol.command, ["", *how.options]))
    return to_be_scored(job, protocol)


def score_videos(request: Request, how: JobConfig, failed: int) -> Evaluation:
    """Score the output of :func:`run_videos`; frames of failed videos count as empty."""
    if is_clips(request.dataset):
        notice(f"results: {results_of(request, Path(how.output))}")
    with progress(request.dataset) as show:
        return score_run(request, how, failed, show)
