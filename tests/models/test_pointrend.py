"""PointRend and Mask R-CNN against the published networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from segue.models.detection.boxes import cell_anchors, decode, grid_anchors
from segue.models.detection.mask_rcnn import ANCHOR_SIZES, MaskRCNN
from segue.models.detection.pointrend import (
    PointMaskHead,
    PointRend,
    normalised,
    point_sample,
    regular_grid,
    rename_release,
    sample_in_boxes,
    uncertain_points,
)
from tests.fill import built, fill_value
from tests.golden_arrays import Golden, best_golden

SCALES = (
    ("backbone.bottom_up.stem.conv1.weight", 1 / 57),
    ("conv3.norm.weight", 0.3),
    ("coarse_head.prediction.weight", 0.2),
    ("point_head.predictor.weight", 0.5),
    *((f"{name}.weight", 0.1) for name in ("cls_score", "bbox_pred", "objectness_logits", "anchor_deltas")),
)
"""Factors on the fill rule, by the end of the name."""


@pytest.fixture(scope="module")
def cases() -> Golden:
    return best_golden("pointrend_cases")


def tensor(golden: Golden, name: str) -> Tensor:
    return torch.from_numpy(np.array(golden[name]))


def unpacked(golden: Golden, name: str, width: int) -> np.ndarray:
    return np.unpackbits(golden[name], axis=-1)[..., :width].astype(bool)


def official_state(contract: dict[str, list[int]]) -> dict[str, Tensor]:
    state = {}
    for name, shape in contract.items():
        factor = next((factor for end, factor in SCALES if name.endswith(end)), 1.0)
        state[name] = torch.from_numpy((fill_value(name, tuple(shape)) * factor).astype(np.float32))
    return state


@pytest.fixture(scope="module")
def network(contract: dict[str, list[int]]) -> PointRend:
    network = built(lambda: PointRend(min_score=0.01))
    network.load_state_dict(rename_release(official_state(contract)))
    assert isinstance(network, PointRend)
    return network.eval()


@pytest.fixture(scope="module")
def contract() -> dict[str, list[int]]:
    path = Path(__file__).parent.parent / "contracts" / "pointrend_r50.json"
    names: dict[str, list[int]] = json.loads(path.read_text())
    return names


def test_sampling_and_points_are_the_published_ones(cases: Golden) -> None:
    cases.check("sample.out", point_sample(tensor(cases, "sample.input"), tensor(cases, "sample.points")))
    cases.check("grid4", regular_grid(1, 4, torch.zeros(())))
    cases.check("grid7", regular_grid(2, 7, torch.zeros(())))
    chosen, _ = uncertain_points(tensor(cases, "uncertain.map"), 12)
    assert np.array_equal(chosen.sort(1).values.numpy(), np.sort(cases["uncertain.indices"], axis=1))
    for k, image in enumerate(cases["fine.box_image"].tolist()):
        feature, boxes, points = (tensor(cases, f"fine.{name}") for name in ("feature", "boxes", "points"))
        stride = round(1 / float(cases["fine.scale"]))
        fine = sample_in_boxes(feature[image : image + 1], boxes[k : k + 1], points[k : k + 1], stride)
        assert np.allclose(fine[0].numpy(), cases["fine.out"][k], atol=1e-5)


def test_anchors_and_deltas_are_the_published_ones(cases: Golden) -> None:
    shapes = ((4, 5), (2, 3), (1, 2), (1, 1), (1, 1))
    for level, (shape, size) in enumerate(zip(shapes, ANCHOR_SIZES, strict=True)):
        stride = 4 * 2**level
        anchors = grid_anchors(cell_anchors(size, rounded=False), shape, (stride, stride))
        cases.check(f"anchors.p{level + 2}", anchors)
    deltas = tensor(cases, "deltas.deltas").view(2, 3, 4)
    moved = decode(deltas, tensor(cases, "deltas.boxes"), (10.0, 10.0, 5.0, 5.0))
    cases.check("deltas.out", moved.flatten(1))


@pytest.mark.parametrize(("case", "points"), [("small", 784), ("small_deep", 40)])
def test_the_mask_head_draws_the_published_masks(cases: Golden, case: str, points: int) -> None:
    head = PointMaskHead(8, 5, 24, 12, points)
    for name, value in head.state_dict().items():
        factor = 3 if name == "point_head.predictor.weight" else 1
        value.copy_(torch.from_numpy((fill_value(name, tuple(value.shape)) * factor).astype(np.float32)))
    assert head.start == tuple(cases[f"{case}.init_steps"].tolist())
    feature, boxes, classes = (tensor(cases, f"{case}.{name}") for name in ("feature", "boxes", "classes"))
    with torch.inference_mode():
        cases.check(f"{case}.coarse", head.coarse(feature, boxes))
        masks = head(feature, boxes, classes).sigmoid()
    key = f"{case}.masks"
    off = np.abs(cases.like(key, masks[:, None, ::2, ::2]) - cases[key].astype(np.float32)) > 2e-3
    assert off.mean() <= 0.005
    drawn = (PointRend.paste(masks, boxes, (128, 160)) >= 0.5).numpy()
    assert (drawn != unpacked(cases, f"{case}.pasted", 160)).mean() < 1e-3


def test_the_released_file_fits_by_its_map_of_names(
    network: PointRend, contract: dict[str, list[int]]
) -> None:
    older = {
        name.replace("mask_head.coarse_head.fc", "mask_coarse_head.coarse_mask_fc")
        .replace("mask_head.coarse_head.", "mask_coarse_head.")
        .replace("mask_head.point_head.", "mask_point_head."): torch.empty(shape, device="meta")
        for name, shape in contract.items()
    }
    older["pixel_mean"] = torch.zeros(3, 1, 1)
    assert rename_release(older).keys() == network.state_dict().keys()
    assert sum(value.numel() for value in network.state_dict().values()) == 60_268_032


def test_a_image_gives_the_published_numbers(network: PointRend, cases: Golden) -> None:
    with torch.inference_mode():
        pyramid = network.backbone(normalised(tensor(cases, "net.image_bgr")[None].float()))
        for level, name in zip(pyramid, ("p2", "p3", "p4", "p5", "p6"), strict=True):
            cases.check(f"net.{name}", level[0, :: 32 if name in ("p2", "p3") else 16])
        logits, deltas = network.rpn.head(pyramid[2])
        cases.check("net.rpn_logits_p4", logits)
        cases.check("net.rpn_deltas_p4", deltas)
        proposals, scores = network.rpn(pyramid, (96, 128), (96, 128))
        cases.check("net.proposal_logits", scores[:100])
        boxes, heads = tensor(cases, "net.boxes"), network.roi_heads
        pooled = network.pool(pyramid, boxes)
        cases.check("net.box_pooled", pooled[:, ::32])
        logits, deltas = heads.box_predictor(heads.box_head(pooled))
        cases.check("net.cls_logits", logits)
        cases.check("net.bbox_deltas", deltas.flatten(1)[:, :40])
        classes = tensor(cases, "net.mask_classes")
        coarse = heads.mask_head.coarse(pyramid[0], boxes)
        cases.check("net.coarse", coarse[torch.arange(len(classes)), classes])
        masks = heads.mask_head(pyramid[0], boxes, classes).sigmoid()[:, None, ::3, ::3]
        off = np.abs(cases.like("net.masks", masks) - cases["net.masks"].astype(np.float32)) > 2e-3
        assert off.mean() <= 0.005
        found, scores, labels = network.classify(pyramid, proposals, (96, 128))
    cases.check("net.e2e.scores", scores)
    assert (labels.numpy() == cases["net.e2e.classes"]).mean() >= 0.95
    near = np.abs(found.numpy() - cases["net.e2e.boxes"]).max(1) < 0.05
    assert near.mean() >= 0.95


@pytest.mark.parametrize(
    "version",
    [pytest.param(1, marks=pytest.mark.slow), 2],  # tests of devices run the first one
)
def test_an_image_goes_through_both_mask_rcnns(version: Literal[1, 2]) -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        found = MaskRCNN(version, 0.02, short_side=64).eval()(torch.rand(3, 40, 64))
    assert found.masks.shape == (len(found), 40, 64)
