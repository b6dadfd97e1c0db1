"""The page with other networks than its own: Cutie or SAM 2 tracks, SAM 2 answers clicks, in both directions.

The weights are made up, since no official file is here: what is held is that the masks of the page are those
of the Python interface with the same weights.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

import segue
from segue.models.cutie import Cutie
from segue.models.sam2 import SAM2
from segue.prompts import ImagePrompts, find_prompter
from segue.sessions import TrackSession
from segue.weights import write_checkpoint
from tests.clips import clip
from tests.segue_web.videos import write_video

pytest.importorskip("starlette")
pytest.importorskip("httpx")
from starlette.testclient import TestClient

from segue_web.annotate import AnnotateBackend
from segue_web.server.server import make_app
from segue_web.video import Video

FRAMES = clip(7, 4, 48, 72, 2)[0]
CLICK = (26.0, 34.0)
START = 2
"""Frame that is clicked; one is tracked after it, two before it."""

TOKEN, PORT = "s3cret-of-this-run", 8123
HOST = f"http://127.0.0.1:{PORT}"
SECONDS = 600
"""How long the networks may take; a busy machine is no defect."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Weight files by the names of their networks."""
    folder = tmp_path_factory.mktemp("weights")
    yield {name: folder / f"{name}.safetensors" for name in ("cutie", "sam2-tiny")}
    for path in folder.iterdir():
        path.unlink()


@pytest.fixture(scope="module")
def written(files: dict[str, Path], cutie_network: Cutie, sam2_network: SAM2) -> dict[str, Path]:
    networks: dict[str, nn.Module] = {"cutie": cutie_network, "sam2-tiny": sam2_network}
    for name, path in files.items():
        write_checkpoint(path, networks[name].state_dict(), {})
    return files


def talk(backend: AnnotateBackend, say: Callable[[Callable[..., dict[str, Any]]], None]) -> None:
    """Speak with the server as the page does: ``ask`` sends a message, and waits for what it names."""
    with TestClient(make_app(backend, TOKEN), base_url=HOST) as client:
        headers = {"host": f"127.0.0.1:{PORT}", "origin": HOST}
        with client.websocket_connect(f"/{TOKEN}/ws", headers=headers) as socket:

            def ask(op: str, until: str | None = None, **fields: Any) -> dict[str, Any]:
                socket.send_text(json.dumps({"id": 1, "op": op, **fields}))
                end = time.monotonic() + SECONDS
                while time.monotonic() < end:
                    answer: dict[str, Any] = json.loads(socket.receive_text())
                    assert not answer.get("error"), answer
                    if answer.get("event") == until if until else "id" in answer:
                        return answer
                raise AssertionError(f"no answer to {op}")

            say(ask)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["cutie", "sam2-tiny"])
def test_clicks_and_trackings_of_the_page_equal_the_networks_outputs(
    model: str, written: dict[str, Path], tmp_path: Path
) -> None:
    video = Video(write_video(tmp_path / "video.mp4", FRAMES))
    backend = AnnotateBackend(
        video,
        tmp_path / "p",
        model=model,
        weights=written[model],
        prompter=str(written["sam2-tiny"]),
        device="cpu",
    )
    found: dict[int, Any] = {}

    def say(ask: Callable[..., dict[str, Any]]) -> None:
        seen = ask("look", frames=[START])["frames"][0]["revision"]
        ask("click", frame=START, object=None, points=[(*CLICK, True)], seen=seen)
        for direction in ("forward", "back"):
            ended = ask("track", until="ended", direction=direction, frame=START)
            assert ended["state"] == "done"
        found.update({i: backend.project.mask(i) for i in range(video.count)})

    talk(backend, say)
    video = Video(tmp_path / "video.mp4")  # the server has closed its own
    answer = find_prompter(str(written["sam2-tiny"]), device="cpu")(video.frame(START).image).answer(
        ImagePrompts(points=[CLICK])
    )
    assert answer.mask.any()
    assert np.array_equal(found[START] == 1, answer.mask)
    for way in ((3,), (1, 0)):
        session = TrackSession(segue.load(model, written[model]), device="cpu")  # type: ignore[arg-type]
        session.step(video.frame(START), answer.mask.astype(np.uint8), predict=False)
        for index in way:
            expected = session.step(video.frame(index)).mask
            assert np.array_equal(found[index], expected)
