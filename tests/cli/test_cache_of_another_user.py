"""A home that this user may not enter, as in containers that are started with ``--user``."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import segue
from segue.batch.shards import home_of
from segue.errors import SegueError
from tests.cli.forked import run_forked
from tests.clips import clip
from tests.video.making import write_video

OTHER_USER = 54321
CAPABILITIES = 0x20080522  # version of the calls of Linux
OVERRIDES = 1 << 1 | 1 << 2  # what lets root enter and read what is not its own
COUNT = 4

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="another system of permissions")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder with a video, and a home of somebody else."""
    home = tmp_path / "home"
    home.mkdir(mode=0o000)
    if os.geteuid() == 0:
        os.chown(home, OTHER_USER, OTHER_USER)
    frames, masks = clip(5, COUNT, 48, 64, 1)
    write_video(tmp_path / "v.mp4", list(frames))
    segue.masks.write_index_mask(tmp_path / "first.png", masks[0])
    yield tmp_path
    home.chmod(0o700)


def live_in(home: Path) -> None:
    """Have a home, and no right to enter what is not one's own."""
    for name in ("SEGUE_HOME", "XDG_CACHE_HOME"):
        os.environ.pop(name, None)
    os.environ["HOME"] = str(home)
    libc = ctypes.CDLL(None)
    header, data = (ctypes.c_uint32 * 2)(CAPABILITIES, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, data) == 0
    data[0] &= ~OVERRIDES  # of what counts,
    data[1] &= ~OVERRIDES  # and of what is permitted
    assert libc.capset(header, data) == 0
    with pytest.raises(PermissionError):
        (home / ".cache").stat()


@pytest.mark.parametrize(
    ("name", "words"), [("track", ("--mask", "first.png")), ("foreground", ("--model", "mustan-lite"))]
)
def test_a_home_that_may_not_be_entered_stops_no_command(
    place: Path, name: str, words: tuple[str, ...]
) -> None:
    outcome = run_forked(
        name, "v.mp4", *words, "--format", "png", "-o", "out/o", "--device", "cpu",
        folder=place, before=partial(live_in, place / "home"),
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stderr.count("cannot be read (Permission denied); SEGUE_HOME names another folder") == 1
    found = [segue.masks.read_index_mask(path) for path in sorted((place / "out/o/masks").glob("*.png"))]
    assert len(found) == COUNT
    if name == "track":
        expected = [each.mask for each in segue.track(place / "v.mp4", place / "first.png", device="cpu")]
        np.testing.assert_array_equal(found, expected)


def test_doctor_says_what_to_do(place: Path) -> None:
    outcome = run_forked("doctor", "--no-test", folder=place, before=partial(live_in, place / "home"))
    assert outcome.returncode == 0, outcome.stderr
    assert "cannot be written; SEGUE_HOME names another" in outcome.stdout
    assert "not known" not in outcome.stdout


def test_the_record_of_a_batch_elsewhere_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_HOME", "name" * 100)  # which no system takes
    with pytest.raises(SegueError, match="SEGUE_HOME names another folder"):
        home_of("s3://bucket/out")
