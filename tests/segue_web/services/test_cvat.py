"""The functions of `examples/cvat` answer what CVAT's lambda manager posts to Nuclio."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

import segue
from segue_web.exports.cvat import row_runs
from segue_web.services import cvat
from segue_web.services.assistant import RequestError
from tests.segue_web.services.pictures import assistant, centre, encoded, overlap, pictures, tight, truth

EXAMPLES = Path(segue.__file__).parents[2] / "examples" / "cvat"
beside = pytest.mark.skipif(not EXAMPLES.exists(), reason="the examples are not beside the package")


class Context:
    """What Nuclio hands to a function."""

    def __init__(self) -> None:
        self.user_data = SimpleNamespace()

    class Response:
        def __init__(self, *, body: str, headers: Any, content_type: str, status_code: int) -> None:
            self.status, self.kind, self.value = status_code, content_type, json.loads(body)


def function(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, Context]:
    """A function of the examples, started."""
    spec = importlib.util.spec_from_file_location(f"cvat_{name}", EXAMPLES / name / "main.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "Assistant", lambda **options: assistant())
    context = Context()
    module.init_context(context)
    return module, context


def post(started: tuple[ModuleType, Context], body: Any) -> Any:
    module, context = started
    return module.handler(context, SimpleNamespace(body=body))


def interaction(**values: Any) -> dict[str, Any]:
    """What CVAT posts to an interactor."""
    return {"image": encoded(pictures()[0]), "pos_points": [], "neg_points": [], "obj_bbox": None} | values


@beside
def test_clicks_become_a_mask_and_its_outline(monkeypatch: pytest.MonkeyPatch) -> None:
    started = function("interactor", monkeypatch)
    x0, y0, x1, y1 = tight()
    asked = interaction(
        pos_points=[list(centre())], neg_points=[[x0 + 1, y0 + 1]], obj_bbox=[[x1, y1], [x0, y0]]
    )
    response = post(started, asked)
    assert (response.status, response.kind) == (200, "application/json")
    mask = np.array(response.value["mask"])
    assert mask.shape == truth().shape
    assert set(np.unique(mask)) == {0, 1}
    prompts = {"points": [centre()], "negative": [(x0 + 1, y0 + 1)], "box": (x0, y0, x1, y1)}
    expected = segue.Prompter(pictures()[0])(**prompts).mask  # type: ignore[arg-type]
    assert np.array_equal(mask > 0, expected)
    outline = np.array(response.value["points"], np.int32)
    filled = cv2.fillPoly(np.zeros(mask.shape, np.uint8), [outline], 1) > 0
    assert overlap(filled, expected) > 0.9


@beside
@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({}, "needs at least one positive point"),
        ({"pos_points": [[1e9, 1]]}, "outside"),
        ({"pos_points": [[1]]}, "pos_points.0"),
        ({"image": "%%%"}, "image: is no base64"),
        ({"image": "aGVsbG8="}, "image: unreadable picture"),
        ({"obj_bbox": [[1, 2]]}, "obj_bbox"),
    ],
)
def test_requests_that_do_not_fit_are_answered_with_one_line(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], complaint: str
) -> None:
    response = post(function("interactor", monkeypatch), interaction(**changed))
    assert response.status == 400
    assert complaint in response.value["error"]


@beside
def test_rectangles_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    started = function("tracker", monkeypatch)
    first, second, third, _ = (encoded(picture) for picture in pictures())
    shapes = [list(tight()), list(tight(2))]
    begun = post(started, {"image": first, "shapes": shapes, "states": []}).value
    assert begun["shapes"] == shapes
    # Until version 2.40 CVAT posts the last shapes as well, later ones only the states; bodies may be bytes.
    older = post(started, {"image": second, "shapes": shapes, "states": begun["states"]}).value
    newer = post(started, json.dumps({"image": third, "states": older["states"][::-1]}).encode()).value
    assert len(newer["shapes"]) == 2
    session = assistant().session()
    prompts = [segue.BoxPrompt(i, tight(i)) for i in (1, 2)]
    session.step(pictures()[0], prompts)
    masks = [session.step(picture).mask for picture in pictures()[1:3]]
    for found, mask, order in ((older, masks[0], (1, 2)), (newer, masks[1], (2, 1))):
        for shape, number in zip(found["shapes"], order, strict=True):
            rows, columns = np.nonzero(mask == number)
            assert shape == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_polygons_and_masks_are_followed_in_their_own_form() -> None:
    trackings = cvat.Trackings(assistant())
    x0, y0, x1, y1 = tight()
    runs = row_runs(truth()[y0:y1, x0:x1])
    outline = cv2.findContours(truth(2).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    shapes = [
        {"type": "mask", "points": [*runs, x0, y0, x1 - 1, y1 - 1]},
        {"type": "polygon", "points": max(outline, key=len).ravel().tolist()},
    ]
    begun = trackings.answer({"image": encoded(pictures()[0]), "shapes": shapes})
    found = trackings.answer({"image": encoded(pictures()[1]), "states": begun["states"]})
    mask, polygon = found["shapes"]
    *lengths, left, top, right, bottom = mask["points"]
    assert sum(lengths) == (right - left + 1) * (bottom - top + 1)
    inside = np.repeat(np.arange(len(lengths)) % 2, lengths).reshape(bottom - top + 1, right - left + 1)
    whole = np.zeros(truth().shape, np.bool_)
    whole[top : bottom + 1, left : right + 1] = inside
    assert overlap(whole, truth()) > 0.6
    assert inside.any(0).all()
    assert inside.any(1).all()
    corners = np.array(polygon["points"], np.float32).reshape(-1, 1, 2).astype(np.int32)
    filled = cv2.fillPoly(np.zeros(truth().shape, np.uint8), [corners], 1) > 0
    assert overlap(filled, truth(2)) > 0.5


def test_states_of_another_frame_or_process_are_refused_and_change_nothing() -> None:
    trackings = cvat.Trackings(assistant())
    first, second, third, _ = (encoded(picture) for picture in pictures())
    begun = trackings.answer({"image": first, "shapes": [list(tight())]})
    other = trackings.answer({"image": first, "shapes": [list(tight(2))]})
    gone = [*begun["states"], {"tracking": "x", "object": 1, "step": 0}]
    with pytest.raises(RequestError, match="known no longer: draw the shape again"):
        trackings.answer({"image": second, "states": gone})
    once = trackings.answer({"image": second, "states": begun["states"]})
    with pytest.raises(RequestError, match="known no longer"):
        trackings.answer({"image": third, "states": begun["states"]})
    again = cvat.Trackings(assistant())
    begun = again.answer({"image": first, "shapes": [list(tight())]})
    assert again.answer({"image": second, "states": begun["states"]})["shapes"] == once["shapes"]
    for state in ({"tracking": other["states"][0]["tracking"], "object": 9, "step": 0}, {"object": 1}, 5):
        with pytest.raises(RequestError, match="state"):
            trackings.answer({"image": second, "states": [state]})


@pytest.mark.parametrize(
    ("shape", "complaint"),
    [
        ([1, 2, 3], "rectangle: give 4 numbers"),
        ({"type": "ellipse", "points": [1, 2, 3, 4]}, "shapes.0.type"),
        ({"type": "polygon", "points": [1, 2, 3, 4]}, "three corners at least"),
        ({"type": "mask", "points": [5, 0, 0, 1, 1]}, "run lengths are of another picture"),
        ({"type": "mask", "points": [-4, 0, 0, 1, 1]}, "run lengths are damaged"),
        ({"type": "mask", "points": [4, 0, 0, 1, 1]}, "covers no pixel"),
        ({"type": "mask", "points": [10**12, 0, 0, 10**6, 10**6]}, "of another picture"),
    ],
)
def test_shapes_that_are_none_are_refused(shape: Any, complaint: str) -> None:
    with pytest.raises(RequestError, match=complaint):
        cvat.Trackings(assistant()).answer({"image": encoded(pictures()[0]), "shapes": [shape]})


def test_only_so_many_trackings_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cvat, "SESSIONS", 1)
    trackings = cvat.Trackings(assistant())
    asked = {"image": encoded(pictures()[0]), "shapes": [list(tight())]}
    first, second = trackings.answer(asked), trackings.answer(asked)
    following = encoded(pictures()[1])
    with pytest.raises(RequestError, match="known no longer"):
        trackings.answer({"image": following, "states": first["states"]})
    assert trackings.answer({"image": following, "states": second["states"]})["shapes"]


@beside
@pytest.mark.parametrize("name", ["interactor", "tracker"])
def test_nuclio_and_cvat_find_what_they_look_for(name: str) -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    values = yaml.safe_load((EXAMPLES / name / "function.yaml").read_text(encoding="utf-8"))
    annotations = values["metadata"]["annotations"]
    assert annotations["type"] == name
    assert values["spec"]["handler"] == "main:handler"
    json.loads(annotations["spec"] or "[]")
    steps = values["spec"]["build"]["directives"]["postCopy"]
    assert f"segue-{segue.__version__}-py3-none-any.whl" in steps[0]["value"]
    if name == "tracker":  # what one worker remembers another one does not know
        assert values["spec"]["triggers"]["http"]["numWorkers"] == 1
