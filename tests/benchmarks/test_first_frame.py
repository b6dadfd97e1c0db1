"""The comparison of ways to find the object, on a film where one square moves."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

import first_frame
from segue.types import Frame
from tests.sessions.test_motion import film


def test_every_way_has_a_row_and_motion_finds_the_square(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frames, mask = film(4, 3)
    for part in ("JPEGImages", "Annotations"):
        (tmp_path / part / "square").mkdir(parents=True)
    frames.append(Frame(2, 0.08, frames[1].image))  # the square stops
    for frame in frames:
        Image.fromarray(frame.image).save(tmp_path / "JPEGImages" / "square" / f"{frame.index:05}.png")
    Image.fromarray(mask * np.uint8(255)).save(tmp_path / "Annotations" / "square" / "00000.png")
    monkeypatch.setattr(sys, "argv", ["first_frame.py", str(tmp_path)])
    assert first_frame.main() == 0
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    found = {name: float(mean) for name, mean, *_ in rows[2:]}
    assert len(found) == 11
    assert found["motion, GrabCut, there and back"] > 0.9
    assert first_frame.region(mask, mask > 0) == 1
