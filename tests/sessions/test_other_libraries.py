"""Detectors of other libraries, with random weights, in one line each; docs/text.md shows the same lines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import segue

pytestmark = pytest.mark.slow

IMAGE = np.random.default_rng(0).integers(0, 255, (96, 128, 3)).astype(np.uint8)


def needed(*names: str) -> list[Any]:
    """Packages, or a skip where one is missing or does not load beside the installed PyTorch."""
    found = []
    for name in names:
        try:
            found.append(pytest.importorskip(name))
        except (RuntimeError, OSError, AttributeError) as error:
            pytest.skip(f"{name} does not load: {error}")
    return found


def check(find: Any, *, most: int = 10) -> None:
    """What is found fits into the image, and a video is tracked with it."""
    found = find(IMAGE)
    assert len(found) <= most
    assert found.mask.shape == IMAGE.shape[:2]
    for item in found.objects:
        assert item.label != ""  # rf-detr has no name for some numbers of COCO
        assert 0 <= item.score <= 1
    results = [*segue.track([IMAGE] * 2, segue.Auto(find), device="cpu")]
    assert [item.label for item in results[0].objects] == [item.label for item in results[1].objects]


def test_torchvision() -> None:
    (torchvision,) = needed("torchvision")
    names = torchvision.models.detection.MaskRCNN_ResNet50_FPN_Weights.DEFAULT.meta["categories"]
    model = torchvision.models.detection.maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=91, box_score_thresh=0.0, min_size=128
    ).eval()
    to_tensor = torchvision.transforms.functional.to_tensor
    find = segue.detector(lambda image: model([to_tensor(image)])[0], names=names, score=0.0, device="cpu")
    check(find)


def test_ultralytics() -> None:
    ultralytics, supervision = needed("ultralytics", "supervision")
    model = ultralytics.YOLO("yolov8n.yaml")
    find = segue.detector(
        lambda image: supervision.Detections.from_ultralytics(
            model(image[..., ::-1], conf=0.0001, verbose=False)[0]
        ),
        score=0.0,
        device="cpu",
    )
    check(find)


def test_rf_detr() -> None:
    (rfdetr,) = needed("rfdetr")
    model = rfdetr.RFDETRNano(pretrain_weights=None, device="cpu")
    find = segue.detector(
        lambda image: model.predict(image, threshold=0.0), names=model.class_names, score=0.0, device="cpu"
    )
    check(find)
