"""The client code of X-AnyLabeling asks our service.

It pins many packages and has an environment of its own: SEGUE_X_ANYLABELING names the Python that
has ``x-anylabeling-cvhub[cpu]``.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.segue_web.services.pictures import centre, overlap, pictures, png, truth

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running(command: list[str], address: str, env: dict[str, str], log: Path) -> Iterator[None]:
    """A server, once it answers."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **env}, cwd=log.parent
        )
    try:
        end = time.monotonic() + 300
        while True:
            try:
                urllib.request.urlopen(address, timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.5)
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def service(tool: str, tmp_path: Path, *arguments: str) -> Iterator[str]:
    """Our service for a tool; gives its address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "segue", "serve", tool, "--port", str(port), *arguments]
    with running(command, f"{address}/health", {}, tmp_path / "segue.log"):
        yield address


ASK = """
import json, sys
from PyQt6 import QtWidgets
application = QtWidgets.QApplication([])
import anylabeling.config
settings = {"remote_server_settings": {"server_url": sys.argv[1], "api_key": ""}}
anylabeling.config.current_config_file = json.dumps(settings)
from anylabeling.services.auto_labeling.remote_server import RemoteServer
picture, marks = sys.argv[2], json.loads(sys.argv[3])
complaints = []
config = {"type": "remote_server", "name": "r", "display_name": "r", "timeout": 120}
client = RemoteServer(config, complaints.append)
models = client.get_available_models()
client.set_model_id("segue")
client.set_auto_labeling_marks(marks)
result = client.predict_shapes("picture", picture)
still = [[(point.x(), point.y()) for point in shape.points] for shape in result.shapes]
client.set_model_id("segue_video")
result = client.predict_shapes("picture", picture, run_tracker=False)
clip = [[(point.x(), point.y()) for point in shape.points] for shape in result.shapes]
found = {"models": list(models), "still": still, "clip": clip, "complaints": complaints}
print("ANSWER " + json.dumps(found))
"""


def test_the_client_of_x_anylabeling_asks_for_polygons(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    python = os.environ.get("SEGUE_X_ANYLABELING")
    if python is None:
        pytest.skip("SEGUE_X_ANYLABELING names no Python with x-anylabeling-cvhub")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, picture in enumerate(pictures(2)):
        (folder / f"{index}.png").write_bytes(png(picture))
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
