"""A file of cameras that is saved while they are watched: slips, the page, and what happens at one moment."""

from __future__ import annotations

import errno
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from http.client import HTTPConnection
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import pytest

from segue.errors import SegueError
from segue.jobs.values import ForegroundJob
from segue.utils.cancel import CancelToken
from segue_watch import command as watching
from segue_watch.camera import Camera
from segue_watch.cameras import CameraSet
from segue_watch.log import Log
from segue_watch.reload import CameraFile, Reload
from tests.cli.mjpeg import mjpeg_camera
from tests.cli.running import Command
from tests.ports import free_port
from tests.waiting import wait_for

GOOD = '[cameras.gate]\nsource = "http://127.0.0.1:9/gate"\nmodel = "median"\n'

SLIPS = {
    "a port": '[cameras.gate]\nsource = "udp://@:99999"\n',
    "no address": '[cameras.gate]\nsource = "rtsp://[::1/gate"\n',
    "a password with signs": '[cameras.gate]\nsource = "rtsp://me:geheim#1@127.0.0.1/gate"\n',
    "no table": GOOD + 'events = ""\n',
    "a folder": GOOD + 'events = "/"\n',
    "another ending": GOOD + 'events = "events.txt"\n',
    "a null": GOOD + 'events = "a\\u0000.csv"\n',
    "a null in a folder": GOOD + 'snapshots = "a\\u0000"\n',
    "no time": GOOD + 'rotate = "0s"\n',
    "no zone": GOOD + 'zone = ["door=0,0"]\n',
    "no device": GOOD + 'device = "cuda:99"\n',
    "no image": GOOD + 'roi = "/"\n',
    "no network": GOOD.replace("median", "mediam"),
    "no camera": "[page]\n",
    "no secret": GOOD + 'notify = "http://127.0.0.1/${NO_SUCH_SECRET}"\n',
    "no TOML": GOOD + "fps = \n",
    "too deep": GOOD + f"zone = {'[' * 5000}",
    "no text": "\udcff",
    "no user": GOOD + '[page]\nuser = "anna"\n',
    "no proxy": GOOD + '[page]\nproxies = ["proxy.example"]\n',
    "nothing": "",
}
"""Files with one slip each."""


class Cameras:
    """Takes the place of cameras; each change of them is noted."""

    def __init__(self) -> None:
        self.changes: list[dict[str, ForegroundJob]] = []

    def check(self, _: object) -> None: ...

    def update(self, jobs: dict[str, ForegroundJob]) -> dict[str, str]:
        self.changes.append(jobs)
        return dict.fromkeys(jobs, "changed")


class Recorded(Log):
    """A log that is read by the test."""

    def __init__(self, form: Any = "lines") -> None:
        super().__init__(form)
        self.lines = RECORDS

    def _write(self, level: str, camera: str, text: str) -> None:
        self.lines.append((level, text))


RECORDS: list[tuple[str, str]] = []


@pytest.fixture
def records() -> Iterator[list[tuple[str, str]]]:
    """What is logged, each with its level."""
    RECORDS.clear()
    yield RECORDS
    RECORDS.clear()


def write(path: Path, text: str) -> None:
    path.write_bytes(text.encode(errors="surrogateescape"))


@pytest.fixture
def file(tmp_path: Path) -> CameraFile:
    """A good file, as it was read when the cameras began."""
    write(tmp_path / "cameras.toml", GOOD)
    file = CameraFile(tmp_path / "cameras.toml", tmp_path / "out")
    file.read()
    return file


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_in_a_saved_file_changes_nothing_and_check_names_it(
    file: CameraFile, records: list[tuple[str, str]], command: Command, slip: str
) -> None:
    cameras: Any = Cameras()
    with Recorded() as log:
        reload = Reload(file, cameras, log, Lock())
        write(file.path, SLIPS[slip])
        reload.poll()
        assert cameras.changes == []
        assert [level for level, _ in records] == ["warning"], records
        assert records[0][1].endswith("the cameras go on as before")
        assert "geheim" not in records[0][1]
        write(file.path, GOOD + "fps = 5\n")
        reload.poll()
    assert [change["gate"].options.fps for change in cameras.changes] == [5]
    write(file.path, SLIPS[slip])
    complaint = command("watch", file.path, "--check").complaint
    assert "geheim" not in complaint
    assert "Error: " not in complaint, "it is an error that a user can mend"


def test_even_a_defect_ends_no_camera(file: CameraFile, records: list[tuple[str, str]]) -> None:
    cameras: Any = Cameras()
    cameras.check = lambda _: 1 // 0
    with Recorded() as log:
        write(file.path, GOOD + "fps = 5\n")
        Reload(file, cameras, log, Lock()).poll()
    assert [level for level, _ in records] == ["warning"]
    assert "ZeroDivisionError" in records[0][1]


def test_a_file_that_cannot_be_read_for_a_while_counts_as_soon_as_it_can(
    file: CameraFile, records: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    cameras: Any = Cameras()
    read_bytes = Path.read_bytes

    def fail(path: Path) -> bytes:
        if path == file.path:
            raise OSError(errno.EMFILE, "Too many open files")
        return read_bytes(path)

    with Recorded() as log:
        reload = Reload(file, cameras, log, Lock())
        write(file.path, GOOD + "fps = 5\n")
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", fail)
            for _ in range(3):
                reload.poll()
        assert [level for level, _ in records] == ["warning"], "it is said once"
        assert "Too many open files" in records[0][1]
        reload.poll()
        assert [change["gate"].options.fps for change in cameras.changes] == [5]
        file.path.unlink()
        reload.poll()
        file.path.mkdir()
        reload.poll()
    assert [level for level, _ in records].count("warning") == 3
    assert len(cameras.changes) == 1


def test_a_file_that_is_saved_while_cameras_begin_is_noticed(
    file: CameraFile, records: list[tuple[str, str]]
) -> None:
    cameras: Any = Cameras()
    write(file.path, GOOD + "fps = 5\n")  # after it was read, and before anybody looks
    with Recorded() as log:
        reload = Reload(file, cameras, log, Lock())
        reload.poll()
        reload.poll()
    assert [change["gate"].options.fps for change in cameras.changes] == [5]


def test_a_zone_outside_of_the_image_is_refused_as_on_the_page(
    tmp_path: Path, records: list[tuple[str, str]]
) -> None:
    path = tmp_path / "cameras.toml"
    with mjpeg_camera() as address, Recorded() as log:
        good = f'[cameras.gate]\nsource = "{address}"\nmodel = "median"\ndevice = "cpu"\nend = 100000\n'
        write(path, good)
        file = CameraFile(path, tmp_path / "out")

        def make(name: str, job: ForegroundJob) -> Camera:
            return Camera(name, job, lambda *_: None, lambda _: None)

        cameras = CameraSet([make(name, job) for name, job in file.read()[0].items()], make)
        reload, stop = Reload(file, cameras, log, Lock()), CancelToken()
        thread = threading.Thread(target=cameras.watch, args=(stop, reload.poll), daemon=True)
        thread.start()
        gate = cameras["gate"]
        wait_for(lambda: gate.well)
        for option in ("zone", "ignore"):
            write(path, f'{good}{option} = ["far=900,0 990,0 990,90"]\n')
            wait_for(lambda: any("outside the image" in text for _, text in records))
            assert "camera gate: zone far" in records[-1][1]
            records.clear()
        write(path, f'{good}zone = ["door=0,0 50,0 50,50"]\n')
        wait_for(lambda: [zone.name for zone in gate.zones] == ["door"])
        frames = gate.state()["frames"]
        wait_for(lambda: gate.state()["frames"] > frames)
        assert (gate.state()["restarts"], gate.state()["error"]) == (0, "")
        stop.cancel()
        thread.join(30)
        assert not thread.is_alive()
        assert gate.state()["size"] is not None, "it is known without a run, too"
        with pytest.raises(SegueError, match="outside the image"):
            gate.check(gate.job.model_copy(update={"zones": ("far=900,0 990,0 990,90",)}))


FOR_OTHERS: dict[str, Any] = {"host": "0.0.0.0", "plain_http": True}


@contextmanager
def running(file: Path, monkeypatch: pytest.MonkeyPatch, port: int = 0, **options: Any) -> Iterator[int]:
    """``segue watch`` in a thread; gives the port of its page."""
    stop = CancelToken()
    monkeypatch.setattr(watching, "Log", Recorded)
    monkeypatch.setattr(watching, "cancel_on_signals", lambda _: nullcontext(stop))
    options |= {"output": file.parent / "out", "port": port}
    thread = threading.Thread(target=watching.watch, args=(file,), kwargs=options, daemon=True)
    thread.start()
    try:
        wait_for(lambda: any(text.startswith("cameras: http") for _, text in RECORDS))
        yield urlsplit(RECORDS[0][1].partition(": ")[2]).port or 0
    finally:
        stop.cancel()
        thread.join(60)
    assert not thread.is_alive()


def status(port: int, token: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/states", headers={"Token": token})
    return connection.getresponse().status


FIRST, SECOND, LOOK = "first-token-of-all", "second-token-of-all", "a-token-to-look-by"


@pytest.mark.filterwarnings("ignore::segue_watch.log.CameraWarning")
@pytest.mark.filterwarnings("ignore::segue.video.sources.live.LiveWarning")
def test_the_page_follows_the_file_also_where_a_token_was_printed(
    tmp_path: Path, records: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEGUE_TOKEN", raising=False)
    path = tmp_path / "cameras.toml"

    def save(page: str, notice: str) -> None:
        """Save another ``[page]``, and wait until the log says what is new in it."""
        records.clear()
        write(path, f"{page}\n{GOOD}")
        wait_for(lambda: any(text == notice for _, text in records))

    write(path, f'[page]\nlook = "{LOOK}"\n{GOOD}')
    with running(path, monkeypatch, **FOR_OTHERS) as port:
        printed = records[0][1].partition("?token=")[2]
        assert len(printed) > 16
        assert [status(port, each) for each in (printed, LOOK, FIRST)] == [200, 200, 401]
        save("", "[page]: look removed")
        assert [status(port, each) for each in (printed, LOOK)] == [200, 401]
        save(f'[page]\ntoken = "{FIRST}"', "[page]: token changed")
        assert [status(port, each) for each in (printed, FIRST)] == [401, 200]
        save(f'[page]\ntoken = "{SECOND}"', "[page]: token changed")
        assert [status(port, each) for each in (FIRST, SECOND)] == [401, 200]
        save("", "[page]: token changed")
        wait_for(lambda: any(text.endswith(f"/?token={printed}") for _, text in records))
        assert [status(port, each) for each in (SECOND, printed)] == [401, 200]
        assert not any(secret in json.dumps(records) for secret in (FIRST, SECOND, LOOK))


@pytest.mark.filterwarnings("ignore::segue_watch.log.CameraWarning")
@pytest.mark.filterwarnings("ignore::segue.video.sources.live.LiveWarning")
def test_a_token_of_the_file_that_is_removed_is_followed_by_one_that_is_printed(
    tmp_path: Path, records: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEGUE_TOKEN", raising=False)
    path = tmp_path / "cameras.toml"
    write(path, f'[page]\ntoken = "{FIRST}"\n{GOOD}')
    with running(path, monkeypatch, **FOR_OTHERS) as port:
        assert status(port, FIRST) == 200
        records.clear()
        write(path, GOOD)
        wait_for(lambda: any("?token=" in text for _, text in records))
        printed = next(text.partition("?token=")[2] for _, text in records if "?token=" in text)
        assert [status(port, each) for each in (FIRST, printed)] == [401, 200]
        records.clear()
        write(path, GOOD + "fps = 5\n")
        wait_for(lambda: any("changed in" in text for _, text in records))
        assert status(port, printed) == 200, "it stays"
        assert not any("token=" in text for _, text in records)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGHUP")
def test_a_camera_may_not_listen_at_the_port_of_the_page(
    tmp_path: Path, records: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    path = tmp_path / "cameras.toml"
    write(path, GOOD)
    with running(path, monkeypatch, port):
        write(path, GOOD + f'[cameras.yard]\nsource = "tcp://127.0.0.1:{port}?listen=1"\n')
        wait_for(lambda: any("camera yard listens there" in text for _, text in records))
