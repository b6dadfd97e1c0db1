"""Label Studio, and the client code of X-AnyLabeling, ask our services.

Both pin many packages and have environments of their own: SEGUE_LABEL_STUDIO names the command
``label-studio``, SEGUE_X_ANYLABELING the Python that has ``x-anylabeling-cvhub[cpu]``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.formats.label_studio import decode_brush
from tests.ports import free_port
from tests.segue_web.services.images import centre, images, overlap, png, truth
from tests.waiting import wait_for

pytestmark = pytest.mark.slow


@contextmanager
def running(command: list[str], address: str, env: dict[str, str], log: Path) -> Iterator[None]:
    """A server, once it answers."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **env}, cwd=log.parent
        )

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            return False
        return True

    try:
        wait_for(answers, 900, log.read_text)  # Label Studio makes its database first
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def service(tool: str, tmp_path: Path, *arguments: str, **env: str) -> Iterator[str]:
    """Our service for a tool; gives its address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "segue", "serve", tool, "--port", str(port), *arguments]
    with running(command, f"{address}/health", env, tmp_path / "segue.log"):
        yield address


TOKEN = "0123456789abcdef0123456789abcdef01234567"
CONFIGURATIONS = Path(__file__).resolve().parents[3] / "examples" / "label_studio"


@contextmanager
def label_studio(tmp_path: Path) -> Iterator[str]:
    """A Label Studio with an empty database; gives its address."""
    command = os.environ.get("SEGUE_LABEL_STUDIO")
    if command is None:
        pytest.skip("SEGUE_LABEL_STUDIO names no label-studio")
    port = free_port()
    env = {
        "LABEL_STUDIO_BASE_DATA_DIR": str(tmp_path / "data"), "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "SSRF_PROTECTION_ENABLED": "false", "ML_BLOCK_LOCAL_IP": "false", "LATEST_VERSION_CHECK": "false",
        "COLLECT_ANALYTICS": "false", "HOME": str(tmp_path),
    }  # fmt: skip
    user = ["--username", "a@example.org", "--password", "only-for-a-test", "--user-token", TOKEN]
    run = [command, "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port), *user]
    address = f"http://127.0.0.1:{port}"
    with running(run, f"{address}/health", env, tmp_path / "label-studio.log"):
        yield address


def ask(address: str, body: object = None, kind: str = "application/json") -> Any:
    """What the interface of Label Studio answers."""
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    headers = {"Authorization": f"Token {TOKEN}", "Content-Type": kind}
    with urllib.request.urlopen(urllib.request.Request(address, data, headers), timeout=120) as answer:
        return json.load(answer)


def upload(address: str, name: str, data: bytes) -> None:
    """Upload a file to a project, as its page does."""
    edge = uuid.uuid4().hex
    head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    ask(
        address,
        head.encode() + data + f"\r\n--{edge}--\r\n".encode(),
        f"multipart/form-data; boundary={edge}",
    )


def test_label_studio_gets_a_mask_of_a_click_on_an_uploaded_image(tmp_path: Path) -> None:
    height, width = truth().shape
    x, y = centre()
    with label_studio(tmp_path) as tool:
        personal = ask(f"{tool}/api/token/", {})["token"]
        own = service("label-studio", tmp_path, "--label-studio", tool, LABEL_STUDIO_API_KEY=personal)
        with own as address:
            configuration = (CONFIGURATIONS / "images.xml").read_text()
            project = ask(f"{tool}/api/projects/", {"title": "pond", "label_config": configuration})["id"]
            upload(f"{tool}/api/projects/{project}/import", "pond.png", png(images(1)[0]))
            (task,) = ask(f"{tool}/api/tasks/?project={project}")["tasks"]
            backend = {"url": address, "project": project, "title": "segue", "is_interactive": True}
            model = ask(f"{tool}/api/ml/", backend)
            assert model["state"] == "CO", "Label Studio calls the backend connected"
            click = {
                "type": "keypointlabels", "from_name": "point", "to_name": "image", "id": "a",
                "original_width": width, "original_height": height, "image_rotation": 0, "is_positive": True,
                "value": {"x": 100 * x / width, "y": 100 * y / height, "keypointlabels": ["object"]},
            }  # fmt: skip
            asked = {"task": task["id"], "context": {"result": [click]}}
            answer = ask(f"{tool}/api/ml/{model['id']}/interactive-annotating", asked)
    (region,) = answer["data"]["result"]
    mask = decode_brush(region["value"]["rle"], (height, width))
    assert (region["type"], region["from_name"]) == ("brushlabels", "mask")
    assert region["value"]["brushlabels"] == ["object"]
    assert overlap(mask, truth()) > 0.6


ASK = """
import json, sys
from PyQt6 import QtWidgets
application = QtWidgets.QApplication([])
import anylabeling.config
settings = {"remote_server_settings": {"server_url": sys.argv[1], "api_key": ""}}
anylabeling.config.current_config_file = json.dumps(settings)
from anylabeling.services.auto_labeling.remote_server import RemoteServer
image, marks = sys.argv[2], json.loads(sys.argv[3])
complaints = []
config = {"type": "remote_server", "name": "r", "display_name": "r", "timeout": 120}
client = RemoteServer(config, complaints.append)
models = client.get_available_models()
client.set_model_id("segue")
client.set_auto_labeling_marks(marks)
result = client.predict_shapes("image", image)
still = [[(point.x(), point.y()) for point in shape.points] for shape in result.shapes]
client.set_model_id("segue_video")
result = client.predict_shapes("image", image, run_tracker=False)
clip = [[(point.x(), point.y()) for point in shape.points] for shape in result.shapes]
found = {"models": list(models), "still": still, "clip": clip, "complaints": complaints}
print("ANSWER " + json.dumps(found))
"""


def test_the_client_of_x_anylabeling_asks_for_polygons(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    python = os.environ.get("SEGUE_X_ANYLABELING")
    if python is None:
        pytest.skip("SEGUE_X_ANYLABELING names no Python with x-anylabeling-cvhub")
    folder = tmp_path / "images"
    folder.mkdir()
    for index, image in enumerate(images(2)):
        (folder / f"{index}.png").write_bytes(png(image))
    marks = [{"type": "point", "data": list(centre()), "label": 1}]
    env = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path)}
    with service("x-anylabeling", tmp_path) as own:
        asked = subprocess.run(
            [python, "-c", ASK, own, str(folder / "0.png"), json.dumps(marks)],
            capture_output=True, text=True, env=env, timeout=300, check=False, cwd=tmp_path,
        )  # fmt: skip
    lines = [line for line in asked.stdout.splitlines() if line.startswith("ANSWER ")]
    assert lines, asked.stderr[-3000:] + asked.stdout[-2000:]
    answer = json.loads(lines[0].removeprefix("ANSWER "))
    assert set(answer["models"]) == {"segue", "segue_video"}
    assert [text for text in answer["complaints"] if "error" in text] == []
    for name in ("still", "clip"):
        mask = np.zeros(truth().shape, np.uint8)
        for points in answer[name]:
            cv2.fillPoly(mask, [np.array(points, np.int32)], 1)
        assert overlap(mask > 0, truth()) > 0.6, name
