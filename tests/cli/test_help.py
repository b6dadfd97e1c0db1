"""What the command says about itself, and what it imports for that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segue.cli.main import load_command
from segue.registry import COMMANDS, CommandEntry
from tests.cli.running import Command

LEFT_OUT = ("torch", "scipy", "cv2", "av")
"""Packages that take long to import."""


def imported(program: str, names: tuple[str, ...] = LEFT_OUT) -> set[str]:
    """Which packages, of those above or others, a program has imported when it ends."""
    ask = f"{program}\nimport sys\nprint(*(name for name in {names!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_following_objects_imports_nothing_that_scores() -> None:
    scoring = ("segue.metrics", "segue.datasets", "segue.reports.html", "jinja2")
    assert imported("import segue.cli.running", scoring) == set()


def test_following_objects_imports_the_network_that_follows_them_alone() -> None:
    networks = ("cutie", "xmem", "stm", "seqformer", "msstsvis", "hofam", "mustan", "detection.mask_rcnn")
    other = (
        *(f"segue.models.{name}" for name in networks),
        "segue.models.sam2.network",
    )
    sessions = ("segue.sessions.foreground", "segue.sessions.instances", "segue.sessions.subtractors")
    load = "import segue.cli.running\nsegue.TrackSession('stcn-lite', device='cpu')"
    assert imported(load, (*other, *sessions, "segue.models.stcn")) == {"segue.models.stcn"}


@pytest.mark.parametrize("entry", tuple(COMMANDS), ids=lambda entry: entry.name)
def test_every_option_says_what_it_is(entry: CommandEntry) -> None:
    command: Any = load_command(entry.name)
    for each in getattr(command, "commands", {entry.name: command}).values():
        assert [item.name for item in each.params if not item.help or "None" in item.help] == []


def test_help_needs_no_large_package() -> None:
    run = "from segue.cli import app\ntry: app(['--help'])\nexcept SystemExit: pass"
    assert imported(run) == set()


WRONG = (
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


@pytest.mark.parametrize("words", [line.split() for line in WRONG])
def test_wrong_options_are_refused_before_pytorch_is_imported(words: list[str]) -> None:
    asked = f"from segue.cli import app\nfrom segue.errors import SegueError\ntry: app({words!r})\n"
    run = f"{asked}except (SystemExit, SegueError) as error: assert getattr(error, 'code', 2) == 2"
    assert "torch" not in imported(run)


@pytest.mark.parametrize("module", ["segue.cli.eval", "segue.metrics", "segue.datasets", "segue.video"])
def test_scoring_and_reading_need_no_networks(module: str) -> None:
    assert "torch" not in imported(f"import {module}")


def test_a_video_is_followed_without_scipy(tmp_path: Path) -> None:
    video = tmp_path / "video"
    video.mkdir()
    Image.new("RGB", (64, 48), "grey").save(video / "00000.png")
    Image.fromarray(np.pad(np.ones((12, 16), np.uint8), ((18, 18), (24, 24)))).save(tmp_path / "mask.png")
    words = ["track", str(video), "--mask", str(tmp_path / "mask.png"), "-o", str(tmp_path / "out"), "-q"]
    run = f"from segue.cli import app\ntry: app({words!r})\nexcept SystemExit as end: assert not end.code"
    assert imported(run) == {"torch", "cv2", "av"}
    assert (tmp_path / "out" / "masks" / "00000.png").is_file()


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
