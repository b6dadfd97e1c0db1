"""Limits of requests, the token beyond this machine, and the end by Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

from segue_web.access.tries import MAX_TRIES
from segue_web.server.guard import Guard
from segue_web.server.kit import for_programs
from segue_web.services import requests
from segue_web.services.assistant import RequestError
from segue_web.services.label_studio import Tags, make_app
from segue_web.services.media import Media
from tests.cli.running import Command
from tests.ports import free_port
from tests.segue_web.services.images import assistant
from tests.waiting import wait_for


def test_large_requests_are_refused() -> None:
    client = TestClient(make_app(assistant(), Media()))
    for body in (b'{"tasks": [' + b"{}," * 200_000 + b"{}]}", b'{"tasks": "' + b"a" * (65 << 20) + b'"}'):
        assert (
            client.post("/predict", content=body, headers={"Content-Type": "application/json"}).status_code
            == 413
        )


@pytest.mark.parametrize("address", ["http://[", "http://x\n/", "/data/local-files/?d=" + "a" * 5000, "a\0b"])
def test_an_invalid_address_is_refused(address: str, tmp_path: Path) -> None:
    for place in (Media(tmp_path), Media(address="http://127.0.0.1:1")):
        with pytest.raises(RequestError), place.opened(address):
            pass


def test_entities_are_refused() -> None:
    bomb = '<!DOCTYPE v [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><View>&b;</View>'
    with pytest.raises(RequestError):
        Tags.of(bomb)


def test_a_download_ends_in_time() -> None:
    """A server that sends a byte now and then does not keep a thread."""
    start = time.monotonic()
    with Dripping() as address:
        opened = Media(address=address, download_seconds=0.3).opened("/slow.png")
        with pytest.raises(RequestError):
            opened.__enter__()
    assert time.monotonic() - start < 30


class Dripping:
    """A server that answers, and sends a byte every tenth of a second for ever; it counts who asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __enter__(self) -> str:
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._drip, args=(connection,), daemon=True).start()

    def _drip(self, connection: socket.socket) -> None:
        try:
            connection.recv(4096)
            self.asked += 1
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while True:
                connection.sendall(b"x")
                time.sleep(0.1)
        except OSError:
            return

    def __exit__(self, *_: object) -> None:
        self.listener.close()


def service(token: str) -> Guard:
    """A service beyond this machine."""
    app = Starlette()
    app.add_route("/health", lambda _: JSONResponse({}))
    return for_programs(app, token)


def test_beyond_this_machine_a_token_is_needed() -> None:
    client = TestClient(service("secret"))

    def status(**headers: str) -> int:
        return client.get("/health", headers=headers).status_code

    def basic(password: str) -> str:
        return "Basic " + b64encode(f"anybody:{password}".encode()).decode()

    assert status() == 401
    assert status(token="") == status(token="wrong") == status(authorization=basic("wrong")) == 401
    assert status(authorization="Basic %%%") == 401
    assert status(token="secret") == status(authorization="Bearer secret") == 200
    assert status(authorization=basic("secret")) == 200


def test_tokens_cannot_be_tried_out() -> None:
    app = service("right")
    mallory, anna = (TestClient(app, client=(address, 5)) for address in ("198.51.100.7", "203.0.113.9"))

    def status(client: TestClient, token: str) -> int:
        return client.get("/health", headers={"token": token}).status_code

    assert {status(mallory, "always the same") for _ in range(3 * MAX_TRIES)} == {401}
    assert [status(mallory, str(number)) for number in range(MAX_TRIES)] == [401] * (MAX_TRIES - 1) + [429]
    assert status(mallory, "right") == 429
    assert status(anna, "right") == 200


def test_a_token_that_can_be_guessed_is_refused(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_TOKEN", "1234")
    refused = command("serve", "label-studio", "--host", "0.0.0.0", "--plain-http").complaint
    assert "SEGUE_TOKEN is too short; give at least 16 characters" in refused
    assert "1234" not in refused


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="ends by a signal")
def test_ctrl_c_ends_the_service_while_downloads_hang_and_health_answers() -> None:
    port = free_port()
    config = """<View><Image name="image" value="$photo"/><BrushLabels name="mask" toName="image"/></View>"""
    region = {"type": "keypointlabels", "value": {"x": 1, "y": 1}}
    asked: dict[str, Any] = {
        "tasks": [{"data": {"photo": "/slow.png"}}],
        "label_config": config,
        "params": {"context": {"result": [region]}},
    }
    with (dripping := Dripping()) as address:
        command = [sys.executable, "-m", "segue", "serve", "label-studio", "--prompter", "segue-prompt"]
        service = subprocess.Popen(
            [*command, "--port", str(port), "--label-studio", address],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        try:
            assert service.stdout is not None
            assert b"finds segue" in service.stdout.readline()
            url = f"http://127.0.0.1:{port}"

            def post() -> None:
                try:
                    kind = {"Content-Type": "application/json"}
                    body = json.dumps(asked).encode()
                    request = urllib.request.Request(f"{url}/predict", body, kind)
                    urllib.request.urlopen(request, timeout=60)
                except OSError:
                    return

            for _ in range(3 * requests.MAX_PARALLEL):
                threading.Thread(target=post, daemon=True).start()
            wait_for(lambda: dripping.asked)
            with urllib.request.urlopen(f"{url}/health", timeout=30) as answer:
                assert answer.status == 200
            start = time.monotonic()
            service.send_signal(signal.SIGINT)
            service.wait(60)
            assert time.monotonic() - start < 30
        finally:
            service.kill()
            service.wait()
