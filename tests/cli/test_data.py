"""``segue data``: what is there of a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
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


def test_list_names_every_data_set_with_its_address() -> None:
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 0
    for origin in DATASETS:
        assert f"{origin.name}\t{origin.title}\t{origin.address}" in result.stdout
