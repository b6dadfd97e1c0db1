"""cvat-cli loads our functions, and calls them with the shapes and prompts of cvat-sdk."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from segue.errors import PromptError
from segue_web.services.assistant import RequestError
from tests.segue_web.services.images import assistant, centre, images, overlap, tight, truth

sdk = pytest.importorskip("cvat_sdk.auto_annotation", reason="cvat-sdk is not installed")
masks = pytest.importorskip("cvat_sdk.masks", reason="cvat-sdk is not installed")
HEIGHT, WIDTH = truth().shape


def loaded(kind: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Our function as the agent of CVAT gets it."""
    common = pytest.importorskip("cvat_cli._internal.common", reason="cvat-cli is not installed")
    monkeypatch.setattr("segue_web.services.cvat.Assistant", lambda **options: assistant())
    return common.FunctionLoader("segue_web.services.cvat", None, {"kind": kind}).load()


class ImagePrompts(sdk.InteractionPrompts):  # type: ignore[misc, name-defined]
    """What an annotator gives."""

    def __init__(self, positive: Any = (), negative: Any = (), box: Any = None) -> None:
        self._given = positive, negative, box

    @property
    def pos_points(self) -> Any:
        return self._given[0]

    @property
    def neg_points(self) -> Any:
        return self._given[1]

    @property
    def bounding_box(self) -> Any:
        return self._given[2]


def plane(points: list[float]) -> np.ndarray:
    return np.asarray(masks.decode_mask(points, image_width=WIDTH, image_height=HEIGHT))


def test_clicks_and_boxes_become_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    interactor = loaded("interactor", monkeypatch)
    assert isinstance(interactor.spec, sdk.InteractionFunctionSpec)
    image = interactor.preprocess_image(None, PillowImage.fromarray(images()[0]))
    x0, y0, x1, y1 = tight()
    for prompts in (ImagePrompts([centre()]), ImagePrompts(box=((x1, y1), (x0, y0)))):
        (shape,) = interactor.detect(None, image, prompts)
        assert (type(shape), shape.type) == (sdk.InteractionResultShape, "mask")
        assert overlap(plane(shape.points), truth()) > 0.6
    with pytest.raises(PromptError):
        interactor.detect(None, image, ImagePrompts())


@pytest.mark.parametrize("kind", ["rectangle", "polygon", "mask"])
def test_a_shape_is_tracked_in_its_own_form(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = loaded("tracker", monkeypatch)
    assert kind in tracker.spec.supported_shape_types
    outline = cv2.findContours(truth().astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    given = {
        "rectangle": list(tight()),
        "polygon": max(outline, key=len).ravel().tolist(),
        "mask": masks.encode_mask(truth()),
    }
    context = SimpleNamespace(original_shape_type=kind)
    first, second = (tracker.preprocess_image(None, PillowImage.fromarray(one)) for one in images(2))
    shape = sdk.TrackableShape(type=kind, points=given[kind])
    found = tracker.track(context, second, tracker.init_tracking_state(context, first, shape))
    assert (type(found), found.type) == (sdk.TrackableShape, kind)
    if kind == "mask":
        mask = plane(found.points)
    else:
        corners = np.array(found.points, np.float32).reshape(-1, 2).round().astype(np.int32)
        if kind == "rectangle":
            (x0, y0), (x1, y1) = corners.tolist()
            corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
        mask = cv2.fillPoly(np.zeros((HEIGHT, WIDTH), np.uint8), [corners], 1) > 0
    box = np.zeros_like(truth())
    x0, y0, x1, y1 = tight()
    box[y0:y1, x0:x1] = True
    assert overlap(mask, box if kind == "rectangle" else truth()) > 0.6


def test_a_shape_outside_the_image_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = loaded("tracker", monkeypatch)
    shape = sdk.TrackableShape(type="polygon", points=[-9.0, -9, -5, -9, -5, -5])
    with pytest.raises(RequestError):
        tracker.init_tracking_state(None, images()[0], shape)
