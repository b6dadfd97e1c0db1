"""``segue reproduce`` on a film of five frames."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from segue.masks import write_index_mask
from tests.cli.running import FRAMES, MASKS, Command


def test_a_row_for_each_source_and_a_remark_for_each_that_is_not_there(
    command: Command, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    for part in ("JPEGImages", "Annotations"):
        (tmp_path / part / "one").mkdir(parents=True)
    for t in range(5):
        Image.fromarray(FRAMES[t]).save(tmp_path / "JPEGImages" / "one" / f"{t:05d}.png")
        write_index_mask(tmp_path / "Annotations" / "one" / f"{t:05d}.png", MASKS[t])
    arguments = ("--davis", tmp_path, "--weights", inputs / "lite.safetensors", "--device", "cpu")
    outcome = command("reproduce", "stcn-report", *arguments)
    assert outcome.code == 0, outcome.err
    header, *rows = [line.split("\t") for line in outcome.out.splitlines()]
    assert header == ["first frame", "J&F", "J", "F", "frames/s"]
    assert [row[0] for row in rows[:2]] == ["ground truth", "boxes, filled"]
    for name in ("Mask R-CNN", "PointRend", "LOST + CRF"):
        assert f"note: {name} is left out: no weights of" in outcome.err
