"""What the command says about itself, and what it imports for that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segue.batch.workers import GPU_DEVICES
from segue.cli.main import load_command
from segue.registry import COMMANDS, CommandEntry
from segue.utils.system import LINUX
from tests.cli.running import Command

LARGE = ("torch", "scipy", "cv2", "av")
"""Packages that take long to import."""

SCORING = ("segue.metrics", "segue.datasets", "segue.reports.html", "jinja2")

NETWORKS = (
    "cutie",
    "xmem",
    "stm",
    "seqformer",
    "msstsvis",
    "hofam",
    "mustan",
    "detection.mask_rcnn",
    "sam2.network",
)

SESSIONS = (
    "segue.sessions.foreground.session",
    "segue.sessions.instances",
    "segue.sessions.foreground.segmenters.subtractors",
)

STEPS = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from segue.cli import app
from segue.errors import SegueError
for step in json.loads(sys.argv[1]):
    code = 0
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            exec(step)
        except (SystemExit, SegueError) as error:
            code = getattr(error, "code", 2)
    print(json.dumps([code, [*sys.modules]]))
"""


@dataclass(frozen=True)
class Step:
    """How a step of a program ended, and all modules that are imported then."""

    code: int
    modules: frozenset[str]


def steps(*programs: str) -> dict[str, Step]:
    """The steps of one program, one after the other; an interpreter for each takes too long to start.

    Warnings are errors there, as many programs have it.
    """
    asked = [sys.executable, "-W", "error", "-c", STEPS, json.dumps(programs)]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    found = [Step(code, frozenset(modules)) for code, modules in map(json.loads, done.stdout.splitlines())]
    return dict(zip(programs, found, strict=True))


HELP = "app(['--help'])"

COMMAND = "import segue.cli.running"

WRONG = tuple(
    f"app({words.split()!r})"
    for words in (
        "track my.mp4",
        "track my.mp4 --box 1,2,3,4",
        "track my.mp4 --nosuch",
        "foreground my.mp4",
        "instances my.mp4",
        "detect my.jpg",
        "batch videos --nosuch",
        "annotate my.mp4",
        "view results",
        "serve nosuch",
        "export nosuch folder",
        "weights get nosuch",
        "run nosuch",
    )
)

PACKAGES = tuple(
    f"import {name}" for name in ("segue.video", "segue.datasets", "segue.metrics", "segue.cli.eval")
)


GPUS = """
from segue.batch.work import JobConfig
from segue.batch.workers import gpus_of
assert gpus_of(JobConfig(output="out", batch="mine")) == []
"""


@pytest.fixture(scope="module")
def without_pytorch() -> dict[str, Step]:
    """What needs no network."""
    return steps(HELP, COMMAND, *WRONG, *PACKAGES, GPUS)


def test_help_needs_no_large_package(without_pytorch: dict[str, Step]) -> None:
    assert without_pytorch[HELP].code == 0
    assert without_pytorch[HELP].modules.isdisjoint(LARGE)


def test_following_objects_imports_nothing_that_scores(without_pytorch: dict[str, Step]) -> None:
    assert without_pytorch[COMMAND].modules.isdisjoint(SCORING)


@pytest.mark.parametrize("words", WRONG)
def test_wrong_options_are_refused_before_pytorch_is_imported(
    without_pytorch: dict[str, Step], words: str
) -> None:
    assert without_pytorch[words].code == 2
    assert "torch" not in without_pytorch[words].modules


@pytest.mark.parametrize("package", PACKAGES)
def test_scoring_and_reading_need_no_networks(without_pytorch: dict[str, Step], package: str) -> None:
    assert "torch" not in without_pytorch[package].modules


@pytest.mark.skipif(not LINUX or any(map(os.path.exists, GPU_DEVICES)), reason="PyTorch counts the GPUs")
def test_a_batch_where_no_gpu_can_be_imports_pytorch_in_its_workers_alone(
    without_pytorch: dict[str, Step],
) -> None:
    assert "torch" not in without_pytorch[GPUS].modules


def test_following_objects_imports_what_it_needs_alone_and_warns_of_nothing(tmp_path: Path) -> None:
    video = tmp_path / "video"
    video.mkdir()
    Image.new("RGB", (64, 48), "grey").save(video / "00000.png")
    Image.fromarray(np.pad(np.ones((12, 16), np.uint8), ((18, 18), (24, 24)))).save(tmp_path / "mask.png")
    session = "import segue\nsegue.TrackSession('stcn-lite', device='cpu')"
    in_memory = (
        "import numpy as np\n"
        "frames, mask = np.full((2, 48, 64, 3), 90, np.uint8), np.zeros((48, 64), np.uint8)\n"
        "mask[8:40, 8:40] = 1\n"
        "sys.exit(len([*segue.track(frames, mask, device='cpu')]))"
    )
    words = ["track", str(video), "--mask", str(tmp_path / "mask.png"), "-o", str(tmp_path / "out"), "-q"]
    found = steps(session, in_memory, f"app({words!r})")
    networks = {f"segue.models.{name}" for name in (*NETWORKS, "stcn")}
    assert found[session].modules & {*networks, *SESSIONS} == {"segue.models.stcn"}
    assert found[in_memory].code == 2
    assert "pycocotools" not in found[in_memory].modules
    done = found[f"app({words!r})"]
    assert done.code == 0
    assert done.modules & {*LARGE} == {"torch", "cv2", "av"}, "scipy is not needed"
    assert "PIL.PdfImagePlugin" not in done.modules, "all formats of Pillow are not needed"
    assert (tmp_path / "out" / "masks" / "00000.png").is_file()


@pytest.mark.parametrize("entry", tuple(COMMANDS), ids=lambda entry: entry.name)
def test_every_option_says_what_it_is(entry: CommandEntry) -> None:
    command: Any = load_command(entry.name)
    for each in getattr(command, "commands", {entry.name: command}).values():
        assert [item.name for item in each.params if not item.help or "None" in item.help] == []


@pytest.mark.parametrize("entry", tuple(COMMANDS), ids=lambda entry: entry.name)
def test_every_command_can_be_quiet(entry: CommandEntry) -> None:
    command: Any = load_command(entry.name)
    for name, each in getattr(command, "commands", {entry.name: command}).items():
        quiet = [option for option in each.params if {"--quiet", "-q"} <= set(option.opts)]
        assert len(quiet) == 1, name


def test_a_quiet_command_says_what_is_wrong_and_its_results_alone(command: Command, tmp_path: Path) -> None:
    for part, ending in (("JPEGImages", "jpg"), ("Annotations", "png")):
        (tmp_path / "a" / part / "480p" / "one").mkdir(parents=True)
        Image.new("L", (8, 6)).save(tmp_path / f"a/{part}/480p/one/00000.{ending}")
    spoken = command("data", "check", tmp_path / "a", "--kind", "davis", "--json", tmp_path / "a.json")
    quiet = command("data", "check", tmp_path / "a", "--kind", "davis", "--json", tmp_path / "b.json", "-q")
    assert f"written: {tmp_path / 'a.json'}" in spoken.err
    assert "written" not in quiet.err
    assert (tmp_path / "b.json").read_bytes() == (tmp_path / "a.json").read_bytes()
    assert quiet.out == spoken.out
    assert [line for line in quiet.err.splitlines() if line.startswith("problem")] == [
        line for line in spoken.err.splitlines() if line.startswith("problem")
    ]
    again = command("data", "check", tmp_path / "a", "--kind", "davis", "--json", tmp_path / "c.json")
    assert "written" in again.err  # the next command of this process is not quiet


def test_a_video_without_a_command_opens_the_page(command: Command, tmp_path: Path) -> None:
    (tmp_path / "my.mp4").write_bytes(b"")
    assert command(tmp_path / "my.mp4", "--help").out == command("annotate", "--help").out
    assert command(tmp_path, "--help").out == command("annotate", "--help").out
    assert f"{tmp_path / 'no.mp4'}: no such file" in command(tmp_path / "no.mp4").complaint
    assert "no.mp4: no such file" in command("no.mp4").complaint


def test_a_folder_with_the_name_of_a_command_is_no_video(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "track").mkdir()
    monkeypatch.chdir(tmp_path)
    assert "--box" in command("track", "--help").out


@pytest.mark.parametrize(
    ("words", "near"),
    [(("trak", "a.mp4"), "track"), (("weights", "lst"), "list"), (("train", "stcnlite"), "stcn-lite")],
)
def test_a_command_that_there_is_not_suggests_the_near_ones(
    words: tuple[str, ...], near: str, command: Command
) -> None:
    ended = command(*words)
    assert ended.code == 2
    assert "Did you mean" in ended.err
    assert near in ended.err
