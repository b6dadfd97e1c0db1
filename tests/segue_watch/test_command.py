"""``segue watch``: several cameras in one process."""

from __future__ import annotations

import gc
import json
import os
import re
import socket
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from segue.cli.running import parse_job
from segue.errors import SegueError, SeveralProblemsError, SinkError, SourceError
from segue.events.table import Event
from segue.jobs import writing
from segue.jobs.opened import Run
from segue.jobs.values import ForegroundJob
from segue.utils import files as partial
from segue.utils import notices
from segue.utils.cancel import CancelToken
from segue.video import Reconnect
from segue.video.sources import live
from segue_watch import camera as camera_module
from segue_watch.camera import Camera
from segue_watch.cameras import watch_cameras
from segue_watch.configuration import read_cameras
from segue_watch.drawn import Change, save_change
from segue_watch.log import CameraWarning
from segue_watch.web.page import CameraPage
from tests.cli.forked import run_forked
from tests.cli.mjpeg import JPEGS, mjpeg_camera
from tests.cli.running import Command
from tests.events.test_notify import Listener
from tests.ports import free_port
from tests.segue_watch.test_cameras import DEAD, entered, rows
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def camera() -> Iterator[str]:
    with mjpeg_camera() as address:
        yield address


QUICK = Reconnect(first_delay=0.01, max_delay=0.05)


def cameras_file(folder: Path, text: str) -> Path:
    path = folder / "cameras.toml"
    path.write_text(text)
    return path


def two_cameras(folder: Path, address: str, **options: object) -> Path:
    """A file with two cameras that the square crosses three times."""
    common = {"model": "median", "device": "cpu", "end": 3 * len(JPEGS), "when-late": "all", **options}
    defaults = "\n".join(f"{name} = {json.dumps(value)}" for name, value in common.items())
    return cameras_file(
        folder,
        f"""
        [defaults]
        {defaults}
        [cameras.gate]
        source = "{address}"
        zone = ["wall=0,0 127,0 127,95 0,95"]
        [cameras.yard]
        source = "{address}"
        """,
    )


def test_cameras_share_a_process_and_each_has_its_events(
    command: Command,
    camera: str,
    listener: Listener,
    tmp_path: Path,
) -> None:
    path = two_cameras(tmp_path, camera, notify=listener.address)
    for _ in range(2):  # the second time it goes on
        outcome = command("watch", path, "--output", tmp_path / "out")
        assert outcome.code == 0, outcome
    told = [json.loads(line) for line in outcome.out.splitlines()]
    assert {event["source"] for event in told} == {"gate", "yard"}
    for name in ("gate", "yard"):
        table = rows(tmp_path / "out" / f"{name}.csv")
        assert {row["source"] for row in table} == {name}
        assert len(entered(table)) == len({*entered(table)}) > 2
        assert (tmp_path / "out" / name / table[0]["snapshot"]).exists()
        mine = [message["event"] for message in listener.received if message["source"] == name]
        assert mine == [row["event"] for row in table]
    assert "zone-enter" in {row["event"] for row in rows(tmp_path / "out/gate.csv")}
    assert "zone-enter" not in {row["event"] for row in rows(tmp_path / "out/yard.csv")}


def test_a_camera_has_several_receivers_each_with_its_filter(
    command: Command, camera: str, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_TOKEN", "a b/secret")
    path = cameras_file(
        tmp_path,
        f"""
        [defaults]
        model = "median"
        device = "cpu"
        end = {3 * len(JPEGS)}
        when-late = "all"
        [cameras.gate]
        source = "{camera}"
        zone = ["the wall=0,0 127,0 127,95 0,95"]
        [[cameras.gate.notify]]
        address = "{listener.address}"
        [[cameras.gate.notify]]
        address = "{listener.address}/${{HOOK_TOKEN}}/{{name}}"
        zone = "the wall"
        event = ["zone-enter", "zone-leave"]
        """,
    )
    outcome = command("watch", path, "--output", tmp_path / "out")
    assert outcome.code == 0, outcome
    table = [row["event"] for row in rows(tmp_path / "out/gate.csv")]
    received = dict[str, list[str]]()
    for place, message in zip(listener.paths, listener.received, strict=True):
        received.setdefault(place, []).append(message["event"])
    assert received == {
        "/events": table,
        "/events/a%20b%2Fsecret/gate": [kind for kind in table if kind.startswith("zone-")],
    }
    assert len(received["/events/a%20b%2Fsecret/gate"]) > 2


def reader_is_gone() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def reader_does_not_read() -> int:
    _, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    return writer


def disk_is_full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


@pytest.mark.skipif(sys.platform != "linux", reason="forks, and has /dev/full")
@pytest.mark.parametrize("output", [reader_is_gone, reader_does_not_read, disk_is_full])
def test_a_standard_output_that_takes_nothing_costs_no_event_of_the_tables(
    output: Callable[[], int], camera: str, tmp_path: Path
) -> None:
    def before() -> None:
        notices.LAST_SECONDS = 0.2
        sys.stdout = os.fdopen(output(), "w")

    path = two_cameras(tmp_path, camera)
    ended = run_forked("watch", path, "--output", tmp_path / "out", before=before)
    assert ended.returncode == 0, ended
    said = ended.stderr
    assert said.count("warning: ") == (output is not reader_does_not_read), said
    assert "standard output does not" in said
    told = sum(int(number) for number in re.findall(r"frames, (\d+) events", said))
    tables = [rows(tmp_path / "out" / f"{name}.csv") for name in ("gate", "yard")]
    assert all(len(entered(table)) > 2 for table in tables)
    assert sum(map(len, tables)) == told, "no row was written twice, none is missing"


def dead_camera(
    path: Path, folder: Path, seen: Callable[[Event], None], patience: Reconnect = QUICK
) -> Camera:
    """The camera ``yard`` of a file, at an address that nobody answers."""
    job = read_cameras(path, folder)["yard"]
    dead = job.source.model_copy(update={"place": "http://127.0.0.1:9/yard", "retry": 1})
    return Camera("yard", job.model_copy(update={"source": dead}), lambda *_: None, seen, patience=patience)


@pytest.mark.filterwarnings("ignore::segue.video.sources.live.LiveWarning")
@pytest.mark.filterwarnings("ignore::segue_watch.log.CameraWarning")
def test_a_camera_that_fails_does_not_disturb_the_others(camera: str, tmp_path: Path) -> None:
    path = two_cameras(tmp_path, camera)
    stop, seen = CancelToken(), list[Event]()
    gate = Camera("gate", read_cameras(path, tmp_path)["gate"], lambda *_: None, seen.append, patience=QUICK)
    lost = dead_camera(path, tmp_path, seen.append)
    failing = threading.Thread(target=lost.watch, args=(stop,), daemon=True)
    failing.start()
    gate.watch(stop)
    wait_for(lambda: lost.state()["restarts"] >= 3)
    stop.cancel()
    failing.join()
    assert gate.state()["frames"] == 3 * len(JPEGS)
    assert {event.source for event in seen} == {"gate"}
    assert not lost.well
    assert lost.state()["error"]


class StopsAtTheThirdWait(Reconnect):
    """Ends a camera when it waits for the third time before it begins again."""

    def delay(self, failures: int) -> float:
        WAITS.append(failures)
        if len(WAITS) == 3:
            STOP.cancel()
        return 0.0


WAITS, STOP = list[int](), CancelToken()


@pytest.mark.filterwarnings("ignore::segue.video.sources.live.LiveWarning")
def test_a_camera_that_fails_again_and_again_says_so_once(camera: str, tmp_path: Path) -> None:
    path = two_cameras(tmp_path, camera)
    lost = dead_camera(path, tmp_path, lambda _: None, StopsAtTheThirdWait())
    with pytest.warns(CameraWarning, match="yard: .*gave up after 1 tries") as warned:
        lost.watch(STOP)
    assert WAITS == [1, 2, 3]
    assert len([item for item in warned if str(item.message).startswith("yard: ")]) == 1


@pytest.mark.filterwarnings("ignore::segue.video.sources.live.LiveWarning")
@pytest.mark.filterwarnings("ignore::segue_watch.log.CameraWarning")
def test_a_camera_that_waits_after_a_failure_goes_on_at_once_with_another_job(
    camera: str, tmp_path: Path
) -> None:
    path = two_cameras(tmp_path, camera, end=100_000)
    patience = Reconnect(first_delay=3600.0, max_delay=3600.0)
    lost = dead_camera(path, tmp_path, lambda _: None, patience)
    good = lost.job.source.model_copy(update={"place": camera})
    with watched(lost):
        wait_for(lambda: lost.state()["restarts"])
        lost.change(lost.job.model_copy(update={"source": good}))
        wait_for(lambda: lost.well, 60.0)
    with watched(dead_camera(tmp_path / "cameras.toml", tmp_path, lambda _: None)) as ending:
        pass  # and a wait ends with the process
    assert not ending.is_alive()


@pytest.mark.filterwarnings("ignore::segue_watch.log.CameraWarning")
@pytest.mark.parametrize("options", [{}, {"rotate": "1h"}])
def test_a_camera_goes_on_after_a_disk_that_was_full_for_a_moment(
    camera: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, str]
) -> None:
    full, open_sinks = [True], writing.open_sinks

    def open_if_room(*arguments: Any, **settings: Any) -> Any:
        if full.pop():
            full.append(False)
            raise SinkError("masks: cannot be written (the disk is full)")
        full.append(False)
        return open_sinks(*arguments, **settings)

    monkeypatch.setattr(writing, "open_sinks", open_if_room)
    jobs = read_cameras(two_cameras(tmp_path, camera, **options), tmp_path / "out")
    gate = Camera("gate", jobs["gate"], lambda *_: None, lambda _: None, patience=QUICK)
    before = threading.active_count()
    gate.watch(CancelToken())
    assert gate.state()["restarts"] == 1
    assert gate.state()["events"] > 2
    assert threading.active_count() <= before


def fails_at_a_frame(patch: pytest.MonkeyPatch) -> None:
    frame = Camera.frame

    def fail(self: Camera, *arguments: Any) -> None:
        frame(self, *arguments)
        if self.state()["frames"] % 30 == 0:
            raise RuntimeError("a frame")

    patch.setattr(Camera, "frame", fail)


def fails_at_an_event(patch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise SinkError("an event")

    patch.setattr(Camera, "event", fail)


def fails_at_its_outputs(patch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a record")

    patch.setattr(writing, "write_record", fail)


def is_lost(patch: pytest.MonkeyPatch) -> None:
    images = live.NetworkReader.images

    def breaking(self: live.NetworkReader, start: float = 0) -> Iterator[object]:
        for image in images(self, start):
            if image.index == 30:
                raise SourceError("lost; gave up")
            yield image

    patch.setattr(live.NetworkReader, "images", breaking)


def is_changed(patch: pytest.MonkeyPatch) -> None:
    frame = Camera.frame

    def change(self: Camera, *arguments: Any) -> None:
        frame(self, *arguments)
        if self.state()["frames"] % 30 == 0:
            self.change(self.job.model_copy(update={"fast": not self.job.fast}))

    patch.setattr(Camera, "frame", change)


@pytest.mark.filterwarnings("ignore::segue_watch.log.CameraWarning")
@pytest.mark.parametrize(
    ("fault", "options"),
    [
        (fails_at_a_frame, {}),
        (fails_at_an_event, {}),
        (fails_at_its_outputs, {}),
        (is_lost, {}),
        (is_changed, {}),
        (fails_at_a_frame, {"rotate": "1h"}),
        (is_changed, {"rotate": "1h"}),
    ],
)
def test_a_run_that_has_ended_leaves_nothing_in_memory(
    camera: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[pytest.MonkeyPatch], None],
    options: dict[str, str],
) -> None:
    opened: list[weakref.ref[Run]] = []
    sessions: list[weakref.ref[object]] = []
    open_job, stop = camera_module.open_job, CancelToken()

    def open_and_note(*arguments: Any, **given: Any) -> Run:
        job = open_job(*arguments, **given)
        if len(opened) == 2:
            stop.cancel()
        opened.append(weakref.ref(job))
        sessions.append(weakref.ref(job.session))
        return job

    monkeypatch.setattr(camera_module, "open_job", open_and_note)
    fault(monkeypatch)
    job = read_cameras(two_cameras(tmp_path, camera, end=10_000, **options), tmp_path / "out")["gate"]
    gate = Camera("gate", job, lambda *_: None, lambda _: None, patience=QUICK)
    gc.collect()
    gc.disable()  # sessions hold much memory in few objects, so that it comes too late
    try:
        gate.watch(stop)
        assert len(opened) == 3
        assert not [ref() for ref in (*opened, *sessions) if ref() is not None]
    finally:
        gc.enable()


def test_the_page_tells_people_and_programs_how_cameras_are(
    camera: str,
    listener: Listener,
    tmp_path: Path,
) -> None:
    jobs = read_cameras(two_cameras(tmp_path, camera, end=10_000, notify=listener.address), tmp_path)
    gate = Camera("gate", jobs["gate"], lambda *_: None, lambda _: None)
    stop = CancelToken()

    def get(path: str, **headers: str) -> tuple[int, str, bytes]:
        try:
            with urlopen(Request(page.address + path, headers=headers), timeout=10) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read()
        except HTTPError as error:
            with error:
                return error.code, "", error.read()

    with CameraPage([gate], 0) as page:
        status, _, body = get("health")
        assert (status, json.loads(body)["gate"]["status"]) == (503, "starting")
        assert get("image/gate.jpg")[0] == 404
        thread = threading.Thread(target=watch_cameras, args=([gate], stop), daemon=True)
        thread.start()
        wait_for(lambda: gate.state()["events"])
        status, _, body = get("health")
        assert (status, json.loads(body)["gate"]["online"]) == (200, True)
        text = get("metrics")[2].decode()
        found = dict(line.split(" ") for line in text.splitlines() if not line.startswith("#"))
        assert float(found['segue_frames_total{camera="gate"}']) > 3
        assert float(found['segue_events_total{camera="gate"}']) >= 1
        assert get("image/gate.jpg")[2].startswith(b"\xff\xd8")
        assert b"watch.js" in get("")[2]
        about = json.loads(get("health")[2])["gate"]
        assert about["status"] == "online"
        assert datetime.fromisoformat(about["since"]) <= datetime.now().astimezone()
        assert get("", Host="evil.example")[0] == 403
        stop.cancel()
        thread.join(30)
        status, _, body = get("health")
        assert (status, json.loads(body)["gate"]["status"]) == (503, "lost")
    assert not thread.is_alive()


def posted(address: str, values: object, **headers: str) -> tuple[int, str]:
    """Status and text of the answer to a change that a page sends."""
    given = {"Content-Type": "application/json", **headers}
    try:
        with urlopen(Request(address, json.dumps(values).encode(), given), timeout=30) as answer:
            return int(answer.status), ""
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_zones_that_are_drawn_on_the_page_are_saved_in_the_file_and_watched(
    camera: str, tmp_path: Path
) -> None:
    pytest.importorskip("tomlkit", reason="a dependency since zones are saved: make test installs it")
    path = two_cameras(tmp_path, camera, end=10_000)
    path.write_text("# my cameras\n" + path.read_text())
    seen = list[Event]()
    jobs = read_cameras(path, tmp_path / "out")
    yard = Camera("yard", jobs["yard"], lambda *_: None, seen.append, patience=QUICK)
    stop = CancelToken()

    def save(name: str, change: Change) -> None:
        yard.change(save_change(path, tmp_path / "out", name, change))

    def post(values: object, **headers: str) -> int:
        return posted(f"{page.address}zones/yard", values, **headers)[0]

    with CameraPage([yard], 0, save) as page:
        thread = threading.Thread(target=watch_cameras, args=([yard], stop), daemon=True)
        thread.start()
        wait_for(lambda: seen)
        before = path.read_text()
        line = {"previous": None, "new": "wall=0%,0% 100%,0%"}
        assert post(line, Origin="http://evil.example") == 403
        assert post(line, **{"Content-Type": "text/plain"}) == 403
        odd = (["wall"], {"a": 1}, {"previous": None, "new": None}, {"previous": None, "new": 5}, "x", None)
        assert {post(values) for values in odd} == {400}
        assert post({"previous": None, "new": "wall=0%,0 9,9"}) == 400
        assert post({"previous": None, "new": WALL.replace("wall", "${HOME}")}) == 400, "nobody reads secrets"
        assert path.read_text() == before
        assert post({"previous": None, "new": WALL}) == 204
        wait_for(lambda: any(event.event == "zone-enter" and event.zone == "wall" for event in seen))
        stop.cancel()
        thread.join(30)
    assert path.read_text().startswith("# my cameras\n")
    again = read_cameras(path, tmp_path / "out")
    assert again["yard"].zones == (WALL,)
    assert again["gate"] == jobs["gate"]


def test_two_people_who_draw_at_the_same_moment_both_have_their_zones(tmp_path: Path) -> None:
    """Each has loaded the page before the other one saves; what one changes the other cannot undo."""
    pytest.importorskip("tomlkit", reason="a dependency since zones are saved: make test installs it")
    path = cameras_file(tmp_path, f"[cameras.yard]\nsource = '0'\nzone = ['{A}', '{B}']\n")
    yard = Camera("yard", read_cameras(path, tmp_path)["yard"], lambda *_: None, lambda _: None)
    lock = threading.Lock()

    def save(name: str, change: Change) -> None:
        with lock:
            yard.change(save_change(path, tmp_path, name, change, yard.check))

    def at_once(address: str, *changes: tuple[str | None, str | None]) -> list[tuple[int, str]]:
        """The answers to changes, each of a client of its own, all at the same moment."""
        answers: dict[int, tuple[int, str]] = {}
        begin = threading.Barrier(len(changes))

        def send(number: int) -> None:
            begin.wait(30)
            previous, new = changes[number]
            answers[number] = posted(address, {"previous": previous, "new": new})

        threads = [threading.Thread(target=send, args=(number,)) for number in range(len(changes))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return [answers[number] for number in range(len(changes))]

    moved, other = A.replace("10%", "90%"), A.replace("10%", "80%")
    with CameraPage([yard], 0, save) as page:
        address = f"{page.address}zones/yard"
        assert at_once(address, (None, C), (None, D)) == [(204, ""), (204, "")]
        assert sorted(yard.job.zones) == sorted([A, B, C, D])
        assert sorted(status for status, _ in at_once(address, (A, moved), (A, other))) == [204, 409]
        (latest,) = {*yard.job.zones} & {moved, other}
        assert sorted(status for status, _ in at_once(address, (latest, None), (latest, A))) == [204, 409]
        assert sorted(status for status, _ in at_once(address, (B, None), (B, None))) == [204, 409]
        assert at_once(address, (None, C.replace("50%", "40%")))[0][0] == 409, (
            "there is another one of this name"
        )
        status, text = at_once(address, (moved if latest == other else other, None))[0]
        assert status == 409
        assert "another person" in text
    assert {*yard.job.zones} in ({C, D}, {A, C, D})
    assert read_cameras(path, tmp_path)["yard"] == yard.job


WALL = "wall=0%,0% 100%,0% 100%,100% 0%,100%"


@contextmanager
def watched(camera: Camera) -> Iterator[threading.Thread]:
    stop = CancelToken()
    thread = threading.Thread(target=camera.watch, args=(stop,), daemon=True)
    thread.start()
    yield thread
    stop.cancel()
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.filterwarnings("ignore::segue.events.deliveries.NotifyWarning")
def test_changed_zones_count_also_while_the_receiver_of_messages_is_down(
    camera: str, listener: Listener, tmp_path: Path
) -> None:
    seen = list[Event]()
    job = read_cameras(two_cameras(tmp_path, camera, end=100_000, notify=DEAD), tmp_path / "out")["yard"]
    yard = Camera("yard", job, lambda *_: None, seen.append, patience=QUICK)
    with watched(yard):
        wait_for(lambda: seen)
        yard.change(job.model_copy(update={"zones": (WALL,)}))
        wait_for(lambda: any(event.zone == "wall" and event.event == "zone-enter" for event in seen))
        assert yard.undelivered
        before = len(seen)
        yard.change(job.model_copy(update={"zones": (WALL,), "notify": (listener.address,)}))
        wait_for(lambda: "zone-enter" in listener.kinds)
        assert yard.undelivered <= 1, "what waits for another address is not owed to this one"
    assert yard.state()["restarts"] == 0
    told = [(event.event, event.object) for event in seen]

    def received() -> list[tuple[str, int]]:
        return [(message["event"], message["object"]) for message in listener.received]

    wait_for(lambda: received()[-1:] == told[-1:])
    assert received() == told[len(told) - len(listener.received) :], "all from its first run on"
    assert len(told) - len(listener.received) >= before


def test_other_zones_begin_no_new_run(camera: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects go on with their ids; only those in a zone that is no more leave that."""
    runs: list[Run] = []
    open_job, seen = camera_module.open_job, list[Event]()
    monkeypatch.setattr(
        camera_module, "open_job", lambda *given, **more: runs.append(open_job(*given, **more)) or runs[-1]
    )
    job = read_cameras(two_cameras(tmp_path, camera, end=100_000), tmp_path / "out")["yard"]
    yard = Camera("yard", job, lambda *_: None, seen.append, patience=QUICK)

    def times(kind: str) -> int:
        return sum(event.event == kind and event.zone == "wall" for event in seen)

    with watched(yard):
        wait_for(lambda: seen)
        yard.change(job.model_copy(update={"zones": (WALL,)}))
        wait_for(lambda: times("zone-enter"))
        yard.change(job)
        wait_for(lambda: times("zone-enter") == times("zone-leave"))
        with pytest.raises(SegueError, match="outside the image"):
            yard.check(job.model_copy(update={"zones": ("far=900,0 990,0 990,90",)}))
        assert "end" not in {event.event for event in seen}
    assert len(runs) == 1


def test_zones_that_are_saved_before_the_first_frame_are_no_failure(camera: str, tmp_path: Path) -> None:
    job = read_cameras(two_cameras(tmp_path, camera, end=100_000), tmp_path / "out")["yard"]
    silent = socket.create_server(("127.0.0.1", 0))  # a camera that never answers
    address = f"http://127.0.0.1:{silent.getsockname()[1]}/yard"
    source = job.source.model_copy(update={"place": address})
    yard = Camera("yard", job.model_copy(update={"source": source}), lambda *_: None, lambda _: None)
    with silent, watched(yard):
        wait_for(lambda: yard._source is not None)
        yard.change(job.model_copy(update={"zones": (WALL,)}))
        wait_for(lambda: yard.state()["events"])
        assert (yard.state()["restarts"], yard.state()["error"]) == (0, "")


TWO = "[cameras.gate]\nsource = '0'\n[cameras.yard]\nsource = '1'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[cameras", "no TOML"),
        ("x = 1\n[cameras.gate]\nsource = '0'", "nothing else"),
        ("[defaults]\nfps = 5", "cameras.NAME"),
        ("[cameras.gate]\nfps = 5", r"\[cameras.gate\] needs a source"),
        ("[cameras.'a/b']\nsource = '0'", "a name has letters"),
        ("[cameras.gate]\nsource = '0'\ncolour = 'red'", "camera gate: .*--colour"),
        ("[cameras.gate]\nsource = '0'\nzone = ['door']", "camera gate: .*door"),
        ("[cameras.gate]\nsource = '0'\nfps = 'fast'", "camera gate: .*--fps"),
        ("[cameras.gate]\nsource = ''", "camera gate: source"),
        ("[cameras.gate]\nsource = '0'\nnotify = 'ftp://broker/{name}'", "camera gate: notify"),
        ("[cameras.gate]\nsource = '0'\nnotify = ''", "camera gate: notify"),
        ("[defaults]\nevents = 'e.csv'\n" + TWO, "gate and yard would both write e.csv"),
        ("[defaults]\nsnapshots = 's'\n" + TWO, "gate and yard would both write s;"),
        ("[defaults]\nexplain = 'why'\n" + TWO, "gate and yard would both write why;"),
        ("[defaults]\nbackground = 'b.png'\n" + TWO, "gate and yard would both write b.png;"),
        ("[cameras.gate]\nsource = '0'\nsnapshots = ''", "camera gate: .*--snapshots"),
        ("[defaults]\noutput = 'o'\nformat = 'png'\n" + TWO, "gate and yard would both write o;"),
        (
            "[cameras.gate]\nsource = '0'\nevents = 'a.csv'\n"
            "[cameras.yard]\nsource = '1'\nevents = './a.json'",
            "gate and yard would both write a;",
        ),
        (
            "[cameras.gate]\nsource = '0'\nevents = 'a.csv'\n"
            "[cameras.yard]\nsource = '1'\nevents = './a.json'\nsnapshots = 'b'",
            "gate and yard would both write a.db;",
        ),
        (
            "[defaults]\nnotify = 'mqtt://me:a@Host:1883/x'\n[cameras.gate]\nsource = '0'\n"
            "home-assistant = true\n[cameras.yard]\nsource = '1'\nnotify = 'mqtt://host/%78'",
            "gate and yard have one topic",
        ),
        ("[defaults]\nnotify = 'mqtt://host/x'\n" + TWO, "gate and yard have one topic"),
        ("[cameras.gate]\nsource = '0'\nonly = ['person']", "add --name-events"),
        ("[cameras.gate]\nsource = '0'\nname-events = 'nanodet'\nonly = ['persn']", "did you mean person"),
        ("[cameras.gate]\nsource = '0'\nnotify = 'http://h/ only=person'", "--notify.*add --name-events"),
        ("[cameras.gate]\nsource = '0'\nnotify = {address = 'http://h/', zone = 'door'}", "no zone 'door'"),
        ("[cameras.gate]\nsource = '0'\nnotify = {to = 'http://h/'}", "table with address"),
        (
            "[cameras.gate]\nsource = '0'\nnotify = ['http://a:b@h/', 'http://a:c@h/ event=enter']",
            "given twice",
        ),
    ],
)
def test_a_file_that_means_nothing_is_refused_with_the_camera(
    command: Command, tmp_path: Path, text: str, message: str
) -> None:
    path = cameras_file(tmp_path, text)
    with pytest.raises(SegueError, match=message):
        [*map(str, read_cameras(path, tmp_path).values())]
    assert str(path) in command("watch", path).complaint


@pytest.mark.parametrize("option", ["keep = '1GB'", "rotate = '1h'", "append = true"])
def test_options_for_cameras_are_refused_for_a_film_with_the_name_of_the_camera(
    command: Command, tmp_path: Path, option: str
) -> None:
    film = tmp_path / "film.mp4"
    film.touch()
    text = f"[cameras.gate]\nsource = '0'\n{option}\n[cameras.yard]\nsource = '{film}'\n"
    assert [*read_cameras(cameras_file(tmp_path, text), tmp_path)] == ["gate", "yard"]
    path = cameras_file(tmp_path, text + option)
    outcome = command("watch", path, "--check")
    assert outcome.code == 2
    assert f"camera yard: {film}" in outcome.complaint
    assert f"--{option.split()[0]}" in outcome.complaint


def test_the_example_beside_a_recorder_is_a_file_of_cameras(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "examples/cameras/frigate/segue/cameras.toml"
    jobs = read_cameras(example, tmp_path)
    assert jobs["yard"].recording == "http://localhost:8971/api/yard/start/{start}/end/{end}/clip.mp4"
    assert jobs["front"].notify[0].startswith("frigate://frigate:5000/front ")
    for wrong in (
        "http://me:secret@nvr/{start}",
        "ftp://nvr/{start}",
        "http://nvr/now",
        "http://nvr/{start}/{to}",
    ):
        text = f"[cameras.gate]\nsource = '0'\nrecording = '{wrong}'"
        with pytest.raises(SegueError, match="--recording"):
            read_cameras(cameras_file(tmp_path, text), tmp_path)


def test_check_says_each_mistake_in_a_line_of_its_own(command: Command, tmp_path: Path) -> None:
    path = cameras_file(
        tmp_path,
        """
        [page]
        colour = "red"
        [cameras.'a/b']
        source = "0"
        [cameras.gate]
        source = "1"
        colour = "red"
        fps = "fast"
        zone = ["door"]
        only = ["person"]
        [cameras.yard]
        fps = 5
        [cameras.one]
        source = "2"
        events = "e.csv"
        [cameras.two]
        source = "3"
        events = "e.csv"
        """,
    )
    outcome = command("watch", path, "--check")
    lines = outcome.err.splitlines()
    assert outcome.code == 2
    assert all(line.startswith("error: ") and "\\n" not in line for line in lines), lines
    parts = ("[page]", "'a/b'", "--colour", "--fps", "door", "--only", "[cameras.yard]", "one and two")
    assert [sum(part in line for line in lines) for part in parts] == [1] * len(parts), lines
    assert len(lines) == len(parts)


def test_check_says_each_mistake_of_a_list(command: Command, tmp_path: Path) -> None:
    path = cameras_file(
        tmp_path,
        """
        [cameras.gate]
        source = "0"
        zone = ["door=0,0 9,0 9,9", "drive=0,0", "=1,1 2,2"]
        [cameras.yard]
        source = "1"
        zone = ["door=0,0 9,0 9,9"]
        [[cameras.yard.notify]]
        address = "http://h/"
        zone = ["dor"]
        [[cameras.yard.notify]]
        address = "http://h/"
        zone = ["dor"]
        [[cameras.yard.notify]]
        address = "http://h/"
        zone = ["door"]
        [[cameras.yard.notify]]
        address = "ftp://h/"
        [[cameras.yard.notify]]
        address = "http://h/"
        per = "day"
        """,
    )
    lines = command("watch", path, "--check").err.splitlines()
    parts = ("drive=0,0", "'=1,1 2,2'", "'dor'", "addresses begin with", "per is event or visit")
    assert [sum(part in line for line in lines) for part in parts] == [1] * len(parts), lines
    assert len(lines) == len(parts)


def test_a_name_stands_for_the_camera_everywhere_also_in_its_source(tmp_path: Path) -> None:
    path = cameras_file(
        tmp_path,
        """
        [defaults]
        source = "rtsp://host/{name}"
        events = "{name}/events.csv"
        zone = ["{name} door=0,0 9,0 9,9"]
        [cameras.gate]
        [cameras.yard]
        source = "http://{name}.local/stream"
        """,
    )
    gate, yard = read_cameras(path, tmp_path).values()
    assert (gate.source.place, yard.source.place) == ("rtsp://host/gate", "http://yard.local/stream")
    assert (gate.events, yard.events) == (Path("gate/events.csv"), Path("yard/events.csv"))
    assert yard.zones == ("yard door=0,0 9,0 9,9",)


def gate(folder: Path, text: str) -> ForegroundJob:
    """The job of a camera with these lines in its file."""
    path = cameras_file(folder, f"[cameras.gate]\nsource = 'rtsp://camera/gate'\n{text}")
    return read_cameras(path, folder)["gate"]


def test_an_option_that_is_false_in_the_file_is_off(tmp_path: Path) -> None:
    path = cameras_file(
        tmp_path,
        """
        [defaults]
        fast = true
        home-assistant = true
        notify = "mqtt://broker/cameras/{name}"
        [cameras.gate]
        source = 0
        fast = false
        home-assistant = false
        live = false
        [cameras.yard]
        source = 1
        no-append = true
        """,
    )
    gate, yard = read_cameras(path, tmp_path).values()
    assert (gate.fast, gate.home_assistant, gate.outputs.append) == (False, False, None)
    assert (yard.fast, yard.home_assistant, yard.outputs.append) == (True, True, False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fps = 5\nend = 300", ["--fps", "5", "--end", "300"]),
        ("fps = '2.5'\nstart = '1:30'", ["--fps", "2.5", "--start", "1:30"]),
        ("min-height = 20\nzone = 'a=0,0 9,9'", ["--min-height", "20", "--zone", "a=0,0 9,9"]),
        ("without = ['rain', 'align']", ["--without", "rain,align"]),
        (
            "format = ['png', 'overlay']\nappend = true",
            ["--format", "png", "--format", "overlay", "--append"],
        ),
        ("zone = []\nformat = []\ndevice = []\nno-browser = true\nport = 8080", []),
        ("model = 'knn'\nretry = 3\nfast = true", ["--model", "knn", "--retry", "3", "--fast"]),
    ],
)
def test_values_of_a_file_mean_the_same_as_words(tmp_path: Path, text: str, words: list[str]) -> None:
    wanted = parse_job("foreground", ["rtsp://camera/gate", "--events", str(tmp_path / "gate.csv"), *words])
    assert gate(tmp_path, text) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fast = 'yes'", "--fast"),
        ("fast = 1", "--fast"),
        ("fps = true", "--fps"),
        ("fps = -1", "--fps"),
        ("fps = [5, 10]", "--fps"),
        ("min_seconds = 'long'", "--min-seconds"),
        ("end = 2026-01-01", "--end"),
        ("zone = [true]", "--zone"),
        ("when-late = 'never'", "--when-late"),
        ("no-fast = true", "--no-fast"),
        ("live = true", "--live"),
        ("[cameras.gate.fps]\nx = 1", "--fps"),
    ],
)
def test_a_value_of_another_kind_is_refused_with_its_option(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SegueError, match=f"cameras.toml: camera gate: .*{message}"):
        gate(tmp_path, text)


A, B, C, D = (f"{name}=0%,0% 50%,0% 50%,{number}%" for number, name in enumerate("abcd", 10))
FILE = f"""# the cameras of the house
[cameras.gate]
source = '0'
zone = [
    '{A}', # by the door
    # and by hand, since the page was opened:
    '{B}', # of the neighbour
    "c=0,0 .5,0 .5,.12",
]
[cameras.yard]
source = '1' # later
"""


def saved(path: Path, *changes: tuple[str, str]) -> str:
    """What is in a file of cameras after zones of one were changed."""
    for previous, new in changes:
        job = save_change(path, path.parent, "gate", Change("zone", previous, new))
        assert job == read_cameras(path, path.parent)["gate"]
    return path.read_bytes().decode()


def test_regions_and_least_heights_are_saved_beside_zones(tmp_path: Path) -> None:
    path = cameras_file(tmp_path, FILE)
    for change in (
        Change("ignore", new=A),
        Change("min-height", new="100:12"),
        Change("min-height", new="460:60"),
        Change("min-height", "460:60"),
        Change("min-height", "100:12.0", "100:14"),
    ):
        job = save_change(path, tmp_path, "gate", change)
    assert (job.ignore, job.min_height) == ((A,), ("100:14",))
    assert len(job.zones) == 3
    before = path.read_bytes()
    for change in (Change("ignore", A, "line=0,0 9,9"), Change("min-height", "100:12"), Change("zone", D, A)):
        with pytest.raises(SegueError, match=r"ignore|minimum height|another person"):
            save_change(path, tmp_path, "gate", change)
    assert path.read_bytes() == before


def test_a_zone_is_added_after_a_comment_at_the_end_of_the_list(tmp_path: Path) -> None:
    path = cameras_file(
        tmp_path, f"[cameras.gate]\nsource = '0'\nzone = [\n    '{A}'\n    # '{B}'\n]\nfps = 5\n"
    )
    text = saved(path, ("", C))
    assert read_cameras(path, tmp_path)["gate"].zones == (A, C)
    assert f"# '{B}'\n" in text


@pytest.mark.parametrize("loiter", ["['dor=1s']", "'dor=1s'"])
def test_one_mistake_is_one_line(tmp_path: Path, loiter: str) -> None:
    path = cameras_file(tmp_path, f"[cameras.gate]\nsource = '0'\nzone = ['{A}', '{B}']\nloiter = {loiter}\n")
    with pytest.raises(SeveralProblemsError) as caught:
        read_cameras(path, tmp_path)
    assert len(caught.value.problems) == 1


def test_an_option_of_all_cameras_is_changed_for_one_alone(tmp_path: Path) -> None:
    common = "[cameras.yard]\nsource = '1'\n[cameras.gate]\nsource = '0'\n"
    for option, name, first, second in (
        ("zone", "zone", A, B),
        ("min_height", "min-height", "100:12", "460:60"),
    ):
        for text in (f"[defaults]\n{option} = '{first}'\n{common}", f"{common}{option} = '{first}'\n"):
            path = cameras_file(tmp_path, text)
            yard = read_cameras(path, tmp_path)["yard"]
            save_change(path, tmp_path, "gate", Change(name, new=second))
            jobs = read_cameras(path, tmp_path)
            assert (first, second) in ((*jobs["gate"].zones,), jobs["gate"].min_height)
            assert jobs["yard"] == yard
    path = cameras_file(tmp_path, f"{common}min-height = 20\n")
    assert save_change(path, tmp_path, "gate", Change("min-height", "20", "30")).min_height == ("30",)


def test_saving_zones_keeps_what_was_written_by_hand(tmp_path: Path) -> None:
    path = cameras_file(tmp_path, FILE)
    without = FILE.replace(f"    '{A}', # by the door\n", "")
    assert saved(path, (A, ""), ("", D)) == without.replace('.12",\n', f'.12",\n    "{D}",\n')
    path.write_text(FILE)
    moved = A.replace("10%", "90%")
    assert saved(path, (A, moved)) == FILE.replace(f"'{A}'", f'"{moved}"')


def test_saving_zones_keeps_the_ends_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "cameras.toml"
    alone = "[cameras.gate]\nsource = '0'\n"
    for text in (FILE, alone):
        path.write_bytes(text.replace("\n", "\r\n").encode())
        after = saved(path, ("", D))
        assert D in after
        assert after.count("\n") == after.count("\r\n") > 2


@pytest.mark.skipif(sys.platform == "win32", reason="has no modes and owners of files")
@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_saving_zones_keeps_link_mode_and_owner_of_the_file(tmp_path: Path, mode: int) -> None:
    real = tmp_path / "etc" / "cameras.toml"
    real.parent.mkdir()
    real.write_text(FILE)
    if os.getuid() == 0:
        os.chown(real, 1234, 4321)
    real.chmod(mode)
    link, before = tmp_path / "cameras.toml", real.stat()
    link.symlink_to(Path("etc/cameras.toml"))
    assert D in saved(link, ("", D))
    after = real.stat()
    assert link.is_symlink()
    assert D in real.read_text()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert [*real.parent.iterdir()] == [real]


def test_a_file_whose_owner_cannot_be_kept_is_written_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cameras_file(tmp_path, FILE)
    number = path.stat().st_ino

    def fstat(*_: object) -> SimpleNamespace:
        return SimpleNamespace(st_uid=-1, st_gid=-1)

    def chown(*_: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(partial.os, "fstat", fstat)
        patch.setattr(partial.os, "chown", chown, raising=False)
        assert C not in saved(path, (A, ""), (B, ""), (C, ""))
    assert path.stat().st_ino == number
    assert len(path.read_text()) < len(FILE), "nothing of the longer text is left"


def test_a_file_says_the_options_of_each_camera(tmp_path: Path) -> None:
    path = cameras_file(
        tmp_path,
        """
        [defaults]
        fps = 5
        notify = "mqtt://broker/cameras/{name}"
        [cameras.gate]
        source = 0
        min_seconds = 2
        zone = ["a=0,0 9,0 9,9", "b=0,0 9,9"]
        [cameras.yard]
        source = "rtsp://camera/yard"
        fps = 2.5
        append = false
        """,
    )
    gate, yard = read_cameras(path, tmp_path / "out").values()
    assert (gate.source.place, gate.options.fps, gate.min_seconds, len(gate.zones)) == ("0", 5, 2, 2)
    assert (gate.events, gate.options.objects) == (tmp_path / "out/gate.csv", True)
    assert gate.notify == ("mqtt://broker/cameras/gate",)
    assert (yard.options.fps, yard.outputs.append) == (2.5, False)


def test_two_cameras_and_the_page_do_not_listen_at_one_port(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "cameras.toml"
    file.write_text('[cameras.a]\nsource = "udp://@:5000"\n[cameras.b]\nsource = "udp://@:5000"\n')
    assert "5000" in command("watch", file, "--check").complaint
    file.write_text('[cameras.a]\nsource = "tcp://127.0.0.1:5000?listen=1"\n')
    assert "camera a listens" in command("watch", file, "--check", "--port", "5000").complaint
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        assert str(port) in command("watch", file, "--check", "--port", str(port)).complaint
    assert command("watch", file, "--check", "--port", str(port)).code == 0


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_of_cameras_that_windows_wrote_is_read_and_changed(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "cameras.toml"
    path.write_text('[cameras.yard]\nsource = "rtsp://127.0.0.1/s"\nzone = ["Tür=0,0 9,9"]\n', encoding)
    assert [*read_cameras(path, tmp_path)] == ["yard"]
    save_change(path, tmp_path, "yard", Change("zone", "", "Café=1,1 5,5"), lambda job: None)
    assert path.read_text(encoding).count("Café") == 1
    assert path.read_bytes()[:2] == "[cameras".encode(encoding)[:2]
