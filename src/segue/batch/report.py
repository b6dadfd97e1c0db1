"""The page of a batch: what is done, what failed and why, how fast it went, a picture a video."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from segue.batch.ledger import Ledger, Row
from segue.reports.html import write_page

SHOWN = 2000
"""Videos in the table and among the pictures at most; all that failed are listed."""


def write_batch_report(ledger: Ledger, pictures: Path, path: Path) -> None:
    """Write the page beside the folder of pictures, which has ``NAME.jpg`` of each video."""
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
        failed=[(row.name, [row.source, str(row.tries), row.error or ""]) for row in ledger.rows("failed")],
        done=[_cells(row) for row in shown],
        more=max(0, len(done) - SHOWN),
        pictures=[
            (quote(picture.relative_to(path.parent).as_posix()), row.name)
            for row in shown
            if (picture := pictures / f"{row.name}.jpg").exists()
        ],
    )


def _cells(row: Row) -> tuple[str, list[str]]:
    seconds = row.seconds or 0.0
    speed = f"{row.frames / seconds:.1f}" if seconds else "–"
    return row.name, [str(row.frames), f"{seconds:.1f}", speed, row.worker or ""]
