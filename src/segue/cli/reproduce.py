"""``segue reproduce``: the tables of the papers, one command each."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from annotated_types import Ge

from segue.cli.options import Options, Values, command
from segue.cli.tables import Files, print_remarks, print_table, print_title
from segue.errors import SegueError
from segue.registry import DATASETS, DETECTORS, MODELS
from segue.reports import write_json
from segue.reproduce import SPEED, TABLES, Table, tables_of


@dataclass(frozen=True, slots=True)
class How:
    """What is run for the rows of tables, and how.

    Attributes:
        data: where a data set is, NAME=FOLDER; may be given several times.
        weights: weight file of a network, a detector or a row, NAME=FILE.
        output: folder.  [default: segue-out/PAPER]
        rows: only this row; may be given several times.
        model: run this network instead of the paper's.
        subset: part of the data set, instead of the paper's.
        sequences: only this sequence, video or category; may be given several.
        run: further options of the command of a row.
        train: further options of `segue train`, for rows that train.
        workers: number of workers.  [default: one a core]
        resume: go on with an interrupted run.
        quiet: no progress.
    """

    data: Mapping[str, Path]
    weights: Mapping[str, str]
    output: Path
    rows: frozenset[str] | None = None
    model: str | None = None
    subset: str | None = None
    sequences: list[str] | None = None
    run: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    workers: Annotated[int | None, Ge(1)] = None
    resume: bool = False
    quiet: bool = False


def _asked(paper: str | None = None, table: list[str] | None = None) -> None:
    """What is wanted.

    Args:
        paper: name of a paper.  [default: list all tables]
        table: names of its tables.  [default: all]
    """


def _reproduce(asked: Values, options: Values, written: Values) -> None:
    """Repeat the tables of the papers: one command a table, with the published numbers beside.

    Without PAPER, all tables are listed with the data and the weights that they need. A row whose data or
    weights are not there is left out, and a note says what brings them. Of a data set that is there in part,
    that part is run. Masks, a picture a video and a page with the worst frames are kept in the output;
    --resume goes on after Ctrl-C or a crash.

    Examples:

        segue reproduce

        segue reproduce stm davis-2017 --data davis=DAVIS --weights stm=STM_weights.pth -o tables

        segue reproduce stm memory --data davis=DAVIS --model stcn-lite -o tables --resume --json memory.json

        segue reproduce stcn-report davis --data davis=DAVIS --weights stcn=stcn.safetensors
        --row "ground truth"
    """
    from segue.cli.reproducing import do_table

    paper, files = asked["paper"], Files(**written)
    if paper is None:
        _list(TABLES)
        return
    tables = tables_of(paper, asked["table"] or ())
    files.check()
    folders = _pairs("data", options["data"] or [], DATASETS.names)
    read = {
        "data": {name: Path(folder) for name, folder in folders.items()},
        "weights": _pairs("weights", options["weights"] or [], _weighted(tables)),
        "output": options["output"] or Path("segue-out") / paper,
        "rows": _rows(tables, options["rows"]),
        "run": tuple(shlex.split(options["run"])),
        "train": tuple(shlex.split(options["train"])),
    }
    how = How(**{**options, **read})
    done = []
    for item in tables:
        with contextlib.redirect_stdout(sys.stderr):
            result = do_table(item, how)
        _print(item, result.cells(), result.remarks)
        done.append(result)
    if files.json is not None:
        write_json(files.json, {"paper": paper, "tables": [result.values() for result in done]})
    files.tell()
    if any(result.failed for result in done):
        raise typer.Exit(1)


_TEXTS = list[str] | None

reproduce = command(
    _reproduce,
    Options(_asked, "paper! table!"),
    Options(
        How,
        "data weights output:output,out,o rows:row model subset:set sequences:sequence run train workers "
        "resume quiet:quiet,q",
        {"data": None, "weights": None, "output": None, "run": "", "train": ""},
        {"data": _TEXTS, "weights": _TEXTS, "rows": _TEXTS, "output": Path | None, "run": str, "train": str},
    ),
    Options(Files, "json"),
)


def _list(tables: Iterable[Table]) -> None:
    rows = []
    for table in tables:
        networks = dict.fromkeys(row.model or table.model for row in table.rows)
        rows.append((f"{table.paper} {table.name}", (table.title, table.data, ", ".join(networks))))
    print_table(("table", "what", "data", "networks"), rows)


def _pairs(kind: str, texts: Sequence[str], known: Iterable[str]) -> dict[str, str]:
    names, pairs = tuple(known), {}
    for text in texts:
        name, _, place = text.partition("=")
        if name not in names or not place:
            raise SegueError(f"--{kind} {text}: give NAME=PATH with NAME one of {', '.join(names)}")
        pairs[name] = place
    return pairs


def _weighted(tables: Iterable[Table]) -> dict[str, None]:
    """Names that ``--weights`` takes: rows that train, networks, detectors."""
    trained = (row.key for table in tables for row in table.rows if row.training)
    return dict.fromkeys((*trained, *MODELS.names, *DETECTORS.names))


def _rows(tables: Sequence[Table], wanted: Sequence[str] | None) -> frozenset[str] | None:
    if not wanted:
        return None
    known = {name: row.key for table in tables for row in table.rows for name in (row.name, row.key)}
    for name in wanted:
        if name not in known:
            raise SegueError(f"no row is called {name!r}; there are {'; '.join(dict.fromkeys(known))}")
    return frozenset(known[name] for name in wanted)


def _print(table: Table, cells: Mapping[str, Sequence[str]], remarks: Iterable[str]) -> None:
    print_title(f"{table.paper} {table.name}. {table.title}")
    headings = (*table.columns, SPEED, *(f"published {name}" for name in table.headings))
    print_table(("", *headings), cells.items())
    print_remarks(remarks)
