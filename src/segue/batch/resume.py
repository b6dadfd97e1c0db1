"""What a batch that goes on looks at first: whether sources and results are still what the ledger says."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from segue.batch.ledger import Ledger
from segue.batch.places import is_remote
from segue.batch.plan import Task, identity_of
from segue.batch.publish import digest_of, mark_of
from segue.video.identity import SourceIdentity

THREADS = 8
"""Sources are looked at by so many threads, since the disk answers several at once."""


def check_known(ledger: Ledger, output: str, batch: str, *, retry_failed: bool) -> Iterator[str]:
    """Hold what the ledger says against what is there, and queue what is to be done.

    A video whose source was replaced has failed, with a line that says what differs, until it is asked for
    again; one that is done and whose results on this machine are missing or changed is queued again.
    """
    failed = list(ledger.tasks("failed")) if retry_failed else []
    ledger.recover(failed=retry_failed)
    for task, now in _with_identities(failed):
        ledger.again(task.name, now)
    names = {task.name for task in failed}
    done = {row.name: row.digest for row in ledger.rows("done")}
    known = [task for task in ledger.tasks("queued", "done") if task.name not in names]
    for task, now in _with_identities(known):
        difference = task.identity and now and task.identity.difference(now)
        if difference:
            error = f"its source is another than the batch was begun with: {difference}"
            ledger.reject(task.name, f"{error}; --retry-failed does it anew")
            yield f"{task.name}: {error}"
        elif (
            task.name in done
            and not is_remote(output)
            and (wrong := _problem(output, task.name, batch, done[task.name]))
        ):
            ledger.again(task.name)
            yield f"{task.name}: its results {wrong}; it is done again"
    ledger.save()


def _with_identities(tasks: list[Task]) -> Iterator[tuple[Task, SourceIdentity | None]]:
    pool = ThreadPoolExecutor(THREADS)
    try:
        yield from zip(tasks, pool.map(identity_of, [task.source for task in tasks]), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def _problem(output: str, name: str, batch: str, digest: str | None) -> str | None:
    """What is wrong with the results of a video, if anything: names, sizes and contents are in the digest."""
    mark = mark_of(Path(output) / name)
    if mark is None or (mark.batch, mark.name) != (batch, name):
        return "are gone"
    return None if digest_of(Path(output) / name) == digest else "have changed"
