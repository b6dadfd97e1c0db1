"""Paths may be texts wherever a program gives one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import segue
from segue.errors import ArgumentError
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


def test_an_empty_text_is_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images = np.zeros((2, 16, 20, 3), np.uint8)
    for save in (segue.foreground(images, model="difference").save, segue.Video(images).save_state):
        with pytest.raises(ArgumentError):
            save("")
    with pytest.raises(ArgumentError, match="weights"):
        segue.track(images, box=(1, 1, 9, 9), weights="")
    assert not [*tmp_path.iterdir()]


def test_a_detector_takes_a_image() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    assert segue.detector("nanodet", refine="none", device="cpu")(image).objects == ()
