"""What segue writes, ``segue eval`` finds, with nothing moved; and a run is resumed only as it was begun."""

from __future__ import annotations

import json
import shutil
import signal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.jobs.record import identified, result_settings
from segue.jobs.values import Model, Outputs, TrackJob, VideoSource
from segue.masks import read_index_mask, write_index_mask
from segue.prompt_types import MaskPrompt
from segue.sessions import TrackSession
from segue.sinks import open_sinks
from segue.types import Segmentation
from segue.video import open_source
from tests.cli.conftest import AtFrame
from tests.cli.running import Command
from tests.cli.scored import make_cdnet, make_davis, square


def write_truth(images: Path, output: Path, *formats: Any, first: int) -> None:
    """Write the true masks of a video as ``segue track`` and ``segue foreground`` write theirs."""
    source = open_source(images)
    with open_sinks(output, formats, source).sink as sink:
        for frame in source:
            mask = square(first + 2 * frame.index)
            sink.write(frame, Segmentation(frame.index, frame.time, mask))


@pytest.mark.parametrize("kind", ["davis", "folder"])
@pytest.mark.parametrize("formats", [("png",), ("png", "cdnet")])
@pytest.mark.parametrize("packed", [False, True])
def test_masks_of_tracked_videos_are_found(
    command: Command, tmp_path: Path, kind: str, formats: tuple[str, ...], packed: bool
) -> None:
    data = make_davis(tmp_path / "DAVIS")
    for name in ("ant", "bee"):
        write_truth(data / "JPEGImages/480p" / name, tmp_path / "results" / name, *formats, first=4)
    results = tmp_path / "results"
    if packed:
        results = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "results"))
    scores = tmp_path / "scores.json"
    outcome = command("eval", kind, results, "--data", data, "--json", scores)
    assert outcome.code == 0, outcome.err
    assert json.loads(scores.read_text())["global"]["J&F-Mean"] == 1


@pytest.mark.parametrize("formats", [("cdnet",), ("png", "cdnet")])
def test_masks_of_foreground_are_found(command: Command, tmp_path: Path, formats: tuple[str, ...]) -> None:
    data = make_cdnet(tmp_path / "CDnet")
    for name in ("highway", "office"):
        place = Path("baseline") / name
        write_truth(data / place / "input", tmp_path / "results" / place, *formats, first=10)
    scores = tmp_path / "scores.json"
    outcome = command("eval", "cdnet", tmp_path / "results", "--data", data, "--json", scores)
    assert outcome.code == 0, outcome.err
    assert json.loads(scores.read_text())["global"]["F"] == pytest.approx(1, abs=1e-4)


def test_index_masks_are_not_scored_as_grey_ones(command: Command, tmp_path: Path) -> None:
    data = make_cdnet(tmp_path / "CDnet")
    for name in ("highway", "office"):
        place = Path("baseline") / name
        write_truth(data / place / "input", tmp_path / "results" / place, "png", first=10)
    outcome = command("eval", "cdnet", tmp_path / "results", "--data", data, "--missing", "empty")
    assert "--format cdnet" in outcome.complaint


def test_scores_and_reports_replace_nothing_that_is_scored_and_not_each_other(
    command: Command, tmp_path: Path
) -> None:
    data, results = make_cdnet(tmp_path / "data"), make_cdnet(tmp_path / "results", result=True)
    mask = results / "baseline/highway/bin000001.png"
    before = mask.read_bytes()
    call = ("eval", "cdnet", results, "--data", data)
    assert "is a file of what is scored" in command(*call, "--json", mask).complaint
    assert mask.read_bytes() == before
    labels = data / "instances.json"
    labels.write_text('{"info": {}, "videos": []}')
    assert "is a file of what is scored" in command(*call, "--json", labels).complaint
    assert "is a file of what is scored" in command("data", "check", data, "--json", labels).complaint
    for options in (("--json", results / "scores.json"), ("--report", results / "scores.html")) * 2:
        assert command(*call, *options).code == 0, "its own files are replaced"
    both = ("--json", tmp_path / "x", "--report", tmp_path / "x")
    assert "is to hold both scores and report" in command(*call, *both).complaint


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--fit",), "fit="),
        (("--stride", "2"), "stride="),
        (("--max-size", "40"), "max_size="),
        (("--box", "3:1,1,20,20"), "other prompts on the first frame;"),
        (("--remove", "2@1"), "other prompts on frame 2;"),
        (("--mem-every", "2"), "mem_every="),
    ],
)
def test_a_run_with_another_task_is_not_the_interrupted_one(
    at_frame: AtFrame, track: Command, tmp_path: Path, options: tuple[str, ...], named: str
) -> None:
    with at_frame(TrackSession, 2, partial(signal.raise_signal, signal.SIGTERM)):
        assert track("--format", "png").code == 130
    assert len(list((tmp_path / "out" / "masks").glob("*.png"))) == 3
    assert f"was begun with {named}" in track("--format", "png", "--resume", *options).complaint


def test_a_prompt_file_counts_by_its_content_and_an_address_without_its_password(tmp_path: Path) -> None:
    mask = tmp_path / "first.png"
    write_index_mask(mask, square(4))
    prompts = (MaskPrompt(2, str(mask), frame=5), MaskPrompt(0, str(mask)))

    def settings(place: str, **how: object) -> dict[str, Any]:
        source, model = VideoSource(place=place), Model(name="stcn-lite")
        job = TrackJob(source=source, model=model, prompts=prompts, outputs=Outputs(**how))
        return result_settings(identified(job))

    before = settings("rtsp://me:secret@gate/live", folder=tmp_path)
    write_index_mask(mask, square(5))
    after = settings("rtsp://you:other@gate/live", overwrite=True)
    assert before["source"] == after["source"]
    assert before["source"]["place"] == "rtsp://gate/live"
    assert [before["prompts"][frame] != after["prompts"][frame] for frame in ("5", "-1")] == [True, True]
    assert {name for name in before if before[name] != after[name]} == {"prompts"}
    assert "secret" not in json.dumps(before)


def test_names_that_are_no_text_or_command_the_terminal_do_no_harm(track: Command, tmp_path: Path) -> None:
    folder = tmp_path / "a\n\x1bb:fire:\udcff"
    folder.mkdir()
    outcome = track("--format", "png", "--format", "coco", "--format", "overlay", "--output", folder / "out")
    assert outcome.code == 0, outcome.err
    assert "\x1b" not in outcome.out
    assert outcome.out.count("\n") == 3
    assert "b:fire:" in outcome.out
    assert np.any(read_index_mask(folder / "out" / "masks" / "00003.png"))
    missing = track(source=folder / "clip:x:fire.mp4")
    assert r"a\n\x1bb:fire:\udcff/clip:x:fire.mp4: no such file" in missing.complaint
