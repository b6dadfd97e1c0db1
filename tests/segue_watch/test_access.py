"""Who may look at the page of cameras: passwords, tokens, links, and how it is encrypted."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from segue.errors import SegueError
from segue.jobs.values import ForegroundJob, Model, VideoSource
from segue.utils.access import certificate, encryption, hash_password
from segue_watch import access as visiting
from segue_watch.access import Access
from segue_watch.cameras import Camera
from segue_watch.configuration import read_cameras, read_file
from segue_watch.drawn import Change
from segue_watch.page import CameraPage
from tests.cli.running import Command

TOKEN, LOOK = "token-of-everything", "token-for-looking"
DOOR = {"previous": None, "new": "door=0,0 9,9"}
ACCESS = Access("anna", hash_password("sesame"), TOKEN, LOOK)

Ask = Callable[..., HTTPResponse]


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


def camera() -> Camera:
    job = ForegroundJob(source=VideoSource(place="0"), model=Model(name="median"))
    return Camera("yard", job, lambda *_: None, lambda _: None)


@pytest.fixture
def saved() -> list[Change]:
    return []


@pytest.fixture
def page(saved: list[Change]) -> Iterator[CameraPage]:
    with CameraPage([camera()], 0, lambda _, change: saved.append(change), access=ACCESS) as page:
        yield page


@pytest.fixture
def ask(page: CameraPage) -> Ask:
    """Asks as a browser at another name of this machine does."""

    def asked(path: str, headers: dict[str, str] | None = None, body: object = None) -> HTTPResponse:
        connection = HTTPConnection("127.0.0.1", urlsplit(page.address).port or 0, timeout=10)
        head = {"Host": "cameras.example", **(headers or {})}
        if body is None:
            connection.request("GET", path, headers=head)
        else:
            head |= {"Content-Type": "application/json", "Origin": "https://cameras.example"}
            connection.request("POST", path, json.dumps(body), head)
        return connection.getresponse()

    return asked


def test_only_those_with_a_password_or_token_may_look(ask: Ask) -> None:
    for path in ("/", "/states", "/metrics", "/events", "/static/watch.js", "/image/yard.jpg"):
        refused = ask(path)
        assert refused.status == 401
        assert (refused.headers["WWW-Authenticate"] or "").startswith("Basic")
    right = [
        basic("anna", "sesame"),
        basic("anna", "sesame"),
        basic("anybody", TOKEN),
        basic("anybody", LOOK),
        {"Authorization": f"Bearer {TOKEN}"},
        {"Token": TOKEN},
        {"Cookie": f"other=1; segue={LOOK}"},
    ]
    assert [ask("/states", headers).status for headers in right] == [200] * len(right)
    wrong = [basic("anna", "Sesame"), basic("bert", "sesame"), basic("anna", ""), {"Cookie": "segue="}]
    assert [ask("/states", headers).status for headers in wrong] == [401] * len(wrong)


def test_health_without_a_token_is_a_status_alone(ask: Ask) -> None:
    told = ask("/health")
    assert (told.status, told.read()) == (503, b"")
    assert json.loads(ask("/health", {"Token": LOOK}).read())["yard"]["status"] == "starting"


def test_a_link_for_looking_lets_nobody_change_anything(ask: Ask, saved: list[Change]) -> None:
    link = ask(f"/?token={LOOK}")
    assert (link.status, link.headers["Location"]) == (303, "./")
    cookie = (link.headers["Set-Cookie"] or "").partition(";")[0]
    assert b"data-look" in ask("/", {"Cookie": cookie}).read()
    assert ask("/zones/yard", {"Cookie": cookie}, DOOR).status == 403
    assert saved == []
    assert b"data-look" not in ask("/", basic("anna", "sesame")).read()
    assert ask("/zones/yard", basic("anna", "sesame"), DOOR).status == 204
    assert saved == [Change("zone", "", "door=0,0 9,9")]
    foreign = basic("anna", "sesame") | {"Host": "elsewhere.example"}
    assert ask("/zones/yard", foreign, []).status == 403


def test_passwords_cannot_be_tried_out(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask("/states", basic("anna", "sesame")).status == 200
    statuses = [ask("/states", basic("anna", str(number))).status for number in range(visiting.TRIES + 2)]
    assert statuses == [401] * visiting.TRIES + [429] * 2
    assert ask("/states", basic("anna", "sesame")).status == 200, "who is known is not locked out"
    monkeypatch.setattr(visiting, "TRY_SECONDS", 0.0)
    assert ask("/states", basic("anna", "x")).status == 401


@pytest.mark.parametrize(
    "table",
    [
        'user = "anna"',
        'user = "anna"\npassword = "sesame"',
        'token = "short"',
        "look = 1",
        'guest = "bert"',
    ],
)
def test_a_table_that_means_nothing_is_refused(tmp_path: Path, table: str) -> None:
    file = tmp_path / "cameras.toml"
    file.write_text(f'[page]\n{table}\n[cameras.yard]\nsource = "rtsp://127.0.0.1/yard"\n')
    with pytest.raises(SegueError, match="page"):
        read_cameras(file, tmp_path)


def test_a_page_that_others_reach_has_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cameras.toml"
    file.write_text('[page]\nlook = "${LOOK}"\n[cameras.yard]\nsource = "rtsp://127.0.0.1/yard"\n')
    monkeypatch.setenv("LOOK", LOOK)
    monkeypatch.delenv("SEGUE_TOKEN", raising=False)
    _, given = read_file(file, tmp_path)
    assert given == Access(look=LOOK)
    made, told = given.beyond("0.0.0.0")
    assert made.token == told
    assert len(told) > visiting.LEAST_TOKEN
    monkeypatch.setenv("SEGUE_TOKEN", TOKEN)
    assert given.beyond("0.0.0.0") == (Access(look=LOOK, token=TOKEN), "")
    assert ACCESS.beyond("0.0.0.0") == (ACCESS, "")
    assert Access().beyond("127.0.0.1")[0].is_open


def test_nothing_crosses_the_network_unencrypted_unless_told(command: Command, tmp_path: Path) -> None:
    with pytest.raises(SegueError, match="--certfile"):
        encryption("0.0.0.0", None, None, plain_http=False)
    assert encryption("0.0.0.0", None, None, plain_http=True) is None
    file = tmp_path / "cameras.toml"
    file.write_text('[cameras.yard]\nsource = "rtsp://127.0.0.1/yard"\n')
    assert "--plain-http" in command("watch", file, "--host", "0.0.0.0", "--port", "0").complaint


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pem")
    words = (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    try:
        subprocess.run(["openssl", *words.split(), *files], check=True, capture_output=True)
    except OSError:
        pytest.skip("openssl is not installed")
    return folder


def test_the_page_answers_by_https_and_waits_for_no_handshake(pem: Path) -> None:
    context = certificate(pem / "cert.pem", pem / "key.pem")
    with CameraPage([camera()], 0, access=ACCESS, encryption=context) as page:
        port = urlsplit(page.address).port or 0
        assert page.address.startswith("https://")
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
        begun = time.monotonic()
        trusted = ssl.create_default_context(cafile=str(pem / "cert.pem"))
        connection = HTTPSConnection("localhost", port, context=trusted, timeout=60)
        connection.request("GET", f"/?token={TOKEN}")
        answer = connection.getresponse()
        assert answer.status == 303
        assert "Secure" in (answer.headers["Set-Cookie"] or "")
        assert time.monotonic() - begun < 30
        for each in silent:
            each.close()
        plain = HTTPConnection("127.0.0.1", port, timeout=10)
        plain.request("GET", "/")
        with pytest.raises((OSError, HTTPException)):
            plain.getresponse()
