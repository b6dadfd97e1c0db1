"""JSON keeps every digit, and official files keep every byte."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import segue
from segue.errors import SinkError
from segue.metrics.compare import compare
from segue.reports import comparison_values, evaluation_values, write_csv, write_json
from tests.reports.making import evaluation


def test_json_holds_full_precision_and_null_for_no_value(tmp_path: Path) -> None:
    third = 1 / 3
    write_json(tmp_path / "new" / "s.json", evaluation_values(evaluation({"bear": third, "cat": math.nan})))
    values = json.loads((tmp_path / "new" / "s.json").read_text())
    assert list(values) == [
        *("protocol", "headline", "global", "sequences", "objects", "categories", "groups"),
        *("remarks", "segue version"),
    ]
    assert values["global"] == {"J&F-Mean": third, "J-Mean": 0.25}
    assert values["sequences"] == {
        "bear": {"J&F-Mean": third, "J-Mean": third / 2},
        "cat": {"J&F-Mean": None, "J-Mean": None},
    }
    assert values["remarks"] == ["something to know"]
    assert values["segue version"] == segue.__version__


def test_json_of_a_comparison_names_both_results_and_the_interval() -> None:
    first, second = evaluation({"a": 0.5, "b": 0.25}), evaluation({"a": 0.75, "b": 0.5})
    values = comparison_values(compare(first, second, names=("old", "new"), seed=3))
    assert values["results"] == ["old", "new"]
    assert values["global"]["J&F-Mean"] == {"first": 0.375, "second": 0.625, "difference": 0.25}
    assert values["sequences"]["a"]["J&F-Mean"] == {"first": 0.5, "second": 0.75, "difference": 0.25}
    assert values["bootstrap"]["seed"] == 3
    assert values["bootstrap"]["measures"]["J&F-Mean"] == {
        "mean": 0.25,
        "low": 0.25,
        "high": 0.25,
        "sequences": 2,
    }


def test_official_files_are_written_byte_for_byte(tmp_path: Path) -> None:
    files = {"one.csv": "a,b\n1.000,\n", "two.csv": "bär,b\udcff\n"}
    paths = write_csv(tmp_path / "csv", evaluation({"a": 0.5}, files=files))
    assert [path.read_bytes() for path in paths] == [b"a,b\n1.000,\n", "bär,b".encode() + b"\xff\n"]
    assert sorted(path.name for path in (tmp_path / "csv").iterdir()) == ["one.csv", "two.csv"]


def test_protocol_without_official_files_says_so(tmp_path: Path) -> None:
    with pytest.raises(SinkError):
        write_csv(tmp_path, evaluation({"a": 0.5}, files={}))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SinkError):
        write_json(tmp_path, {})
