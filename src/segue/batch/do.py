"""Do the videos of a batch: from a list of jobs to results, with everything that may go wrong between."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import pooch
import torch

from segue.batch.engines import Event, open_engine
from segue.batch.ledger import STATES, Ledger, only_process
from segue.batch.names import SUBFOLDER
from segue.batch.places import is_remote
from segue.batch.plan import Task, measured
from segue.batch.publish import check_free, clear_leftovers, make_folder
from segue.batch.ray_cluster import IDENTITY
from segue.batch.resume import check_known
from segue.batch.run import public, run_batch, write_batch_report
from segue.batch.scheduler import Scheduler
from segue.batch.work import JobConfig
from segue.errors import SegueError
from segue.inputs import printable
from segue.jobs.identity import model_digest
from segue.jobs.plan import check_needs, check_reads
from segue.jobs.values import Job, VideoJob, from_json
from segue.video.partial import write_complete, writing

LEDGER = "ledger.sqlite"
"""File in the folder of a batch that has the outcome of every video."""


SINGLE_FILES = ("events", "background", "explain")
"""Fields of jobs that name a file or folder, which all videos would write."""


class BatchObserver:
    """Receives the progress of a batch; this one ignores it."""

    def notice(self, text: str) -> None:
        """Receive a notice for the person who runs the batch."""

    def watching(self, ledger: Ledger) -> AbstractContextManager[Callable[[list[Event]], None]]:
        """For the time of the batch, a function that receives the news of each round."""
        return nullcontext(lambda _: None)

    def ended(self, ledger: Ledger) -> None:
        """Learn that no video waits any longer."""


def run_tasks(tasks: Sequence[Task], how: JobConfig, observer: BatchObserver) -> int:
    """Process videos, and report the outcome."""
    home = home_of(how.output)
    if (home / LEDGER).exists() and not (how.resume or how.retry_failed):
        raise SegueError(
            f"{home}: there is a batch already; give --resume, --retry-failed, or another output"
        )
    tasks = [replace(task, source=_absolute(task.source)) for task in tasks]
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
        ledger.add(measured(tasks))
        ledger.settle({"weights": weights_of(ledger.tasks(*STATES))})
        for notice in check_known(ledger, how.output, how.batch, retry_failed=how.retry_failed):
            observer.notice(public(notice))
        _run_waiting(ledger, how, home, observer)
        observer.ended(ledger)
        return ledger.counts()["failed"]


def _run_waiting(ledger: Ledger, how: JobConfig, home: Path, observer: BatchObserver) -> None:
    waiting = list(ledger.queued())
    if not waiting:
        return
    if not is_remote(how.output):
        for task in waiting:
            check_free(how.output, task.name, how.batch)
    devices = _devices(how.gpus) if how.address is None else []
    count = how.workers or (max(1, int(len(devices) / how.gpus)) if devices else None)
    engine = open_engine(how, count and min(count, len(waiting)), devices)
    copies = is_remote(how.output) and how.address is not None
    try:
        scheduler = Scheduler(waiting, tries=how.tries, memory=engine.memory, copies=copies)
        with observer.watching(ledger) as show:
            run_batch(ledger, scheduler, engine, pictures=home / "pictures", show=show)
    finally:
        engine.close()
        ledger.save()
        write_batch_report(ledger, home / "pictures", home / "report.html")
        observer.notice(printable(f"report: {home / 'report.html'}"))


def _check_plan(tasks: Sequence[Task], how: JobConfig) -> None:
    """See that networks, weights and options are there, and that no video writes into what another one reads.

    Names that two videos share get a number later, so that each writes into a folder of its own. Sources and
    mask files are not looked for here: one that is missing costs its own line, not the batch.
    """
    jobs = [job for task in tasks if isinstance(job := from_json(task.job), VideoJob)]
    if how.address is None:  # else they are read on other machines
        check_needs(jobs, sources=False)
    if is_remote(how.output):
        return
    # Videos run side by side: whoever writes is after all that read.
    written = {(Path(how.output) / task.name).absolute(): len(tasks) for task in tasks}
    check_reads(jobs, written)


def check_single_files(job: Job) -> None:
    """Refuse a job that names one file or folder, which all videos would write."""
    for name in SINGLE_FILES:
        if getattr(job, name, None) is not None:
            raise SegueError(f"--{name} names one place for all videos; leave it out, or give --format")


def weights_of(tasks: Iterable[Task]) -> dict[str, str | None]:
    """Digests of the weights that jobs name, by the name of the network or the path of the file."""
    jobs = (from_json(task.job) for task in tasks)
    models = {job.model for job in jobs if isinstance(job, VideoJob)}
    return {str(model.weights or model.name): model_digest(model) for model in sorted(models, key=str)}


def _absolute(place: str) -> str:
    """A path that means the same in every process; addresses do anyway."""
    return place if is_remote(place) else str(Path(place).absolute())


def home_of(output: str) -> Path:
    """Folder of the ledger: in the output, or for one elsewhere in the cache folder of the user."""
    if not is_remote(output):
        return Path(output) / SUBFOLDER
    return Path(pooch.os_cache("segue")) / "batch" / hashlib.sha256(output.encode()).hexdigest()[:16]


def _devices(gpus: float) -> list[str]:
    """The GPUs of this machine, if they are wanted."""
    if not gpus:
        return []
    found = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if not found:
        raise SegueError("--gpus: this machine has no GPU that PyTorch can use")
    return found
