"""Large videos are shown from a reduced copy; masks, clicks and exports use the video itself."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from segue_web import proxies
from segue_web.annotate import AnnotateBackend
from segue_web.proxies import Proxy, needs_proxy
from segue_web.video import Video
from tests.segue_web.test_annotate import CircleWorker
from tests.segue_web.videos import numbered, write_video

COUNT = 12


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The videos of the tests, 48 rows high, are large ones."""
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(proxies, "LARGE", 48)
    monkeypatch.setattr(proxies, "SHORT_SIDE", 24)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_video(tmp_path / "film.mp4", numbered(COUNT))


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def cached(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "home/proxies").glob("*"))


def made(path: Path) -> tuple[Video, Proxy]:
    video = Video(path)
    proxy = Proxy(video)
    proxy.wait()
    return video, proxy


def test_all_frames_are_shown_reduced_without_decoding_the_video(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video, proxy = made(path)
    frames = [video.frame(index).image for index in range(COUNT)]
    whole = video.jpeg(5)
    monkeypatch.setattr(Video, "_image", None)
    for index, frame in enumerate(frames):
        shown = decoded(video.jpeg(index, near=True, max_width=20))
        expected = cv2.resize(frame, (32, 24), interpolation=cv2.INTER_AREA)
        assert np.abs(shown.astype(int) - expected).mean() < 6
    monkeypatch.undo()
    assert decoded(video.jpeg(5, max_width=64)).shape == (48, 64, 3), "wider than the copy"
    assert video.jpeg(5) == whole, "as exports have it"
    proxy.close()
    assert decoded(video.jpeg(5, max_width=32)).shape == (24, 32, 3), "without the copy, too"


def test_it_is_made_once_and_anew_for_a_video_that_changed(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(path)[1].close()
    (first,) = cached(tmp_path)
    monkeypatch.setattr(Proxy, "_build", None)
    video, proxy = made(path)
    assert video.reduced(3, 10) is not None
    proxy.close()
    monkeypatch.undo()
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    os.utime(path, (1, 1))
    made(path)[1].close()
    (second,) = cached(tmp_path)
    assert first != second


def test_partial_and_damaged_proxies_are_recreated(path: Path, tmp_path: Path) -> None:
    made(path)[1].close()
    (name,) = cached(tmp_path)
    folder = tmp_path / "home/proxies"
    (folder / name).unlink()
    (folder / f".{name}.0a1b2c3d.partial").write_bytes(b"half")  # of a page that was killed
    made(path)[1].close()
    assert cached(tmp_path) == [name]
    (folder / name).write_bytes(b"no archive")
    video, proxy = made(path)
    assert video.reduced(0, 10) is not None
    proxy.close()
    assert cached(tmp_path) == [name]


def test_frames_of_a_video_that_is_replaced_meanwhile_are_not_shown(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = Proxy._encoded

    def replace_video(proxy: Proxy, image: np.ndarray) -> bytes:
        write_video(path, numbered(COUNT)[::-1].copy())
        monkeypatch.setattr(Proxy, "_encoded", encoded)
        return encoded(proxy, image)

    monkeypatch.setattr(Proxy, "_encoded", replace_video)
    video, proxy = made(path)
    assert video.reduced(0, 10) is None
    proxy.close()
    assert cached(tmp_path) == []
    video, proxy = made(path)
    assert video.reduced(0, 10) is not None
    proxy.close()


def test_one_that_is_closed_while_it_is_made_leaves_nothing(path: Path, tmp_path: Path) -> None:
    proxy = Proxy(Video(path))
    proxy.close()
    assert not [name for name in cached(tmp_path) if not name.endswith(".zip")]
    video, proxy = made(path)
    assert video.reduced(COUNT - 1, 10) is not None
    proxy.close()


def test_the_ones_that_were_opened_longest_ago_make_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_video(tmp_path / f"{number}.mp4", numbered(COUNT)) for number in range(3)]
    for age, path in enumerate(paths[:2]):
        made(path)[1].close()
        for file in (tmp_path / "home/proxies").glob("*.zip"):
            os.utime(file, (1000 + age, 1000 + age))
    before = cached(tmp_path)
    made(paths[0])[1].close()  # opened again
    size = max(file.stat().st_size for file in (tmp_path / "home/proxies").glob("*.zip"))
    monkeypatch.setattr(proxies, "MAX_BYTES", round(2.5 * size))
    made(paths[2])[1].close()
    assert len(cached(tmp_path)) == len({*before, *cached(tmp_path)}) - 1 == 2
    video, proxy = made(paths[0])
    assert video.reduced(0, 10) is not None
    proxy.close()
    monkeypatch.setattr(proxies, "MAX_BYTES", 100)
    video, proxy = made(paths[1])
    assert video.reduced(0, 10) is None, "one that is too large by itself is not kept"
    proxy.close()
    assert not [name for name in cached(tmp_path) if name.endswith(".partial")]


@pytest.mark.parametrize("wanted", [False, True])
def test_the_page_makes_one_of_a_large_video_unless_told_otherwise(
    path: Path, tmp_path: Path, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = Video(path)
    assert needs_proxy(video)
    opened: list[Video] = []
    monkeypatch.setattr("segue_web.annotate.Proxy", lambda video: opened.append(video) or Proxy(video))
    worker = CircleWorker(video)
    backend = AnnotateBackend(video, tmp_path / "project", worker=worker, proxies=wanted)
    monkeypatch.setattr(backend, "_begin_to_load", lambda: None)
    monkeypatch.setattr("asyncio.create_task", lambda task: task.close())
    backend.open()
    backend._goes_on = None
    assert opened == [video] * wanted
    backend.close()
    monkeypatch.setattr(proxies, "LARGE", 49)
    assert not needs_proxy(video)
