"""``segue compare``: two results side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.running import Command
from tests.cli.scored import make_cdnet, make_davis, make_davis_results


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    """A folder in the layout of DAVIS."""
    return make_davis(tmp_path / "DAVIS")


def test_identical_results_differ_by_nothing(command: Command, davis: Path, tmp_path: Path) -> None:
    results = make_davis_results(tmp_path / "results", {"bee": 8})
    assert command("compare", results, results, "--data", davis, "--json", tmp_path / "c.json").code == 0
    values = json.loads((tmp_path / "c.json").read_text())
    tables = [values["global"], *values["sequences"].values()]
    assert {measure["difference"] for table in tables for measure in table.values()} == {0}
    for measure in values["bootstrap"]["measures"].values():
        assert (measure["mean"], measure["low"], measure["high"]) == (0, 0, 0)


def test_differences_are_told_by_sequence_with_an_interval(
    command: Command, davis: Path, tmp_path: Path
) -> None:
    worse = make_davis_results(tmp_path / "worse" / "masks", {"bee": 8})
    better = make_davis_results(tmp_path / "better" / "masks", {})
    outcome = command(
        "compare",
        worse,
        better,
        "--data",
        davis,
        "--json",
        tmp_path / "c.json",
        "--report",
        tmp_path / "c.html",
    )
    lines = [line.split("\t") for line in outcome.out.splitlines()]
    assert lines[1] == ["J&F-Mean of sequence", "worse/masks", "better/masks", "difference"]
    assert lines[2] == ["ant", "1.0000", "1.0000", "+0.0000"]
    assert "only 2 sequences" in outcome.err
    values = json.loads((tmp_path / "c.json").read_text())
    j = values["sequences"]["bee"]["J-Mean"]
    assert (j["first"], j["second"], j["difference"]) == (1 / 3, 1, 1 - 1 / 3)
    interval = values["bootstrap"]["measures"]["J-Mean"]
    # Of two sequences both, one or none is drawn twice: with differences d and 0 a quarter of all means is 0.
    assert interval == {"mean": (1 - 1 / 3) / 2, "low": 0, "high": 1 - 1 / 3, "sequences": 2}
    assert "better/masks" in (tmp_path / "c.html").read_text()


def test_any_data_set_can_be_compared_on(command: Command, tmp_path: Path) -> None:
    data, results = make_cdnet(tmp_path / "data"), make_cdnet(tmp_path / "results", result=True)
    outcome = command("compare", results, results, "--data", data, "--dataset", "cdnet", "--threshold", "1")
    assert outcome.code == 0
    assert "foreground from 1" in outcome.out


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--dataset", "cdnet", "--year", "2016"), "--year"),
        (("--dataset", "cdnet", "--set", "val"), "--set"),
        (("--dataset", "ytvis", "--sequence", "ant"), "--sequence"),
        (("--training-frames", "200@x.json"), "--training-frames"),
        (("--missing", "skip"), "skip"),
    ],
)
def test_options_of_other_data_sets_are_refused(
    command: Command, davis: Path, tmp_path: Path, options: tuple[str, ...], word: str
) -> None:
    results = make_davis_results(tmp_path / "results", {})
    assert word in command("compare", results, results, "--data", davis, *options).complaint
