"""Options for one row or for all, and what the table says of how videos are seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segue.errors import SegueError
from segue.reproduce import tables_of
from segue.reproduce.asked import How, Words, read, read_words
from segue.reproduce.trained import training_lacks


def test_options_are_for_all_or_for_a_network_or_a_row() -> None:
    texts = [
        "--steps 5 --init a=b.pth",
        "mustan2=--width 0.5 --out 'a b'",
        "row-1=--steps 1",
        "row-1=--seed 2",
    ]
    words = read_words("train", texts, ("mustan2", "row-1"))
    assert words.of("mustan1", "row-2") == ("--steps", "5", "--init", "a=b.pth")
    assert words.of("mustan2")[4:] == ("--width", "0.5", "--out", "a b")
    assert words.of("mustan2", "row-1")[8:] == ("--steps", "1", "--seed", "2")
    assert words.of("row-1", "row-1") == words.of("row-1")
    assert read_words("run", None, ()) == Words()
    for text, message in (
        (
            "mustan3=--steps 1",
            "--train mustan3=--steps 1: no row or network is called mustan3; choose from a, b",
        ),
        ("--init 'a", "--train --init 'a: No closing quotation"),
        ("device cuda", "--train device cuda: give options, which begin with a dash, or NAME=OPTIONS"),
    ):
        with pytest.raises(SegueError, match=message):
            read_words("train", [text], ("a", "b", "a"))


def test_a_network_that_is_not_known_ends_before_anything_runs() -> None:
    given = dict.fromkeys(("data", "weights", "rows", "run", "train"))
    with pytest.raises(SegueError, match="nonet"):
        read(tables_of("stm", ["memory"]), given | {"model": "nonet"})


def test_a_training_begins_from_what_its_authors_published_or_from_a_training_of_its_own() -> None:
    tables = tables_of("ms-sts", ["parts"])
    row = tables[0].rows[1]

    def lacks(**given: list[str]) -> list[str]:
        known: dict[str, Any] = dict.fromkeys(("data", "weights", "rows", "run", "train", "model"))
        asked = read(tables, known | {"data": ["ytvis=V", "coco=C"]} | given)
        return list(training_lacks(row, How(output=Path("out"), **asked)))

    (text,) = lacks()
    assert "begins from coco-pretrained-r50, https://drive.google.com/file/d/1aWCeak2DY5" in text
    assert '--train seqformer-coco="--init FILE" to train it here' in text
    assert lacks(weights=["coco-pretrained-r50=w.pth"]) == []
    assert lacks(train=["seqformer-coco=--init resnet50.pth"]) == []
    assert lacks(train=["msstsvis=--init resnet50.pth"]) == []
    (absent,) = lacks(train=["seqformer-coco=--init resnet50.pth"], data=["ytvis=V"])
    assert absent.startswith("COCO 2017 is not there")
