"""``segue eval``: tables, files and errors of every data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import segue
from segue.datasets.davis import DavisFolder
from segue.metrics import evaluate_davis
from tests.cli.running import Command
from tests.cli.scored import (
    make_cdnet,
    make_davis,
    make_davis_results,
    make_ytvis,
)

DAVIS_COLUMNS = ("J&F-Mean", "J-Mean", "J-Recall", "J-Decay", "F-Mean", "F-Recall", "F-Decay")
CDNET_COLUMNS = ("Re", "Sp", "FPR", "FNR", "PWC", "Pr", "F")


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    """A folder in the layout of DAVIS."""
    return make_davis(tmp_path / "DAVIS")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results that are right for ``ant`` and 8 pixels off for ``bee``."""
    return make_davis_results(tmp_path / "results", {"bee": 8})


def scores(path: Path) -> dict[str, Any]:
    """What a JSON file of scores holds."""
    values = json.loads(path.read_text())
    assert isinstance(values, dict)
    return values


def test_json_has_the_official_names_and_full_precision(
    command: Command, davis: Path, results: Path, tmp_path: Path
) -> None:
    assert command("eval", "davis", results, "--data", davis, "--json", tmp_path / "s.json").code == 0
    found, expected = scores(tmp_path / "s.json"), evaluate_davis(results, DavisFolder(davis, "val"))
    assert tuple(found["global"]) == DAVIS_COLUMNS
    assert found["global"] == dict(expected.overall)
    assert found["sequences"] == {name: dict(item) for name, item in expected.sequences.items()}
    assert list(found["objects"]) == ["ant_1", "bee_1"]
    # Two squares of side 16, half overlapping: 128 shared pixels of 384.
    assert found["sequences"]["bee"]["J-Mean"] == 1 / 3
    assert found["sequences"]["ant"]["J&F-Mean"] == 1
    assert found["protocol"] == expected.protocol
    assert found["segue version"] == segue.__version__


def test_official_files_have_the_bytes_of_the_evaluation(
    command: Command, davis: Path, results: Path, tmp_path: Path
) -> None:
    assert command("eval", "davis", results, "--data", davis, "--csv", tmp_path / "csv").code == 0
    expected = evaluate_davis(results, DavisFolder(davis, "val")).files
    assert {path.name: path.read_bytes().decode() for path in (tmp_path / "csv").iterdir()} == expected
    assert set(expected) == {"global_results-val.csv", "per-sequence_results-val.csv"}


def test_report_is_one_page_with_images(command: Command, davis: Path, results: Path, tmp_path: Path) -> None:
    report = tmp_path / "pages" / "r.html"
    outcome = command("eval", "davis", results, "--data", davis, "--report", report)
    assert f"written: {report}" in outcome.err
    text = report.read_text()
    assert text.count("data:image/jpeg;base64,") == 12  # three of each of two frames of each sequence
    assert str(davis) in text


def test_missing_frame_is_named_or_scored_as_empty(
    command: Command, davis: Path, results: Path, tmp_path: Path
) -> None:
    (results / "bee" / "00002.png").unlink()
    arguments = ("eval", "davis", results, "--data", davis, "--json", tmp_path / "s.json")
    assert "bee 00002" in command(*arguments).complaint
    assert not (tmp_path / "s.json").exists()
    outcome = command(*arguments, "--missing", "empty")
    assert "bee 00002" in outcome.err
    found = scores(tmp_path / "s.json")
    assert found["sequences"]["bee"]["J-Mean"] == pytest.approx(2 / 9)
    assert any("bee 00002" in remark for remark in found["remarks"])


def test_interrupt_writes_nothing(
    command: Command, davis: Path, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("segue.metrics.data_sets.evaluate_davis", interrupt)
    outcome = command("eval", "davis", results, "--data", davis, "--json", tmp_path / "s.json")
    assert outcome.code == 130
    assert "interrupted" in outcome.err
    assert not (tmp_path / "s.json").exists()


def test_cdnet_has_the_seven_measures_by_category(command: Command, tmp_path: Path) -> None:
    data, results = make_cdnet(tmp_path / "data"), make_cdnet(tmp_path / "results", result=True)
    json_file = tmp_path / "s.json"
    arguments = ("eval", "cdnet", results, "--data", data, "--json", json_file, "--csv", tmp_path / "csv")
    assert command(*arguments, "--report", tmp_path / "r.html").code == 0
    found = scores(json_file)
    assert tuple(found["global"])[:7] == CDNET_COLUMNS
    assert list(found["categories"]) == ["baseline"]
    assert list(found["sequences"]) == ["baseline/highway", "baseline/office"]
    assert found["global"]["F"] == pytest.approx(1, abs=1e-4)
    assert (tmp_path / "csv" / "stats.txt").is_file()
    assert (tmp_path / "r.html").read_text().count("data:image/jpeg") == 12


@pytest.mark.parametrize("name", ["ytvis", "ovis"])
def test_tracks_are_scored_by_average_precision(command: Command, tmp_path: Path, name: str) -> None:
    truth, results = make_ytvis(tmp_path / "data")
    arguments = ("eval", name, results, "--data", truth, "--json", tmp_path / "s.json")
    assert command(*arguments, "--report", tmp_path / "r.html").code == 0
    found = scores(tmp_path / "s.json")
    assert {key: found["global"][key] for key in ("AP", "AP50", "AP75", "AR1", "AR10")} == pytest.approx(
        dict.fromkeys(("AP", "AP50", "AP75", "AR1", "AR10"), 1.0)
    )
    assert list(found["categories"]) == ["dog"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("davis", "nowhere", "--data", "DAVIS"), "nowhere"),
        (("davis", "results", "--data", "nowhere"), "nowhere"),
        (("davis", "results", "--data", "DAVIS", "--set", "test"), "test"),
        (("davis", "results", "--data", "DAVIS", "--set", "val", "--sequence", "bee"), "not both"),
        (("davis", "results", "--data", "DAVIS", "--task", "unsupervised", "--year", "2016"), "2016"),
        (("cdnet", "results", "--data", "DAVIS"), "DAVIS"),
        (("ytvis", "results", "--data", "DAVIS"), "DAVIS"),
        (("hofam", "results", "--data", "nowhere"), "nowhere"),
    ],
)
def test_mistakes_take_one_line(
    command: Command,
    davis: Path,
    results: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    word: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert word in command("eval", *arguments).complaint


@pytest.mark.shared
def test_published_results_have_their_published_scores(
    command: Command, shared: Path, tmp_path: Path
) -> None:
    data = shared / "data" / "vos" / "davis2016_480p"
    results = data / "Results_osvos"
    reference = json.loads((results / "reference_JF.json").read_text())
    names = ("drift-chicane", "drift-straight")
    only = [word for name in names for word in ("--sequence", name)]
    arguments = ("eval", "davis", results, "--data", data, "--year", "2016", *only)
    assert command(*arguments, "--json", tmp_path / "s.json", "--report", tmp_path / "r.html").code == 0
    found = scores(tmp_path / "s.json")["sequences"]
    for name in names:
        for measure, key in (("J-Mean", "J_per_frame"), ("F-Mean", "F_per_frame")):
            inner = reference[name][key][1:-1]
            assert found[name][measure] == pytest.approx(sum(inner) / len(inner), abs=1e-6)
