"""The experiment of the STCN report on a small film: who gives the first frame, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segue.datasets.davis import DavisFolder
from segue.masks import write_index_mask
from segue.metrics.davis import DavisAccumulator
from segue.models.detection.parts import Detections
from segue.prompts.selection import Found
from segue.sessions import TrackSession
from segue.stcn_report import (
    Mask,
    compare_first_frames,
    discovered,
    filled_boxes,
    first_frames,
    nearest_objects,
    truth_itself,
)
from segue.types import Frame, IndexMask, ObjectInfo
from tests.clips import clip
from tests.lite import lively_lite

FRAMES, MASKS = clip(5, 5, 48, 64, 2)
FRAME = Frame(0, 0.0, FRAMES[0])

TRUTH = np.zeros((48, 64), np.uint8)
TRUTH[:10, :10] = 1
TRUTH[20:30, 20:40] = 2
TRUTH[40:, 60:] = 255


@pytest.fixture
def davis(tmp_path: Path) -> DavisFolder:
    for name in ("one", "two"):
        for part in ("JPEGImages", "Annotations"):
            (tmp_path / part / name).mkdir(parents=True)
        for t in range(5):
            Image.fromarray(FRAMES[t]).save(tmp_path / "JPEGImages" / name / f"{t:05d}.png")
            write_index_mask(tmp_path / "Annotations" / name / f"{t:05d}.png", MASKS[t])
    return DavisFolder(tmp_path)


def test_boxes_are_filled_and_void_is_nobody() -> None:
    assert set(np.unique(truth_itself([FRAME], TRUTH))) == {0, 1, 2}
    triangle = np.tril(np.full((48, 48), 3, np.uint8))
    assert filled_boxes([FRAME], triangle).min() == 3
    assert np.array_equal(filled_boxes([FRAME], TRUTH), truth_itself([FRAME], TRUTH))


class Seen:
    """Stands for a network with three detections."""

    def detections(self, image: object) -> Detections:
        boxes = torch.tensor([[19.0, 20, 40, 30], [0, 0, 9, 10], [0, 0, 10, 10]])
        masks = torch.zeros(3, 48, 64)
        masks[0, 5:30, 5:40] = 0.8
        masks[1, :12, :12] = 0.9
        return Detections(boxes, torch.tensor([0.5, 0.2, 0.001]), torch.ones(3), masks)


def test_each_object_gets_the_detection_with_the_nearest_box() -> None:
    mask = nearest_objects(Seen(), [FRAME], TRUTH)  # type: ignore[arg-type]
    expected = np.zeros((48, 64), np.uint8)
    expected[5:30, 5:40] = 2
    expected[:12, :12] = 1
    assert np.array_equal(mask, expected)


class Finds:
    """Stands for a discovery of one object beside the second one."""

    names: Mapping[int, str] = {}
    lookahead = 1

    def __call__(self, frame: Frame, *following: Frame) -> Found:
        assert len(following) == 1
        mask = np.zeros(frame.size, np.uint8)
        mask[22:30, 22:44] = 1
        item = ObjectInfo(1, None, 1.0, (22.0, 22.0, 44.0, 30.0), 176)
        return Found(mask, (item,), mask[None] > 0)


def test_what_is_discovered_stands_for_the_nearest_object() -> None:
    mask = discovered(Finds(), [FRAME, FRAME], TRUTH)
    assert set(np.unique(mask)) == {0, 2}
    assert (mask[22:30, 22:44] == 2).all()


def test_the_row_of_the_ground_truth_is_plain_tracking(davis: DavisFolder) -> None:
    def nothing(frames: Sequence[Frame], truth: IndexMask) -> Mask:
        return np.zeros(truth.shape, np.uint8)

    session = TrackSession(lively_lite(), device="cpu")
    told: list[tuple[int, int, str]] = []
    sources = {"ground truth": truth_itself, "nothing": nothing}
    rows = compare_first_frames(davis, sources, session, progress=lambda *what: told.append(what))
    accumulator, again = DavisAccumulator(), TrackSession(lively_lite(), device="cpu")
    for t in range(5):
        given = MASKS[0] if t == 0 else None
        accumulator.update(again.step(Frame(t, 0.0, FRAMES[t]), given).mask, MASKS[t])
    assert rows[0].report.j_and_f == accumulator.score().j_and_f
    assert rows[0].fps > 0
    assert rows[1].report.region.mean == 0
    assert told == [(1, 4, "ground truth"), (2, 4, "ground truth"), (3, 4, "nothing"), (4, 4, "nothing")]


def test_sources_without_weights_are_left_out_with_a_remark(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    sources, remarks = first_frames("cpu")
    assert {"ground truth", "boxes, filled"} <= sources.keys()
    assert not {"Mask R-CNN", "PointRend", "LOST + CRF"} & sources.keys()
    assert any("segue weights get pointrend" in remark for remark in remarks)
