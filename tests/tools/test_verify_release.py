"""A released checkpoint is downloaded, run on a video and held against published values."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import segue
from segue.prompt_types import MaskPrompt
from segue.registry import MODELS
from segue.weights.download import Remote
from tests.clips import clip
from tests.lite import lively_lite
from tests.video.making import write_video
from tests.weights.test_download import Behaviour, server
from tools.verify_release import RELEASES, Release, main, scores_of

__all__ = ["server"]

FRAMES, MASKS = clip(5, 3, 48, 64, 1)
PLACES = ((20, 20), (40, 30), (2, 2))


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SEGUE_MIRROR", "SEGUE_OFFLINE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))


@pytest.fixture
def release(server: tuple[str, Behaviour], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """A random checkpoint and a video on a server, with the log-odds that the network itself gives."""
    address, behaviour = server
    network = lively_lite()
    torch.save(network.state_dict(), tmp_path / "lite.pth")
    write_video(tmp_path / "clip.mp4", list(FRAMES))
    files = {name: (tmp_path / name).read_bytes() for name in ("lite.pth", "clip.mp4")}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    behaviour.files.update({f"/{name}": content for name, content in files.items()})
    weights = Remote(f"{address}/lite.pth", "lite.pth", digests["lite.pth"])
    entry = replace(MODELS.find("stcn-lite"), name="lite", bundled=None, sha256=None, remote=weights)
    monkeypatch.setattr(MODELS, "_entries", {"lite": entry})
    prompts = (MaskPrompt(1, MASKS[0] > 0),)
    logits = []
    session = segue.TrackSession(lively_lite(), device="cpu")
    with segue.video.open_source(tmp_path / "clip.mp4") as source:
        for frame in source:
            result = session.step(frame, prompts if frame.index == 0 else None)
            found = {(x, y): float(result.probabilities[1][y, x]) for x, y in PLACES if frame.index}
            logits.append({place: math.log(p / (1 - p)) for place, p in found.items()})
    video = Remote(f"{address}/clip.mp4", "clip.mp4", digests["clip.mp4"])
    return Release(video, prompts, logits, 0.1, "this test")


def test_equal_values_are_said_to_be_equal(release: Release, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lite", "--device", "cpu"], {"lite": release}) == 0
    said = capsys.readouterr().out
    assert said.count("\n| ") == 2 + 2 * len(PLACES)
    assert "tolerance 0.1: equal" in said


def test_different_values_and_files_are_reported(
    release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = [
        {place: value + 0.5 * (i == 2) for place, value in row.items()}
        for i, row in enumerate(release.logits)
    ]
    assert main(["lite", "--device", "cpu"], {"lite": replace(release, logits=wrong)}) == 1
    assert "DIFFERENT" in capsys.readouterr().out
    video = replace(release.video, name="other.mp4", sha256="0" * 64)
    assert main(["lite", "--device", "cpu"], {"lite": replace(release, video=video)}) == 2
    assert "it is not the file that was published" in capsys.readouterr().err


def test_a_network_without_values_names_the_command_that_repeats_its_scores(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["stm"]) == 2
    assert 'segue reproduce stm davis-2017 --data davis=FOLDER --row "STM"' in capsys.readouterr().err
    assert not any("OSMN" in line for line in scores_of("stm")), "that network is not stm"
    assert scores_of("nanodet") == []
    assert main(["none"]) == 2
    assert main(["--list"]) == 0
    assert capsys.readouterr().out.startswith("sam2-tiny: ")


def test_the_page_lists_every_release_and_who_confirmed_it() -> None:
    page = (Path(__file__).parents[2] / "docs/weights.md").read_text(encoding="utf-8")
    section = page.partition("## Confirmed runs of released checkpoints")[2]
    rows = re.findall(r"^\| ([a-z0-9+-]+) \| .+ \| (.+) \|$", section, re.MULTILINE)[2:]
    assert [name for name, _ in rows] == [*RELEASES]
    dated = r"\S.* on \d{4}-\d{2}-\d{2}, largest difference \d+\.\d+"
    assert all(confirmed == "not yet" or re.fullmatch(dated, confirmed) for _, confirmed in rows)
