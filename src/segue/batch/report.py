"""The page of a batch: what is done, what failed and why, how fast it went, a picture a video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from segue.batch.ledger import Ledger, Row
from segue.reports.page import write_page

SHOWN = 2000
"""Videos in the table and among the pictures at most; all that failed are listed."""


def write_batch_report(ledger: Ledger, pictures: Path, path: Path) -> None:
    """Write the page beside the folder of pictures.

    Args:
        ledger: what became of each video.
        pictures: folder with ``NAME.jpg`` of each video.
        path: the page.
    """
    counts = ledger.counts()
    done = list(ledger.rows("done"))
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
        done=[_cells(row) for row in done[:SHOWN]],
        more=max(0, len(done) - SHOWN),
        pictures=list(_pictures(done[:SHOWN], pictures, path.parent)),
    )


def _cells(row: Row) -> tuple[str, list[str]]:
    seconds = row.seconds or 0.0
    speed = f"{row.frames / seconds:.1f}" if seconds else "–"
    return row.name, [str(row.frames), f"{seconds:.1f}", speed, row.worker or ""]


def _pictures(rows: list[Row], pictures: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """Address and name of the videos that have a picture."""
    for row in rows:
        picture = pictures / f"{row.name}.jpg"
        if picture.exists():
            yield quote(picture.relative_to(folder).as_posix()), row.name
