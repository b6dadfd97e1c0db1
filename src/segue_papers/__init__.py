"""Reproduce the tables of the papers (``segue reproduce``)."""

from __future__ import annotations

from collections.abc import Sequence

from segue.errors import SegueError
from segue_papers.papers import TABLES
from segue_papers.tables import SPEED, Table, TableRow, Training

__all__ = ["SPEED", "TABLES", "Table", "TableRow", "Training", "tables_of"]


def tables_of(paper: str, names: Sequence[str] = ()) -> list[Table]:
    """Look up tables of a paper.

    Args:
        paper: name of the paper, as ``segue reproduce`` lists it.
        names: tables in the wanted order; none are all of them.

    Returns:
        The tables.

    Raises:
        SegueError: there is no such paper or table.
    """
    by_name = {table.name: table for table in TABLES if table.paper == paper}
    if not by_name:
        papers = dict.fromkeys(table.paper for table in TABLES)
        raise SegueError(f"no tables of {paper!r} are known; choose from {', '.join(papers)}")
    for name in names:
        if name not in by_name:
            raise SegueError(f"{paper} has no table {name!r}; choose from {', '.join(by_name)}")
    return [by_name[name] for name in names or by_name]
