"""The ML backend answers requests of Label Studio, as its ``MLApi.make_predictions`` posts them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

import segue
from segue.errors import DatasetError
from segue.formats.label_studio import decode_brush, encode_brush
from segue.sinks import OverlayVideoSink
from segue.types import Frame, Segmentation
from segue_web.services.label_studio import make_app
from segue_web.services.media import Media
from tests.segue_web.services.images import (
    VIDEO,
    assistant,
    centre,
    encoded,
    images,
    overlap,
    png,
    tight,
    truth,
)

BRUSH = """<View><Image name="image" value="$photo"/><BrushLabels name="mask" toName="image">
<Label value="fish"/></BrushLabels><KeyPointLabels name="point" toName="image" smart="true"/></View>"""
POLYGON = BRUSH.replace("BrushLabels", "PolygonLabels")
VIDEO_CONFIG = """<View><Labels name="labels" toName="video"/><Video name="video" value="$video"/>
<VideoRectangle name="box" toName="video" smart="true"/></View>"""
HEIGHT, WIDTH = truth().shape


def drawn(kind: str, **value: Any) -> dict[str, Any]:
    """A region that an annotator has just drawn on an image."""
    more = {"is_positive": value.pop("is_positive")} if "is_positive" in value else {}
    return {
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "value": {**value, kind: ["fish"]},
        "id": "Xy1",
        "from_name": "point",
        "to_name": "image",
        "type": kind,
        "origin": "manual",
        **more,
    }


def click(x: float, y: float, positive: int = 1) -> dict[str, Any]:
    place = {"x": 100 * x / WIDTH, "y": 100 * y / HEIGHT, "width": 0.3}
    return drawn("keypointlabels", **place, is_positive=positive)


def box_of(x0: float, y0: float, x1: float, y1: float) -> dict[str, float]:
    across, down = 100 / WIDTH, 100 / HEIGHT
    return {"x": x0 * across, "y": y0 * down, "width": (x1 - x0) * across, "height": (y1 - y0) * down}


def request(config: str, data: dict[str, Any], *regions: dict[str, Any]) -> dict[str, Any]:
    """What Label Studio posts to /predict."""
    context = {"result": list(regions)} if regions else None
    return {
        "tasks": [{"id": 7, "data": data, "annotations": [], "predictions": []}],
        "model_version": None,
        "project": "3.1763700000",
        "label_config": config,
        "params": {"login": None, "password": None, "context": context},
    }


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "0.png").write_bytes(png(images()[0]))
    (tmp_path / "files" / "video.mp4").write_bytes(VIDEO.read_bytes())
    (tmp_path / "secret.png").write_bytes(png(images()[0]))
    return TestClient(make_app(assistant(), Media(tmp_path / "files"), frames=3))


LOCAL = {"photo": "/data/local-files/?d=0.png", "video": "/data/local-files/?d=video.mp4"}


def test_the_backend_says_that_it_is_there(client: TestClient) -> None:
    assert client.get("/health").json()["status"] == "UP"
    assert client.post("/setup", json={"project": "3", "schema": BRUSH}).json() == {
        "model_version": "segue stcn-lite segue-prompt"
    }
    assert client.post("/webhook", json={"action": "ANNOTATION_CREATED"}).status_code == 201
    nothing = client.post("/predict", json=request(BRUSH, LOCAL)).json()
    assert nothing["results"][0]["result"] == []


@pytest.mark.parametrize("place", ["local", "inline"])
def test_a_click_becomes_a_brush(client: TestClient, place: str) -> None:
    data = LOCAL if place == "local" else {"photo": f"data:image/png;base64,{encoded(images()[0])}"}
    answer = client.post("/predict", json=request(BRUSH, data, click(*centre()))).json()
    (prediction,) = answer["results"]
    (region,) = prediction["result"]
    assert {key: region[key] for key in ("from_name", "to_name", "type", "original_width")} == {
        "from_name": "mask",
        "to_name": "image",
        "type": "brushlabels",
        "original_width": WIDTH,
    }
    assert region["value"]["format"] == "rle"
    assert region["value"]["brushlabels"] == ["fish"]
    assert 0 < region["score"] == prediction["score"] <= 1
    found = decode_brush(region["value"]["rle"], (HEIGHT, WIDTH))
    assert np.array_equal(found, segue.Prompter(images()[0])(points=[centre()]).mask)
    assert overlap(found, truth()) > 0.5


def test_a_box_and_a_click_beside_it_become_a_polygon(client: TestClient) -> None:
    x0, y0, x1, y1 = tight()
    rectangle = drawn("rectanglelabels", **box_of(x0, y0, x1, y1), rotation=0)
    asked = request(POLYGON, LOCAL, rectangle, click(x0 + 1, y0 + 1, positive=0))
    (region,) = client.post("/predict", json=asked).json()["results"][0]["result"]
    corners = np.array(region["value"]["points"]) * (WIDTH / 100, HEIGHT / 100)
    assert (corners.min(0) >= (x0 - 4, y0 - 4)).all()
    assert (corners.max(0) <= (x1 + 4, y1 + 4)).all()
    assert region["value"]["polygonlabels"] == ["fish"]


def test_a_brush_is_the_mask_so_far(client: TestClient) -> None:
    rough = truth().copy()
    rough[:, centre()[0] + 4 :] = False
    brush = drawn("brushlabels", format="rle", rle=encode_brush(rough))
    (region,) = client.post("/predict", json=request(BRUSH, LOCAL, brush)).json()["results"][0]["result"]
    found = decode_brush(region["value"]["rle"], (HEIGHT, WIDTH))
    assert overlap(found, truth()) > overlap(rough, truth())


def test_a_box_of_a_video_is_followed(client: TestClient) -> None:
    key = {"frame": 2, "enabled": True, "rotation": 0, "time": 0.08, **box_of(*tight())}
    region = {
        "id": "obj1",
        "type": "videorectangle",
        "from_name": "box",
        "to_name": "video",
        "origin": "manual",
        "value": {"framesCount": 40, "duration": 1.6, "sequence": [key], "labels": ["fish"]},
    }
    beside = {**key, **box_of(*tight(2))}
    other = {**region, "id": "obj2", "value": {**region["value"], "sequence": [beside]}}
    answer = client.post("/predict", json=request(VIDEO_CONFIG, LOCAL, region, other)).json()
    assert "error" not in answer
    first, second = answer["results"][0]["result"]
    assert [first["id"], second["id"]] == ["obj1", "obj2"]
    assert (first["type"], first["from_name"], first["value"]["framesCount"]) == ("videorectangle", "box", 40)
    assert first["value"]["labels"] == ["fish"]
    sequence = first["value"]["sequence"]
    assert sequence[0] == key
    assert [each["frame"] for each in sequence] == [2, 3, 4, 5]
    assert all(abs(each["x"] - key["x"]) < 8 and abs(each["y"] - key["y"]) < 8 for each in sequence)
    followed = [each for each in second["value"]["sequence"] if each["enabled"]]
    assert len(followed) > 1
    assert all(abs(each["x"] - beside["x"]) < 8 for each in followed)


def test_a_box_that_is_switched_off_hides_its_object_until_the_next_one(client: TestClient) -> None:
    """An object that left is neither segmented on later frames nor found again by itself."""

    def sequence_of(*keys: dict[str, Any]) -> list[dict[str, Any]]:
        value = {"framesCount": 40, "duration": 1.6, "sequence": [*keys], "labels": ["fish"]}
        region = {"id": "a", "type": "videorectangle", "value": value}
        answer = client.post("/predict", json=request(VIDEO_CONFIG, LOCAL, region)).json()
        return list(answer["results"][0]["result"][0]["value"]["sequence"])

    key = {"frame": 1, "enabled": True, "rotation": 0, **box_of(*tight())}
    left = {**key, "frame": 3, "enabled": False}
    assert sequence_of(key, left) == [key, left]
    back = {**key, "frame": 6, **box_of(*tight())}
    later = sequence_of(key, left, back)
    assert later[:3] == [key, left, back]
    assert later == [key, left, *sequence_of(back)]


def test_an_object_that_hides_is_switched_off_at_its_last_box(tmp_path: Path) -> None:
    """Label Studio shows a box that is switched off on its own frame."""
    height, width = 96, 128
    images_of_video = np.full((6, height, width, 3), 90, np.uint8)
    images_of_video[:3, 30:60, 40:80] = (200, 40, 30)
    with OverlayVideoSink(tmp_path / "video.mp4", 10) as sink:
        for index, image in enumerate(images_of_video):
            sink.write(Frame(index, index / 10, image), Segmentation(index, index / 10, image[..., 0] * 0))
    client = TestClient(make_app(assistant(), Media(tmp_path), frames=5))
    box = {"x": 4000 / width, "y": 3000 / height, "width": 4000 / width, "height": 3000 / height}
    region = {"id": "a", "type": "videorectangle", "value": {"sequence": [{"frame": 1, **box}]}}
    answer = client.post("/predict", json=request(VIDEO_CONFIG, LOCAL, region)).json()
    sequence = answer["results"][0]["result"][0]["value"]["sequence"]
    assert [(key["frame"], key["enabled"]) for key in sequence] == [(1, True), (2, True), (3, False)]


def test_a_turned_rectangle_is_the_box_around_it(client: TestClient) -> None:
    x0, y0, x1, y1 = tight()
    # Label Studio turns about the first corner: this one covers the object from its right upper corner on.
    sides = {"x": 100 * x1 / WIDTH, "y": 100 * y0 / HEIGHT}
    sides |= {"width": 100 * (y1 - y0) / WIDTH, "height": 100 * (x1 - x0) / HEIGHT}
    turned = drawn("rectanglelabels", **sides, rotation=90)
    plain = drawn("rectanglelabels", **box_of(x0, y0, x1, y1), rotation=0)
    values = []
    for rectangle in (turned, plain):
        (region,) = client.post("/predict", json=request(BRUSH, LOCAL, rectangle)).json()["results"][0][
            "result"
        ]
        values.append(region["value"])
    assert values[0] == values[1]


def test_frames_of_a_video_follow_the_rate_of_the_tag(client: TestClient) -> None:
    """The tag has half the frames of the video: its second frame is the third of the video."""
    key = {"frame": 2, "enabled": True, "rotation": 0, "time": 0.08, **box_of(*tight(2))}
    value = {"framesCount": 20, "duration": 1.6, "sequence": [key], "labels": ["fish"]}
    region = {"id": "a", "type": "videorectangle", "from_name": "box", "to_name": "video", "value": value}
    answer = client.post("/predict", json=request(VIDEO_CONFIG, LOCAL, region)).json()
    (found,) = answer["results"][0]["result"]
    frames = [each["frame"] for each in found["value"]["sequence"]]
    assert frames == sorted(set(frames)) == [*range(2, max(frames) + 1)]
    value = {"framesCount": 40, "duration": 1.6, "sequence": [{**key, "frame": 3}], "labels": ["fish"]}
    answer = client.post("/predict", json=request(VIDEO_CONFIG, LOCAL, {**region, "value": value})).json()
    (plain,) = answer["results"][0]["result"]
    of_frame = {each["frame"]: each for each in plain["value"]["sequence"]}
    for each in found["value"]["sequence"][1:]:
        near = [of_frame[n] for n in (2 * each["frame"] - 2, 2 * each["frame"] - 1) if n in of_frame]
        assert any(abs(each["x"] - one["x"]) < 1e-6 for one in near)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"tasks": []}, "tasks: "),
        ({"label_config": "<View/>"}, "needs BrushLabels or PolygonLabels of an Image"),
        ({"label_config": "<View"}, "is no labelling configuration"),
        ({"data": {"photo": "/data/local-files/?d=../secret.png"}}, "no such file"),
        ({"data": {"photo": "/etc/passwd"}}, "only local files"),
        ({"data": {"photo": "http://127.0.0.1:1/x.png"}}, "only local files"),
        ({"data": {}}, "names no image"),
        ({"region": {"type": "ellipselabels", "value": {}}}, "draw with key points"),
        ({"region": {"type": "keypointlabels", "value": {"x": "a", "y": 1}}}, "value.x: "),
        ({"region": {"type": "brushlabels", "value": {"rle": [1, 2]}}}, "brush: its run lengths end early"),
    ],
)
def test_requests_that_do_not_fit_are_refused_with_one_line(
    client: TestClient, changed: dict[str, Any], complaint: str
) -> None:
    asked = request(BRUSH, changed.pop("data", LOCAL), changed.pop("region", click(*centre())))
    answer = client.post("/predict", json=asked | changed)
    assert answer.status_code == 400
    assert complaint in answer.json()["error"]
    assert client.post("/predict", content=b"\xff{").status_code == 400


@pytest.fixture
def uploads() -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """A Label Studio that serves one uploaded image, to those who bring a token."""
    asked: list[tuple[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Authorization")))
            moved = self.path == "/data/upload/moved.png"
            self.send_response(302 if moved else 200)
            if moved:
                self.send_header("Location", "http://127.0.0.1:1/elsewhere.png")
            self.end_headers()
            self.wfile.write(b"" if moved else png(images()[0]))

        def do_POST(self) -> None:
            asked.append((self.path, self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"access": "short"}')

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()


def test_uploaded_files_are_read_from_label_studio_alone(uploads: tuple[str, list[Any]]) -> None:
    address, asked = uploads
    client = TestClient(make_app(assistant(), Media(address=address, token="abc")))
    fitting = request(BRUSH, {"photo": "/data/upload/3/0.png"}, click(*centre()))
    assert client.post("/predict", json=fitting).status_code == 200
    assert asked == [("/data/upload/3/0.png", "Token abc")]
    asked.clear()
    personal = TestClient(make_app(assistant(), Media(address=address, token="a.b.c")))
    assert personal.post("/predict", json=fitting).status_code == 200
    assert asked == [
        ("/api/token/refresh/", '{"refresh": "a.b.c"}'),
        ("/data/upload/3/0.png", "Bearer short"),
    ]
    asked.clear()
    named = request(BRUSH, {"photo": f"{address}/data/upload/3/ä b%20c.png"}, click(*centre()))
    assert client.post("/predict", json=named).status_code == 200, "spaces and accents, quoted or not"
    assert asked == [("/data/upload/3/%C3%A4%20b%20c.png", "Token abc")]
    leading_away = request(BRUSH, {"photo": "/data/upload/moved.png"}, click(*centre()))
    answer = client.post("/predict", json=leading_away)
    assert answer.status_code == 400
    assert "cannot be downloaded" in answer.json()["error"]


def test_brushes_of_label_studio_are_read_and_ours_are_read_by_it() -> None:
    brush = pytest.importorskip(
        "label_studio_sdk.converter.brush", reason="label-studio-sdk is not installed"
    )
    mask = truth()
    assert np.array_equal(decode_brush(brush.mask2rle(mask.astype(np.uint8) * 255), mask.shape), mask)
    theirs = brush.decode_rle(encode_brush(mask)).reshape(*mask.shape, 4)[..., 3]
    assert np.array_equal(theirs > 0, mask)


def test_brushes_of_other_images_are_refused() -> None:
    with pytest.raises(DatasetError):
        decode_brush(encode_brush(np.zeros((3, 3))), (4, 5))
