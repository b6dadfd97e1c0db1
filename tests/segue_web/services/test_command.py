"""`segue serve` starts the server of a tool with what was asked for."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi.testclient import TestClient

from tests.cli.running import command_in


@pytest.mark.parametrize(("tool", "path"), [("label-studio", "/health"), ("x-anylabeling", "/v1/models")])
def test_the_server_of_a_tool_listens_and_answers(
    tool: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answers: list[Any] = []

    def run(server: uvicorn.Server, sockets: list[socket.socket]) -> None:
        assert [listener.getsockname() for listener in sockets] == [("127.0.0.1", port)]
        app = server.config.app
        answers.append(TestClient(app, f"http://127.0.0.1:{port}").get(path).json())  # type: ignore[arg-type]
        refused = [
            TestClient(app, "http://evil.example").get(path),  # type: ignore[arg-type]
            *(
                TestClient(app, f"http://localhost:{port}", headers=headers).post(path)  # type: ignore[arg-type]
                for headers in ({"origin": f"http://127.0.0.1:{port}"}, {"sec-fetch-site": "cross-site"})
            ),
        ]
        assert [answer.status_code for answer in refused] == [400, 403, 403]

    monkeypatch.setattr(uvicorn.Server, "run", run)
    command = command_in(monkeypatch, capsys)
    ended = command(
        "serve", tool, "--port", str(port), "--media", str(tmp_path), "--prompter", "segue-prompt"
    )
    assert ended.code == 0
    assert f"{tool} finds segue at http://127.0.0.1:{port}" in ended.out
    assert len(answers) == 1
    assert "no network is called 'x'" in command("serve", tool, "--model", "x").complaint


def test_beyond_this_machine_it_is_said_how_the_token_is_encrypted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(uvicorn.Server, "run", lambda *_, **__: None)
    command = command_in(monkeypatch, capsys)

    def serve(*words: str) -> Any:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        return command("serve", "x-anylabeling", "--port", port, "--prompter", "segue-prompt", *words)

    assert "--certfile" in serve("--host", "0.0.0.0").complaint
    assert "give --certfile" in serve("--keyfile", "key.pem").complaint
    assert "--plain-http" in serve("--certfile", "cert.pem", "--plain-http").complaint
    assert "no certificate" in serve("--certfile", str(tmp_path / "none.pem")).complaint
    plain = serve("--host", "0.0.0.0", "--plain-http")
    assert plain.code == 0
    assert "http://0.0.0.0" in plain.out
    assert "with the token" in plain.out
