"""Commands and functions in a process forked from that of the tests: importing PyTorch takes seconds."""

from __future__ import annotations

import faulthandler
import gc
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any

import cv2
import torch

from segue.cli import main
from segue.cli.main import load_command
from segue.registry import _REGISTRIES
from tests.waiting import exit_code

SECONDS = 240.0
"""After which a child process is ended that should have come to its end long before."""


def run_alone(
    *arguments: object, folder: Path | None = None, site: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``segue`` in an interpreter of its own; the arguments are those of :func:`run_forked`."""
    more = [] if site is None else [str(site)]
    return subprocess.run(
        [sys.executable, "-m", "segue", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*more, *sys.path])},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def run_forked(
    *arguments: object,
    folder: Path | None = None,
    site: Path | None = None,
    before: Callable[[], object] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``segue`` with these arguments; what the test has set stays set.

    Where there is no fork, an interpreter is started. The commands are those that the tests have.

    Args:
        *arguments: its words.
        folder: where it runs; None is where the tests do.
        site: folder of installed packages that it finds as well.
        before: what is done in the process before the command; needs fork.
    """
    if not hasattr(os, "fork"):
        return run_alone(*arguments, folder=folder, site=site)
    return start_forked(partial(_command, [*map(str, arguments)], folder, site, before))()


def run_program(script: Path, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program with these words in a folder; without fork in an interpreter of its own."""
    if not hasattr(os, "fork"):
        line = [sys.executable, str(script), *words]
        return subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=300, check=False)

    def act() -> None:
        os.chdir(folder)
        sys.path.insert(0, str(script.parent))
        sys.argv = [str(script), *words]
        runpy.run_path(str(script), run_name="__main__")

    return start_forked(act)()


def run_module(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a module of a folder there, as ``python -m`` does."""
    if not hasattr(os, "fork"):
        line = [sys.executable, "-m", name]
        return subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=300, check=False)

    def act() -> None:
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        runpy.run_module(name, run_name="__main__", alter_sys=True)

    return start_forked(act)()


def _command(
    words: list[str], folder: Path | None, site: Path | None, before: Callable[[], object] | None
) -> None:
    """The command, in the child process."""
    if site is not None:
        sys.path.insert(0, str(site))
        for registry in _REGISTRIES:
            vars(registry).pop("_points", None)
    group = {"eval": "segue.cli.eval", "train": "segue_train.commands"}.get(words[0])
    if group is not None:  # it has commands of other packages; some may have come since another test
        sys.modules.pop(group, None)
        load_command.cache_clear()
    if folder is not None:
        os.chdir(folder)
    if before is not None:
        before()
    main(words)


class Forked:
    """A child process that does something, with what tests need of ``Popen``; needs fork.

    Its exit status is 0, 1 after an error, or that of SystemExit.

    Args:
        act: what it does.
        out: file for its standard output.
        err: file for its standard error.
    """

    def __init__(self, act: Callable[[], object], out: IO[Any], err: IO[Any]) -> None:
        self._code: int | None = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which are idle here
            self.pid = os.fork()
        if not self.pid:
            os._exit(_ended(act, out.fileno(), err.fileno()))

    def poll(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        if self._code is None:
            self._code = exit_code(self.pid, 0)
        return self._code

    def wait(self, seconds: float = SECONDS) -> int:
        """Exit code; if the process does not end it says where it is, and is ended."""
        if self._code is None:
            self._code = exit_code(self.pid, seconds)
        if self._code is None:
            self.send_signal(signal.SIGABRT)
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._code

    def send_signal(self, number: int) -> None:
        """Send a signal unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def start_forked(act: Callable[[], object]) -> Callable[[], subprocess.CompletedProcess[str]]:
    """Do something in a child process; needs fork.

    Returns:
        What waits for its end; its exit status is 1 after an error, or that of SystemExit.
    """
    out, err = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")  # noqa: SIM115
    child = Forked(act, out, err)

    def wait() -> subprocess.CompletedProcess[str]:
        with out, err:
            code = child.wait()
            for file in (out, err):
                file.seek(0)
            return subprocess.CompletedProcess([], code, out.read(), err.read())

    return wait


def _ended(act: Callable[[], object], out: int, err: int) -> int:
    """Exit status of the child process."""
    faulthandler.enable(err)
    gc.freeze()  # a decoder of the parent that is freed here waits for its threads, for ever
    try:
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdin, sys.stdout, sys.stderr = open(os.devnull), open(1, "w"), open(2, "w")  # noqa: PTH123, SIM115
        torch.set_num_threads(1)  # its threads are not in the child
        cv2.setNumThreads(0)
        cv2.setNumThreads = lambda count: None  # it would wait for ever for threads that are not in the child
        act()
        return 0
    except SystemExit as end:
        return int(str(end.code or 0))
    except BaseException:  # nothing of the test goes on in the child
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
