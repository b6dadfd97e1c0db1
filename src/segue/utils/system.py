"""Files, processes and signals on Linux, macOS and Windows.

No other module of segue depends on the system for these. Tests replace :data:`WINDOWS` and :data:`MACOS` to
run the code of other systems.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segue.errors import SegueError

if TYPE_CHECKING:
    from filelock import FileLock

WINDOWS = sys.platform == "win32"
MACOS = sys.platform == "darwin"
LINUX = sys.platform == "linux"

CPU_TABLE = Path("/proc/cpuinfo")
"""File of Linux with processor information."""

PATIENCE = 2.0
"""Seconds that a file of Windows is waited for which another program, such as a virus scanner, has open."""

NICENESS = 10
"""Niceness of threads that read and write, so that networks have priority."""

_FULL_SYNC = 51  # F_FULLFSYNC of <sys/fcntl.h> on macOS
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def processor() -> str:
    """Name of the processor, or its architecture."""
    text = CPU_TABLE.read_text(encoding="utf-8", errors="replace") if CPU_TABLE.is_file() else ""
    names = (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def processor_family(table: Path = CPU_TABLE, name: str | None = None) -> str:
    """Vendor and family of the processor, such as ``AuthenticAMD 25``; empty if unknown.

    Args:
        table: processor information of Linux.
        name: name of the processor without a table; None is this machine's.
    """
    if not table.is_file():  # Windows: "AMD64 Family 25 Model 33 Stepping 0, AuthenticAMD"
        match = re.search(r"Family (\d+) .*, (\w+)$", platform.processor() if name is None else name)
        return f"{match[2]} {match[1]}" if match else ""
    text = table.read_text(encoding="utf-8", errors="replace")
    fields = [
        re.search(rf"^{name}\s*: (\w+)\s*$", text, re.MULTILINE) for name in ("vendor_id", "cpu family")
    ]
    return " ".join(field[1] for field in fields if field)


def num_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def busy_seconds() -> float | None:
    """CPU seconds of all programs since the machine started; None if unknown.

    Seconds of other virtual machines on the same cores (steal) count.
    """
    table = Path("/proc/stat")  # user, nice, system, idle, iowait, irq, softirq, steal, and guests
    if not table.is_file():
        return None
    fields = [int(word) for word in table.read_text(encoding="utf-8").split("\n", 1)[0].split()[1:9]]
    ticks: int = os.sysconf("SC_CLK_TCK")
    return (sum(fields) - sum(fields[3:5])) / ticks


def stop_signals() -> list[signal.Signals]:
    """Signals that end a program: Ctrl-C, SIGTERM, SIGHUP, Ctrl-Break on Windows."""
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


def sync_file(path: Path) -> None:
    """Write a file to the disk."""
    with path.open("rb+" if WINDOWS else "rb") as file:  # Windows syncs what may be written only
        sync_open_file(file.fileno())


def sync_open_file(descriptor: int) -> None:
    """Write a flushed open file to the disk; on macOS ``fsync`` is not enough."""
    if MACOS:
        import fcntl

        with suppress(OSError):  # not every file system has it
            fcntl.fcntl(descriptor, _FULL_SYNC)
            return
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Write the names in a folder to the disk, if the system can."""
    if WINDOWS:  # it opens no folders; NTFS keeps a journal of names
        return
    with suppress(OSError):  # some file systems sync none
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            sync_open_file(descriptor)
        finally:
            os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Write a folder and everything in it to the disk; renaming does not do so."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            sync_file(Path(place) / name)
        sync_folder(Path(place))


def replace_file(source: Path, target: Path, *, sync_name: bool = True) -> None:
    """Sync a complete file and rename it, replacing an existing one.

    Else a loss of power can leave an empty file: the name kept, the content not.
    """
    sync_file(source)
    rename(source, target)
    if sync_name:
        sync_folder(target.parent)


def rename(source: Path, target: Path) -> None:
    """Rename a file in one step, replacing an existing one."""
    _retry_on_windows(lambda: source.replace(target))


def remove_folder(folder: Path) -> None:
    """Remove a folder; if the process is killed, its name is intact or gone."""
    finish_removal(folder)
    with suppress(FileNotFoundError):
        rename(folder, _removed(folder))
    finish_removal(folder)


def finish_removal(folder: Path) -> None:
    """Remove the leftovers of a killed :func:`remove_folder`."""
    shutil.rmtree(_removed(folder), ignore_errors=True)


def _removed(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.removed")


def remove_lock(lock: FileLock, path: Path) -> None:
    """Release a lock of this process, and remove its file.

    The file is removed first, so that a process that has opened it does not hold the lock. Windows cannot
    remove an open file, so it may stay there.
    """
    if WINDOWS:
        lock.release()
        with suppress(OSError):
            path.unlink(missing_ok=True)
    else:
        path.unlink(missing_ok=True)
        lock.release()


def leave_group() -> None:
    """Stop Ctrl-C at the terminal from reaching this process."""
    if hasattr(os, "setsid"):
        os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGBREAK"):
        signal.signal(signal.SIGBREAK, signal.SIG_IGN)


def check_may_start_processes(what: str) -> None:
    """Raise an error if a script would start processes while it is imported by one.

    Raises:
        SegueError: the script of the user has no guard; in a process that runs it again, SystemExit.
    """
    text = (
        f"{what} starts processes, which import the script again: put what the script does below "
        '`if __name__ == "__main__":`, or give workers=1'
    )
    import multiprocessing  # late: few commands start processes

    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(text)
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script is None or not script.endswith(".py"):  # a notebook, or a command, which has a guard
        return
    with suppress(OSError, UnicodeDecodeError):  # what cannot be read may have a guard
        if "__main__" not in Path(script).read_text("utf-8"):
            raise SegueError(text)


def killed_by(code: int, advice: str = "take smaller batches or fewer --workers") -> str:
    """Name the signal in an exit code of Python or a shell; empty for others."""
    number = -code if code < 0 else code - 128
    if WINDOWS or number not in signal.valid_signals():
        return ""
    # The kernel kills with 9 where memory runs out, and leaves no message.
    cause = f", probably out of memory; {advice}" if number == signal.SIGKILL else ""
    return f"was killed by signal {number}{cause}"


@contextmanager
def signals_blocked(numbers: Collection[int]) -> Iterator[None]:
    """Defer signals in this thread and in processes that begin inside the block; not on Windows."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def let_signals_through(numbers: Collection[int]) -> None:
    """Accept signals again in a process that began inside :func:`signals_blocked`."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def die_with(parent: int) -> None:
    """Let the kernel end this process when its parent dies, on Linux."""
    if LINUX:
        import ctypes

        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def set_opencv_threads(count: int) -> None:
    """Set the number of OpenCV threads in this process.

    A forked process would wait for ever for threads that only its parent has: with 1 OpenCV ends them first,
    with 0 it leaves them alone and computes in the calling thread as well.
    """
    import cv2  # late: many processes need none

    cv2.setNumThreads(count if count > 1 else 0)


def lower_thread_priority() -> None:
    """Lower the priority of the calling thread and its children, on Linux."""
    if LINUX:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _retry_on_windows(act: Any) -> None:
    """Retry a file operation on Windows while another program has the file open."""
    end = time.monotonic() + (PATIENCE if WINDOWS else 0)
    while True:
        try:
            act()
        except PermissionError:
            if time.monotonic() >= end:
                raise
            time.sleep(0.05)
        else:
            return
