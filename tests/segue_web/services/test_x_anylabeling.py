"""The remote server answers what the model type `remote_server` of X-AnyLabeling posts."""

from __future__ import annotations

import base64
import json
from typing import Any

import cv2
import numpy as np
import pytest
from starlette.testclient import TestClient

import segue
from segue_web.services.requests import Limits
from segue_web.services.x_anylabeling import make_app
from tests.segue_web.services.images import assistant, centre, encoded, images, overlap, tight, truth

HEIGHT, WIDTH = truth().shape


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(make_app(assistant()))


def uri(index: int) -> str:
    return f"data:image/png;base64,{encoded(images()[index])}"


def request(*marks: dict[str, Any]) -> dict[str, Any]:
    """What X-AnyLabeling posts to /v1/predict."""
    params = {"conf_threshold": 0.0, "iou_threshold": 0.0, "epsilon_factor": 0.001, "marks": list(marks)}
    return {"model": "segue", "image": uri(0), "params": params}


def drawn(shapes: list[dict[str, Any]]) -> Any:
    """The polygons of an answer as a mask."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for shape in shapes:
        assert shape["points"][0] == shape["points"][-1]
        cv2.fillPoly(mask, [np.array(shape["points"], np.int32)], 1)
    return mask > 0


def test_the_models_are_listed_with_their_controls(client: TestClient) -> None:
    assert client.get("/health").json()["status"] == "healthy"
    listed = client.get("/v1/models").json()["data"]
    assert {name: entry["batch_processing_mode"] for name, entry in listed.items()} == {
        "segue": None,
        "segue_video": "video",
    }
    assert {"name": "button_add_rect", "value": None} in listed["segue"]["widgets"]


def test_marks_become_polygons(client: TestClient) -> None:
    x0, y0, x1, y1 = tight()
    marks = (
        {"type": "rectangle", "data": [x1, y1, x0, y0], "label": 1},
        {"type": "point", "data": list(centre()), "label": 1},
        {"type": "point", "data": [x0 + 1, y0 + 1], "label": 0},
    )
    answer = client.post("/v1/predict", json=request(*marks)).json()
    assert answer["success"]
    shapes = answer["data"]["shapes"]
    assert {(shape["label"], shape["shape_type"]) for shape in shapes} == {("AUTOLABEL_OBJECT", "polygon")}
    expected = segue.Prompter(images()[0])(box=tight(), points=[centre()], negative=[(x0 + 1, y0 + 1)])
    assert overlap(drawn(shapes), expected.mask) > 0.9
    assert client.post("/v1/predict", json=request()).json()["data"]["shapes"] == []


@pytest.mark.parametrize(
    ("marks", "complaint"),
    [
        ([{"type": "circle", "data": [1, 2]}], "marks: "),
        ([{"type": "point", "data": [1]}], "marks: "),
        ([{"type": "point", "data": [1, 2], "label": 0}], "needs at least one positive point"),
        ([5], "params.marks.0"),
    ],
)
def test_marks_that_do_not_fit_are_refused_with_one_line(
    client: TestClient, marks: list[Any], complaint: str
) -> None:
    answer = client.post("/v1/predict", json=request(*marks))
    assert answer.status_code == 400  # the program shows errors by their status alone
    assert complaint in answer.json()["error"]["message"]


def test_an_object_is_followed_through_the_images_of_a_folder(client: TestClient) -> None:
    frames = [uri(index) for index in range(4)]
    begun = client.post(
        "/v1/video/init", json={"model": "segue_video", "frames": frames, "start_frame_index": 0}
    )
    session = begun.json()["data"]["session_id"]
    x, y = centre()
    prompt = {
        "session_id": session,
        "model": "segue_video",
        "frame_index": 1,
        "points": [[x / WIDTH, y / HEIGHT]],
        "point_labels": [1],
        "obj_id": 10000,
        "params": {"conf_threshold": 0.0, "epsilon_factor": 0.001},
    }
    shown = client.post("/v1/video/prompt", json=prompt).json()["data"]["masks"]
    assert overlap(drawn(shown), segue.Prompter(images()[1])(points=[(x, y)]).mask) > 0.9
    going = {"session_id": session, "model": "segue_video", "start_frame": 1}
    lines = client.post("/v1/video/propagate/stream", json=going).text.split("\n\n")
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    assert [event["type"] for event in events] == ["started", *["progress"] * 3, "completed"]
    assert (events[0]["total_frames"], events[0]["start_frame_index"]) == (4, 1)
    results = events[-1]["results"]
    assert list(results) == ["1", "2", "3"]
    tracked = segue.track(images(), {1: [segue.PointPrompt(10000, ((x, y),))]}, device="cpu")
    masks = {result.index: result.mask == 10000 for result in tracked if result.index}
    for index, found in results.items():
        assert {shape["group_id"] for shape in found["masks"]} == {10000}
        assert overlap(drawn(found["masks"]), masks[int(index)]) > 0.85
    assert client.post("/v1/video/prompt", json={**prompt, "text_prompt": "fish"}).status_code == 400
    assert client.post("/v1/video/prompt", json={**prompt, "frame_index": 4}).status_code == 400


def test_impossible_propagations_return_the_reason(client: TestClient) -> None:
    text = client.post("/v1/video/propagate/stream", json={"session_id": "x"}).text
    assert json.loads(text.removeprefix("data: ")) == {
        "type": "error",
        "message": "this session is known no longer: begin again",
    }
    other = encoded(images()[1][:100])
    begun = client.post("/v1/video/init", json={"frames": [uri(0), other, "aGVsbG8="]})
    session = begun.json()["data"]["session_id"]
    x, y = centre()
    prompt = {
        "session_id": session,
        "frame_index": 0,
        "points": [[x / WIDTH, y / HEIGHT]],
        "point_labels": [1],
    }
    assert client.post("/v1/video/prompt", json=prompt).status_code == 200
    lines = client.post("/v1/video/propagate/stream", json={"session_id": session}).text.split("\n\n")
    last = json.loads(lines[-2].removeprefix("data: "))
    assert last["type"] == "error"
    assert "the frames before" in last["message"]
    damaged = client.post("/v1/video/prompt", json={**prompt, "frame_index": 2})
    assert "image 2: unreadable image" in damaged.json()["error"]["message"]
    empty = client.post("/v1/video/init", json={"frames": []})
    assert "frames: " in empty.json()["error"]["message"]


def test_a_folder_may_be_larger_than_other_requests() -> None:
    client = TestClient(make_app(assistant(), Limits(request=1000, clip=100_000)))
    body = {"frames": [base64.b64encode(bytes(5000)).decode()] * 4}
    assert client.post("/v1/video/init", json=body).json()["data"]["total_frames"] == 4
    assert client.post("/v1/predict", json={"image": "A" * 5000}).status_code == 413
    body["frames"] *= 10
    assert client.post("/v1/video/init", json=body).status_code == 413
