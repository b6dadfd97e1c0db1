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


def test_any_data_set_can_be_compared_on(command: Command, tmp_path: Path) -> None:
    data, results = make_cdnet(tmp_path / "data"), make_cdnet(tmp_path / "results", result=True)
    outcome = command("compare", results, results, "--data", data, "--dataset", "cdnet", "--threshold", "1")
    assert outcome.code == 0
    assert "foreground from 1" in outcome.out
