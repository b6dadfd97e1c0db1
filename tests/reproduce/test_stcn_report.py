"""The experiments of the STCN report on small films: who gives the first frame, and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from segue.datasets import DavisFolder, SomethingElseFolder
from segue.errors import CheckpointError, DatasetError, PromptError
from segue.masks import write_index_mask
from segue.metrics.davis import DavisAccumulator
from segue.models.deeplab import DeepLabV3
from segue.models.detection.parts import Detections
from segue.models.stcn_lite import STCNLite
from segue.prompts.selection import Found
from segue.registry import MODELS
from segue.reproduce.stcn_report import (
    Candidate,
    Chosen,
    FirstFrame,
    Start,
    compare_first_frames,
    cut_boxes,
    discovered,
    draw_boxes,
    draw_masks,
    first_frames,
    nearest_instances,
    nearest_regions,
    truth_itself,
)
from segue.sessions import TrackSession
from segue.types import Frame, IndexMask, ObjectInfo
from segue.weights import load
from tests.clips import clip
from tests.fill import fill_plainly

FRAMES, MASKS = clip(5, 5, 48, 64, 2)
FRAME = Frame(0, 0.0, FRAMES[0])

TRUTH = np.zeros((48, 64), np.uint8)
TRUTH[:10, :10] = 1
TRUTH[20:30, 20:40] = 2
START = Start((FRAME, FRAME), TRUTH, {1: (0, 0, 10, 10), 2: (20, 20, 40, 30)})


@pytest.fixture(scope="module")
def network() -> STCNLite:
    return cast(STCNLite, load("stcn-lite"))


@pytest.fixture
def davis(tmp_path: Path) -> DavisFolder:
    for name in ("one", "two"):
        for part in ("JPEGImages", "Annotations"):
            (tmp_path / part / name).mkdir(parents=True)
        for t in range(5):
            Image.fromarray(FRAMES[t]).save(tmp_path / "JPEGImages" / name / f"{t:05d}.png")
            write_index_mask(tmp_path / "Annotations" / name / f"{t:05d}.png", MASKS[t])
    return DavisFolder(tmp_path)


@pytest.fixture
def something(tmp_path: Path) -> SomethingElseFolder:
    """The film with the boxes of its objects in the layout of Something-Else."""
    (tmp_path / "videos" / "7").mkdir(parents=True)
    frames = []
    for t in range(5):
        name = f"7/{t + 1:04d}.png"
        Image.fromarray(FRAMES[t]).save(tmp_path / "videos" / name)
        labels = []
        for number in (1, 2):
            rows, columns = np.nonzero(MASKS[t] == number)
            box = {"x1": columns.min(), "y1": rows.min(), "x2": columns.max() + 1, "y2": rows.max() + 1}
            box2d = {side: float(value) for side, value in box.items()}
            labels.append({"box2d": box2d, "category": "cup", "gt_annotation": f"object {number}"})
        frames.append({"name": name, "labels": labels})
    (tmp_path / "annotations.json").write_text(json.dumps({"7": frames}))
    return SomethingElseFolder(tmp_path)


def test_masks_and_boxes_are_drawn_of_the_same_objects() -> None:
    chosen = truth_itself(START)
    assert np.array_equal(draw_masks(START, chosen), TRUTH)
    assert np.array_equal(draw_boxes(START, chosen), TRUTH)
    triangle = np.tril(np.full((48, 48), 3, np.uint8))
    start = Start((Frame(0, 0.0, FRAMES[0][:, :48]),), triangle, {3: (0.9, 0.9, 48.0, 48.0)})
    assert np.array_equal(draw_masks(start, truth_itself(start)), triangle)
    assert (draw_boxes(start, truth_itself(start)) == 3).all()


def test_void_and_objects_without_a_box_are_nobody() -> None:
    start = Start((FRAME,), TRUTH, {2: (20, 20, 40, 30)})
    assert set(np.unique(draw_masks(start, truth_itself(start)))) == {0, 2}


def test_a_pixel_goes_to_the_more_probable_object() -> None:
    planes = np.zeros((2, 48, 64), np.float32)
    planes[0, :, :40], planes[1, :, 20:], planes[1, 0] = 0.7, 0.8, 0.5
    chosen = {i: Candidate((0, 0, 1, 1), planes[i - 1]) for i in (1, 2)}
    drawn = draw_masks(START, chosen)
    assert (drawn[1:, :20] == 1).all()
    assert (drawn[1:, 20:] == 2).all()
    assert (drawn[0, :40] == 1).all()
    assert (drawn[0, 40:] == 2).all()


def test_in_a_box_the_object_of_another_colour_is_cut_out() -> None:
    image = np.full((48, 64, 3), 40, np.uint8)
    image[10:30, 20:40] = (220, 60, 60)
    boxes = {1: (15.0, 5.0, 45.0, 36.0), 2: (70.0, 0.0, 90.0, 10.0)}
    start = Start((Frame(0, 0.0, image),), TRUTH, boxes)
    mask = cut_boxes(start, truth_itself(start))
    assert np.array_equal(mask == 1, image[..., 0] == 220)
    assert not (mask == 2).any()


class Seen:
    """Stands for a network with three detections."""

    def detections(self, image: object) -> Detections:
        boxes = torch.tensor([[19.0, 20, 40, 30], [0, 0, 9, 10], [0, 0, 10, 10]])
        masks = torch.zeros(3, 48, 64)
        masks[0, 5:30, 5:40] = 0.8
        masks[1, :12, :12] = 0.9
        return Detections(boxes, torch.tensor([0.5, 0.2, 0.001]), torch.ones(3), masks)


def test_each_object_gets_the_detection_with_the_nearest_box() -> None:
    chosen = nearest_instances(Seen(), START)  # type: ignore[arg-type]
    expected = np.zeros((48, 64), np.uint8)
    expected[5:30, 5:40] = 2
    expected[:12, :12] = 1
    assert np.array_equal(draw_masks(START, chosen), expected)
    boxes = np.zeros((48, 64), np.uint8)
    boxes[20:30, 19:40] = 2
    boxes[:10, :9] = 1
    assert np.array_equal(draw_boxes(START, chosen), boxes)


class Finds:
    """Stands for a discovery of one object beside the second one."""

    names: Mapping[int, str] = {}
    lookahead = 1

    def __call__(self, frame: Frame, *following: Frame) -> Found:
        mask = np.zeros(frame.size, np.uint8)
        mask[22:30, 22:44] = 1
        item = ObjectInfo(1, None, 1.0, (22.0, 22.0, 44.0, 30.0), 176)
        return Found(mask, (item,), mask[None] > 0)


def test_what_is_discovered_stands_for_the_nearest_object() -> None:
    chosen = discovered(Finds(), START)
    assert chosen.keys() == {2}
    assert np.array_equal(draw_masks(START, chosen) == 2, draw_boxes(START, chosen) == 2)


def test_a_region_with_a_class_may_stand_for_several_objects() -> None:
    chosen = nearest_regions(Finds(), START)
    assert chosen.keys() == {1, 2}
    assert chosen[1].box == chosen[2].box == (22, 22, 44, 30)


def plain_tracking(network: STCNLite, given: IndexMask, truths: Sequence[IndexMask]) -> float:
    """J and F of the film without any of the experiment's code."""
    accumulator, session = DavisAccumulator(), TrackSession(network, device="cpu")
    for t, truth in enumerate(truths):
        accumulator.update(session.step(Frame(t, 0.0, FRAMES[t]), given if t == 0 else None).mask, truth)
    return accumulator.score().j_and_f


def test_the_row_of_the_ground_truth_is_plain_tracking(davis: DavisFolder, network: STCNLite) -> None:
    def nothing(start: Start) -> Chosen:
        assert [frame.index for frame in start.frames] == [0, 1, 2]
        return {}

    session = TrackSession(network, device="cpu")
    told: list[tuple[int, int, str]] = []
    sources = {
        "ground truth": FirstFrame(truth_itself, draw_masks),
        "nothing": FirstFrame(nothing, draw_masks),
    }
    rows = compare_first_frames(davis, sources, session, progress=lambda *what: told.append(what))
    assert rows[0].report.j_and_f == plain_tracking(network, MASKS[0], MASKS[:5]) > 0.8
    assert rows[0].fps > 0
    assert rows[1].report.region.mean == 0
    assert told == [(1, 4, "ground truth"), (2, 4, "ground truth"), (3, 4, "nothing"), (4, 4, "nothing")]


def test_with_boxes_the_row_of_the_ground_truth_follows_and_scores_boxes(
    something: SomethingElseFolder, network: STCNLite
) -> None:
    sources, _ = first_frames("boxes", rows=["ground truth"], device="cpu")
    rows = compare_first_frames(something, sources, TrackSession(network, device="cpu"))
    boxes = []
    for truth in MASKS[:5]:
        mask = np.zeros_like(truth)
        for number in (1, 2):
            ys, xs = np.nonzero(truth == number)
            mask[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1] = number
        boxes.append(mask)
    assert rows[0].report.j_and_f == plain_tracking(network, boxes[0], boxes) > 0.5


def test_a_video_without_an_annotated_start_is_refused(davis: DavisFolder, network: STCNLite) -> None:
    (davis.root / "Annotations" / "two" / "00000.png").unlink()
    sources = {"ground truth": FirstFrame(truth_itself, draw_masks)}
    with pytest.raises(DatasetError, match="sequence two: its first frame is not annotated"):
        compare_first_frames(DavisFolder(davis.root, ["two"]), sources, TrackSession(network, device="cpu"))


def test_sources_without_weights_are_left_out_with_a_remark(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    sources, remarks = first_frames(device="cpu")
    assert list(sources) == [
        *("ground truth", "boxes, filled", "boxes, GrabCut", "LOST, stcn-lite + CRF", "motion")
    ]
    told = dict(remark.split(" is left out: ") for remark in remarks)
    assert list(told) == [
        *("Mask R-CNN", "Mask R-CNN v2", "PointRend", "DeepLabV3", "LOST + CRF", "LOST, ViT-S/16 + CRF")
    ]
    for row, name in (("Mask R-CNN", "maskrcnn-v1"), ("PointRend", "pointrend"), ("LOST + CRF", "dino-b16")):
        assert f"`{MODELS.find(name).getting}` downloads https://" in told[row]
    boxes, _ = first_frames("boxes", device="cpu")
    assert list(boxes) == ["ground truth", "boxes, GrabCut", "LOST, stcn-lite", "motion"]


def test_a_weight_file_makes_its_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    save_file(fill_plainly(DeepLabV3()).state_dict(), tmp_path / "deeplab.safetensors")
    sources, remarks = first_frames(weights={"deeplab": tmp_path / "deeplab.safetensors"}, device="cpu")
    assert "DeepLabV3" in sources
    assert not any(remark.startswith("DeepLabV3") for remark in remarks)
    assert sources["DeepLabV3"](START).shape == (48, 64)
    with pytest.raises(CheckpointError, match="there_is_none"):
        first_frames(weights={"deeplab": tmp_path / "there_is_none.safetensors"}, device="cpu")


def test_rows_that_were_asked_for_have_to_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    sources, remarks = first_frames(rows=["boxes, filled", "ground truth"])
    assert (list(sources), remarks) == (["boxes, filled", "ground truth"], ())
    with pytest.raises(CheckpointError, match="segue weights get maskrcnn-v1"):
        first_frames(rows=["Mask R-CNN"])
    with pytest.raises(PromptError, match="no row is called 'YOLO'; there are ground truth; boxes, filled"):
        first_frames(rows=["YOLO"])
