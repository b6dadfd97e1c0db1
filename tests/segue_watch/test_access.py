"""Who may look at the page of cameras: passwords, tokens, links, and how it is encrypted."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.responses import Response
from starlette.types import Message

from segue.errors import SegueError
from segue.jobs.values import ForegroundJob, Model, VideoSource
from segue_watch.camera import Camera
from segue_watch.configuration import read_cameras, read_file
from segue_watch.drawn import Change
from segue_watch.log import CameraWarning
from segue_watch.web.page import CameraPage
from segue_web.access.addresses import page_host, sender_of
from segue_web.access.authentication import SESSION, Authenticator, Credential
from segue_web.access.encryption import certificate, encryption
from segue_web.access.passwords import MIN_TOKEN, hash_password, is_password
from segue_web.access.table import Access, User
from segue_web.access.tries import MAX_TRIES, Tries
from segue_web.server.guard import Guard
from tests.cli.running import Command

TOKEN, LOOK = "token-of-everything", "token-for-looking"
DOOR = {"previous": None, "new": "door=0,0 9,9"}


def quick_hash(password: str) -> str:
    """The hash of an earlier version, which costs a fifth."""
    key = hashlib.scrypt(password.encode(), salt=bytes(16), n=1 << 14, r=8, p=1, dklen=32)
    return ":".join(["scrypt", *(base64.urlsafe_b64encode(part).decode() for part in (bytes(16), key))])


ANNA, BERT = User("anna", quick_hash("sesame")), User("bert ö.", hash_password("open"), "look")
ACCESS = Access((ANNA,), TOKEN, LOOK)

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
        {"Cookie": f"other=1; {cookies_of(ask(f'/?token={LOOK}'))}"},
    ]
    assert [ask("/states", headers).status for headers in right] == [200] * len(right)
    wrong = [basic("anna", "Sesame"), basic("bert", "sesame"), basic("anna", ""), {"Cookie": f"{SESSION}="}]
    assert [ask("/states", headers).status for headers in wrong] == [401] * len(wrong)


def test_health_without_a_token_is_a_status_alone(ask: Ask) -> None:
    told = ask("/health")
    assert (told.status, told.read()) == (503, b"")
    assert json.loads(ask("/health", {"Token": LOOK}).read())["yard"]["status"] == "starting"


def test_a_link_for_looking_lets_nobody_change_anything(ask: Ask, saved: list[Change]) -> None:
    link = ask(f"/?token={LOOK}")
    assert (link.status, link.headers["Location"]) == (303, "./")
    cookie = cookies_of(link)
    assert b"data-look" in ask("/", {"Cookie": cookie}).read()
    assert ask("/zones/yard", {"Cookie": cookie}, DOOR).status == 403
    assert saved == []
    assert b"data-look" not in ask("/", basic("anna", "sesame")).read()
    assert ask("/zones/yard", basic("anna", "sesame"), DOOR).status == 204
    assert saved == [Change("zone", "", "door=0,0 9,9")]
    foreign = basic("anna", "sesame") | {"Host": "elsewhere.example"}
    assert ask("/zones/yard", foreign, []).status == 403


def test_several_users_have_names_of_their_own(ask: Ask, page: CameraPage, saved: list[Change]) -> None:
    page.authenticator.access = Access((ANNA, BERT), TOKEN)
    anna, bert = (cookies_of(ask("/", basic(*each))) for each in (("anna", "sesame"), (BERT.name, "open")))
    assert (may(ask, anna), may(ask, bert)) == ("change", "look")
    assert ask("/zones/yard", {"Cookie": bert}, DOOR).status == 403
    assert ask("/zones/yard", {"Cookie": anna}, DOOR).status == 204
    assert [ask("/states", basic(user, "open")).status for user in ("anna", "carla")] == [401, 401]
    forged = bert.replace("bert%20%C3%B6.", "anna")
    assert forged != bert
    assert ask("/states", {"Cookie": forged}).status == 401
    page.authenticator.access = Access((ANNA, replace(BERT, password=hash_password("shut"))), TOKEN)
    assert ask("/states", {"Cookie": bert}).status == 401, "his password has changed"
    assert ask("/states", {"Cookie": anna}).status == 200, "hers has not"


def test_users_stand_in_the_file(tmp_path: Path) -> None:
    file, camera = tmp_path / "cameras.toml", '[cameras.yard]\nsource = "rtsp://127.0.0.1/yard"\n'
    bert = f'{{ password = "{BERT.password}", may = "look" }}'
    file.write_text(f'[page.users]\nanna = "{ANNA.password}"\n"{BERT.name}" = {bert}\n{camera}')
    assert read_file(file, tmp_path)[1] == Access((ANNA, BERT))
    file.write_text(f'[page]\nuser = "anna"\npassword = "{ANNA.password}"\n{camera}')
    assert read_file(file, tmp_path)[1] == Access((ANNA,))
    assert Access((ANNA,)).changes(Access((replace(ANNA, permission="look"), BERT))) == (
        f"user anna changed, user {BERT.name} removed"
    )


def test_hashes_of_passwords_have_the_costs_that_owasp_recommends() -> None:
    """https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#scrypt"""
    kind, *parts = hash_password("sesame").split(":")
    salt, key = (base64.urlsafe_b64decode(part) for part in parts)
    assert (kind, key) == ("scrypt5", hashlib.scrypt(b"sesame", salt=salt, n=1 << 14, r=8, p=5, dklen=32))
    assert is_password("sesame", quick_hash("sesame")), "earlier hashes stay valid"
    assert not is_password("Sesame", quick_hash("sesame"))
    assert not is_password("", None)


def cookies_of(answer: HTTPResponse, earlier: str = "") -> str:
    """What a browser sends from now on that had sent earlier cookies."""
    cookies = dict(each.split("=", 1) for each in earlier.split("; ") if each)
    for cookie in answer.headers.get_all("Set-Cookie") or []:
        name, _, value = cookie.partition(";")[0].partition("=")
        cookies[name] = value
    return "; ".join(f"{name}={value}" for name, value in cookies.items())


def may(ask: Ask, cookies: str) -> str:
    """What a browser may do with its cookies."""
    answer = ask("/", {"Cookie": cookies})
    assert answer.status == 200
    return "look" if b"data-look" in answer.read() else "change"


def test_passwords_cannot_be_tried_out(ask: Ask, page: CameraPage) -> None:
    assert ask("/states", basic("anna", "sesame")).status == 200
    statuses = [ask("/states", basic("anna", str(number))).status for number in range(MAX_TRIES + 2)]
    assert statuses == [401] * MAX_TRIES + [429] * 2
    assert ask("/states", basic("anna", "0")).status == 401, "it was told that this one is wrong"
    assert ask("/states", basic("anna", "sesame")).status == 429, "nobody finds the right one"
    assert ask("/states", {"Token": TOKEN}).status == 429
    page.authenticator.tries.seconds = 0.0
    assert ask("/states", basic("anna", "sesame")).status == 200


def test_tokens_cannot_be_tried_out_either_not_even_by_those_who_may_look(ask: Ask) -> None:
    cookie = cookies_of(ask(f"/?token={LOOK}"))
    ways: tuple[Callable[[str], HTTPResponse], ...] = (
        lambda token: ask(f"/?token={token}", {"Cookie": cookie}),
        lambda token: ask("/", {"Cookie": cookie, "Authorization": f"Bearer {token}"}),
        lambda token: ask("/", {"Cookie": cookie, "Token": token}),
    )
    for number in range(MAX_TRIES):
        ways[number % len(ways)](f"guess-of-a-token-{number}")
    for way in ways:
        assert may(ask, cookies_of(way(TOKEN), cookie)) == "look", "the right one is not found any more"
    assert may(ask, cookie) == "look", "who may look still may"
    assert may(ask, cookies_of(ask(f"/?token={LOOK}", {"Cookie": cookie}), cookie)) == "look"
    assert ask(f"/?token={TOKEN}").status == 303, "others are not locked out"


@pytest.mark.parametrize("others", ['prefs={"theme":"dark"}', "name=José", "flag", "a=b c; d", "=;;"])
def test_cookies_of_other_programs_of_the_host_take_no_session_away(ask: Ask, others: str) -> None:
    cookie = cookies_of(ask(f"/?token={TOKEN}"))
    headers = {"Cookie": f"{others}; {cookie}; z=1".encode().decode("latin-1")}
    assert ask("/states", headers).status == 200


def test_servers_of_one_host_have_sessions_of_their_own(ask: Ask, page: CameraPage) -> None:
    """Browsers send the cookies of a host to all its ports."""
    cookie = cookies_of(ask(f"/?token={TOKEN}"))
    port = urlsplit(page.address).port
    assert cookie.startswith(f"{SESSION}-{port}=")
    other = cookie.replace(f"-{port}=", "-1=")[:-3] + "000"
    assert may(ask, f"{other}; {cookie}") == "change"


def test_a_viewer_signs_in_with_a_password_and_out(ask: Ask) -> None:
    looking = cookies_of(ask(f"/?token={LOOK}"))
    assert may(ask, looking) == "look"
    for name in ("/login", "/login.js", "/login.css"):
        assert ask(name).status == 200
    wrong = ask("/login", {"Cookie": looking}, {"user": "anna", "password": "Sesame"})
    assert (wrong.status, cookies_of(wrong)) == (401, "")
    right = ask("/login", {"Cookie": looking}, {"user": "anna", "password": "sesame"})
    assert right.status == 204
    session = cookies_of(right, looking)
    assert may(ask, session) == "change"
    assert "max-age" not in (right.headers["Set-Cookie"] or "").lower(), "a closed browser forgets it"
    gone = ask("/logout", {"Cookie": session}, {})
    assert gone.status == 204
    assert all("Max-Age=0" in each for each in gone.headers.get_all("Set-Cookie") or [""])
    assert ask("/states").status == 401


@pytest.mark.parametrize(
    "body", [{}, {"user": "anna"}, {"user": 1, "password": "x"}, [], {"user": "x" * 20_000}]
)
def test_an_invalid_user_or_password_signs_nobody_in(ask: Ask, body: object) -> None:
    answer = ask("/login", None, body)
    assert (answer.status, cookies_of(answer)) == (400, "")


def test_wrong_passwords_of_the_page_to_sign_in_are_counted(ask: Ask) -> None:
    tries = [ask("/login", None, {"user": "anna", "password": f"{n}"}).status for n in range(MAX_TRIES + 1)]
    assert tries == [401] * MAX_TRIES + [429]


def test_a_foreign_page_signs_nobody_in(ask: Ask) -> None:
    foreign = {"Host": "elsewhere.example"}
    assert ask("/login", foreign, {"user": "anna", "password": "sesame"}).status == 403
    assert ask("/logout", foreign, {}).status == 403


def test_a_wrong_link_leaves_a_session_as_it_is(ask: Ask) -> None:
    cookie = cookies_of(ask(f"/?token={TOKEN}"))
    for link in ("wrong-token-of-somebody", LOOK):
        answer = ask(f"/?token={link}", {"Cookie": cookie})
        assert (answer.status, answer.headers["Location"]) == (303, "./")
        cookie = cookies_of(answer, cookie)
        assert may(ask, cookie) == "change"
    looking = cookies_of(ask(f"/?token={LOOK}"))
    assert may(ask, cookies_of(ask(f"/?token={TOKEN}", {"Cookie": looking}), looking)) == "change"
    assert ask("/?token=wrong-token-of-somebody").status == 401


def test_a_page_with_a_token_that_is_gone_locks_nobody_out(ask: Ask, page: CameraPage) -> None:
    """It asks every second, always with the same token."""
    cookie = cookies_of(ask(f"/?token={TOKEN}"))
    stale = {"Cookie": f"{SESSION}=token.99999999999.{'0' * 64}"}
    assert {ask("/states", stale).status for _ in range(3 * MAX_TRIES)} == {401}
    assert ask("/states", basic("anna", "sesame")).status == 200
    for number in range(MAX_TRIES):
        ask("/states", {"Token": f"guess-of-a-token-{number}"})
    assert ask("/states", {"Token": TOKEN}).status == 429
    assert {ask("/states", {"Cookie": cookie}).status for _ in range(5)} == {200}
    page.authenticator.access = Access((ANNA,), "another-token-of-all")
    assert ask("/states", {"Cookie": cookie}).status == 401, "what it proves is that it was right"


def test_many_right_requests_at_one_moment_are_all_answered(ask: Ask) -> None:
    answers: list[int] = []

    def send() -> None:
        answers.append(ask("/states", basic("anna", "sesame")).status)

    threads = [threading.Thread(target=send) for _ in range(2 * MAX_TRIES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [200] * len(threads)


def test_behind_a_trusted_proxy_tries_are_counted_by_the_addresses_of_people(
    ask: Ask, page: CameraPage
) -> None:
    def tries(address: str, number: int) -> list[int]:
        """Statuses of so many wrong passwords that a proxy passes on."""
        heads = [basic("anna", f"{address}-{each}") | {"X-Forwarded-For": address} for each in range(number)]
        return [ask("/states", head).status for head in heads]

    anna = basic("anna", "sesame")
    with pytest.warns(CameraWarning, match=r"proxies = \["):
        assert tries("198.51.100.7", MAX_TRIES + 1)[-1] == 429
    assert ask("/states", anna | {"X-Forwarded-For": "203.0.113.9"}).status == 429, "no proxy is trusted"
    page.authenticator.access = replace(ACCESS, proxies=("127.0.0.1", "10.0.0.0/8"))
    page.authenticator.tries = Tries()
    assert tries("198.51.100.7", MAX_TRIES + 1) == [401] * MAX_TRIES + [429]
    for forwarded in ("203.0.113.9", "198.51.100.7, 203.0.113.9:5000", "198.51.100.7,203.0.113.9, 10.1.2.3"):
        assert ask("/states", anna | {"X-Forwarded-For": forwarded}).status == 200
    for forwarded in ("198.51.100.7", "203.0.113.9, 198.51.100.7", "1.2.3.4, 198.51.100.7,10.0.0.1"):
        assert ask("/states", anna | {"X-Forwarded-For": forwarded}).status == 429


def test_addresses_of_a_network_of_ipv6_are_one_sender() -> None:
    assert sender_of("2001:db8::1") == sender_of("2001:db8::ffff:1") != sender_of("2001:db8:0:1::1")
    assert sender_of("::ffff:198.51.100.7") == sender_of("198.51.100.7") == "198.51.100.7"


@pytest.mark.parametrize(
    ("peer", "forwarded", "sender"),
    [
        ("::ffff:10.0.0.1", "[2001:db8::1]:443", "2001:db8::/64"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.1.2.3", "198.51.100.7", "198.51.100.7"),
        ("11.0.0.1", "198.51.100.7", "11.0.0.1"),
    ],
)
def test_a_trusted_proxy_says_where_a_request_comes_from(peer: str, forwarded: str, sender: str) -> None:
    """Wrong tokens of one address are refused, and those of others go on."""
    authenticator = Authenticator(replace(ACCESS, proxies=("10.0.0.7/8",)))
    for number in range(MAX_TRIES):
        authenticator.visit([Credential("", f"wrong {number}")], "", sender)

    headers = {"token": "another", "x-forwarded-for": forwarded}
    assert _answered(authenticator, peer, headers)["status"] == 429


@pytest.mark.parametrize(("peer", "is_secure"), [("10.0.0.1", True), ("11.0.0.1", False)])
def test_a_session_is_secure_where_a_trusted_proxy_encrypts(peer: str, is_secure: bool) -> None:
    authenticator = Authenticator(replace(ACCESS, proxies=("10.0.0.0/8",)))
    start = _answered(authenticator, peer, {"token": TOKEN, "x-forwarded-proto": "https"})
    (cookie,) = (value for name, value in start["headers"] if name == b"set-cookie")
    assert (b"Secure" in cookie) is is_secure


def _answered(authenticator: Authenticator, peer: str, headers: dict[str, str]) -> Message:
    """The start of the answer to a request from an address."""
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": raw}
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Guard(Response("here"), authenticator)(scope | {"client": (peer, 1)}, _nothing, send))
    return sent[0]


async def _nothing() -> Message:
    return {"type": "http.request"}


@pytest.mark.parametrize(
    "table",
    [
        'user = "anna"',
        'user = "anna"\npassword = "sesame"',
        'token = "short"',
        'proxies = "127.0.0.1"',
        'proxies = ["proxy.example"]',
        "look = 1",
        'guest = "bert"',
        'users = ["bert"]',
        'users = { bert = "sesame" }',
        'users = { bert = { may = "look" } }',
        'users = { "be:rt" = "HASH" }',
        'users = { bert = { password = "HASH", may = "sing" } }',
        'user = "bert"\npassword = "HASH"\nusers = { bert = "HASH" }',
    ],
)
def test_a_table_that_means_nothing_is_refused(tmp_path: Path, table: str) -> None:
    file = tmp_path / "cameras.toml"
    table = table.replace("HASH", ANNA.password)
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
    made, told = given.for_host("0.0.0.0")
    assert made.token == told
    assert len(told) > MIN_TOKEN
    assert given.for_host("0.0.0.0", printed=told) == (made, told)
    monkeypatch.setenv("SEGUE_TOKEN", TOKEN)
    assert given.for_host("0.0.0.0") == (Access(look=LOOK, token=TOKEN), "")
    assert ACCESS.for_host("0.0.0.0") == (ACCESS, "")
    assert Access().for_host("127.0.0.1")[0].is_open


def test_network_access_needs_encryption_or_plain_http(command: Command, tmp_path: Path) -> None:
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
        connection.close()
        for each in silent:
            each.close()
        plain = HTTPConnection("127.0.0.1", port, timeout=10)
        plain.request("GET", "/")
        with pytest.raises((OSError, HTTPException)):
            plain.getresponse()


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("0.0.0.0", socket.gethostname()),
        ("::", socket.gethostname()),
        ("cameras.example", "cameras.example"),
        ("fe80::1", "[fe80::1]"),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
def test_the_address_of_a_server_can_be_opened(host: str, shown: str) -> None:
    assert page_host(host) == shown
