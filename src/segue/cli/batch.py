"""``segue batch``: process many videos on all cores or on a Ray cluster."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from segue.batch.ledger import STATES, Ledger
from segue.batch.places import hide_secrets
from segue.batch.plan import Task, read_tasks
from segue.batch.report import merge_reports
from segue.batch.run import BatchObserver, check_single_files, run_tasks
from segue.batch.shards import LEDGER, home_of, ledgers_of
from segue.batch.work import JobConfig
from segue.cli.main import load_command
from segue.cli.options import Options, Values, command
from segue.cli.running import given_in_file, given_in_words, job_of_values
from segue.errors import SegueError
from segue.jobs.values import ForegroundJob, Job, TrackJob, check_prompts, checked
from segue.reports.terminal import bars, interruptible
from segue.utils.inputs import printable
from segue.utils.notices import notice

WORKER_OPTIONS = ("--output", "-o", "--overwrite", "--resume", "--quiet", "-q")  # each worker sets them

DOABLE = ("track", "foreground", "instances")


class BatchCommand(TyperCommand):
    """Parses its own options and keeps those of the repeated command in ``context.args``."""

    def handed_on(self, args: list[str]) -> str:
        """Command that receives the other options."""
        return value_of(args, "--do") or "track"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        to = self.handed_on(args)
        if to not in DOABLE:
            raise SegueError(f"--do {to}: choose from {', '.join(DOABLE)}")
        batch_options = _options(self.get_params(ctx))
        all_options = _options(load_command(to).get_params(ctx)) | batch_options
        mine: list[str] = []
        theirs: list[str] = []
        words = iter(args)
        for word in words:
            name, has_value, _ = word.partition("=")
            is_option = word.startswith("-") and word != "-"
            if is_option and name not in all_options:
                raise SegueError(f"{ctx.info_name}: there is no option {name}, nor has `segue {to}` one")
            whose = theirs if is_option and name not in batch_options else mine
            whose.append(word)
            if is_option and all_options[name] and not has_value:
                whose += itertools.islice(words, 1)
        super().parse_args(ctx, mine)
        ctx.args = theirs
        return theirs


def value_of(words: Sequence[str], name: str) -> str | None:
    """Value of an option among the words of a command line; None if it is absent."""
    for place, word in enumerate(words):
        if word == name and place + 1 < len(words):
            return words[place + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def _options(params: Iterable[Any]) -> dict[str, bool]:
    """Whether a value follows each option."""
    options = (item for item in params if item.param_type_name == "option")
    return {name: not item.is_flag for item in options for name in (*item.opts, *item.secondary_opts)}


def _batch(
    running: Values,
    *,
    context: typer.Context,
    sources: Annotated[
        list[str] | None, typer.Argument(help="Folders, patterns, videos or lists.", show_default=False)
    ] = None,
    status: Annotated[
        bool, typer.Option("--status", help="Show the progress of the batch in this output.")
    ] = False,
    report: Annotated[
        bool,
        typer.Option("--report", help="Write the report page of this output, with all parts of --shard."),
    ] = False,
) -> None:
    """Process many videos on all cores or on a Ray cluster; resumable.

    SOURCES are folders, patterns, videos, or lists: text with one source per line, or CSV with the
    columns `source`, `name`, `mask`, `box`, `point`, `remove`, `auto`, `classes`, `with`, `roi`, `depth`,
    `flow`, `options`. Options not listed here are passed to the command of `--do`. Each video gets its own
    folder in the output, which appears when it is complete. A dead worker is replaced, and its video is
    resumed. A damaged file causes one line in the report.

    Examples:

        segue batch videos/ --do foreground --format png -o results

        segue batch list.csv --do track -o results            # prompts from the columns of list.csv

        segue batch list.csv --do track -o results --resume   # after Ctrl-C, a crash or a power cut

        segue batch --status -o results

        segue batch videos/ -o results --shard 3/8    # the third of eight processes of a job array

        segue batch --report -o results               # one page of all eight

        segue batch s3://bucket/videos --do instances -o s3://bucket/results --address ray://head:10001
    """
    how = checked(JobConfig, {**running, "options": context.args})
    if report:
        typer.echo(f"report: {printable(str(merge_reports(how.output)))}", err=True)
    if status or report:
        _report(how.model_copy(update={"shard": None}))
        return
    if not sources and not (how.resume or how.retry_failed):
        raise SegueError("say which videos: a folder, a pattern, videos, or a list")
    if do_tasks(read_tasks(sources) if sources else [], how):
        raise typer.Exit(1)


batch = command(_batch, Options(JobConfig), kind=BatchCommand)


def do_tasks(tasks: Sequence[Task], how: JobConfig) -> int:
    """Process videos and report the outcome; return the number of failed ones."""
    with interruptible("interrupted; give the same command with --resume to go on"):
        failed = run_tasks(with_jobs(tasks, how), how, Terminal(how))
    _report(how)
    return failed


class Terminal(BatchObserver):
    """Shows a batch on a terminal, or prints JSON lines."""

    def __init__(self, how: JobConfig) -> None:
        self._how = how

    def notice(self, text: str) -> None:
        notice(text)

    @contextmanager
    def watching(self, ledger: Ledger) -> Iterator[Callable[[Sequence[Task]], None]]:
        start, frames = time.perf_counter(), 0
        with bars("note") as bar:
            counts = ledger.counts()
            bar_task = bar.add_task("videos", total=sum(counts.values()), completed=counts["done"], note="")

            def show(changes: Sequence[Task]) -> None:
                nonlocal frames
                for task in changes:
                    frames += task.frames
                    if self._how.json_lines:
                        values: dict[str, Any] = {"event": task.state, "name": task.name}
                        values |= {"worker": task.worker, "frames": task.frames}
                        values |= {"error": task.error} if task.error else {}
                        typer.echo(json.dumps(values))
                counts = ledger.counts()
                speed = frames / (time.perf_counter() - start)
                note = f"{speed:.1f} frames/s, {counts['running']} in work, {counts['failed']} failed"
                bar.update(bar_task, completed=counts["done"] + counts["failed"], note=note)

            yield show


def with_jobs(tasks: Sequence[Task], how: JobConfig) -> list[Task]:
    """Add jobs to videos from the options of the batch and their own."""
    prepared, jobs, shared = [], dict[tuple[str, ...], Job](), dict[str, Any]()
    for task in tasks:
        if task.job is None and task.arguments not in jobs:
            shared = shared or given_by_batch(how.command, [task.source, *how.options])
            try:
                job = job_of(how.command, shared, _row_options(how.command, task))
                if isinstance(job, TrackJob):
                    check_prompts(job)
                jobs[task.arguments] = job
            except SegueError as error:
                if not any(each.arguments for each in tasks):  # the options of all are wrong
                    raise
                raise SegueError(f"{task.name} ({hide_secrets(task.source)}): {error}") from None
        prepared.append(replace(task, job=task.job or jobs[task.arguments], row=None))
    _check_snapshots(prepared)
    return prepared


def _check_snapshots(tasks: Iterable[Task]) -> None:
    """Raise an error if several videos have one folder for images of events: each run removes those there."""
    jobs = (task.job for task in tasks)
    folders = Counter(
        job.snapshots.resolve() for job in jobs if isinstance(job, ForegroundJob) and job.snapshots
    )
    if shared := [folder for folder, count in folders.items() if count > 1]:
        raise SegueError(
            f"--snapshots {shared[0]}: several videos would write there; leave it out, or name a folder for "
            "each in the column `options` of a list"
        )


def _row_options(name: str, task: Task) -> Values:
    """Source and options of a video, by parameter names."""
    if task.row is None:  # of a program
        return given_by_batch(name, [task.source, *task.arguments])
    values = given_in_file(name, task.row.values)
    return _joined(values, given_by_batch(name, [task.source, *task.row.words]))


def given_by_batch(name: str, words: Sequence[str]) -> Values:
    """Parse option words by parameter names; the batch itself sets outputs and progress."""
    if reserved := sorted({word.partition("=")[0] for word in words}.intersection(WORKER_OPTIONS)):
        raise SegueError(f"{reserved[0]} is set for each video by the batch; leave it out of its options")
    return given_in_words(name, words)


def _joined(shared: Mapping[str, Any], values: Mapping[str, Any]) -> Values:
    """Merge options; further ones extend or replace those of the same name."""
    both = {
        name: [*shared[name], *values[name]]
        for name in values
        if isinstance(values[name], (list, tuple)) and name in shared
    }
    return {**shared, **values, **both}


def job_of(name: str, *values: Mapping[str, Any]) -> Job:
    """Make a job from options by parameter names; those of the video win."""
    job = job_of_values(name, reduce(_joined, values))
    check_single_files(job)
    return job


def _report(how: JobConfig) -> None:
    """Report the outcome so far, of one or all parts of a batch."""
    one = home_of(how.output, how.shard) / LEDGER
    counts, failed = dict.fromkeys(STATES, 0), list[Task]()
    for path in ledgers_of(how.output) if how.shard is None else [one]:
        with Ledger(path, create=False) as ledger:
            counts = {state: count + ledger.counts()[state] for state, count in counts.items()}
            failed += ledger.tasks("failed")
    if how.json_lines:
        typer.echo(json.dumps({"event": "status", **counts}))
        return
    typer.echo(", ".join(f"{count} {state}" for state, count in counts.items()))
    for row in failed:
        text = f"{row.name} ({hide_secrets(row.source)}), {row.tries} tries: {row.error}"
        typer.echo(printable(f"failed: {text}"))
    if failed:
        typer.echo("the same command with --retry-failed does these again")
