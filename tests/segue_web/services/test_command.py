"""`segue serve` starts the server of a tool with what was asked for."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient

from tests.cli.running import Command
from tests.ports import free_port


@dataclass
class Served:
    """The servers of commands, none of which waits for requests."""

    apps: list[Any] = field(default_factory=list)
    places: list[Any] = field(default_factory=list)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    found = Served()

    def run(server: uvicorn.Server, sockets: list[socket.socket]) -> None:
        found.apps.append(server.config.app)
        found.places.extend(listener.getsockname() for listener in sockets)

    monkeypatch.setattr(uvicorn.Server, "run", run)
    return found


@pytest.mark.parametrize(("tool", "path"), [("label-studio", "/health"), ("x-anylabeling", "/v1/models")])
def test_the_server_of_a_tool_listens_and_answers(
    tool: str, path: str, tmp_path: Path, served: Served, command: Command
) -> None:
    port = free_port()
    ended = command(
        "serve", tool, "--port", str(port), "--media", str(tmp_path), "--prompter", "segue-prompt"
    )
    assert ended.code == 0
    assert f"{tool} finds segue at http://127.0.0.1:{port}" in ended.out
    assert served.places == [("127.0.0.1", port)]
    [app] = served.apps
    assert TestClient(app, f"http://127.0.0.1:{port}").get(path).json()
    refused = [
        TestClient(app, "http://evil.example").get(path),
        *(
            TestClient(app, f"http://localhost:{port}", headers=headers).post(path)
            for headers in ({"origin": f"http://127.0.0.1:{port}"}, {"sec-fetch-site": "cross-site"})
        ),
    ]
    assert [answer.status_code for answer in refused] == [403, 403, 403]
    assert "no network is called 'x'" in command("serve", tool, "--model", "x").complaint


def test_beyond_this_machine_it_is_said_how_the_token_is_encrypted(
    served: Served, command: Command, tmp_path: Path
) -> None:
    def serve(*words: str) -> Any:
        return command(
            "serve", "x-anylabeling", "--port", str(free_port()), "--prompter", "segue-prompt", *words
        )

    for named, words in (
        ("--certfile", ("--host", "0.0.0.0")),
        ("give --certfile", ("--keyfile", "key.pem")),
        ("--plain-http", ("--certfile", "cert.pem", "--plain-http")),
        (f"--certfile {tmp_path / 'none.pem'}", ("--certfile", str(tmp_path / "none.pem"))),
    ):
        assert named in serve(*words).complaint
    plain = serve("--host", "0.0.0.0", "--plain-http")
    assert plain.code == 0
    assert f"http://{socket.gethostname()}:" in plain.out
    assert "with the token" in plain.out
