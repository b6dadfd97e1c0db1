"""Check sources and results against the ledger before resuming."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from segue.batch.ledger import Ledger, Row
from segue.batch.places import is_remote
from segue.batch.plan import Task, identity_now, in_threads
from segue.batch.publish import digest_of, mark_of, stamp_of
from segue.video.identity import SourceIdentity


def check_known(ledger: Ledger, output: str, batch: str, *, retry_failed: bool) -> Iterator[str]:
    """Hold what the ledger says against what is there, and queue what is to be done.

    A video whose source was replaced has failed, with a line that says what differs, until it is asked for
    again; one that is done and whose results on this machine are missing or changed is queued again.
    """
    failed = ledger.tasks("failed") if retry_failed else []
    ledger.recover(failed=retry_failed)
    for task, now in in_threads(identity_now, failed):
        ledger.again(task.name, now)
    names = {task.name for task in failed}
    done = {row.name: row for row in ledger.rows("done")}
    known = [task for task in ledger.tasks("queued", "done") if task.name not in names]
    here = None if is_remote(output) else Path(output)

    def look(task: Task) -> tuple[SourceIdentity | None, str | None]:
        results = here and task.name in done and stamp_of(f"{here}{os.sep}{task.name}")
        return identity_now(task), results or None

    for task, (now, stamp) in in_threads(look, known):
        row = done.get(task.name)
        difference = task.identity and now and task.identity.difference(now)
        if difference:
            error = f"its source is another than the batch was begun with: {difference}"
            ledger.failed(task.name, f"{error}; --retry-failed does it anew")
            yield f"{task.name}: {error}"
        elif row is not None and here is not None and (wrong := _problem(ledger, row, stamp, here, batch)):
            ledger.again(task.name)
            yield f"{task.name}: its results {wrong}; it is done again"
    ledger.save()


def _problem(ledger: Ledger, row: Row, stamp: str | None, output: Path, batch: str) -> str | None:
    """Problems of the results of a video; files are read only if names, sizes or times differ."""
    if stamp is not None and stamp == row.stamp:
        return None
    folder = output / row.name
    mark = mark_of(folder)
    if mark is None or (mark.batch, mark.name) != (batch, row.name):
        return "are gone"
    if stamp is None or digest_of(folder) != row.digest:
        return "have changed"
    ledger.stamped(row.name, stamp)
    return None
