"""Run a batch: check it, and distribute videos to workers."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any, cast

from segue.batch.ledger import Ledger
from segue.batch.places import key_of, lacks_secrets, one_line
from segue.batch.plan import REPORT, Task, check_names, identity_now, in_threads, jobs_of
from segue.batch.publish import MOVING, belongs_to_batch, check_free, digest_of, stamp_of
from segue.batch.report import public, report_path, write_batch_report
from segue.batch.shards import LEDGER, check_division, home_of, is_divided_by_position, open_ledger, part_of
from segue.batch.upload import check_store
from segue.batch.work import JobConfig
from segue.batch.workers import IDENTITY, LocalWorkers, OwnProcess, RayTasks, gpus_of
from segue.errors import SegueError, SinkError
from segue.jobs.plan import check_needs
from segue.jobs.record import files_of, model_digest, words_by_content
from segue.jobs.values import Model, VideoJob, to_json
from segue.registry import MODELS
from segue.sinks.outputs import check_folder
from segue.utils.cancel import CancelToken, cancel_on_signals
from segue.utils.files import (
    locked,
    make_folder,
    prepare,
    refuse_if_locked,
    remove_partial,
    write_complete,
    writing,
)
from segue.utils.inputs import printable
from segue.utils.naming import first_few
from segue.video.sources.addresses import is_url

ROUND_SECONDS = 0.5
"""Seconds between two saves of the ledger and updates of the progress."""

STOP_SECONDS = 2.5
"""Seconds in which workers of an interrupted batch can finish their frame and save; then they are ended.

Earlier saves and all written masks are kept in any case."""

MAX_REFUSED = 3
"""Number of consecutive videos whose results a store refuses after which a batch ends."""

Workers = LocalWorkers | OwnProcess | RayTasks


class BatchObserver:
    """Receives the progress of a batch; the base class ignores it."""

    def notice(self, text: str) -> None:
        """Receive a notice for the person who runs the batch."""

    def watching(self, ledger: Ledger) -> AbstractContextManager[Callable[[Sequence[Task]], None]]:
        """Context of a running batch; yields a function for finished videos."""
        return nullcontext(lambda _: None)


def run_tasks(tasks: Sequence[Task], how: JobConfig, observer: BatchObserver) -> int:
    """Process videos and report the outcome; return the number of failed ones."""
    home = home_of(how.output, how.shard)
    if not is_url(how.output):
        check_folder(Path(how.output))
    check_division(how)
    if (home / LEDGER).exists() and not (how.resume or how.retry_failed):
        refuse_if_locked(home / LEDGER)
        raise SegueError(
            f"{home}: there is a batch already; give --resume, --retry-failed, or another output"
        )
    check_names(task.name for task in tasks)
    tasks, by_name = part_of(tasks, how), how.shard is not None and not is_divided_by_position(how.output)
    if how.address is None:  # else networks are read on other machines
        # Sources and mask files are not looked for: one that is missing costs its own line, not the batch.
        check_needs(jobs_of(tasks), sources=False)
    how = how.model_copy(
        update={
            "output": how.output if is_url(how.output) else str(Path(how.output).absolute()),
            "scratch": (how.scratch or home).absolute(),
            "folder": str(Path.cwd()),
        }
    )
    with locked([home / LEDGER]), open_ledger(home, by_name) as ledger:
        with writing(home):
            make_folder(home / "images")
        for folder in (home, home / "images"):  # what a killed batch has left
            remove_partial(folder)
        remove_partial(home.parent, home.parent / REPORT)
        if not (home / IDENTITY).exists():
            write_complete(home / IDENTITY, token_hex(16).encode())
        how = how.model_copy(update={"batch": (home / IDENTITY).read_text("utf-8")})
        if not is_url(how.output):
            mine = () if how.shard is None else (key_of(how.batch),)  # other parts may be at work
            shutil.rmtree(Path(how.output, MOVING, *mine), ignore_errors=True)
        ledger.recover()
        recorded = ledger.tasks()
        paths, tasks = [task.key for task in tasks], _known_by_content(tasks)
        by_key = dict(zip(paths, tasks, strict=True))  # ledgers of earlier versions have paths
        by_key |= {task.key: task for task in tasks}
        current = [_with_current_job(task, by_key) for task in recorded]
        models = {job.model for job in jobs_of([*current, *tasks])}
        ledger.settle(*_settings(how, models, jobs_of([*current, *tasks])))
        recorded_keys = {(task.source, task.arguments) for task in recorded}
        recorded_tasks = {id(by_key[key]) for key in recorded_keys & {*by_key}}
        if new := [task for task in tasks if id(task) not in recorded_tasks]:
            check_names(task.name for task in (*current, *new))
            ledger.add(replace(task, identity=now) for task, now in in_threads(identity_now, new))
        for notice in check_recorded(ledger, current, how):
            observer.notice(public(notice))
        if waiting := [_with_current_job(task, by_key) for task in ledger.tasks("queued")]:
            _check_addresses(waiting)
            _run_waiting(ledger, waiting, how, home, observer)
        return ledger.counts()["failed"]


def _settings(
    how: JobConfig, models: Collection[Model], jobs: Iterable[VideoJob]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings shared by all runs of a batch: by file contents, and by paths for earlier versions."""
    weights: dict[str, list[str | None]] = {}
    for name, digest in sorted({(model.name, model_digest(model)) for model in models}, key=str):
        weights.setdefault(name, []).append(digest)
    by_path = {str(model.weights or model.name): model_digest(model) for model in sorted(models, key=str)}
    options = words_by_content(how.options, set[Path]().union(*map(files_of, jobs)))
    return (
        {"do": how.command, "weights": weights, "options": list(options)},
        {"weights": by_path, "options": list(how.options)},
    )


def _known_by_content(tasks: Sequence[Task]) -> list[Task]:
    """Identify the files of videos, such as regions and weights, by content.

    Files of equal content are identified by their paths.
    """
    by_content = [now for _, now in in_threads(_by_content, tasks)]
    counts = Counter(task.key for task in by_content)
    return [now if counts[now.key] == 1 else task for task, now in zip(tasks, by_content, strict=True)]


def _by_content(task: Task) -> Task:
    if task.job is None or not task.arguments:
        return task
    return replace(task, arguments=words_by_content(task.arguments, files_of(task.job)))


def _with_current_job(task: Task, by_key: Mapping[tuple[str, tuple[str, ...]], Task]) -> Task:
    """A video of the ledger with the addresses of the current command, which may hold passwords."""
    now = by_key.get((task.source, task.arguments))
    return task if now is None else replace(task, source=now.source, arguments=now.arguments, job=now.job)


def _check_addresses(tasks: Sequence[Task]) -> None:
    """Raise an error if a video needs credentials of an address, which the ledger does not store."""
    poor = {id(job) for job in jobs_of(tasks) if lacks_secrets(to_json(job))}
    without_secrets = [task.name for task in tasks if id(task.job) in poor or lacks_secrets(task.source)]
    if without_secrets:
        raise SegueError(
            f"{first_few(without_secrets)}: the ledger keeps no users, passwords and queries of addresses; "
            "give the sources and options again with --resume"
        )


def _run_waiting(
    ledger: Ledger, waiting: Sequence[Task], how: JobConfig, home: Path, observer: BatchObserver
) -> None:
    if not is_url(how.output):
        check_free(how.output, (task.name for task in waiting), how.batch)
    if how.address is None:  # else other machines write, and each looks itself
        if is_url(how.output):
            check_store(how.output)
        prepare(cast(Path, how.scratch) / "work" / IDENTITY)
    # Parts have a page each beside their ledgers; merge_reports writes the one of all.
    is_whole_batch = how.shard is None
    report = report_path(how.output, home, [how.batch]) if is_whole_batch else home / REPORT

    def write_report() -> None:
        write_batch_report([(ledger, home / "images")], how.batch, report)
        observer.notice(printable(f"report: {report}"))

    try:
        workers = open_workers(how, waiting)
        with observer.watching(ledger) as show:
            check = partial(check_store, how.output) if is_url(how.output) and how.address is None else None
            run_batch(ledger, waiting, workers, images=home / "images", show=show, check=check)
    except BaseException as error:
        with _noticing(
            observer
        ):  # the error is what ended the batch, and no disk that has no room for a page
            write_report()
        if isinstance(error, SegueError):
            observer.notice(_interim_outcome(ledger))
        raise
    # Where videos have failed they are named next, with or without a page.
    with _noticing(observer) if ledger.counts()["failed"] else nullcontext():
        write_report()


@contextmanager
def _noticing(observer: BatchObserver) -> Iterator[None]:
    """Turn an error into a notice."""
    try:
        yield
    except SegueError as error:
        observer.notice(public(str(error)))


def _interim_outcome(ledger: Ledger) -> str:
    """Progress of a batch that an error ended, and how to continue."""
    counts, failed = ledger.counts(), [printable(row.name) for row in ledger.tasks("failed")]
    names = f" ({first_few(failed)})" if failed else ""
    retry_hint = "; --retry-failed does those that failed again, too" if failed else ""
    left = counts["queued"] + counts["running"]
    return (
        f"{counts['done']} done, {len(failed)} failed{names}, {left} left: "
        f"the same command with --resume goes on{retry_hint}"
    )


def open_workers(how: JobConfig, tasks: Sequence[Task]) -> Workers:
    """Open worker processes, one per GPU or core, or Ray tasks if an address is given."""
    # Jobs that name a device run there: their processes see all GPUs.
    devices = {job.device for job in jobs_of(tasks)} - {None, "cuda"}
    if how.address is not None:
        return RayTasks(how.model_copy(update={"gpus": 0}) if devices == {"cpu"} else how, how.address)
    gpus = [] if devices else gpus_of(how)
    cores = max(1, (os.cpu_count() or 1) // (how.threads or 1))
    count = how.workers or (how.per_gpu if devices - {"cpu"} else len(gpus) * how.per_gpu or cores)
    pinned = gpus if gpus or (how.gpus == 0 and not devices) else None
    count = min(count, len(tasks))
    if how.own_process and count == 1:
        return OwnProcess(how)
    devices = {part for job in jobs_of(tasks) for part in job.model.name.split("+")}
    only_here = sorted(MODELS.registered & devices)
    if only_here:
        raise SegueError(
            f"{first_few(only_here)}: other processes do not know what a program registers; give workers=1, "
            "or install it as a package"
        )
    return LocalWorkers(how, count, pinned)


def run_batch(
    ledger: Ledger,
    tasks: Iterable[Task],
    workers: Workers,
    *,
    images: Path,
    show: Callable[[Sequence[Task]], None] = lambda _: None,
    cancel: CancelToken | None = None,
    check: Callable[[], None] | None = None,
) -> None:
    """Process videos, the longest first, while their results can be stored.

    If the results of a video are refused, ``check`` raises SegueError if none can be stored.
    """
    queue = sorted(tasks, key=lambda task: task.size)  # the longest last
    running: dict[Future[Task], Task] = {}
    losses = Counter[str]()
    refusals = _Refusals(check)
    with ExitStack() as stack:
        stack.callback(ledger.save)
        stack.callback(workers.close)
        token = stack.enter_context(cancel_on_signals(cancel))
        while queue or running:
            stopping = token.cancelled or refusals.reason is not None
            while queue and not stopping and len(running) < workers.room:
                task = queue.pop()
                task = replace(task, state="running", tries=task.tries + 1)
                ledger.record(task)
                running[workers.submit(task)] = task
            ledger.save()
            if stopping:
                workers.interrupt()
            ended, _ = (
                wait(running, STOP_SECONDS) if stopping else wait(running, ROUND_SECONDS, FIRST_COMPLETED)
            )
            changes = []
            for future in ended:
                task = _outcome(future, running.pop(future), losses, workers.tries, stopping=stopping)
                if task.state == "queued":
                    queue.append(task)
                    continue
                ledger.record(task)
                refusals.note(task)
                if task.image:
                    write_complete(images / f"{key_of(task.name)}.jpg", task.image)
                changes.append(task)
            ledger.save()
            show(changes)
            if stopping:
                ledger.recover()
                if refusals.reason is None:
                    raise KeyboardInterrupt
                left = f"{ledger.counts()['queued']} videos wait"
                raise SinkError(
                    f"{refusals.reason}; {left}: mend it, then give the same command with --retry-failed"
                )


def _outcome(future: Future[Task], task: Task, losses: Counter[str], tries: int, *, stopping: bool) -> Task:
    """Outcome of a video; if its worker died, it is queued again."""
    try:
        return future.result()
    except SegueError as error:  # its worker can do no video; Ray adds where that was
        raise SegueError(one_line(getattr(error, "cause", error))) from None
    except Exception as error:  # its worker died; Ray has errors of many kinds
        losses[task.name] += 1
        retry = stopping or losses[task.name] < tries
        text = f"its worker died ({one_line(error)})"
        return replace(task, state="queued" if retry else "failed", error=text)


class _Refusals:
    """Counts results refused by a store; a batch stops if none is accepted."""

    def __init__(self, check: Callable[[], None] | None) -> None:
        self.reason: str | None = None
        self._check, self._count = check, 0

    def note(self, task: Task) -> None:
        """Count refusals since the last accepted result."""
        if not task.refused:
            self._count = 0 if task.state == "done" else self._count
            return
        self._count += 1
        if self._count >= MAX_REFUSED:
            self.reason = f"{task.error}; so of {self._count} videos one after the other"
        elif self._check is not None:
            try:
                self._check()
            except SegueError as error:
                self.reason = str(error)


def check_recorded(ledger: Ledger, tasks: Sequence[Task], how: JobConfig) -> Iterator[str]:
    """Queue pending videos, fail those with another source, and report differences from the ledger."""
    for task, (now, notice) in in_threads(lambda task: _as_it_is(task, how), tasks):
        if now is not task:
            ledger.record(now)
        if notice is not None:
            yield f"{task.name}: {notice}"
    ledger.save()


def _as_it_is(task: Task, how: JobConfig) -> tuple[Task, str | None]:
    """Current state of a video by source and results, and its problem, if any."""
    if task.state == "failed" and not how.retry_failed:
        return task, None
    now = identity_now(task)
    queued = partial(replace, task, state="queued", tries=0, error=None, digest=None, stamp=None)
    if task.state == "failed":
        return queued(identity=now or task.identity), None
    if task.identity and now and (difference := task.identity.difference(now)):
        error = f"its source is another than the batch was begun with: {difference}"
        return replace(task, state="failed", error=f"{error}; --retry-failed does it anew"), error
    if task.state == "queued" or is_url(how.output):
        return task, None
    folder = os.path.join(how.output, task.name)  # noqa: PTH118 - of very many videos
    stamp = stamp_of(folder)
    if stamp is not None and stamp == task.stamp:
        return task, None
    # Files are read only if their names, sizes or times differ.
    if not belongs_to_batch(Path(folder), how.batch, task.name):
        return queued(), "its results are gone; it is done again"
    if stamp is None or digest_of(Path(folder)) != task.digest:
        return queued(), "its results have changed; it is done again"
    return replace(task, stamp=stamp), None


def check_single_files(job: VideoJob) -> None:
    """Refuse a job that writes one file or folder for all videos."""
    for name in ("events", "background", "explain"):
        if getattr(job, name, None) is not None:
            raise SegueError(f"--{name} names one place for all videos; leave it out, or give --format")
