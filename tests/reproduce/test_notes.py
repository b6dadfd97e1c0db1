"""What is said below a table of how its rows were done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segue.metrics.evaluation import Evaluation
from segue.reproduce import tables_of
from segue.reproduce.asked import How, read
from segue.reproduce.foreground_papers import AS_IS
from segue.reproduce.notes import notes_of, result_options, seen_as
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


def test_a_trained_row_says_what_it_was_trained_with() -> None:
    seen = "seen without alignment, rain as it is, at the size of the video"
    assert notes("mustan", "sbi2015", "mustan2-cdnet") == [seen]
    given = ["--steps 5 --devices 2", "mustan1=--seed 1"]
    assert notes("mustan", "sbi2015", "mustan2-cdnet", train=given) == [
        seen,
        "trained with further options: --steps 5",
    ]
    assert notes("mustan", "sbi2015", "mustan2-cdnet", train=given, weights=["mustan2-cdnet=a.pth"]) == [
        seen,
        "not trained here; weights of a.pth",
    ]


def test_a_row_says_what_its_training_began_from() -> None:
    row = ("ms-sts", "parts", "all-parts")
    assert notes(*row, weights=["coco-pretrained-r50=w.pth"]) == ["the training begins from w.pth"]
    assert notes(*row, train=["seqformer-coco=--init r50.pth --epochs 2 --devices 8"]) == [
        "the training begins from one of seqformer-coco here: --init r50.pth --epochs 2"
    ]
    assert notes(*row, train=["msstsvis=--init r50.pth"]) == [
        "trained with further options: --init r50.pth",
        "the training begins as its options say, not from coco-pretrained-r50",
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


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (AS_IS, "seen without alignment, rain as it is, at the size of the video"),
        ((), "seen with frames aligned, rain removed, at a short side of 240 at most"),
        ((*AS_IS, "--without", "rain"), "seen with frames aligned, rain as it is, at the size of the video"),
        (
            (*AS_IS, "--short-side=180"),
            "seen without alignment, rain as it is, at a short side of 180 at most",
        ),
        ((*AS_IS, "--short-side", "120", "--without", "", "--without", "align"), "short side of 120 at most"),
    ],
)
def test_of_two_options_the_last_counts(options: tuple[str, ...], words: str) -> None:
    assert words in seen_as(options)
