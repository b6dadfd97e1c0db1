"""What ``segue eval`` and ``segue compare`` share: progress, files to write, and an end on Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from segue.cli.tables import plain
from segue.metrics import parallel
from segue.reports import prepare


@dataclass(frozen=True, slots=True)
class Files:
    """Files to write beside the table.

    Attributes:
        json: scores in full precision.
        report: page to read.
        csv: folder of the official result files.
    """

    json: Path | None = None
    report: Path | None = None
    csv: Path | None = None

    def check(self) -> None:
        """See that all of them can be written, before any work is spent.

        Raises:
            SinkError: one cannot.
        """
        for path in (self.json, self.report, self.csv and self.csv / "results.csv"):
            if path is not None:
                prepare(path)

    def tell(self) -> None:
        """Say where they are."""
        for path in (self.json, self.report, self.csv):
            if path is not None:
                typer.echo(f"written: {path}", err=True)


@contextmanager
def progress(
    title: str, interrupted: str = "interrupted; nothing was written"
) -> Iterator[parallel.Progress]:
    """A function that shows how many sequences are done; nothing is shown where no terminal is.

    Args:
        title: what is going on.
        interrupted: said when the user interrupts it.

    Raises:
        typer.Exit: the user interrupted the work.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[name]}", markup=False),
    )
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(plain(title), total=None, name="")

            def show(done: int, total: int, name: str) -> None:
                bar.update(task, completed=done, total=total, name=plain(name))

            yield show
    except KeyboardInterrupt:
        typer.echo(interrupted, err=True)
        raise typer.Exit(130) from None
