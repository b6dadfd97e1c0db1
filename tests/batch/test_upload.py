"""Object stores: tried before any video is computed, and what arrives is compared with what was sent."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from segue.batch import places
from segue.batch import upload as uploading
from segue.batch.places import DONE, RESULT, fetch, remote_identity
from segue.batch.plan import read_tasks
from segue.batch.publish import publish
from segue.errors import SegueError, SinkError, SourceError
from tests.batch.conftest import UseRun, UseStore, video
from tests.batch.test_publish import Store, work_with
from tests.cli.running import Command
from tests.needs import needs

JOB = ("--do", "foreground", "--model", "median", "--format", "png")


class Proxy:
    """Passes requests on to a store, and changes what a test wants to have changed."""

    def __init__(self, port: int) -> None:
        self.store = port
        self.open()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # head and body are two packets

            def log_message(self, *_: object) -> None: ...

            def pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                path = urlsplit(self.path).path
                if proxy.refuses(self.command, path):
                    status, text = proxy.refusal
                    text = b"" if self.command == "HEAD" else text
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text)
                    return
                if self.command == "PUT":
                    proxy.stored.append(path)
                    if proxy.cuts(self.command, path):
                        body = body[: len(body) // 2]
                names = ("content-length", "connection", "expect", "x-amz-checksum-crc32")
                headers = {k: v for k, v in self.headers.items() if k.lower() not in names}
                store = http.client.HTTPConnection("127.0.0.1", port)
                store.request(self.command, self.path, body, headers)
                answer = store.getresponse()
                data = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                length = answer.getheader("Content-Length", "0") if self.command == "HEAD" else str(len(data))
                self.send_header("Content-Length", length)
                self.end_headers()
                self.wfile.write(data)
                store.close()

        for method in ("GET", "PUT", "HEAD", "DELETE", "POST"):
            setattr(Handler, f"do_{method}", Handler.pass_on)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def open(self) -> None:
        """Change nothing."""
        self.cuts: Callable[[str, str], bool] = lambda method, path: False
        self.refuses: Callable[[str, str], bool] = lambda method, path: False
        self.refusal = (403, b"")
        self.stored: list[str] = []

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def running_proxy(store_port: int) -> Iterator[Proxy]:
    """A proxy before the object store."""
    made = Proxy(store_port)
    yield made
    made.close()


@pytest.fixture
def proxy(running_proxy: Proxy, store_keys: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy that changes nothing yet, before an object store in which there is one bucket."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{running_proxy.port}")
    reset(running_proxy.store)
    running_proxy.open()
    s3fs = needs("s3fs")
    s3fs.S3FileSystem().mkdir("videos")
    yield running_proxy
    s3fs.S3FileSystem().invalidate_cache()


def reset(port: int) -> None:
    """Remove all objects: the stores of a process share them."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/moto-api/reset")
    connection.getresponse().read()
    connection.close()


def objects() -> dict[str, bytes]:
    s3fs = needs("s3fs")
    files = s3fs.S3FileSystem()
    files.invalidate_cache()
    return {name: files.cat_file(name) for name in files.find("videos")}


RESULTS = {f"masks/{number}.png": bytes(range(100)) * (number + 1) for number in range(3)}


def test_files_that_a_proxy_cuts_once_are_uploaded_again(proxy: Proxy, tmp_path: Path) -> None:
    once = {f"/videos/out/a/{name}" for name in ("masks/1.png", RESULT)}

    def cut(method: str, path: str) -> bool:
        if path in once:
            once.remove(path)
            return True
        return False

    proxy.cuts = cut
    digest, _ = publish(work_with(tmp_path, RESULTS), "s3://videos/out", "a", "batch")

    there = objects()
    assert {name: there[f"videos/out/a/{name}"] for name in RESULTS} == RESULTS
    assert there[f"videos/out/a/{DONE}"] == digest.encode()
    assert not once


@pytest.mark.parametrize("cut", [RESULT, DONE])
def test_a_file_that_a_proxy_always_cuts_fails_its_video_until_the_proxy_is_mended(
    cut: str, proxy: Proxy, tmp_path: Path
) -> None:
    proxy.cuts = lambda method, path: path.endswith(cut)
    with pytest.raises(SinkError, match=r"s3://videos/out/a: .*arrived"):
        publish(work_with(tmp_path, RESULTS), "s3://videos/out", "a", "batch")
    assert f"videos/out/a/{DONE}" not in objects()

    proxy.cuts = lambda method, path: False
    publish(work_with(tmp_path, RESULTS), "s3://videos/out", "a", "batch")

    there = objects()
    assert {name: there[f"videos/out/a/{name}"] for name in RESULTS} == RESULTS
    assert f"videos/out/a/{DONE}" in there


@pytest.mark.usefixtures("workers_here")
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("bucket", "bucket does not exist"),
        ("read-only", "Forbidden"),
        ("down", "Could not connect"),
        ("cut", "other bytes arrived"),
    ],
)
def test_an_output_that_takes_nothing_ends_the_batch_before_its_first_video(
    fault: str,
    said: str,
    proxy: Proxy,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    runs_of_jobs: UseRun,
) -> None:
    video(tmp_path / "a.mp4", 2)
    computed: list[object] = []
    runs_of_jobs(lambda *job: computed.append(job))
    if fault == "read-only":
        proxy.refuses = lambda method, path: method == "PUT"
    elif fault == "cut":
        proxy.cuts = lambda method, path: True
    elif fault == "down":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        needs("s3fs").S3FileSystem.clear_instance_cache()
        request.addfinalizer(needs("s3fs").S3FileSystem.clear_instance_cache)
    place = "s3://none/out" if fault == "bucket" else "s3://videos/out"

    run = command("batch", "a.mp4", *JOB, "-o", place, "--workers", 1)

    assert run.code == 2
    assert run.complaint.startswith(f"error: {place}: results cannot be written there (")
    assert said in run.complaint
    assert computed == []


EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"


def test_keys_that_have_expired_are_named(proxy: Proxy, tmp_path: Path) -> None:
    """The first request of an upload and of a fetch is answered by a number alone."""
    proxy.refusal, proxy.refuses = (400, EXPIRED), lambda method, path: True
    with pytest.raises(SinkError, match=r"s3://videos/out/a: .*token has expired"):
        publish(work_with(tmp_path, RESULTS), "s3://videos/out", "a", "batch")
    with pytest.raises(SourceError, match=r"s3://videos/a\.mp4: .*token has expired"):
        fetch("s3://videos/a.mp4", tmp_path)


@pytest.mark.usefixtures("workers_here")
def test_the_summary_says_how_to_go_on_with_what_failed(
    proxy: Proxy, command: Command, tmp_path: Path
) -> None:
    video(tmp_path / "a.mp4", 2)
    proxy.refuses = lambda method, path: method == "PUT" and path.startswith("/videos/out/a/")
    run = command("batch", "a.mp4", *JOB, "-o", "s3://videos/out", "--workers", 1, "-q")
    assert run.code == 1
    assert "0 done, 1 failed" in run.out
    assert "--retry-failed" in run.out.splitlines()[-1]
    proxy.open()
    again = command("batch", "--retry-failed", *JOB, "-o", "s3://videos/out", "--workers", 1, "-q")
    assert (again.code, again.out) == (0, "0 queued, 0 running, 1 done, 0 failed\n")


def test_the_check_leaves_nothing_behind(proxy: Proxy) -> None:
    uploading.check_store("s3://videos/out")
    assert len([path for path in proxy.stored if path.startswith("/videos/out/")]) == 1
    assert objects() == {}


def test_a_store_that_does_not_answer_is_not_waited_for_for_ever(
    addresses_on: UseStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    never = threading.Event()

    class Silent(Store):
        def put_file(self, *_: Any, **__: Any) -> Any:
            never.wait()

        info = find = put_file

    addresses_on(Silent({}))
    monkeypatch.setattr(places, "ANSWER_SECONDS", 0.05)
    with pytest.raises(SinkError, match="s3://bucket: has not answered"):
        uploading.check_store("s3://bucket")
    with pytest.raises(SegueError, match=r"s3://bucket/videos: has not answered"):
        read_tasks(["s3://bucket/videos"])
    with pytest.raises(SegueError, match=r"s3://bucket/a\.mp4: has not answered"):
        remote_identity("s3://bucket/a.mp4")
    with pytest.raises(SegueError, match=r"s3://bucket/a\.mp4: has not answered"):
        fetch("s3://bucket/a.mp4", tmp_path)
    never.set()


def test_a_key_that_no_result_can_have_is_left_out_alone(
    addresses_on: UseStore, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = ("bucket/in/a.mp4", "bucket/in/../b.mp4", "bucket/in/d/e.mp4")

    class Keys(Store):
        def unstrip_protocol(self, name: str) -> str:
            return f"s3://{name}"

    addresses_on(Keys(dict.fromkeys(keys, b"")))
    assert [task.name for task in read_tasks(["s3://bucket/in"])] == ["a", "d/e"]
    assert "s3://bucket/in/../b.mp4" in capsys.readouterr().err


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    ("tags", "read"),
    [
        (lambda data: {"ETag": f'"{md5(data)}"'}, False),
        (lambda data: {"md5Hash": base64.b64encode(bytes.fromhex(md5(data))).decode()}, False),
        (lambda data: {"content_settings": {"content_md5": bytearray.fromhex(md5(data))}}, False),
        (lambda data: {"ETag": f'"{md5(data + b"key")}"'}, True),
        (lambda data: {"ETag": '"d41d8cd98f00b204e9800998ecf8427e-2"', "md5Hash": None}, True),
        (lambda data: {}, True),
    ],
    ids=["S3", "Google", "Azure", "encrypted by a key", "parts", "no tags"],
)
def test_content_is_read_back_only_where_a_store_tells_no_md5(
    tags: Callable[[bytes], dict[str, Any]], read: bool, tmp_path: Path, addresses_on: UseStore
) -> None:
    class Tagged(Store):
        def tags(self, data: bytes) -> dict[str, Any]:
            return tags(data)

    store = Tagged({})
    addresses_on(store)
    publish(work_with(tmp_path, {"0.png": b"1"}), "bucket://out", "a", "batch")
    assert ("bucket://out/a/0.png" in store.read) is read


def test_a_file_of_the_same_size_with_other_bytes_is_noticed(tmp_path: Path, addresses_on: UseStore) -> None:
    class Flips(Store):
        def put_file(self, path: str, name: str) -> None:
            super().put_file(path, name)
            if name.endswith("0.png"):
                self.objects[name] = bytes(255 - value for value in self.objects[name])

    store = Flips({})
    addresses_on(store)
    with pytest.raises(SinkError, match=r"0\.png: other bytes arrived"):
        publish(work_with(tmp_path, {"0.png": b"1", "1.png": b"2"}), "bucket://out", "a", "batch")
    assert f"bucket://out/a/{DONE}" not in store.objects


def test_a_local_folder_that_cannot_be_written_is_said_before_the_first_video(
    command: Command, tmp_path: Path
) -> None:
    video(tmp_path / "in/a.mp4", 2)
    for place in ("out", "scratch"):
        (tmp_path / place).write_text("a file")
        words = ("--scratch", "scratch") if place == "scratch" else ()
        run = command("batch", "in", *JOB, "-o", f"out-{place}" if words else "out", *words, "--workers", 1)
        assert run.code == 2
        assert f"{place}/" in run.complaint
        assert not list(tmp_path.rglob("masks"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_said_before_the_first_video(command: Command, tmp_path: Path) -> None:
    video(tmp_path / "in/inner/a.mp4", 2)
    (tmp_path / "out/inner").mkdir(parents=True)
    (tmp_path / "out/inner").chmod(0o500)
    run = command("batch", "in", *JOB, "-o", "out", "--workers", 1)
    assert run.code == 2
    assert "out/inner: no permission" in run.complaint
