"""What is said below a table of how its rows were done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segue.metrics.evaluation import Evaluation
from segue.reproduce import tables_of
from segue.reproduce.asked import How, read
from segue.reproduce.notes import notes_of, result_options
from segue.reproduce.results import Done, remarks_of


def notes(paper: str, name: str, key: str, **given: list[str]) -> list[str]:
    """Notes of a row, for what is typed."""
    tables = tables_of(paper, [name])
    (row,) = [row for row in tables[0].rows if row.key == key]
    nothing: dict[str, Any] = dict.fromkeys(("data", "weights", "rows", "run", "train", "model"))
    how = How(output=Path("out"), **read(tables, nothing | given))
    return list(notes_of(row, row.model or tables[0].model, tables[0], how))


def test_options_that_numbers_depend_on_are_said() -> None:
    words = [
        "--device",
        "cuda",
        "--short-side",
        "240",
        "--workers=2",
        "--fast",
        "--log-every",
        "5",
        "--seed=1",
    ]
    assert result_options(words) == ["--short-side", "240", "--fast", "--seed=1"]
    assert notes("stm", "davis-2017", "stm") == []
    assert notes("stm", "davis-2017", "stm", run=["--device cpu"]) == []
    assert notes("stm", "davis-2017", "stm", run=["--device cpu", "stm=--mem-every 3"]) == [
        "with further options: --mem-every 3"
    ]


def test_what_scores_say_names_the_rows_that_it_is_of() -> None:
    (table,) = tables_of("stm", ["memory"])
    of_all, of_one = "one of 30 videos is not there", "an object is never shown"
    remarks = ((of_all,), (of_all, of_one, of_one), None)  # the third row was not scored
    done = [
        Done(row, "stm", None if said is None else Evaluation("p", "J", {}, {}, remarks=said))
        for row, said in zip(table.rows[:3], remarks, strict=True)
    ]
    found = list(remarks_of(table, done, (), How({}, {}, Path("out"))))
    assert found == [table.remark, of_all, f"previous frame only: {of_one}"]
