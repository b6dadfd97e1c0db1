"""Paths may be texts wherever a program gives one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

import segue
from segue.datasets.stills import open_stills
from segue.flow import FlowFiles, read_flow
from segue.jobs import ForegroundJob, Model, VideoSource, read_job, write_job
from segue.types import Frame, Segmentation
from segue.video import CocoSink, PngSink, replay


def test_a_job_is_written_and_read_where_a_text_says(tmp_path: Path) -> None:
    job = ForegroundJob(source=VideoSource(place="film.mp4"), model=Model(name="median"))
    write_job(job, str(tmp_path / "job.json"))
    assert read_job(str(tmp_path / "job.json")) == job


def test_results_go_where_a_text_says(tmp_path: Path) -> None:
    frame = Frame(0, 0.0, np.zeros((4, 6, 3), np.uint8))
    result = Segmentation(0, 0.0, np.zeros((4, 6), np.uint8), ())
    for sink in (PngSink(str(tmp_path / "masks")), CocoSink(str(tmp_path / "coco.json"))):
        sink.write(frame, result)
        sink.close()
    assert (tmp_path / "coco.json").is_file()
    assert [item.index for item in replay(str(tmp_path / "masks"))] == [0]


def test_flow_and_pictures_are_read_where_a_text_says(tmp_path: Path) -> None:
    for name in ("flow", "images", "masks"):
        (tmp_path / name).mkdir()
    flow = np.full((4, 6, 3), (1, 1 << 15, (1 << 15) + 64), np.uint16)  # blue, green, red: one to the right
    cv2.imwrite(str(tmp_path / "flow/0.png"), flow)
    assert read_flow(str(tmp_path / "flow/0.png")).max() == 1
    assert FlowFiles(str(tmp_path / "flow"), (1,))(0).shape == (4, 6, 1)
    cv2.imwrite(str(tmp_path / "images/a.jpg"), np.zeros((4, 6, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "masks/a.png"), np.ones((4, 6), np.uint8))
    assert open_stills(str(tmp_path)).names == ("a",)


def test_a_detector_takes_a_picture() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    assert segue.detector("nanodet", refine="none", device="cpu")(picture).objects == ()
