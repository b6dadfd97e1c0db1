"""Masks as the evaluation of CDnet2014 wants them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segue.errors import SinkError
from segue.sinks import CdnetSink
from segue.types import Frame, ObjectInfo, Segmentation

MASK = np.array([[0, 1, 2], [3, 0, 2]], np.uint8)
FRAME = Frame(0, 0.0, np.zeros((2, 3, 3), np.uint8))


def written(path: Path) -> list[list[int]]:
    with Image.open(path) as image:
        assert image.mode == "L"
        return [[int(value) for value in row] for row in np.asarray(image)]


def test_foreground_is_255_and_files_count_from_one(tmp_path: Path) -> None:
    with CdnetSink(tmp_path / "highway") as sink:
        for index in (0, 41):
            sink.write(FRAME, Segmentation(index, 0.0, MASK))
    names = {path.name for path in (tmp_path / "highway").glob("*.png")}
    assert names == {"bin000001.png", "bin000042.png"}
    assert written(tmp_path / "highway" / "bin000001.png") == [[0, 255, 255], [255, 0, 255]]


def test_shadow_is_50(tmp_path: Path) -> None:
    objects = (ObjectInfo(1, "foreground"), ObjectInfo(2, "shadow"))
    with CdnetSink(tmp_path) as sink:
        sink.write(FRAME, Segmentation(0, 0.0, MASK, objects))
    assert written(tmp_path / "bin000001.png") == [[0, 255, 50], [255, 0, 50]]


def test_the_masks_of_an_earlier_run_go_with_the_first_new_one_and_nothing_else(tmp_path: Path) -> None:
    with CdnetSink(tmp_path) as sink:
        for index in range(3):
            sink.write(FRAME, Segmentation(index, 0.0, MASK))
    (tmp_path / "notes.txt").write_text("mine")
    with CdnetSink(tmp_path) as sink:
        assert len(list(tmp_path.glob("*.png"))) == 3
        sink.write(FRAME, Segmentation(7, 0.0, MASK))
    assert {path.name for path in tmp_path.glob("[!.]*")} == {"bin000008.png", "notes.txt"}


def test_masks_that_another_program_wrote_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "bin000099.png").write_bytes(b"of another program")
    with pytest.raises(SinkError):
        CdnetSink(tmp_path)
    assert (tmp_path / "bin000099.png").read_bytes() == b"of another program"
