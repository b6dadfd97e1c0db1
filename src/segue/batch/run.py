"""The loop of a batch: workers get videos, the ledger keeps the outcomes; and its page."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from segue.batch.ledger import Ledger, Row
from segue.batch.names import key_of
from segue.batch.places import hide_secrets, one_line
from segue.batch.plan import Task
from segue.batch.work import Outcome
from segue.cancel import CancelToken, cancel_on_signals
from segue.errors import SegueError
from segue.inputs import printable
from segue.video.partial import write_complete, writing

ROUND_SECONDS = 0.5
"""The ledger is saved and progress is shown so often."""

STOP_SECONDS = 2.5
"""Workers have so long to finish their frame and save when the batch is interrupted; then they are ended.

What they saved before is kept all the same, and every mask that is written."""

SHOWN = 2000
"""Videos in the table and among the images at most; all that failed are listed."""

News = list[tuple[Task, Outcome]]


class Workers(Protocol):
    """Local processes or tasks of a cluster."""

    tries: int
    """A video is submitted so often if its worker dies."""

    @property
    def room(self) -> int:
        """Number of videos that can be in work."""

    def submit(self, task: Task) -> Future[Outcome]:
        """Give a video to a worker; the future raises an error if the worker dies."""

    def interrupt(self) -> None:
        """Ask all workers to stop after the frame in work."""

    def close(self) -> None:
        """End all workers at once; takes at most seconds."""


def run_batch(
    ledger: Ledger,
    tasks: Iterable[Task],
    workers: Workers,
    *,
    pictures: Path,
    show: Callable[[News], None] = lambda _: None,
    cancel: CancelToken | None = None,
) -> None:
    """Do videos, the longest first."""
    queue = sorted(tasks, key=lambda task: task.size)  # the longest last
    running: dict[Future[Outcome], Task] = {}
    losses = Counter[str]()
    deadline = math.inf
    with ExitStack() as stack:
        stack.callback(ledger.save)
        stack.callback(workers.close)
        token = stack.enter_context(cancel_on_signals(cancel))
        while queue or running:
            if token.cancelled:
                if deadline == math.inf:
                    deadline = time.monotonic() + STOP_SECONDS
                    workers.interrupt()
                if not running or time.monotonic() > deadline:
                    ledger.recover()
                    raise KeyboardInterrupt
            room = 0 if token.cancelled else workers.room
            while queue and len(running) < room:
                task = queue.pop()
                ledger.begun(task.name)
                running[workers.submit(task)] = task
            ledger.save()
            ended, _ = wait(running, ROUND_SECONDS, FIRST_COMPLETED)
            news: News = []
            for future in ended:
                task = running.pop(future)
                try:
                    outcome = future.result()
                except Exception as error:  # its worker died; Ray has errors of many kinds
                    losses[task.name] += 1
                    if token.cancelled or losses[task.name] < workers.tries:
                        queue.append(task)
                        continue
                    outcome = Outcome("failed", error=f"its worker died ({one_line(error)})")
                if outcome.state == "stopped":
                    queue.append(task)
                else:
                    _record(ledger, task, outcome, pictures)
                    news.append((task, outcome))
            ledger.save()
            show(news)


def _record(ledger: Ledger, task: Task, outcome: Outcome, pictures: Path) -> None:
    if outcome.state == "refused":
        raise SegueError(outcome.error)
    if outcome.state == "failed":
        ledger.failed(task.name, outcome.error)
        return
    ledger.done(task.name, outcome.worker, outcome.frames, outcome.seconds, outcome.digest, outcome.stamp)
    if outcome.picture:
        place = pictures / f"{key_of(task.name)}.jpg"
        with writing(place):
            pictures.mkdir(parents=True, exist_ok=True)
        write_complete(place, outcome.picture)


def write_batch_report(ledger: Ledger, pictures: Path, path: Path) -> None:
    """The page of a batch: what is done, what failed and why, how fast it went, an image a video."""
    counts = ledger.counts()
    done = ledger.rows("done")
    shown = done[:SHOWN]
    frames, seconds = sum(row.frames for row in done), sum(row.seconds or 0.0 for row in done)
    facts = [(state, str(counts[state])) for state in ("done", "failed", "running", "queued")]
    facts += [("frames", f"{frames}"), ("frames/s of a worker", f"{frames / seconds if seconds else 0:.1f}")]
    from segue.reports.html import write_page  # late: it imports what scores

    write_page(
        path,
        "batch.html",
        batch=ledger.identity(""),
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
