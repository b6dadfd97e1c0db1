"""Files here and elsewhere: what they are known by, what is shown of them, and how they are fetched."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from segue.batch import places
from segue.batch.places import (
    RESULT,
    fetch,
    file_system,
    files_below,
    hide_secrets,
    remote_identity,
)
from segue.errors import SegueError, SourceError
from tests.batch.conftest import UseStore
from tests.needs import needs

fsspec = needs("fsspec")


@pytest.fixture
def store() -> Iterator[Any]:
    """A file system in memory with a few files."""
    files = fsspec.filesystem("memory")
    contents = {"videos/b.mp4": b"bb", "videos/a.MP4": b"a", "videos/in/c.mp4": b"c", "videos/note.txt": b"n"}
    for name, content in contents.items():
        files.pipe(f"/{name}", content)
    yield files
    files.rm("/videos", recursive=True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot read s3://user:secret@bucket/a.mp4?token=x, twice", "cannot read s3://bucket/a.mp4, twice"),
        ("(https://host/a?key=1).", "(https://host/a)."),
        ("HTTPS://a:b@host/x and ftp://c:d@host/y;", "https://host/x and ftp://host/y;"),
        ("no address: a//b", "no address: a//b"),
        ("https://[broken/x?key=1", "https://..."),
    ],
)
def test_addresses_are_shown_without_passwords_and_tokens(text: str, shown: str) -> None:
    assert hide_secrets(text) == shown


def test_videos_are_found_without_results(store: Any) -> None:
    everything = ["memory:///videos/a.MP4", "memory:///videos/b.mp4", "memory:///videos/in/c.mp4"]
    assert [
        name.replace("memory://videos", "memory:///videos")
        for name in files_below("memory://videos", {".mp4"})
    ] == (everything)
    store.pipe(f"/videos/in/{RESULT}", b"{}")
    store.pipe("/videos/in/deep/d.mp4", b"d")
    assert len(files_below("memory://videos", {".mp4"})) == 2
    assert files_below("memory://videos", {".avi"}) == []


def test_a_remote_file_is_known_by_size_and_time(store: Any) -> None:
    known = remote_identity("memory://videos/b.mp4")
    assert known is not None
    assert known.size == 2
    assert known.modified_ns == int(store.info("/videos/b.mp4")["created"].timestamp() * 1e9)
    assert remote_identity("memory://videos/none.mp4") is None
    store.pipe("/videos/b.mp4", b"bbb")
    later = remote_identity("memory://videos/b.mp4")
    assert later is not None
    assert known.difference(later)


def test_a_file_is_fetched_once_while_it_stays_the_same(store: Any, tmp_path: Path) -> None:
    target = fetch("memory://videos/b.mp4", tmp_path / "in")
    assert (target.read_bytes(), target.suffix) == (b"bb", ".mp4")
    known = remote_identity("memory://videos/b.mp4")
    assert known is not None
    assert target.stat().st_mtime_ns == known.modified_ns
    target.write_bytes(b"xx")
    assert fetch("memory://videos/b.mp4", tmp_path / "in").read_bytes() == b"xx", "taken as it is"
    store.pipe("/videos/b.mp4", b"bbb")
    later = fetch("memory://videos/b.mp4", tmp_path / "in")
    assert later.read_bytes() == b"bbb", "it has changed"
    target.unlink()
    target = later
    assert list((tmp_path / "in").iterdir()) == [target]
    with pytest.raises(SourceError, match=r"memory://videos/none\.mp4: cannot be fetched"):
        fetch("memory://videos/none.mp4", tmp_path / "in")
    assert list((tmp_path / "in").iterdir()) == [target]


def test_unknown_file_systems_are_refused_in_one_line() -> None:
    with pytest.raises(SegueError, match="Protocol not known"):
        file_system("nowhere://a")


class Told:
    """A file system whose answers about files are given."""

    def __init__(self, **info: Any) -> None:
        self._info = info

    def info(self, name: str) -> dict[str, Any]:
        return self._info


def test_a_video_is_fetched_whatever_its_address_asks_for(addresses_on: UseStore, tmp_path: Path) -> None:
    class Store(Told):
        def get_file(self, name: str, path: str) -> None:
            Path(path).write_bytes(b"video")

    addresses_on(Store())
    one = fetch("https://host/a.mp4?token=1", tmp_path)
    assert (one.suffix, one.read_bytes(), one.stat().st_mtime_ns) == (".mp4", b"video", 0)
    one.write_bytes(b"kept")
    os.utime(one, ns=(0, 0))
    assert fetch("https://host/a.mp4?token=1", tmp_path).read_bytes() == b"kept", (
        "neither size nor time is known"
    )
    assert fetch("https://host/a.mp4?token=2", tmp_path) != one


def test_files_without_a_length_are_not_downloaded(addresses_on: UseStore, tmp_path: Path) -> None:
    addresses_on(Told(size=None, type="file"))
    with pytest.raises(SourceError):
        fetch("http://camera/stream.mjpg", tmp_path)


class BusyError(OSError):
    """As clients of object stores raise it, of a cause that has the status."""

    def __init__(self, status: int) -> None:
        super().__init__("Please reduce your request rate")
        self.__cause__ = ValueError()
        self.__cause__.response = {"ResponseMetadata": {"HTTPStatusCode": status}}  # type: ignore[attr-defined]


class Busy(Told):
    """Is busy the first times that it is asked for the content of a file, or gives another error."""

    def __init__(self, times: int, status: int = 503) -> None:
        super().__init__(size=5)
        self.times, self.status, self.asked = times, status, 0

    def get_file(self, name: str, path: str) -> None:
        self.asked += 1
        if self.asked <= self.times:
            raise BusyError(self.status)
        Path(path).write_bytes(b"video")

    def ls(self, name: str, **_: object) -> list[str]:
        return [name]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waits by the clock of the test, each with its seconds."""
    waited: list[float] = []
    clock = SimpleNamespace(sleep=waited.append, monotonic=lambda: sum(waited))
    monkeypatch.setattr(places, "time", clock)
    return waited


def test_a_busy_store_is_asked_again_after_waits_that_grow(
    addresses_on: UseStore, tmp_path: Path, waits: list[float]
) -> None:
    addresses_on(Busy(6))
    assert fetch("s3://bucket/a.mp4", tmp_path).read_bytes() == b"video"
    assert waits == [0.5, 1, 2, 4, 8, 15]


def test_a_store_that_stays_busy_and_one_that_refuses_are_given_up(
    addresses_on: UseStore, tmp_path: Path, waits: list[float]
) -> None:
    addresses_on(Busy(1000))
    with pytest.raises(SourceError, match="reduce your request rate"):
        fetch("s3://bucket/a.mp4", tmp_path)
    assert 60 < sum(waits) <= places.BUSY_SECONDS
    waits.clear()
    store = Busy(1000, status=403)
    addresses_on(store)
    with pytest.raises(SourceError, match="reduce your request rate"):
        fetch("s3://bucket/a.mp4", tmp_path)
    assert (store.asked, waits) == (1, [])


def test_a_web_server_that_is_busy_for_a_while_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(places, "FIRST_WAIT", 0.01)
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.command)
            self.send_response(503 if len(asked) < 6 else 200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(b"video")

        do_HEAD = do_GET  # noqa: N815 - as the library calls it

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        path = fetch(f"http://127.0.0.1:{server.server_port}/a.mp4", tmp_path)
    finally:
        server.shutdown()
        server.server_close()
    assert path.read_bytes() == b"video"


def test_a_folder_that_cannot_be_listed_is_told_without_its_password(addresses_on: UseStore) -> None:
    class Broken:
        def find(self, root: str, **_: object) -> list[str]:
            raise OSError("no\nentry")

        info = ls = find

    addresses_on(Broken())
    with pytest.raises(SourceError, match=r"^s3://bucket/videos: cannot be listed \(no entry\)$"):
        files_below("s3://me:secret@bucket/videos", {".mp4"})
