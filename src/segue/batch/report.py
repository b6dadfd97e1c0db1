"""Report pages of a batch: outcome, speed and an image of each video."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

from segue.batch.ledger import Ledger
from segue.batch.places import hide_secrets, key_of
from segue.batch.plan import REPORT, Task
from segue.batch.shards import home_of, ledgers_of
from segue.batch.workers import IDENTITY
from segue.utils.inputs import printable
from segue.video.sources.addresses import is_url

MAX_REPORTED = 2000
"""Videos in the table and among the images at most; all that failed are listed."""


def merge_reports(output: str) -> Path:
    """Write one report with the outcomes of all parts of a batch."""
    home, ledgers = home_of(output), ledgers_of(output)
    with ExitStack() as stack:
        parts = [
            (stack.enter_context(Ledger(path, create=False)), path.parent / "images") for path in ledgers
        ]
        batches = [(path.parent / IDENTITY).read_text("utf-8") for path in ledgers]
        path = report_path(output, home, batches)
        write_batch_report(parts, " ".join(batches), path)
    return path


def report_path(output: str, home: Path, batches: Sequence[str]) -> Path:
    """Path of the report: beside the results, or beside the ledger for addresses and foreign files."""
    default = home.parent / REPORT
    existing = default.read_bytes() if default.is_file() and not default.is_symlink() else b""
    is_ours = any(batch.encode() in existing for batch in batches)
    free = not is_url(output) and (is_ours or not os.path.lexists(default))
    return default if free else home / REPORT


def write_batch_report(parts: Sequence[tuple[Ledger, Path]], batch: str, path: Path) -> None:
    """Write the report of a batch: done and failed videos with reasons, speed, an image each."""
    counts = Counter[str]()
    for ledger, _ in parts:
        counts.update(ledger.counts())
    done = [(row, images) for ledger, images in parts for row in ledger.tasks("done")]
    rows = done[:MAX_REPORTED]
    frames, seconds = sum(row.frames for row, _ in done), sum(row.seconds or 0.0 for row, _ in done)
    facts = [(state, str(counts[state])) for state in ("done", "failed", "running", "queued")]
    facts += [("frames", f"{frames}"), ("frames/s of a worker", f"{frames / seconds if seconds else 0:.1f}")]
    from segue.reports.html import write_page  # late: it imports what scores

    write_page(
        path,
        "batch.html",
        batch=batch,
        title="Batch – segue",
        counts=counts,
        facts=facts,
        failed=[
            (printable(row.name), [public(row.source), str(row.tries), printable(row.error or "")])
            for ledger, _ in parts
            for row in ledger.tasks("failed")
        ],
        done=[_cells(row) for row, _ in rows],
        more=max(0, len(done) - MAX_REPORTED),
        images=[
            (quote(image.relative_to(path.parent).as_posix()), printable(row.name))
            for row, images in rows
            if (image := images / f"{key_of(row.name)}.jpg").exists()
        ],
    )


def _cells(row: Task) -> tuple[str, list[str]]:
    speed = f"{row.frames / row.seconds:.1f}" if row.seconds else "–"
    return printable(row.name), [str(row.frames), f"{row.seconds or 0:.1f}", speed, row.worker or ""]


def public(source: str) -> str:
    """Remove secrets and control characters from a source for display."""
    return printable(hide_secrets(source))
