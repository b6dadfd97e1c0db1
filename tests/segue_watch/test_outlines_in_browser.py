"""The page of cameras draws the outlines that stand beside the images of a clip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from segue.video.decoding.packets import PacketBuffer
from segue_watch.camera import Camera
from segue_watch.configuration import read_cameras
from segue_watch.web.page import CameraPage
from tests.events.test_packet_clips import Watched, stream
from tests.segue_web.chromium import launched, needs_chromium
from tests.segue_web.pages.page import WAIT, becomes


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The page of a camera that has one visit, with a clip of packets."""
    watched = Watched(tmp_path / "out", PacketBuffer())
    watched.see(stream(300), range(120, 150))
    watched.sink.close()
    file = tmp_path / "cameras.toml"
    file.write_text('[cameras.gate]\nsource = "rtsp://127.0.0.1:9/none"\nmodel = "median"\n')
    job = read_cameras(file, tmp_path / "out")["gate"]
    with CameraPage([Camera("gate", job, lambda *_: None, lambda _: None)], 0) as page:
        yield page.address


def test_outlines_are_sent_of_clips_that_have_them(served: str, tmp_path: Path) -> None:
    [clip] = (tmp_path / "out" / "gate").glob("*.mp4")
    with urlopen(f"{served}outlines/gate/{clip.name}", timeout=10) as reply:
        assert reply.headers.get_content_type() == "application/json"
        assert reply.read().startswith(b'{"steps":10000,"frames":[[')
    with urlopen(f"{served}outlines/gate/{clip.with_suffix('.jpg').name}", timeout=10) as reply:
        assert reply.status == 204
    for name in ("00009-enter-9.mp4", "marks.json", "../gate.csv", "%2e%2e/gate.csv"):
        with pytest.raises(HTTPError) as refused:
            urlopen(f"{served}outlines/gate/{name}", timeout=10)
        assert refused.value.code == 404
        refused.value.close()


@needs_chromium
def test_a_clip_is_played_with_outlines_over_it(served: str) -> None:
    with launched() as chromium:
        tab: Any = chromium.new_page(viewport={"width": 1366, "height": 768})
        tab.set_default_timeout(WAIT)
        tab.goto(f"{served}#events")
        tab.locator(".card .open").click()
        tab.locator(".player .film[data-outlines]").wait_for(state="attached")
        tab.evaluate(
            "() => { const video = document.querySelector('video'); video.pause(); video.currentTime = 3.2; }"
        )
        area = "getContext('2d').getImageData(0, 0, innerWidth, innerHeight).data"
        pixels = f"[...document.querySelector('.outlines').{area}].filter(Boolean).length"
        becomes(tab, f"{pixels} > 500")
        tab.locator(".player").press("Space")
        becomes(tab, "!document.querySelector('video').paused")
        tab.locator(".player").press("Space")
        becomes(tab, "document.querySelector('video').paused")
        tab.keyboard.press("o")
        tab.locator(".player .outlines").wait_for(state="hidden")
