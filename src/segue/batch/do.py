"""Do the videos of a batch: from a list of jobs to results, with everything that may go wrong between."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import pooch

from segue.batch.ledger import Ledger, only_process
from segue.batch.local import LocalWorkers, gpus_of
from segue.batch.names import REPORT, SUBFOLDER, check_names
from segue.batch.places import is_remote
from segue.batch.plan import Task, identity_now, in_threads
from segue.batch.publish import check_free, clear_leftovers
from segue.batch.ray_tasks import IDENTITY, RayTasks
from segue.batch.resume import check_known
from segue.batch.run import News, Workers, public, run_batch, write_batch_report
from segue.batch.work import JobConfig
from segue.errors import SegueError, SinkError
from segue.inputs import printable
from segue.jobs.identity import model_digest
from segue.jobs.values import Job, VideoJob, from_json
from segue.video.partial import make_folder, write_complete, writing

LEDGER = "ledger.sqlite"
"""File in the folder of a batch that has the outcome of every video."""


SINGLE_FILES = ("events", "background", "explain")
"""Fields of jobs that name a file or folder, which all videos would write."""


class BatchObserver:
    """Receives the progress of a batch; this one ignores it."""

    def notice(self, text: str) -> None:
        """Receive a notice for the person who runs the batch."""

    def watching(self, ledger: Ledger) -> AbstractContextManager[Callable[[News], None]]:
        """For the time of the batch, a function that receives the videos that have ended."""
        return nullcontext(lambda _: None)

    def ended(self, ledger: Ledger) -> None:
        """Learn that no video waits any longer."""


def run_tasks(tasks: Sequence[Task], how: JobConfig, observer: BatchObserver) -> int:
    """Process videos, and report the outcome; gives the number of those that failed."""
    home = home_of(how.output)
    if (home / LEDGER).exists() and not (how.resume or how.retry_failed):
        raise SegueError(
            f"{home}: there is a batch already; give --resume, --retry-failed, or another output"
        )
    found = (replace(task, source=_absolute(task.source)) for task in tasks)
    tasks = list({(task.source, task.arguments): task for task in found}.values())
    how = replace(
        how,
        output=_absolute(how.output),
        scratch=(how.scratch or home).absolute(),
        folder=str(Path.cwd()),
    )
    _check_plan(tasks, how)
    with writing(home):
        make_folder(home)
    with only_process(home / "lock"), Ledger(home / LEDGER) as ledger:
        how = replace(how, batch=ledger.identity(token_hex(16)))
        write_complete(home / IDENTITY, how.batch.encode())
        if not is_remote(how.output):
            clear_leftovers(Path(how.output))
        ledger.settle({"do": how.command, "options": list(how.options)})
        ledger.add(
            replace(task, identity=now) for task, now in in_threads(identity_now, ledger.unknown(tasks))
        )
        ledger.settle({"weights": weights_of(ledger.jobs())})
        for notice in check_known(ledger, how.output, how.batch, retry_failed=how.retry_failed):
            observer.notice(public(notice))
        _run_waiting(ledger, how, home, observer)
        observer.ended(ledger)
        return ledger.counts()["failed"]


def _run_waiting(ledger: Ledger, how: JobConfig, home: Path, observer: BatchObserver) -> None:
    waiting = ledger.tasks("queued")
    if not waiting:
        return
    if not is_remote(how.output):
        for task in waiting:
            check_free(how.output, task.name, how.batch)
    try:
        workers = open_workers(how, waiting)
        with observer.watching(ledger) as show:
            run_batch(ledger, waiting, workers, pictures=home / "pictures", show=show)
    finally:
        report = _report_path(how, home)
        write_batch_report(ledger, home / "pictures", report)
        observer.notice(printable(f"report: {report}"))


def open_workers(how: JobConfig, tasks: Sequence[Task]) -> Workers:
    """Processes of this machine, one a GPU or a core, or with an address the tasks of a Ray cluster.

    Jobs that name a device run there: their processes see all GPUs.
    """
    named = {job.device for job in _jobs(task.job for task in tasks)} - {None, "cuda"}
    if how.address is not None:
        return RayTasks(replace(how, gpus=0) if named == {"cpu"} else how, how.address)
    gpus = [] if named else gpus_of(how)
    cores = max(1, (os.cpu_count() or 1) // (how.threads or 1))
    count = how.workers or (how.per_gpu if named - {"cpu"} else len(gpus) * how.per_gpu or cores)
    pinned = gpus if gpus or (how.gpus == 0 and not named) else None
    return LocalWorkers(how, min(count, len(tasks)), pinned)


def _check_plan(tasks: Sequence[Task], how: JobConfig) -> None:
    """See that networks, weights and options are there, and that each video writes into a folder of its own.

    No video writes into what another one reads. Sources and mask files are not looked for here: one that is
    missing costs its own line, not the batch.
    """
    check_names(task.name for task in tasks)
    jobs = _jobs(task.job for task in tasks)
    if how.address is None:  # else they are read on other machines
        from segue.jobs.plan import check_needs  # late: it imports PyTorch

        check_needs(jobs, sources=False)
    if is_remote(how.output):
        return
    written = {os.path.join(how.output, task.name) for task in tasks}  # noqa: PTH118
    weights = {str(job.model.weights.absolute()) for job in jobs if job.model.weights is not None}
    for place in (*(task.source for task in tasks), *weights):
        if place.startswith(how.output + os.sep) and any(
            str(path) in written for path in (Path(place), *Path(place).parents)
        ):
            raise SinkError(f"{public(place)}: results would be written there; choose another output")


def check_single_files(job: Job) -> None:
    """Refuse a job that names one file or folder, which all videos would write."""
    for name in SINGLE_FILES:
        if getattr(job, name, None) is not None:
            raise SegueError(f"--{name} names one place for all videos; leave it out, or give --format")


def _jobs(texts: Iterable[str]) -> list[VideoJob]:
    """The jobs of videos, each once: most videos share one."""
    jobs = map(from_json, dict.fromkeys(texts))
    return [job for job in jobs if isinstance(job, VideoJob)]


def weights_of(jobs: Iterable[str]) -> dict[str, str | None]:
    """Digests of the weights that jobs name, by the name of the network or the path of the file."""
    models = {job.model for job in _jobs(jobs)}
    return {str(model.weights or model.name): model_digest(model) for model in sorted(models, key=str)}


def _absolute(place: str) -> str:
    """A path that means the same in every process; addresses do anyway."""
    return place if is_remote(place) or place.startswith(os.sep) else str(Path(place).absolute())


def _report_path(how: JobConfig, home: Path) -> Path:
    """The report is beside the results; addresses and files of somebody else leave it beside the ledger."""
    beside = home.parent / REPORT
    if is_remote(how.output) or (os.path.lexists(beside) and how.batch not in _beginning(beside)):
        return home / REPORT
    return beside


def _beginning(path: Path) -> str:
    """The first kilobyte of a regular file."""
    if path.is_symlink() or not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(1024).decode("utf-8", "replace")


def home_of(output: str) -> Path:
    """Folder of the ledger: in the output, or for one elsewhere in the cache folder of the user."""
    if not is_remote(output):
        return Path(output) / SUBFOLDER
    return Path(pooch.os_cache("segue")) / "batch" / hashlib.sha256(output.encode()).hexdigest()[:16]
