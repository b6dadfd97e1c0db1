"""The server of the page *Servers and notebooks* takes jobs, tells how far they are, and stops them."""

from __future__ import annotations

import runpy
import threading
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tools.run_docs import ROOT, blocks_of, cut_sample

PAGE = ROOT / "docs" / "servers.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not beside the package")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    cut_sample(tmp_path / "my.mp4", 8)
    program = next(blocks_of(PAGE.read_text(encoding="utf-8"))).text
    (tmp_path / "server.py").write_text(program, encoding="utf-8")
    return runpy.run_path("server.py")


def test_a_job_is_taken_told_and_stopped(server: dict[str, Any]) -> None:
    client = TestClient(server["app"])
    asked = {"video": "my.mp4", "box": [300, 80, 360, 160]}
    name = client.post("/tasks", json=asked).json()
    assert client.get(f"/tasks/{name}").json() == {"state": "done", "done": 8, "total": 8}
    assert len(list(Path("results", name, "masks").glob("*.png"))) == 8

    task = server["Task"]
    take = task.frame

    def stop(self: Any, *given: Any) -> None:
        take(self, *given)
        if self.done == 3:
            path = f"/tasks/{list(server['tasks'])[-1]}"
            asking = threading.Thread(target=client.delete, args=(path,))
            asking.start()
            asking.join()

    task.frame = stop
    name = client.post("/tasks", json=asked).json()
    assert client.get(f"/tasks/{name}").json() == {"state": "cancelled", "done": 3, "total": 8}
    name = client.post("/tasks", json=asked | {"video": "no.mp4"}).json()
    assert client.get(f"/tasks/{name}").json()["state"].startswith("failed: no.mp4")
    assert client.get("/tasks/none").status_code == 404
