"""Secrets of the file of cameras, what systemd hears, and a file that is saved while cameras are watched."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from threading import Lock
from urllib.parse import quote, unquote

import pytest

from segue.errors import SegueError
from segue.jobs.values import ForegroundJob
from segue.utils.cancel import CancelToken
from segue_watch.camera import Camera
from segue_watch.cameras import CameraSet
from segue_watch.log import Log
from segue_watch.reload import CameraFile, Reload
from segue_watch.service import Watchdog, tell_systemd, with_secrets
from tests.cli.mjpeg import mjpeg_camera
from tests.cli.running import Command
from tests.waiting import wait_for

PASSWORD = "p@ss/w:rd 1"


def test_a_secret_comes_from_the_environment_a_file_or_a_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "CAM_C").write_text("third\n")
    (tmp_path / "b.txt").write_text("second\n")
    monkeypatch.setenv("CAM_A", PASSWORD)
    monkeypatch.setenv("CAM_B_FILE", str(tmp_path / "b.txt"))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert with_secrets("${CAM_A} ${CAM_B} ${CAM_C}") == f"{PASSWORD} second third"
    address = with_secrets("rtsp://me:${CAM_A}@camera/1")
    assert unquote(address.removeprefix("rtsp://me:").removesuffix("@camera/1")) == PASSWORD
    assert address.count("@") == address.count(":") - 1 == 1
    for text in ("${CAM_D}", "${}", "${../b}"):
        with pytest.raises(SegueError, match=r"CAM_D|name of letters"):
            with_secrets(text)


def test_no_password_is_shown_or_written(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAM_A", "geheim")
    file = tmp_path / "cameras.toml"
    with mjpeg_camera() as address:
        source = address.replace("http://", "http://me:${CAM_A}@")
        file.write_text(f'[cameras.a]\nsource = "{source}"\nend = 60\nmodel = "median"\ndevice = "cpu"\n')
        checked = command("watch", file, "--check")
        assert checked.code == 0, checked
        assert checked.out.startswith("a: http://127.0.0.1")
        ran = command("watch", file, "--output", tmp_path / "out")
    assert ran.code == 0, ran
    written = [path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert written
    shown = (checked.out, checked.err, ran.out, ran.err)
    assert not any(b"geheim" in text for text in [*written, *(each.encode() for each in shown)])


def test_a_secret_in_a_path_stands_in_no_text_that_leaves_the_process(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of a webhook, of an address that fails, of a camera that has it in its path, and of a zone."""
    secrets = {"HOOK": "T0/geheim-1", "PATH_OF_CAMERA": "geheim-2&x", "DEAD": "geheim-3", "PIN": "81"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "cameras.toml"
    with mjpeg_camera() as address:
        file.write_text(
            f"""
            [defaults]
            end = 60
            when-late = "all"
            model = "median"
            device = "cpu"
            format = "png"
            output = "{tmp_path}/out/{{name}}"
            notify = "http://127.0.0.1:9/hooks/${{HOOK}}"
            [cameras.a]
            source = "{address}/password=${{PATH_OF_CAMERA}}/${{PIN}}/${{DEAD}}"
            """
        )
        checked = command("watch", file, "--check")
        assert checked.code == 0, checked
        assert checked.out.startswith("a: http://127.0.0.1")
        assert checked.out.endswith("/gate/password=***/***/***\n")
        ran = command("watch", file, "--output", tmp_path / "out", "--log", "json")
    assert ran.code == 3, ran
    assert "hooks/***" in ran.err
    record = tmp_path / "out/a/job.json"
    assert record.stat().st_mode & 0o777 == 0o600 or os.name == "nt"
    file.write_text('[cameras.a]\nsource = "0"\nfps = "${DEAD}"\nzone = "${HOOK}"\n')
    refused = command("watch", file, "--check")
    assert refused.err.count("***") == 2
    texts = [checked.out, checked.err, ran.out, ran.err, refused.err, record.read_text()]
    for value in secrets.values():
        for form in (value, quote(value, safe="")):
            assert not any(form in text for text in texts if len(form) > 2), (form, texts)
    written = [path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not any(b"geheim" in data for data in written)


@pytest.mark.shared
def test_signs_in_the_passwords_of_a_file_are_named_and_not_shown(
    shared: Path, command: Command, tmp_path: Path
) -> None:
    subprocess.run([sys.executable, shared / "cases/40-signs-in-passwords/make.py"], cwd=tmp_path, check=True)
    outcome = command("watch", "cameras.toml", "--check")
    complaint = outcome.err
    assert outcome.code == 2
    assert "secret" not in complaint
    for words in ("camera slash: ", "camera hash: ", "# as %23", "/ as %2F"):
        assert words in complaint


def test_check_names_all_invalid_cameras(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "cameras.toml"
    odd = {"a": "fps = -1", "b": "fps = 5", "c": 'zone = "x"'}
    file.write_text("".join(f'[cameras.{name}]\nsource = "0"\n{more}\n' for name, more in odd.items()))
    outcome = command("watch", file, "--check")
    assert outcome.code != 0
    assert "camera a: " in outcome.err
    assert "camera c: " in outcome.err
    assert "camera b: " not in outcome.err


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="systemd speaks by sockets of Unix")
def test_systemd_hears_that_the_process_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "20000000")
        tell_systemd("READY=1")
        watchdog = Watchdog()
        for _ in range(3):
            watchdog.poll()
        tell_systemd("STOPPING=1")
        assert [listener.recv(99) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_a_file_that_is_saved_changes_only_what_has_changed_in_it(tmp_path: Path) -> None:
    with mjpeg_camera() as address:
        file = tmp_path / "cameras.toml"

        def written(*cameras: str, more: str = "") -> str:
            head = '[defaults]\nmodel = "median"\ndevice = "cpu"\n'
            return head + "".join(f'[cameras.{name}]\nsource = "{address}"\n' for name in cameras) + more

        def make(name: str, job: ForegroundJob) -> Camera:
            return Camera(name, job, lambda *_: None, lambda _: None)

        file.write_text(written("a", "b"))
        saved = CameraFile(file, tmp_path / "out")
        jobs, _ = saved.read()
        cameras = CameraSet([make(name, job) for name, job in jobs.items()], make)
        stop = CancelToken()
        with Log() as log:
            reload = Reload(saved, cameras, log, Lock())
            thread = threading.Thread(target=cameras.watch, args=(stop, reload.poll), daemon=True)
            thread.start()
            wait_for(lambda: all(camera.well for camera in cameras))
            first, second = cameras
            file.write_text(written("a", more="no camera"))  # half saved
            wait_for(lambda: "no TOML" in reload._error)
            assert [*cameras] == [first, second]
            file.write_text(written("a", "c", more='zone = "door=0,0 9,0 9,9"\n'))
            wait_for(lambda: {camera.name for camera in cameras} == {"a", "c"})
            wait_for(lambda: all(camera.well for camera in cameras))
            assert cameras["a"] is first
            wait_for(lambda: not second.well)
            assert [zone.name for zone in cameras["c"].zones] == ["door"]
            frames = cameras["a"].state()["frames"]
            wait_for(lambda: cameras["a"].state()["frames"] > frames)
            assert cameras["a"].state()["restarts"] == 0
            stop.cancel()
            thread.join(30)
            assert not thread.is_alive()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGHUP")
def test_a_hangup_reads_the_file_again(tmp_path: Path) -> None:
    file = tmp_path / "cameras.toml"
    file.write_text("[cameras.a]\nsource = '0'")
    said: list[str] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, and stays so

    class Said(Log):
        def warning(self, camera: str, text: str) -> None:
            said.append(text)

    with Said() as log:
        saved = CameraFile(file, tmp_path / "out")
        saved.read()
        file.write_text("no TOML =")
        reload = Reload(saved, CameraSet([]), log, Lock())
        with reload.on_hangup():
            reload.poll()
            reload.poll()
            assert len(said) == 1, "it is said once"
            os.kill(os.getpid(), signal.SIGHUP)
            wait_for(lambda: reload._requested)
            reload.poll()
    signal.signal(signal.SIGHUP, before)
    assert len(said) == 2
    assert "the cameras go on as before" in said[0]
