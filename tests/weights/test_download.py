"""Downloads from a server on this machine that cuts connections, sends wrong bytes, and redirects."""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pytest
import requests

from segue.errors import DownloadError
from segue.weights.download import Remote, fetch

CONTENT = bytes(range(256)) * 4096
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Behaviour:
    """What the server does, and what it was asked."""

    content: bytes = CONTENT
    cut_after: int | None = None
    cuts: int = 0
    ranges: bool = True
    failures: int = 0
    failure: int = 503
    redirect: str | None = None
    length: str | None = None
    shift: int = 0
    broken_paths: tuple[str, ...] = ()
    pages: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # in seconds, of each request


class Handler(BaseHTTPRequestHandler):
    """Serves ``behaviour.content`` at every path but the one that redirects."""

    behaviour: Behaviour

    def do_GET(self) -> None:
        behaviour, wanted = self.behaviour, self.headers.get("Range")
        behaviour.asked.append((self.path, wanted))
        behaviour.times.append(time.monotonic())
        if behaviour.redirect and self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", behaviour.redirect)
            self.end_headers()
            return
        if behaviour.failures:
            behaviour.failures -= 1
            self.send_error(behaviour.failure)
            return
        if self.path in behaviour.pages:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(behaviour.pages[self.path].encode())
            return
        if self.path in behaviour.broken_paths:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>please log in</html>")
            return
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and behaviour.ranges else 0
        if begin >= len(behaviour.content) and begin:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(behaviour.content)}")
            self.end_headers()
            return
        content = behaviour.files.get(self.path, behaviour.content)
        whole = len(content)
        begin += behaviour.shift if begin else 0
        body = content[begin:]
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{whole - 1}/{whole}")
        self.send_header("Content-Length", behaviour.length or str(len(body)))
        self.end_headers()
        if behaviour.cuts and behaviour.cut_after is not None:
            behaviour.cuts -= 1
            self.wfile.write(body[: behaviour.cut_after])
            self.close_connection = True
            return
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[tuple[str, Behaviour]]:
    behaviour = Behaviour()
    handler = type("Bound", (Handler,), {"behaviour": behaviour})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", behaviour
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SEGUE_HOME", "SEGUE_MIRROR", "SEGUE_OFFLINE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_a_file_is_downloaded_checked_and_then_left_alone(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    address, behaviour = server
    remote, seen = Remote(f"{address}/net.pth", "net.pth", DIGEST, len(CONTENT)), []
    path = fetch(remote, tmp_path, report=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert fetch(remote, tmp_path) == path
    assert len(behaviour.asked) == 1
    assert [item.name for item in tmp_path.iterdir()] == ["net.pth"]


def test_a_cut_connection_is_gone_on_with(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    address, behaviour = server
    behaviour.cut_after, behaviour.cuts = 300_000, 2
    path = fetch(Remote(f"{address}/net.pth", "net.pth", DIGEST), tmp_path, pause=0)
    assert path.read_bytes() == CONTENT
    first, *others = [wanted for _, wanted in behaviour.asked]
    begins = [int((wanted or "").removeprefix("bytes=").rstrip("-")) for wanted in others]
    assert first is None
    assert 0 < begins[0] < begins[1]


def test_a_server_without_ranges_is_asked_for_the_whole_again(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    address, behaviour = server
    behaviour.cut_after, behaviour.cuts, behaviour.ranges = 300_000, 1, False
    assert fetch(Remote(f"{address}/n", "n", DIGEST), tmp_path, pause=0).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "published", [{"sha256": DIGEST}, {"md5": hashlib.md5(CONTENT).hexdigest()}], ids=["sha256", "md5"]
)
def test_wrong_bytes_are_refused_and_removed(
    server: tuple[str, Behaviour], tmp_path: Path, published: dict[str, str]
) -> None:
    address, behaviour = server
    remote = Remote(f"{address}/n", "n", **published)  # type: ignore[arg-type]
    assert fetch(remote, tmp_path / "right").read_bytes() == CONTENT
    behaviour.content = bytes(len(CONTENT))
    with pytest.raises(DownloadError):
        fetch(remote, tmp_path / "wrong")
    assert not list((tmp_path / "wrong").iterdir())


def test_without_any_checksum_nothing_is_downloaded(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    address, behaviour = server
    with pytest.raises(DownloadError):
        fetch(Remote(f"{address}/n", "n"), tmp_path)
    assert not behaviour.asked
    assert fetch(Remote(f"{address}/n", "n"), tmp_path, checksum=DIGEST).exists()


def test_a_server_that_is_busy_is_asked_again(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    address, behaviour = server
    behaviour.failures = 3
    assert fetch(Remote(f"{address}/n", "n", DIGEST), tmp_path, pause=0.01).exists()
    assert all(
        later - earlier >= pause
        for (earlier, later), pause in zip(pairwise(behaviour.times), (0.01, 0.02, 0.04), strict=True)
    )
    behaviour.failures = 99
    with pytest.raises(DownloadError, match="503"):
        fetch(Remote(f"{address}/m", "m", DIGEST), tmp_path, pause=0)


def test_a_length_that_is_too_large_is_refused_before_anything_comes(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    address, behaviour = server
    behaviour.length = str(1 << 40)
    with pytest.raises(DownloadError):
        fetch(Remote(f"{address}/n", "n", DIGEST), tmp_path, pause=0)
    assert not list(tmp_path.iterdir())
    assert len(behaviour.asked) == 1, "it is not tried again"
    behaviour.length = None
    assert fetch(Remote(f"{address}/n", "n", DIGEST), tmp_path, pause=0).exists()


def test_a_server_that_goes_on_at_another_place_is_asked_for_the_whole(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    address, behaviour = server
    behaviour.shift = 512  # the bytes repeat themselves: only the header tells that they are others
    (tmp_path / "n.part").write_bytes(CONTENT[:2048])
    assert fetch(Remote(f"{address}/n", "n", DIGEST), tmp_path, pause=0).read_bytes() == CONTENT
    assert [wanted for _, wanted in behaviour.asked] == ["bytes=2048-", None]


def test_a_file_that_leads_elsewhere_is_not_written_through(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    address, _ = server
    (tmp_path / "mine").write_bytes(b"precious")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "n.part").symlink_to(tmp_path / "mine")
    path = fetch(Remote(f"{address}/n", "n", DIGEST), tmp_path / "weights", pause=0)
    assert path.read_bytes() == CONTENT
    assert not path.is_symlink()
    assert (tmp_path / "mine").read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["../n", "..", "", "a/n", "/n"])
def test_a_name_that_leads_elsewhere_is_refused(
    server: tuple[str, Behaviour], tmp_path: Path, name: str
) -> None:
    address, behaviour = server
    with pytest.raises(DownloadError):
        fetch(Remote(f"{address}/n", name, DIGEST), tmp_path / "weights")
    assert not behaviour.asked
    assert fetch(Remote(f"{address}/n", "n", DIGEST), tmp_path / "weights").exists()


def test_simultaneous_downloads_of_a_file_are_shared(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    address, behaviour = server
    behaviour.cut_after, behaviour.cuts = 300_000, 2
    remote = Remote(f"{address}/n", "n", DIGEST)
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(remote, tmp_path, pause=0), range(4)))
    assert {path.read_bytes() == CONTENT for path in paths} == {True}
    first, *others = [wanted for _, wanted in behaviour.asked]
    begins = [int((wanted or "").removeprefix("bytes=").rstrip("-")) for wanted in others]
    assert first is None
    assert 0 < begins[0] < begins[1]


def test_the_checksum_of_the_user_and_that_of_the_publisher_have_to_agree(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    address, behaviour = server
    remote = Remote(f"{address}/n", "n", DIGEST[:8])
    for wrong in ("0" * 64, DIGEST[:8]):
        with pytest.raises(DownloadError):
            fetch(remote, tmp_path, checksum=wrong)
    assert not behaviour.asked
    assert fetch(remote, tmp_path, checksum=f" {DIGEST.upper()}").exists()


def test_a_redirect_is_followed_unless_it_leads_out_of_https(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    address, behaviour = server
    behaviour.redirect = f"{address}/there"
    assert fetch(Remote(f"{address}/moved", "n", DIGEST), tmp_path).exists()
    for place in (
        "http://example.invalid/there",
        "file:///etc/hostname",
        "ftp://127.0.0.1/there",
        "http://example.invalid@127.0.0.2/",
    ):
        behaviour.redirect = place
        for asked_for in (f"{address}/moved", place):
            with pytest.raises(DownloadError, match=r"not allowed|only https"):
                fetch(Remote(asked_for, "m", DIGEST), tmp_path, pause=0)
    behaviour.redirect, asked = f"{address}/moved", len(behaviour.asked)
    with pytest.raises(DownloadError):
        fetch(Remote(f"{address}/moved", "m", DIGEST), tmp_path, pause=0)
    assert len(behaviour.asked) - asked < 40
    assert [path.name for path in tmp_path.iterdir()] == ["n"]


def test_an_encrypted_address_never_leads_to_a_plain_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = requests.Response()
    answer.status_code, answer.raw, answer.url = 302, io.BytesIO(), "https://example.invalid/n"
    monkeypatch.setattr("requests.adapters.HTTPAdapter.send", lambda *_, **__: answer)
    for place in ("http://127.0.0.1/n", "http://example.invalid/n"):
        answer.headers["Location"] = place
        with pytest.raises(DownloadError, match=r"not encrypted|only https"):
            fetch(Remote("https://example.invalid/n", "n", DIGEST), tmp_path, pause=0)


def test_offline_nothing_is_asked(
    server: tuple[str, Behaviour], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, behaviour = server
    monkeypatch.setenv("SEGUE_OFFLINE", "1")
    with pytest.raises(DownloadError):
        fetch(Remote(f"{address}/n", "n", DIGEST), tmp_path)
    (tmp_path / "n").write_bytes(CONTENT)
    assert fetch(Remote(f"{address}/n", "n", DIGEST), tmp_path).exists()
    assert not behaviour.asked
