"""The tool that draws the log of a training."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tools.training_curves import main, read


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for part, steps in (("from-0", (50, 100)), ("from-100", (150, 200))):
        folder = tmp_path / "logs" / part
        folder.mkdir(parents=True)
        lines = [f"{1 / step},,{step}" for step in steps]
        (folder / "metrics.csv").write_text("\n".join(["loss,iou,step", *lines]) + "\n", encoding="utf-8")
    return tmp_path


def test_a_resumed_run_is_one_curve(run: Path) -> None:
    steps, values = read(run, "loss")
    assert steps.tolist() == [50, 100, 150, 200]
    assert values.tolist() == [1 / 50, 1 / 100, 1 / 150, 1 / 200]


def test_columns_stand_side_by_side(run: Path) -> None:
    main(run, run / "one.png", "loss")
    main(run, run / "two.png", "loss", "loss")
    one, two = (Image.open(run / name) for name in ("one.png", "two.png"))
    assert (two.width, two.height) == (2 * one.width, one.height)
    with pytest.raises(SystemExit, match="no column iou"):
        main(run, run / "three.png", "iou")
