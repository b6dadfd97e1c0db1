"""Each way into segue that the README shows can be walked with its commands; nothing is added but videos."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from segue.masks import read_index_mask, write_index_mask
from segue.video import open_source
from tests.segue_web.videos import SAMPLE, cut_of_sample

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
FRAMES = 5


def begin_with(who: str) -> list[str]:
    """The command that the README has for somebody, in words."""
    (row,) = re.findall(rf"^\| {who} \| .*$", README, re.MULTILINE)
    (command, *_) = re.findall(r"`(segue [^`]+)`", row)
    return shlex.split(command)


def run(words: list[str], folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_that_the_readme_leads_to_is_there() -> None:
    root = Path(__file__).resolve().parents[2]
    links = re.findall(r"\]\(([^)#]+)", README)
    assert len(links) > 20
    assert [link for link in links if "://" not in link and not (root / link).exists()] == []


@pytest.mark.slow
def test_the_tour_of_a_camera_engineer(tmp_path: Path) -> None:
    cut_of_sample(tmp_path / "camera.mp4", 13)
    printed = run(begin_with("watch cameras"), tmp_path)
    assert "events" in printed
    assert (tmp_path / "events.csv").read_text().startswith("event,object,frame,")
    masks = sorted((tmp_path / "segue-out" / "camera" / "masks").glob("*.png"))
    assert len(masks) == 13
    record = json.loads((tmp_path / "segue-out" / "camera" / "job.json").read_text())
    assert record["kind"] == "foreground"


@pytest.mark.slow
def test_the_tour_of_a_researcher(tmp_path: Path) -> None:
    film, first = cut_of_sample(tmp_path / "my.mp4", FRAMES), read_index_mask(SAMPLE / "first.png")
    pictures, labels = (tmp_path / "MYDATA" / kind / "pond" for kind in ("JPEGImages", "Annotations"))
    pictures.mkdir(parents=True)
    labels.mkdir(parents=True)
    with open_source(film) as source:
        for frame in source:
            cv2.imwrite(str(pictures / f"{frame.index:05d}.jpg"), frame.image[..., ::-1])
            write_index_mask(labels / f"{frame.index:05d}.png", first)
    printed = run(begin_with("compare and train networks"), tmp_path)
    assert "J&F" in printed
    assert len(list((tmp_path / "results").rglob("*.png"))) >= FRAMES


@pytest.mark.slow
def test_the_tour_of_a_python_developer(tmp_path: Path) -> None:
    cut_of_sample(tmp_path / "my.mp4", FRAMES)
    (code,) = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    (tmp_path / "first_lines.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "first_lines.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(FRAMES))
    assert all("(240, 432) [(1, (" in line for line in lines)
