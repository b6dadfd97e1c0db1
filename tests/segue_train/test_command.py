"""``segue train`` from folders to a file that can be loaded."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import tomllib
from pathlib import Path

import pytest
import torch

import segue
from segue.errors import CheckpointError, DatasetError, SegueError, TrainingError
from segue.models.stcn import STCNLite
from segue.weights import write_checkpoint
from segue_train.commands.making import is_first_to_report, refuse_trained
from tests.cli.forked import run_alone
from tests.clips import clip
from tests.segue_train.commands import run
from tests.segue_train.making import write_all, write_video


@pytest.fixture
def start(tmp_path: Path) -> Path:
    path = tmp_path / "start.safetensors"
    torch.manual_seed(0)
    write_checkpoint(path, STCNLite().state_dict(), {})
    return path


@pytest.mark.usefixtures("small_clips")
def test_stcn_lite_is_trained_resumed_and_loaded(tmp_path: Path, start: Path) -> None:
    videos, stills = write_all(tmp_path)
    held_out = write_video(tmp_path / "held-out", "goat", *clip(7, 4, 48, 64, 1))
    command = (
        "stcn-lite", "--data", videos, "--data", held_out, "--data", stills, "--start", start,
        "--out", tmp_path / "run", "--device", "cpu", "--precision", "32-true", "--steps", 2,
        "--log-every", 1, "--validate", held_out, "--validate-every", 1, "--workers", 0,
    )  # fmt: skip
    first = run(*command, "--until", 1)
    assert "left out 1 sequences of DAVIS val" in first
    assert "2 videos and 4 still images" in first
    assert "step 1/2  score 0." in first
    (videos / "more.txt").touch()
    with pytest.raises(CheckpointError):
        run(*command, "--resume")
    (videos / "more.txt").unlink()
    options = tomllib.loads((tmp_path / "run" / "run.toml").read_text())
    assert (options["steps"], options["data"], options["batch"]) == (2, [*map(str, command[2:7:2])], 4)
    assert "step 2/2" in run("stcn-lite", "--config", tmp_path / "run" / "run.toml", "--resume")
    network = segue.load("stcn-lite", weights=tmp_path / "run" / "stcn-lite.safetensors")
    assert not network.training
    assert not torch.equal(
        network.decoder.pred.weight, segue.load("stcn-lite", weights=start).decoder.pred.weight
    )
    segue.load("stcn-lite", weights=tmp_path / "run" / "stcn-lite-best.safetensors")


VALIDATED = "stcn-lite --data VIDEOS --data STILLS --start START --validate VIDEOS --validate-on boat"


@pytest.mark.parametrize(
    ("command", "kind", "named"),
    [
        pytest.param("stcn --stage 0 --data VIDEOS --start START", DatasetError, "stage 0", id="stills"),
        pytest.param("stcn --stage 3 --data STILLS --start START", DatasetError, "stage 3", id="videos"),
        pytest.param("stcn --stage 0 --data STILLS", TrainingError, "--init-value", id="start"),
        pytest.param("stcn-lite --data STILLS", TrainingError, "MobileNetV2", id="encoder"),
        pytest.param(VALIDATED, DatasetError, "boat.*--exclude", id="validated"),
    ],
)
def test_each_command_wants_its_data_and_its_start(
    tmp_path: Path, start: Path, command: str, kind: type[Exception], named: str
) -> None:
    videos, stills = write_all(tmp_path)
    places = {"VIDEOS": videos, "STILLS": stills, "START": start}
    with pytest.raises(kind, match=named):
        run(*(places.get(word, word) for word in command.split()), "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_options_of_a_file_are_checked_and_the_command_line_wins(tmp_path: Path, start: Path) -> None:
    file = tmp_path / "mine.toml"
    for text, said in (
        ("stepss = 2", "did you mean --steps"),
        ("workers = true", "--workers is true"),
        ("steps = ", "no TOML"),
    ):
        file.write_text(text)
        with pytest.raises(SegueError, match=said):
            run("stcn-lite", "--config", file)
    file.write_text(f'data = ["nowhere"]\nstart = "{start}"\nout = "{tmp_path / "out"}"\ndevice = "mps"\n')
    with pytest.raises(DatasetError, match="nowhere"):
        run("stcn-lite", "--config", file, "--device", "cpu")


def test_weights_that_do_not_come_with_segue_are_not_shipped(tmp_path: Path) -> None:
    videos, _ = write_all(tmp_path)
    words = ("stcn", "--stage", 3, "--data", videos, "--start", "shipped", "--out", tmp_path / "run")
    with pytest.raises(TrainingError, match=r"stcn.* stcn-lite"):
        run(*words)


def test_no_video_is_both_trained_and_validated_on() -> None:
    refuse_trained(["walk"], ["held"])
    with pytest.raises(DatasetError):
        refuse_trained(["walk", "run"], ["walk", "held"])


def reports(place: Path, number: int) -> None:
    if is_first_to_report():
        (place / str(number)).touch()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes that have imported PyTorch already")
def test_one_of_several_failing_processes_reports_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert is_first_to_report()
    assert is_first_to_report(), "a training in one process reports each error"
    for name, value in {"WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_PORT": "29500"}.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "said").mkdir()
    make = multiprocessing.get_context("fork").Process
    processes = [make(target=reports, args=(tmp_path / "said", number)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert len(list((tmp_path / "said").iterdir())) == 1


@pytest.mark.slow
def test_two_processes_print_an_error_once(tmp_path: Path, start: Path) -> None:
    _, stills = write_all(tmp_path)
    for image in filter(Path.is_file, stills.rglob("*")):
        image.write_bytes(b"damaged")
    ended = run_alone(
        "train", "stcn-lite", "--data", stills, "--start", start, "--out", tmp_path / "run",
        "--device", "cpu", "--devices", 2, "--precision", "32-true", "--steps", 2, "--workers", 0,
    )  # fmt: skip
    assert ended.returncode
    assert ended.stderr.count("error:") == 1, ended.stderr
