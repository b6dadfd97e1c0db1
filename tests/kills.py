"""A process that is killed (SIGKILL) right before one of its file operations; Linux and macOS."""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import torch

_CHANGES = frozenset(
    {"os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate", "os.utime"}
)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def dies_at(number: int, root: Path, act: Callable[[], object]) -> bool:
    """Do something in a child process that is killed at a change of files below a folder, by its number.

    Gives whether the kill came; a child that ends before has done it without an error.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of threads, which are idle here
        child = os.fork()
    if not child:
        status = 1
        try:
            torch.set_num_threads(1)  # its threads are not in the child
            cv2.setNumThreads(0)
            sys.addaudithook(_killer(number, str(root)))
            act()
            status = 0
        except BaseException:  # nothing of the test goes on in the child
            traceback.print_exc()
        finally:
            os._exit(status)
    _, result = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(result)
    assert code in (0, -signal.SIGKILL), f"the child process has failed: {code}"
    return code != 0


def _killer(number: int, root: str) -> Callable[[str, tuple[Any, ...]], None]:
    left = number

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in _CHANGES or (event == "open" and arguments[2] & _WRITES):
            place = os.fsdecode(arguments[0]) if isinstance(arguments[0], (str, bytes, Path)) else ""
            # Names without a folder are those of shutil.rmtree, which has the folder open.
            if place.startswith(root) or (event in ("os.remove", "os.rmdir") and "/" not in place):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

    return hook


def every_kill(
    root: Path, act: Callable[[], object], step: Callable[[int], int] = lambda _: 1
) -> Iterator[int]:
    """Do something again and again, killed a change later each time, until it comes to its end.

    ``step`` says by how many changes later, where one would take too long.

    Yields:
        The number of the change, after the kill.
    """
    number = 0
    while dies_at(number, root, act):
        yield number
        number += step(number)
