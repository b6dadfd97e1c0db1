"""Downloads from a server on this machine that cuts connections, sends wrong bytes, and redirects."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from segue.errors import DownloadError
from segue.weights.download import Remote, fetch, home

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
    redirect: str | None = None
    asked: list[tuple[str, str | None]] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    """Serves ``behaviour.content`` at every path but the one that redirects."""

    behaviour: Behaviour

    def do_GET(self) -> None:
        behaviour, wanted = self.behaviour, self.headers.get("Range")
        behaviour.asked.append((self.path, wanted))
        if behaviour.redirect and self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", behaviour.redirect)
            self.end_headers()
            return
        if behaviour.failures:
            behaviour.failures -= 1
            self.send_error(503)
            return
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and behaviour.ranges else 0
        if begin >= len(behaviour.content) and begin:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(behaviour.content)}")
            self.end_headers()
            return
        body = behaviour.content[begin:]
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(body)))
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
    assert [wanted for _, wanted in behaviour.asked] == [None, "bytes=300000-", "bytes=600000-"]


def test_a_server_without_ranges_is_asked_for_the_whole_again(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    address, behaviour = server
    behaviour.cut_after, behaviour.cuts, behaviour.ranges = 300_000, 1, False
    assert fetch(Remote(f"{address}/n", "n", DIGEST), tmp_path, pause=0).read_bytes() == CONTENT


def test_what_an_earlier_run_left_is_gone_on_with(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    address, behaviour = server
    (tmp_path / "n.part").write_bytes(CONTENT[:1000])
    assert fetch(Remote(f"{address}/n", "n", DIGEST), tmp_path).read_bytes() == CONTENT
    assert behaviour.asked == [("/n", "bytes=1000-")]
    (tmp_path / "n").unlink()
    (tmp_path / "n.part").write_bytes(CONTENT)
    assert fetch(Remote(f"{address}/n", "n", DIGEST), tmp_path).read_bytes() == CONTENT


def test_wrong_bytes_are_refused_and_removed(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    address, behaviour = server
    behaviour.content = b"<html>please log in</html>"
    with pytest.raises(DownloadError, match="it is not the file that was published"):
        fetch(Remote(f"{address}/n", "n", DIGEST), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_that_is_there_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "n").write_bytes(b"no")
    with pytest.raises(DownloadError, match="its SHA-256 is"):
        fetch(Remote("https://example.invalid/n", "n", DIGEST), tmp_path)


def test_a_file_larger_than_published_is_refused(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    address, behaviour = server
    behaviour.content = CONTENT + b"more"
    with pytest.raises(DownloadError, match=f"more than the {len(CONTENT)}"):
        fetch(Remote(f"{address}/n", "n", DIGEST, len(CONTENT)), tmp_path)


def test_the_first_digits_of_a_checksum_do(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    assert fetch(Remote(f"{server[0]}/n", "n", DIGEST[:8]), tmp_path).exists()


def test_without_any_checksum_nothing_is_downloaded(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    address, behaviour = server
    with pytest.raises(DownloadError, match=r"gives no checksum.*--sha256"):
        fetch(Remote(f"{address}/n", "n"), tmp_path)
    assert not behaviour.asked
    assert fetch(Remote(f"{address}/n", "n"), tmp_path, checksum=DIGEST).exists()


def test_a_server_that_is_busy_is_asked_again(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    address, behaviour = server
    behaviour.failures = 2
    assert fetch(Remote(f"{address}/n", "n", DIGEST), tmp_path, pause=0).exists()
    behaviour.failures = 99
    with pytest.raises(DownloadError, match="503 Service Unavailable"):
        fetch(Remote(f"{address}/m", "m", DIGEST), tmp_path, pause=0)


def test_a_redirect_is_followed_unless_it_leads_out_of_https(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    address, behaviour = server
    behaviour.redirect = f"{address}/there"
    assert fetch(Remote(f"{address}/moved", "n", DIGEST), tmp_path).exists()
    behaviour.redirect = "http://example.invalid/there"
    with pytest.raises(DownloadError, match="only https"):
        fetch(Remote(f"{address}/moved", "m", DIGEST), tmp_path)
    with pytest.raises(DownloadError, match="only https"):
        fetch(Remote("file:///etc/hostname", "h", DIGEST), tmp_path)


def test_a_mirror_is_asked_first(
    server: tuple[str, Behaviour], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, behaviour = server
    monkeypatch.setenv("SEGUE_MIRROR", f"{address}/mirror/")
    assert fetch(Remote("https://example.invalid/a/b.pth", "b.pth", DIGEST), tmp_path).exists()
    assert behaviour.asked == [("/mirror/b.pth", None)]


def test_offline_nothing_is_asked(
    server: tuple[str, Behaviour], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, behaviour = server
    monkeypatch.setenv("SEGUE_OFFLINE", "1")
    with pytest.raises(DownloadError, match="SEGUE_OFFLINE forbids"):
        fetch(Remote(f"{address}/n", "n", DIGEST), tmp_path)
    (tmp_path / "n").write_bytes(CONTENT)
    assert fetch(Remote(f"{address}/n", "n", DIGEST), tmp_path).exists()
    assert not behaviour.asked


def test_the_folder_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "here"))
    assert home() == tmp_path / "here"
    monkeypatch.delenv("SEGUE_HOME")
    assert home().name == "segue"
