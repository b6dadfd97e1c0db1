"""The loop of a batch: news come in, the ledger keeps them, idle workers get the next video; and its page."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

from segue.batch.engines import Engine, Event
from segue.batch.ledger import Ledger, Row
from segue.batch.names import key_of
from segue.batch.places import hide_secrets
from segue.batch.scheduler import Scheduler
from segue.cancel import CancelToken, cancel_on_signals
from segue.inputs import printable
from segue.reports.html import write_page
from segue.video.partial import write_complete, writing

ROUND_SECONDS = 0.5
"""News are waited for so long; then the ledger is saved and progress is shown."""

STOP_SECONDS = 2.5
"""Workers have so long to finish their frame and save when the batch is interrupted; then they are ended.

What they saved before is kept all the same, and every mask that is written."""

SHOWN = 2000
"""Videos in the table and among the pictures at most; all that failed are listed."""


def run_batch(
    ledger: Ledger,
    scheduler: Scheduler,
    engine: Engine,
    *,
    pictures: Path,
    show: Callable[[list[Event]], None] = lambda _: None,
    cancel: CancelToken | None = None,
) -> None:
    """Do everything that the scheduler has.

    Args:
        ledger: keeps the outcome of each video.
        scheduler: says who takes which.
        engine: the workers; ended by this function.
        pictures: folder for a picture of each video.
        show: called with the news of each round.
        cancel: lets the caller interrupt the batch, as Ctrl-C does.

    Raises:
        KeyboardInterrupt: the batch was interrupted, and everything is saved.
        SegueError: the ledger cannot be written, or there are no workers any more; everything before is
            saved.
    """
    with ExitStack() as stack:
        stack.callback(ledger.save)
        stack.callback(engine.close)
        token = stack.enter_context(cancel_on_signals(cancel))
        deadline = math.inf
        while not scheduler.over:
            if token.cancelled and deadline == math.inf:
                deadline = time.monotonic() + STOP_SECONDS
                engine.interrupt()
            if token.cancelled and (not scheduler.busy or time.monotonic() > deadline):
                break
            if not token.cancelled:
                _give_out(ledger, scheduler, engine)
            events = list(engine.events(ROUND_SECONDS))
            for event in events:
                _apply_event(event, ledger, scheduler, pictures)
            ledger.save()
            show(events)
        if token.cancelled and not scheduler.over:
            ledger.recover()
            raise KeyboardInterrupt


def _give_out(ledger: Ledger, scheduler: Scheduler, engine: Engine) -> None:
    for worker, machine in sorted(engine.workers.items()):
        if scheduler.task_of(worker) is not None:
            continue
        task = scheduler.assign(worker, time.monotonic(), machine)
        if task is not None:
            ledger.begun(task.name, worker)
            engine.give(worker, task)
    ledger.save()


def _apply_event(event: Event, ledger: Ledger, scheduler: Scheduler, pictures: Path) -> None:
    task = scheduler.task_of(event.worker)
    if task is None:
        return
    if event.kind == "beat":
        ledger.beat(task.name, event.frames)
    elif event.kind == "done" and event.outcome is not None:
        outcome = event.outcome
        if scheduler.done(event.worker, time.monotonic())[1]:
            ledger.done(task.name, event.worker, outcome.frames, outcome.seconds, outcome.digest)
            if outcome.picture:
                place = pictures / f"{key_of(task.name)}.jpg"
                with writing(place):
                    pictures.mkdir(parents=True, exist_ok=True)
                write_complete(place, outcome.picture)
    elif event.kind == "failed":
        if scheduler.failed(event.worker)[1]:
            ledger.failed(task.name, event.error)
    elif event.kind == "stopped":
        scheduler.stopped(event.worker)
        ledger.waits(task.name)
    elif scheduler.lost(event.worker):
        ledger.failed(task.name, f"{event.error}, and so did {scheduler.tries - 1} before it")
    else:
        ledger.waits(task.name)


def write_batch_report(ledger: Ledger, pictures: Path, path: Path) -> None:
    """The page of a batch: what is done, what failed and why, how fast it went, a picture a video."""
    counts = ledger.counts()
    done = list(ledger.rows("done"))
    shown = done[:SHOWN]
    frames, seconds = sum(row.frames for row in done), sum(row.seconds or 0.0 for row in done)
    facts = [(state, str(counts[state])) for state in ("done", "failed", "running", "queued")]
    facts += [("frames", f"{frames}"), ("frames/s of a worker", f"{frames / seconds if seconds else 0:.1f}")]
    write_page(
        path,
        "batch.html",
        title="Batch – segue",
        counts=counts,
        facts=facts,
        failed=[
            (printable(row.name), [public(row.source), str(row.tries), printable(row.error or "")])
            for row in ledger.rows("failed")
        ],
        done=[_cells(row) for row in shown],
        more=max(0, len(done) - SHOWN),
        pictures=[
            (quote(picture.relative_to(path.parent).as_posix()), printable(row.name))
            for row in shown
            if (picture := pictures / f"{key_of(row.name)}.jpg").exists()
        ],
    )


def public(source: str) -> str:
    """A source for a line of a terminal or page: without secrets, and without what commands a terminal."""
    return printable(hide_secrets(source))


def _cells(row: Row) -> tuple[str, list[str]]:
    seconds = row.seconds or 0.0
    speed = f"{row.frames / seconds:.1f}" if seconds else "–"
    return printable(row.name), [str(row.frames), f"{seconds:.1f}", speed, row.worker or ""]
