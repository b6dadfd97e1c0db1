"""``segue data``: what is there of a data set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from segue.cli.data import app
from segue.registry import DATASETS
from tests.datasets.foreground_videos import save_cdnet_video


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One video of CDnet2014."""
    save_cdnet_video(tmp_path / "data" / "baseline" / "office", {1: np.zeros((6, 8), np.uint8)})
    return tmp_path / "data"


def test_check_prints_videos_and_what_is_missing_and_where_it_comes_from(root: Path) -> None:
    result = CliRunner().invoke(app, ["check", str(root)])
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "CDnet2014\tframes\tlabelled\tproblems",
        "baseline/office\t1\t1\t",
    ]
    assert "missing: 52 videos: baseline/highway" in result.stderr
    assert DATASETS.find("cdnet").address in result.stderr


def test_check_writes_what_was_found(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    assert (
        CliRunner().invoke(app, ["check", str(root), "--kind", "cdnet", "--json", str(file)]).exit_code == 0
    )
    values = json.loads(file.read_text(encoding="utf-8"))
    assert values["videos"][0]["name"] == "baseline/office"
    assert len(values["missing"]) == 52


def test_check_fails_where_something_is_wrong(root: Path) -> None:
    next(root.rglob("in*.jpg")).write_bytes(b"no picture")
    assert CliRunner().invoke(app, ["check", str(root)]).exit_code == 1


def test_big_small_is_recognised(tmp_path: Path) -> None:
    folder = tmp_path / "BIG_small"
    folder.mkdir()
    for name in ("a.jpg", "a.png"):
        Image.new("L", (8, 6), 255).save(folder / name)
    result = CliRunner().invoke(app, ["check", str(folder)])
    assert result.exit_code == 0
    assert result.stdout.startswith("BIG\t")


def test_list_names_every_data_set_with_its_address() -> None:
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 0
    for origin in DATASETS:
        assert f"{origin.name}\t{origin.title}\t{origin.address}" in result.stdout
