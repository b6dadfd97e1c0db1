"""Paths may be texts wherever a program gives one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import segue
from segue.sinks import CocoSink, PngSink, replay
from segue.types import Frame, Segmentation


def test_results_go_where_a_text_says(tmp_path: Path) -> None:
    frame = Frame(0, 0.0, np.zeros((4, 6, 3), np.uint8))
    result = Segmentation(0, 0.0, np.zeros((4, 6), np.uint8), ())
    for sink in (PngSink(str(tmp_path / "masks")), CocoSink(str(tmp_path / "coco.json"))):
        sink.write(frame, result)
        sink.close()
    assert (tmp_path / "coco.json").is_file()
    assert [item.index for item in replay(str(tmp_path / "masks"))] == [0]


def test_a_detector_takes_a_image() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    assert segue.detector("nanodet", refine="none", device="cpu")(image).objects == ()
