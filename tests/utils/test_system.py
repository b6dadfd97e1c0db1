"""Files, processes and signals as Windows and macOS have them, whose place this system takes."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock, Timeout

from segue.batch.publish import publish
from segue.errors import SinkError
from segue.utils import files, system
from segue.utils.files import locked, write_complete

fcntl: Any = pytest.importorskip("fcntl", reason="Windows is faked here")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows is faked here")


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows: syncs what may be written only, opens no folders, removes and renames no open file."""
    monkeypatch.setattr(system, "WINDOWS", True)
    monkeypatch.setattr(system, "LINUX", False)
    for module, name in ((os, "setsid"), (os, "killpg"), (signal, "SIGHUP"), (signal, "pthread_sigmask")):
        monkeypatch.delattr(module, name)
    unlink, real_open, fsync = Path.unlink, os.open, os.fsync

    def open_files_only(path: Any, *arguments: Any, **named: Any) -> int:
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real_open(path, *arguments, **named)

    def sync_what_is_written(descriptor: int) -> None:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        fsync(descriptor)

    def unlink_closed(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".lock" and is_held(path):
            raise PermissionError(errno.EACCES, "The process cannot access the file", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(os, "open", open_files_only)
    monkeypatch.setattr(os, "fsync", sync_what_is_written)
    monkeypatch.setattr(Path, "unlink", unlink_closed)


def is_held(path: Path) -> bool:
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


@pytest.mark.usefixtures("windows")
def test_files_and_results_of_a_batch_are_written_on_windows(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    write_complete(target, b"whole")
    assert target.read_bytes() == b"whole"
    work = tmp_path / "work"
    (work / "masks").mkdir(parents=True)
    (work / "masks" / "00000.png").write_bytes(b"mask")
    publish(work, str(tmp_path / "out"), "video", "batch")
    assert (tmp_path / "out" / "video" / "masks" / "00000.png").read_bytes() == b"mask"


@pytest.mark.usefixtures("windows")
def test_a_lock_ends_on_windows_where_its_file_cannot_be_removed_while_it_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "ENDING", 0.05)
    output = tmp_path / "masks"
    with locked([output]), pytest.raises(SinkError), locked([output]):
        pass
    with locked([output]):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("on_windows", [False, True])
def test_a_file_that_stays_open_is_an_error(
    on_windows: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[Path] = []

    class Open(type(tmp_path)):  # type: ignore[misc]
        """A file that another program has open."""

        def replace(self, target: Path) -> Path:
            tries.append(target)
            raise PermissionError(errno.EACCES, "The process cannot access the file")

    monkeypatch.setattr(system, "WINDOWS", on_windows)
    monkeypatch.setattr(system, "PATIENCE", 0.12)
    with pytest.raises(PermissionError):
        system.rename(Open(tmp_path / "a"), tmp_path / "b")
    assert (len(tries) > 1) == on_windows


@pytest.mark.usefixtures("windows")
def test_a_worker_of_windows_leaves_ctrl_c_to_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGUSR1)}
    try:
        with system.signals_blocked({signal.SIGINT}):
            system.leave_group()
        system.let_signals_through({signal.SIGINT})
        system.die_with(os.getppid())
        system.lower_thread_priority()
        assert [signal.getsignal(number) for number in before] == [signal.SIG_IGN, signal.SIG_IGN]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("known", [True, False])
def test_on_macos_a_file_reaches_the_disk_itself_where_the_file_system_can(
    known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    synced: list[int] = []

    def control(descriptor: int, command: int) -> int:
        asked.append(command)
        if not known:
            raise OSError(errno.ENOTSUP, "Operation not supported")
        return 0

    monkeypatch.setattr(system, "MACOS", True)
    monkeypatch.setattr(fcntl, "fcntl", control)
    monkeypatch.setattr(os, "fsync", synced.append)
    (tmp_path / "file").write_bytes(b"x")
    system.sync_file(tmp_path / "file")
    assert asked == [51]
    assert len(synced) == (not known)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AMD64 Family 25 Model 33 Stepping 0, AuthenticAMD", "AuthenticAMD 25"),
        ("Intel64 Family 6 Model 142 Stepping 10, GenuineIntel", "GenuineIntel 6"),
        ("arm", ""),
    ],
)
def test_the_family_of_a_processor_as_windows_tells_it(text: str, expected: str, tmp_path: Path) -> None:
    assert system.processor_family(tmp_path / "no table", text) == expected


def test_the_family_of_a_processor_as_linux_tells_it(tmp_path: Path) -> None:
    table = tmp_path / "cpuinfo"
    table.write_text("processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\n")
    assert system.processor_family(table) == "AuthenticAMD 25"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_sets_the_threads_of_opencv_that_its_parent_has_used() -> None:
    program = """if True:
        import os, sys
        import cv2, numpy as np
        from segue.utils.system import set_opencv_threads

        cv2.setNumThreads(2)
        image = np.zeros((2000, 2000, 3), np.uint8)
        cv2.GaussianBlur(image, (0, 0), 5)
        child = os.fork()
        if not child:
            set_opencv_threads(1)
            cv2.GaussianBlur(image, (0, 0), 5)
            os._exit(7)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    done = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    assert done.returncode == 7
