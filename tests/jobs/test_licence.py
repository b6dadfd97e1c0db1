"""Weights that allow commercial use are chosen, or a job says that there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import segue
from segue.errors import CheckpointError
from segue.jobs import read_job
from segue.models.stcn import STCNLite
from segue.registry import MODELS
from tests.cli.running import Command, command_in
from tests.clips import clip
from tests.lite import lively_lite
from tests.video.making import write_video

FRAMES, MASKS = clip(5, 2, 48, 64, 1)
BOX = (8, 8, 40, 40)


@pytest.fixture(scope="module")
def lite() -> STCNLite:
    return lively_lite()


def test_the_same_network_with_other_weights_is_taken() -> None:
    results = segue.track(FRAMES, box=BOX, licence="commercial", device="cpu")
    assert (results.job.model.name, results.job.prompter) == ("stcn-lite-free", None)
    expected = segue.track(FRAMES, box=BOX, model="stcn-lite-free", device="cpu")
    for one, other in zip(results, expected, strict=True):
        np.testing.assert_array_equal(one.mask, other.mask)
    assert segue.track(FRAMES, box=BOX, device="cpu").job.model.name == "stcn-lite"


def test_a_prompter_has_such_weights_too() -> None:
    named = segue.track(FRAMES, box=BOX, licence="commercial", prompter="segue-prompt", device="cpu")
    assert named.job.prompter == "segue-prompt-free"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"model": "stm"},
            "no weights of stm .*CC BY-NC-SA 4.0.*: stcn-lite-free, sam2-tiny",
        ),
        ({"model": "xmem"}, "no weights of xmem"),
        ({"weights": "my.safetensors"}, "terms of your own networks and weight files are not known"),
        ({"prompter": "my.safetensors"}, "terms of your own"),
    ],
)
def test_without_free_weights_the_error_names_alternatives(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        segue.track(FRAMES, MASKS[0], licence="commercial", **arguments)


def test_networks_and_detectors_of_a_program_are_refused(lite: STCNLite) -> None:
    with pytest.raises(CheckpointError, match="your own"):
        segue.track(FRAMES, MASKS[0], model=lite, licence="commercial")
    with pytest.raises(CheckpointError, match="no detector has weights"):
        segue.track(FRAMES, text="person", licence="commercial")


def test_the_command_records_what_it_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "clip.mp4", list(FRAMES))
    command: Command = command_in(capsys)
    order = ("track", "clip.mp4", "--box", "8,8,40,40", "--licence", "commercial")
    assert command(*order, "--device", "cpu", "-o", "out", "-q").code == 0
    job = read_job(tmp_path / "out/job.json")
    assert (job.model.name, job.licence) == ("stcn-lite-free", "commercial")
    refused = command(*order, "--model", "stm", "-o", "other")
    assert refused.code == 2
    assert "no weights of stm" in refused.err


def test_only_weights_whose_terms_say_so_are_marked() -> None:
    marked = {entry.name for entry in MODELS if entry.commercial}
    assert {"stcn-lite-free", "segue-prompt-free", "sam2-tiny"} <= marked
    assert all("Apache-2.0" in MODELS.find(name).licence for name in marked)
