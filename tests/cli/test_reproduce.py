"""``segue reproduce`` on a film of five frames."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from segue.masks import write_index_mask
from tests.cli.running import FRAMES, MASKS, Command, Outcome

HEADER = ["first frame", "J&F", "J", "F", "frames/s"]


@pytest.fixture(autouse=True)
def _nothing_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    for part in ("JPEGImages", "Annotations"):
        (tmp_path / "davis" / part / "one").mkdir(parents=True)
    for t in range(5):
        Image.fromarray(FRAMES[t]).save(tmp_path / "davis" / "JPEGImages" / "one" / f"{t:05d}.png")
        write_index_mask(tmp_path / "davis" / "Annotations" / "one" / f"{t:05d}.png", MASKS[t])
    return tmp_path / "davis"


@pytest.fixture
def something(tmp_path: Path) -> Path:
    """Video 13 in the layout of Something-Else, with one box that stands still."""
    (tmp_path / "se" / "videos" / "13").mkdir(parents=True)
    frames = []
    for t in range(5):
        name = f"13/{t + 1:04d}.jpg"
        Image.fromarray(FRAMES[t]).save(tmp_path / "se" / "videos" / name)
        label = {"box2d": {"x1": 8, "y1": 8.5, "x2": 40, "y2": 40.5}, "category": "cup"}
        frames.append({"name": name, "labels": [label]})
    (tmp_path / "se" / "annotations.json").write_text(json.dumps({"13": frames}))
    return tmp_path / "se"


def table(outcome: Outcome) -> list[list[str]]:
    """Cells of what a command printed."""
    assert outcome.code == 0, outcome.err
    return [line.split("\t") for line in outcome.out.splitlines()]


def test_a_row_for_each_source_and_a_remark_for_each_that_is_not_there(
    command: Command, inputs: Path, davis: Path
) -> None:
    arguments = ("--davis", davis, "--weights", inputs / "lite.safetensors", "--device", "cpu")
    outcome = command("reproduce", "stcn-report", *arguments)
    header, *rows = table(outcome)
    assert header == HEADER
    assert [row[0] for row in rows[:3]] == ["ground truth", "boxes, filled", "boxes, GrabCut"]
    for name in ("Mask R-CNN", "PointRend", "LOST + CRF"):
        assert f"note: {name} is left out: no weights of" in outcome.err
    assert f"note: 1 sequences of {davis}, DAVIS 2017, stcn-lite" in outcome.err


def test_boxes_of_people_give_a_table_of_their_own(command: Command, davis: Path, something: Path) -> None:
    arguments = ("--device", "cpu", "--source", "ground truth")
    both = command("reproduce", "stcn-report", "--davis", davis, "--something", something, *arguments)
    header, first, again, second = table(both)
    assert header == again == HEADER
    assert first[0] == second[0] == "ground truth"
    assert float(first[1]) > 80
    assert float(second[1]) > 80
    assert first[1:4] != second[1:4]
    assert f"note: 1 videos of {something}, Something-Else, stcn-lite" in both.err
    alone = command("reproduce", "stcn-report", "--something", something, "--sequence", "13", *arguments)
    assert table(alone)[1][:4] == second[:4]


def test_what_cannot_be_compared_is_said_on_one_line(
    command: Command, davis: Path, something: Path, tmp_path: Path
) -> None:
    for arguments, words in (
        ((), "give --davis FOLDER, --something FOLDER, or both"),
        (("--something", tmp_path / "none"), "no folder"),
        (("--something", something, "--sequence", "2"), "no video 2 in"),
        (("--something", something, "--davis", davis, "--sequence", "13"), "not both"),
        (
            ("--davis", davis, "--source", "RetinaNet"),
            "no row is called 'RetinaNet'; there are ground truth;",
        ),
        (("--davis", davis, "--source", "PointRend"), "`segue weights get pointrend --sha256 CHECKSUM`"),
        (("--davis", davis, "--detector-weights", "some.pth"), "give NAME=FILE with NAME one of motion"),
        (("--davis", davis, "--detector-weights", "deeplab=none.pth"), "none.pth: "),
    ):
        assert words in command("reproduce", "stcn-report", "--device", "cpu", *arguments).complaint
