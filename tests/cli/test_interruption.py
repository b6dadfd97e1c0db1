"""Runs that are interrupted, and resumed to the very files of a run that was not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from segue.jobs import frame_loop
from segue.jobs.frame_loop import STATE
from segue.sessions import TrackSession
from segue.video import open_source
from tests.cli.conftest import AtFrame
from tests.cli.forked import run_forked
from tests.cli.running import Command, contents

ALL = tuple(word for name in ("png", "overlay", "coco", "ytvis", "npz") for word in ("--format", name))

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="signals a child process")

GO_ON = "interrupted; give the same command with --resume to go on\n"


def signalled(name: str) -> None:
    """Let this process send itself a signal at frame 5."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests themselves ignore it
    frame_loop.SAVE_EVERY_SECONDS = 0.0
    step = TrackSession.step

    def stepping(session: TrackSession, frame: Any, *arguments: Any, **options: Any) -> Any:
        if frame.index == 5:
            os.kill(os.getpid(), getattr(signal, name))
        return step(session, frame, *arguments, **options)

    TrackSession.step = stepping  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def known() -> dict[str, bytes]:
    """Files of a run that nothing interrupted, as soon as a test needed them."""
    return {}


@pytest.fixture
def whole(track: Command, tmp_path: Path, known: dict[str, bytes]) -> dict[str, bytes]:
    """Files of a run that nothing interrupted."""
    if not known:
        assert track(*ALL, "--output", tmp_path / "whole").code == 0
        known |= contents(tmp_path / "whole")
    return known


@pytest.mark.parametrize("index", [0, pytest.param(4, marks=pytest.mark.slow), 7])
def test_an_interrupted_run_finishes_its_frame_and_goes_on_to_the_same_files(
    interrupt_at: AtFrame, track: Command, tmp_path: Path, whole: dict[str, bytes], index: int
) -> None:
    with interrupt_at(TrackSession, index):
        outcome = track(*ALL)
    assert (outcome.code, outcome.err) == (130, GO_ON)
    folder = tmp_path / "out"
    assert f"overlay: {folder / 'overlay.mp4'}" in outcome.out.splitlines()
    with open_source(folder / "overlay.mp4") as overlay:
        assert len(list(overlay)) == index + 1
    assert len(list((folder / "masks").glob("*.png"))) == index + 1
    assert (folder / "masks" / STATE).exists()
    outcome = track(*ALL, "--resume")
    assert outcome.code == 0, outcome.err
    assert contents(folder) == whole


def test_a_run_can_be_interrupted_again_and_again(
    interrupt_at: AtFrame, track: Command, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    for index in (1, 3, 6):
        with interrupt_at(TrackSession, index):
            assert track(*ALL, "--resume").code == 130
    assert track(*ALL, "--resume").code == 0
    assert contents(tmp_path / "out") == whole


def test_resume_removes_partial_files_of_a_killed_run(
    interrupt_at: AtFrame, track: Command, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    folder = tmp_path / "out"
    with interrupt_at(TrackSession, 4):
        assert track(*ALL).code == 130
    for name in (".job.json.0123abcd.partial", ".overlay.mp4.0123abcd.partial"):
        (folder / name).write_bytes(b"half")
    assert track(*ALL, "--resume").code == 0
    assert contents(folder) == whole


def test_a_second_interruption_ends_at_once(
    interrupt_at: AtFrame, track: Command, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    with interrupt_at(TrackSession, 4, times=2):
        outcome = track(*ALL)
    assert (outcome.code, outcome.err) == (130, GO_ON)
    assert not list((tmp_path / "out").rglob("*.partial"))
    assert track(*ALL, "--resume").code == 0
    assert contents(tmp_path / "out") == whole


def test_prompts_and_a_full_memory_survive_the_interruption(
    interrupt_at: AtFrame, track: Command, inputs: Path, tmp_path: Path
) -> None:
    arguments = (
        *("--box", "2@5:3,3,30,30", "--mask", f"5@7={inputs / 'fifth.png'}", "--remove", "6@1", "--fill"),
        *("--mem-every", 1, "--memory-frames", 2, "--start", 1, "--max-size", 48),
    )
    assert track(*arguments, *ALL, "--output", tmp_path / "whole").code == 0
    with interrupt_at(TrackSession, 4):
        assert track(*arguments, *ALL).code == 130
    assert track(*arguments, *ALL, "--resume").code == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_run_can_go_on_to_another_end(interrupt_at: AtFrame, track: Command, tmp_path: Path) -> None:
    assert track("--format", "png", "--end", 7, "--output", tmp_path / "whole").code == 0
    with interrupt_at(TrackSession, 4):
        assert track("--format", "png").code == 130
    assert track("--format", "png", "--resume", "--end", 7).code == 0
    masks, whole = (
        {path.name: path.read_bytes() for path in (tmp_path / name / "masks").glob("*.png")}
        for name in ("out", "whole")
    )
    assert len(whole) == 7
    assert masks == whole


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers there")
def test_a_frame_under_way_is_finished_however_long_it_takes(
    at_frame: AtFrame, track: Command, tmp_path: Path
) -> None:
    handler = signal.getsignal(signal.SIGALRM)

    def interrupt() -> None:
        signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGALRM) == handler, "nothing may be raised in the middle of work"
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)

    with at_frame(TrackSession, 3, interrupt, before=True):
        assert track("--format", "png").code == 130
    assert len(list((tmp_path / "out" / "masks").glob("*.png"))) == 4


@pytest.fixture
def arguments(inputs: Path, tmp_path: Path) -> tuple[object, ...]:
    weights = ("--weights", inputs / "lite.safetensors", "--device", "cpu")
    mask = ("--mask", inputs / "first.png")
    return ("track", inputs / "clip.mp4", *mask, *weights, *ALL, "--output")


@needs_fork
def test_a_process_ends_in_order_on_ctrl_c(
    track: Command, tmp_path: Path, arguments: tuple[object, ...], whole: dict[str, bytes]
) -> None:
    ended = run_forked(*arguments, tmp_path / "out", before=partial(signalled, "SIGINT"))
    assert (ended.returncode, ended.stderr) == (130, GO_ON)
    assert len(list((tmp_path / "out" / "masks").glob("*.png"))) == 6
    assert track(*ALL, "--resume").code == 0
    assert contents(tmp_path / "out") == whole


@needs_fork
def test_a_killed_process_leaves_what_a_later_one_goes_on_with(
    track: Command, tmp_path: Path, arguments: tuple[object, ...], whole: dict[str, bytes]
) -> None:
    ended = run_forked(*arguments, tmp_path / "out", before=partial(signalled, "SIGKILL"))
    assert ended.returncode == -signal.SIGKILL
    finished = {path.name for path in (tmp_path / "out").glob("[!.]*")}
    assert finished == {"masks"}
    assert (tmp_path / "out" / "masks" / STATE).exists()
    shutil.copytree(tmp_path / "out", tmp_path / "early")
    assert track(*ALL, "--resume").code == 0
    assert contents(tmp_path / "out") == whole
    # As if it had been killed before it saved its session for the first time.
    (tmp_path / "early" / "masks" / STATE).unlink()
    assert track(*ALL, "--resume", "--output", tmp_path / "early").code == 0
    assert contents(tmp_path / "early") == whole


def test_a_run_that_begins_anew_forgets_the_interrupted_one(
    at_frame: AtFrame, interrupt_at: AtFrame, track: Command, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    with interrupt_at(TrackSession, 5):
        assert track(*ALL).code == 130

    def fail() -> None:
        raise ZeroDivisionError

    with at_frame(TrackSession, 0, fail, before=True), pytest.raises(ZeroDivisionError):
        track(*ALL, "--overwrite")
    assert track(*ALL, "--resume").code == 0
    assert contents(tmp_path / "out") == whole


def test_a_source_that_was_replaced_is_not_taken_for_the_old_one(
    interrupt_at: AtFrame, track: Command, inputs: Path, tmp_path: Path
) -> None:
    source = tmp_path / "clip.mp4"
    shutil.copy(inputs / "clip.mp4", source)
    with interrupt_at(TrackSession, 5):
        track("--format", "png", source=source)
    before, data = contents(tmp_path / "out"), source.read_bytes()
    source.write_bytes(data + b"more")
    resumed = track("--format", "png", "--resume", source=source)
    assert f"its size was {len(data)} bytes, now it is {len(data) + 4}" in resumed.complaint
    assert contents(tmp_path / "out") == before
    source.rename(tmp_path / "moved.mp4")
    shutil.copy2(inputs / "clip.mp4", source)
    assert "it was written anew" in track("--format", "png", "--resume", source=source).complaint


def test_another_run_is_not_taken_for_the_interrupted_one(
    interrupt_at: AtFrame, track: Command, tmp_path: Path
) -> None:
    with interrupt_at(TrackSession, 5):
        track("--format", "png")
    before = contents(tmp_path)
    others = [
        (("--mem-every", 2), "mem_every"),
        (("--start", 2), "start"),
        (("--max-size", 32), "max_size"),
        (("--overwrite",), "overwrite"),
    ]
    for arguments, name in others:
        assert name in track("--format", "png", "--resume", *arguments).complaint
        assert contents(tmp_path).keys() == before.keys()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that a process can hear")
def test_a_signal_while_a_command_is_imported_ends_it_as_ctrl_c_does(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(60)\n"
    )
    (tmp_path / "cameras.toml").write_text("[cameras.gate]\nsource = 'http://127.0.0.1:9/gate'\n")
    ended = subprocess.run(
        [sys.executable, "-m", "segue", "watch", str(tmp_path / "cameras.toml")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 130, ended


ENDS = """
import atexit, sys, threading

class Module:
    def __del__(self):
        print("torn down")

def work():
    threading.main_thread().join()  # the command is done, and Python waits for this thread
    print("thread")
    atexit.register(print, "handler")

sys.modules["module"] = module = Module()
threading.Thread(target=work).start()
from segue.__main__ import main
sys.argv = ["segue", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize(("word", "status"), [("--version", 0), ("no-command", 2)])
def test_a_command_ends_without_taking_python_apart(word: str, status: int) -> None:
    """That costs a second with PyTorch, and many where others compute; threads and handlers are heard."""
    given = (sys.executable, "-c", ENDS, word)
    ran = subprocess.run(given, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == status, ran
    assert {"thread", "handler"} <= {*ran.stdout.splitlines()}
    assert "torn down" not in ran.stdout


ASKED_WHILE_IT_LOADS = """
import os, signal, sys, time

asked, module = sys.argv[1:]

class Asks:
    def find_spec(self, name, *_):
        if name == module:
            os.kill(os.getpid(), getattr(signal, asked))
            time.sleep(30)

sys.meta_path.insert(0, Asks())
from segue.__main__ import main
sys.argv = ["segue", "foreground", "clip.mp4"]
main()
"""


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("segue.cli", "SIGTERM"),
        ("segue.cli.main", "SIGINT"),
        ("segue.cli.running", "SIGTERM"),
        pytest.param("segue.cli", "SIGINT", marks=pytest.mark.slow),
        pytest.param("segue.cli.main", "SIGTERM", marks=pytest.mark.slow),
        pytest.param("segue.cli.running", "SIGINT", marks=pytest.mark.slow),
    ],
)
def test_a_command_that_is_to_end_while_it_is_loaded_ends_with_130(
    module: str, name: str, tmp_path: Path
) -> None:
    given = (sys.executable, "-c", ASKED_WHILE_IT_LOADS, name, module)
    ran = subprocess.run(given, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 130, ran
    assert "Traceback" not in ran.stderr
    assert not [*tmp_path.iterdir()]
