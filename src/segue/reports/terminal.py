"""Output of commands: progress, tables for people, tab-separated lines for programs, files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from segue.errors import SinkError
from segue.options import FilePath, OptionModel, option
from segue.utils.files import prepare
from segue.utils.inputs import printable
from segue.utils.notices import is_quiet, notice

# Commands that score nothing show progress, too; what scores is imported where there are scores.
# Rich is imported where something is shown: what is refused before that ends sooner.
if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

    from segue.metrics import evaluation
    from segue.metrics.compare import Comparison
    from segue.metrics.evaluation import Evaluation


_REPORT = re.compile(rb'\{\r?\n  "(?:protocol|kind|paper)"|<!DOCTYPE html>')
"""Beginning of the files that commands write with ``--json`` and ``--report``."""


class Files(OptionModel):
    """Files written in addition to the table."""

    json_file: FilePath | None = option(None, flags="json")
    """File for all scores in full precision."""

    report: FilePath | None = option(None)
    """File for a page with charts and images."""

    csv: FilePath | None = option(None)
    """Folder for the official result files."""

    submission: FilePath | None = option(None)
    """Zip with all results in the format of the evaluation server."""

    def check(self, *inputs: Path) -> None:
        """Raise an error unless all are writable and none is an input."""
        pages = [*filter(None, (self.json_file, self.report))]
        if len({page.resolve() for page in pages}) < len(pages):
            raise SinkError(f"{pages[0]}: is to hold both scores and report; give each a file of its own")
        for target in pages:
            if not target.exists():
                continue
            inside = any(place.resolve() in target.resolve().parents for place in inputs)
            itself = any(place.exists() and target.samefile(place) for place in inputs)
            if itself or (inside and not _is_report(target)):
                raise SinkError(f"{target}: is a file of what is scored; give another name")
        for path in (self.json_file, self.report, self.csv and self.csv / "results.csv", self.submission):
            if path is not None:
                prepare(path)

    def save(self, values: Mapping[str, Any]) -> None:
        """Write the file of scores if requested, and report it."""
        if self.json_file is not None:
            from segue.reports.files import write_json

            write_json(self.json_file, values)
        self.announce()

    def announce(self) -> None:
        for path in (self.json_file, self.report, self.csv, self.submission):
            if path is not None:
                notice(f"written: {path}")


def _is_report(file: Path) -> bool:
    """Whether a file is of scores or a page of segue, by its beginning; annotations are JSON, too."""
    try:
        with file.open("rb") as stream:
            return _REPORT.match(stream.read(64)) is not None
    except OSError:
        return False


def bars(field: str, *columns: ProgressColumn) -> Progress:
    """Transient progress bars; nothing without a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, quiet=is_quiet(), highlight=False, soft_wrap=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *(columns or (MofNCompleteColumn(), TimeRemainingColumn())),
        TextColumn("{task.fields[" + field + "]}", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


@contextmanager
def interruptible(otherwise: str = "interrupted") -> Iterator[None]:
    """On Ctrl-C exit with 130 and the interruption's message, or ``otherwise``."""
    try:
        yield
    except KeyboardInterrupt as interrupted:
        typer.echo(str(interrupted) or otherwise, err=True)
        raise typer.Exit(130) from None


@contextmanager
def progress(
    title: str, interrupted: str = "interrupted; nothing was written"
) -> Iterator[evaluation.Progress]:
    """Make a function that shows the number of finished sequences; Ctrl-C exits with 130."""
    with interruptible(interrupted), bars("name") as bar:
        task = bar.add_task(printable(title), total=None, name="")

        def show(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, name=printable(name))

        yield show


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the scores of sequences, categories and the whole set, then the remarks."""
    from segue.reports.html import measured_rows

    print_title(evaluation.protocol)
    columns = list(evaluation.overall)
    tables = {
        "sequence": evaluation.sequences,
        "category": evaluation.categories,
        "group": evaluation.groups,
    }
    for title, measures in tables.items():
        keys = [key for key in columns if any(key in values for values in measures.values())]
        if keys:
            print_table((title, *keys), measured_rows(measures, keys))
    print_table(("", *columns), measured_rows({"all": evaluation.overall}, columns))
    print_remarks(evaluation.remarks)


def print_comparison(comparison: Comparison) -> None:
    """Print overall scores of both results, differences by sequence, and the interval."""
    from segue.reports.html import describe_interval, difference_rows, in_both, interval_rows

    print_title(comparison.first.protocol)
    overall, by_sequence = in_both(comparison)
    for title, pairs in ((f"{comparison.first.headline} of sequence", by_sequence), ("all", overall)):
        print_table((title, *comparison.names, "difference"), difference_rows(pairs))
    print_table(("mean difference", "mean", "from", "to", "sequences"), interval_rows(comparison))
    typer.echo(describe_interval(comparison.seed))
    print_remarks(comparison.remarks)


def print_remarks(remarks: Iterable[str]) -> None:
    """Print remarks on standard error."""
    for remark in remarks:
        typer.echo(f"note: {printable(remark)}", err=True)


def print_title(text: str) -> None:
    """Print the line above a table."""
    from rich.console import Console

    Console(highlight=False, soft_wrap=True).print(printable(text), markup=False, style="bold")


def print_table(columns: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> None:
    """Print a table; without a terminal, as tab-separated lines."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        for name, cells in ((columns[0], columns[1:]), *rows):
            typer.echo("\t".join(map(printable, (name, *cells))))
        return
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(Text(printable(column)), justify="right" if i else "left", overflow="fold")
    for name, cells in rows:
        table.add_row(Text(printable(name)), *(Text(cell) for cell in cells))
    console.print(table)
