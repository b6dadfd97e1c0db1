"""Half requests, malformed and dripping ones cost their sender the connection, and nobody else anything."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from segue.errors import SegueError
from segue.utils.cancel import CancelToken
from segue.video.decoding.readers import LoadCancelledError
from segue_web.access.encryption import certificate
from segue_web.server.address import listening
from segue_web.server.kit import SentFile, for_programs, quiet_server
from segue_web.server.server import MAX_DECODED_FRAMES, make_app
from segue_web.server.slow_clients import PatientProtocol
from segue_web.services.label_studio import make_app as make_service
from segue_web.services.media import Media
from segue_web.video import Video
from segue_web.viewing import ViewBackend
from tests.segue_web.services.images import assistant
from tests.segue_web.videos import numbered, write_video

Serve = Callable[..., "Server"]


class Server:
    """A server in a thread, and what a test says to it."""

    def __init__(self, app: ASGIApp, encryption: ssl.SSLContext | None = None, **limits: Any) -> None:
        listener = listening("127.0.0.1", 0)
        self.port = listener.getsockname()[1]
        self._server = quiet_server(app, encryption, **limits)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]})
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    @contextmanager
    def client(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            yield connection

    def answer(self, *pieces: bytes) -> bytes:
        """The first line of the answer to pieces of a request, or nothing if the connection is closed."""
        with self.client() as connection:
            try:
                for piece in pieces:
                    connection.sendall(piece)
                return connection.makefile("rb").readline()
            except ConnectionError:
                return b""

    def health(self) -> bytes:
        return self.answer(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(app: ASGIApp, encryption: ssl.SSLContext | None = None, **limits: Any) -> Server:
            server = Server(app, encryption, **limits)
            stack.callback(server.close)
            return server

        yield start


def with_limits(serve: Serve, **limits: float) -> Server:
    """A service whose protocol waits as long as the limits say."""
    app = for_programs(make_service(assistant(), Media()), None)
    return serve(app, limit_concurrency=10, http=type("Protocol", (PatientProtocol,), limits))


@pytest.fixture
def service(serve: Serve) -> Server:
    return with_limits(serve)


@pytest.fixture
def page(serve: Serve, tmp_path: Path) -> Server:
    return serve(make_app(showing(Video(write_video(tmp_path / "video.mp4", numbered(2)))), "secret"))


def showing(video: Video) -> ViewBackend:
    """The backend of a page that is not asked for results."""
    backend = ViewBackend.__new__(ViewBackend)
    backend.video, backend._requests, backend.send = video, {}, lambda _: None
    backend.open = backend.close = lambda: None  # type: ignore[method-assign]
    return backend


def test_frames_that_nobody_waits_for_any_more_are_not_decoded(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    arrived, at_work, go_on = threading.Semaphore(0), threading.Semaphore(0), threading.Event()

    class Slow(Video):
        def jpeg(self, index: int, **_: Any) -> bytes:  # type: ignore[override]
            decoded.append(index)
            at_work.release()
            go_on.wait(60)
            return b"image"

    video = Slow(write_video(tmp_path / "video.mp4", numbered(31)))
    backend = showing(video)

    def shown(_: int | None) -> Video:
        arrived.release()
        return video

    backend.shown = shown  # type: ignore[method-assign]
    server = serve(make_app(backend, "secret"))

    def asks(stack: ExitStack, index: int) -> socket.socket:
        connection = stack.enter_context(server.client())
        request = f"GET /secret/frame/{index}.jpg HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n"
        connection.sendall(request.encode())
        assert arrived.acquire(timeout=60)
        return connection

    with ExitStack() as stack:
        first = [asks(stack, index) for index in range(MAX_DECODED_FRAMES)]
        for _ in first:
            assert at_work.acquire(timeout=60)
        with ExitStack() as left:
            for index in range(20, 26):
                asks(left, index)
        last = asks(stack, 30)
        go_on.set()
        for connection in (*first, last):
            assert connection.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"
    assert [*sorted(decoded[:MAX_DECODED_FRAMES]), *decoded[MAX_DECODED_FRAMES:]] == [
        *range(MAX_DECODED_FRAMES),
        30,
    ]


def test_a_frame_that_is_decoded_is_given_up_when_its_client_goes(serve: Serve, tmp_path: Path) -> None:
    at_work, given_up = threading.Event(), threading.Event()

    class Waiting(Video):
        def jpeg(self, index: int, *, cancel: CancelToken | None = None, **_: Any) -> bytes:  # type: ignore[override]
            assert cancel is not None
            cancel.on_cancel(given_up.set)
            at_work.set()
            assert given_up.wait(60)
            raise LoadCancelledError

    server = serve(make_app(showing(Waiting(write_video(tmp_path / "video.mp4", numbered(2)))), "secret"))
    with server.client() as client:
        client.sendall(b"GET /secret/frame/0.jpg HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % server.port)
        assert at_work.wait(60)
        assert not given_up.is_set()
    assert given_up.wait(60)
    with server.client() as other:
        other.sendall(b"GET /secret/ HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % server.port)
        assert other.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"


HEAD = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
HALVES = (
    b"",
    b"POST /pre",
    HEAD,
    HEAD + b"Content-Length: 100\r\n\r\n{",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
)


def test_half_sent_requests_take_no_place_from_others(serve: Serve) -> None:
    service = with_limits(serve)
    for half in HALVES:
        with ExitStack() as stack:
            for _ in range(25):
                stack.enter_context(service.client()).sendall(half)
            for _ in range(3):
                assert service.health() == b"HTTP/1.1 200 OK\r\n", half


def test_clients_beyond_the_limit_get_status_503_while_all_are_busy(serve: Serve) -> None:
    app, at_work, go_on = Starlette(), threading.Semaphore(0), threading.Event()

    def work(_: Request) -> Response:
        at_work.release()
        go_on.wait()
        return Response()

    app.add_route("/work", work)
    app.add_route("/health", lambda _: Response())
    server = serve(app, limit_concurrency=2)
    with server.client() as first, server.client() as second:
        for client in (first, second):
            client.sendall(b"GET /work HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            at_work.acquire()
        assert server.health() == b"HTTP/1.1 503 Service Unavailable\r\n"
        go_on.set()
        for client in (first, second):
            assert client.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"


def test_the_rest_of_a_request_is_waited_for_so_long(serve: Serve) -> None:
    service = with_limits(serve, look_seconds=0.05, head_seconds=0.2, body_seconds=0.2)
    with ExitStack() as stack:
        clients = [stack.enter_context(service.client()) for _ in HALVES]
        for client, half in zip(clients, HALVES, strict=True):
            client.sendall(half)
        for client, half in zip(clients, HALVES, strict=True):
            with suppress(ConnectionError):
                assert client.recv(100) == b"", half


def test_a_head_that_drips_in_for_ever_is_cut_off(serve: Serve) -> None:
    service = with_limits(serve, look_seconds=0.02, head_seconds=0.3)

    def drip(client: socket.socket) -> None:
        client.settimeout(0.02)
        client.sendall(HEAD)
        for number in range(1000):
            client.sendall(b"X-%d: 1\r\n" % number)
            with suppress(TimeoutError):
                client.recv(100)

    with service.client() as client, pytest.raises(ConnectionError):
        drip(client)


def test_a_large_body_may_take_its_time(serve: Serve) -> None:
    """Its time grows with what has come."""
    service = with_limits(serve, look_seconds=0.02, body_seconds=0.1, body_rate=1000)
    come = threading.Event()
    body = b'{"tasks": "' + b"a" * 5000 + b'"}'
    with service.client() as client:
        client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body[:-1])
        come.wait(0.5)  # longer than a body without bytes would have
        client.sendall(body[-1:])
        assert client.makefile("rb").readline() == b"HTTP/1.1 400 Bad Request\r\n"


@pytest.mark.parametrize("head", [b"", b"Connection: close\r\n"], ids=["kept", "closed"])
def test_clients_that_do_not_read_their_answer_are_dropped(serve: Serve, head: bytes) -> None:
    app, size = Starlette(), 50_000_000
    app.add_route("/image", lambda _: Response(bytes(size)))
    protocol = type("Protocol", (PatientProtocol,), {"look_seconds": 0.05, "answer_seconds": 0.3})
    server = serve(app, http=protocol)
    ended = threading.Event()
    drop = protocol._drop

    def dropped(self: PatientProtocol) -> None:
        drop(self)
        ended.set()

    protocol._drop = dropped
    with server.client() as client:
        client.sendall(b"GET /image HTTP/1.1\r\nHost: 127.0.0.1\r\n" + head + b"\r\n")
        assert ended.wait(20)
        taken = 0
        with suppress(ConnectionError):
            while part := client.recv(1 << 20):
                taken += len(part)
        assert taken < size


def test_a_slow_reader_gets_all_of_a_file(serve: Serve, tmp_path: Path) -> None:
    """Each part of it has the time."""
    app, size = Starlette(), 8_000_000
    (tmp_path / "clip.mp4").write_bytes(bytes(size))
    app.add_route("/clip", lambda _: SentFile(tmp_path / "clip.mp4"))
    server = serve(
        app, http=type("Protocol", (PatientProtocol,), {"look_seconds": 0.05, "answer_seconds": 2})
    )
    with server.client() as client:
        client.sendall(b"GET /clip HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        taken = 0
        while part := client.recv(1 << 19):
            taken += len(part)
            threading.Event().wait(0.05)
    assert taken > size


def test_a_file_that_is_deleted_when_it_is_asked_for_is_not_there(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app, path = Starlette(), tmp_path / "clip.mp4"
    path.write_bytes(bytes(1000))
    stat = path.stat()
    path.unlink()
    for answer in (SentFile(path), SentFile(path, stat_result=stat)):
        app.add_route(f"/{id(answer)}", lambda _, answer=answer: answer)
        head = f"GET /{id(answer)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        assert serve(app).answer(head) == b"HTTP/1.1 404 Not Found\r\n"
    assert not caplog.records


MALFORMED = {
    "chunk": b"Transfer-Encoding: chunked\r\n\r\nZZZ\r\nabc\r\n",
    "second chunk": b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\nQ\r\n",
    "end of a chunk": b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcdeXX",
    "length": b"Content-Length: -5\r\n\r\nabc",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
}


ODD = (b"OPTIONS * HTTP/1.1", b"GET x HTTP/1.1", b"GET http://[ HTTP/1.1", b"GET /%ff%fe HTTP/1.1")


@pytest.mark.parametrize(
    ("which", "begin"),
    [("service", b"/predict"), ("page", b"/secret/import/a.png")],
)
def test_malformed_requests_and_odd_paths_are_refused_without_a_traceback(
    which: str, begin: bytes, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    server = request.getfixturevalue(which)
    head = b" HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if which == "page":
        head += b"Origin: http://127.0.0.1\r\n"
    with caplog.at_level(logging.DEBUG):
        malformed = {kind: server.answer(b"POST " + begin + head + rest) for kind, rest in MALFORMED.items()}
        odd = {line: server.answer(line + b"\r\nHost: 127.0.0.1\r\n\r\n") for line in ODD}
        server.close()  # when all is done
    assert {answer.split()[1] for answer in malformed.values()} == {b"400"}, malformed
    assert {answer.split()[1] for answer in odd.values()} <= {b"400", b"403", b"404"}, odd
    assert not [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]


def test_a_client_that_goes_away_within_its_body_leaves_no_traceback(
    page: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with page.client() as client:
        client.sendall(
            b"POST /secret/import/a.png HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\n"
            b"Content-Length: 100\r\n\r\nabc"
        )
    page.close()
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("which", ["service", "page"])
def test_half_bodies_leave_no_traceback_when_the_server_ends(
    which: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    server = request.getfixturevalue(which)
    path = b"/predict" if which == "service" else b"/secret/import/a.png"
    head = b"POST " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n"
    with ExitStack() as stack:
        clients = [stack.enter_context(server.client()) for _ in range(8)]
        for client in clients:
            origin = b"Origin: http://127.0.0.1\r\n" if which == "page" else b""
            client.sendall(head + origin + b"\r\n{")
        server.health()  # all of it has come
        server.close()
        assert [client.recv(100) for client in clients] == [b""] * len(clients)
    assert not caplog.records


def test_a_request_that_is_computed_when_the_server_ends_is_refused(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    app, begun = Starlette(), threading.Event()

    async def health(_: Request) -> Response:
        begun.set()
        await asyncio.Event().wait()
        return Response()

    app.add_route("/health", health)
    server = serve(app, timeout_graceful_shutdown=0)
    with server.client() as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert begun.wait(20)
        server.close()
        assert client.recv(100).startswith(b"HTTP/1.1 503 ")
    assert not [record for record in caplog.records if record.exc_info]


def test_a_malformed_chunk_after_the_answer_closes_the_connection(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer came before the body was read: a second one cannot be sent."""
    app = for_programs(make_service(assistant(), Media()), "secret")
    server = serve(app)
    with server.client() as client:
        stream = client.makefile("rb")
        client.sendall(CHUNKED + b"5\r\nabcde\r\n")
        assert stream.readline() == b"HTTP/1.1 401 Unauthorized\r\n"
        client.sendall(b"ZZZ\r\n")
        stream.read()  # until the connection ends
    server.close()
    assert not [record for record in caplog.records if record.exc_info]


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificate of this machine and its key."""
    folder = tmp_path_factory.mktemp("pem")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1"
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    try:
        subprocess.run(["openssl", *words.split(), *files], cwd=folder, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not there")
    return folder


def test_a_certificate_encrypts_the_token(pem: Path, serve: Serve) -> None:
    app = for_programs(make_service(assistant(), Media()), "secret")
    server = serve(app, certificate(pem / "cert.pem", pem / "key.pem"))
    trusting = ssl.create_default_context(cafile=str(pem / "cert.pem"))
    asked = urllib.request.Request(f"https://127.0.0.1:{server.port}/health", headers={"Token": "secret"})
    with urllib.request.urlopen(asked, context=trusting) as answer:
        assert answer.status == 200
    assert server.health() == b"", "no answer without encryption"


def test_handshakes_take_no_place_from_others_and_end(pem: Path, serve: Serve) -> None:
    app = for_programs(make_service(assistant(), Media()), "secret")
    protocol = type("Protocol", (PatientProtocol,), {"look_seconds": 0.05, "head_seconds": 2})
    context = certificate(pem / "cert.pem", pem / "key.pem")
    server = serve(app, context, limit_concurrency=5, http=protocol)
    trusting = ssl.create_default_context(cafile=str(pem / "cert.pem"))
    asked = urllib.request.Request(f"https://127.0.0.1:{server.port}/health", headers={"Token": "secret"})
    with ExitStack() as stack:
        silent = [stack.enter_context(server.client()) for _ in range(20)]
        silent[-1].sendall(b"\x16\x03\x01")
        with urllib.request.urlopen(asked, context=trusting) as answer:
            assert answer.status == 200
        for client in silent:
            with suppress(ConnectionError):
                assert client.recv(100) == b""


def test_a_certificate_without_its_key_is_refused_in_one_line(pem: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for files in (
        (pem / "none.pem", None),
        (pem / "cert.pem", None),
        (tmp_path / "empty.pem", pem / "key.pem"),
        (pem / "key.pem", pem / "cert.pem"),
    ):
        with pytest.raises(SegueError, match="--certfile") as caught:
            certificate(*files)
        assert "\n" not in str(caught.value)
