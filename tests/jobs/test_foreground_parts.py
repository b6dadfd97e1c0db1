"""What a job of foreground is made of, and jobs without a frame loop."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from segue.errors import SinkError, SourceError
from segue.jobs.foreground import _background, _expected, _region
from segue.jobs.processes import export
from segue.jobs.values import ExportJob, Model
from segue.sessions.background import MaskedMedian
from segue.sessions.empty_scene import FixedBackground
from segue.sessions.subtractors import SubtractorBackground

PICTURE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


@pytest.mark.parametrize("name", ["mog2", "knn"])
def test_a_subtractor_is_known_by_its_name(name: str) -> None:
    made = _background(name)
    assert isinstance(made, SubtractorBackground)
    for _ in range(3):
        made.update(PICTURE)
    assert made.scene is not None


def test_the_empty_scene_is_a_name_a_picture_or_its_file(tmp_path: Path) -> None:
    assert isinstance(_background("median"), MaskedMedian)
    Image.fromarray(PICTURE).save(tmp_path / "empty.png")
    for scene in (PICTURE, torch.from_numpy(PICTURE), tmp_path / "empty.png", str(tmp_path / "empty.png")):
        made = _background(scene)
        assert isinstance(made, FixedBackground)
    with pytest.raises(SourceError, match=r"none\.png: no such picture; the scene is median"):
        _background(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(SourceError, match=r"text\.png"):
        _background(tmp_path / "text.png")


def test_a_region_is_an_array_or_a_file_with_its_values(tmp_path: Path) -> None:
    mask = np.array([[0, 85], [255, 1]], np.uint8)
    Image.fromarray(mask).save(tmp_path / "roi.png")
    assert _region(None) is None
    for roi in (mask, tmp_path / "roi.png", str(tmp_path / "roi.png")):
        found = _region(roi)
        assert found is not None
        assert np.array_equal(found, mask)


@pytest.mark.parametrize(
    ("count", "own", "fps", "expected"),
    [
        (100, 25.0, None, 100),
        (100, 25.0, 5.0, 20),
        (100, 25.0, 25.0, 100),
        (100, 25.0, 50.0, 100),
        (None, 25.0, 5.0, None),
        (100, None, 5.0, 100),
        (101, 30.0, 10.0, 34),
    ],
)
def test_the_number_of_frames_is_that_of_the_rate_that_is_asked_for(
    count: Any, own: Any, fps: Any, expected: Any
) -> None:
    assert _expected(SimpleNamespace(frame_count=count, fps=own), fps) == expected


def test_graphs_are_not_written_among_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx")
    written: list[tuple[object, Path]] = []

    def write(network: object, folder: Path) -> list[Path]:
        written.append((network, folder))
        return [folder / "a.onnx"]

    monkeypatch.setattr("segue.export.onnx.export_onnx", write)
    monkeypatch.setattr("segue.jobs.processes.load", lambda name, weights: (name, weights))
    folder = tmp_path / "graphs"
    job = ExportJob(model=Model(name="stm", weights=Path("stm.safetensors")), folder=folder)
    assert export(job) == [folder / "a.onnx"]
    folder.mkdir()
    export(job)
    (folder / "mine.txt").touch()
    with pytest.raises(SinkError, match="exists and is not empty; give --overwrite"):
        export(job)
    export(job.model_copy(update={"overwrite": True}))
    with pytest.raises(SinkError, match="exists and is not empty"):
        export(job.model_copy(update={"folder": folder / "mine.txt"}))
    assert written == [(("stm", Path("stm.safetensors")), folder)] * 3
