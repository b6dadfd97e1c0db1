"""What a training lacks is said at once, before anything is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from segue_train.commands import making
from tests.cli.running import Command, command_in
from tests.segue_train.scenes import save_composites


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.setattr(making, "missing_packages", lambda extra: "")
    return command_in(capsys)


@pytest.mark.parametrize(
    ("words", "lacks"),
    [
        ("stcn-lite", "--data; --out; weights to begin from (--init with a MobileNetV2, or --start)"),
        ("stcn-lite --data a --resume", "--out"),
        ("stcn-lite --init a", "--data; --out"),
        ("stm --stage 0 --out a", "--data; weights to begin from (--init with a ResNet-50"),
        (
            "xmem --stage 0 --data a --out b --init c",
            "weights to begin from (--start with weights of the stage",
        ),
        ("fgsegnet", "--out"),
    ],
)
def test_missing_needs_of_a_training_are_in_one_message(words: str, lacks: str, command: Command) -> None:
    network = words.split()[0]
    assert command("train", *words.split()).complaint.startswith(
        f"error: segue train {network} needs {lacks}"
    )


def test_wrong_data_are_not_reported_as_missing_needs(command: Command, tmp_path: Path) -> None:
    ended = command(
        "train", "stm", "--stage", 0, "--data", tmp_path / "none", "--out", tmp_path, "--init", "a"
    )
    assert "none" in ended.complaint
    assert "needs" not in ended.complaint


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--device mps", "--device mps: PyTorch finds 0 such devices"),
        ("--device cuda --devices 99", "--device cuda: PyTorch finds"),
    ],
)
def test_a_device_that_is_not_there_is_said_before_data_are_read(
    words: str, said: str, command: Command, tmp_path: Path
) -> None:
    start = ("stcn-lite", "--data", tmp_path / "none", "--start", "shipped", "--out", tmp_path / "run")
    assert said in command("train", *start, *words.split()).complaint
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("mustan-lite --lr 1", "has no --lr: use --rate"),
        ("stm --lr=1", "has no --lr: use --rate"),
        ("stm --batch-size 2", "has no --batch-size: use --batch or --accumulate"),
        ("fgsegnet --num-workers 2", "has no --num-workers: use --workers"),
    ],
)
def test_options_of_other_programs_are_translated(words: str, said: str, command: Command) -> None:
    assert said in command("train", *words.split()).complaint


def test_an_unknown_option_suggests_what_is_like_it_and_not_the_help(command: Command) -> None:
    for words, said in (("--lrx 1", False), ("--outt a", True)):
        ended = command("train", "stcn-lite", *words.split())
        assert ended.code == 2
        assert ("Possible options" in ended.err) == said
        assert "options: --help" not in ended.err


def test_a_resumed_run_of_other_sizes_says_the_option(command: Command, tmp_path: Path) -> None:
    scene = save_composites(tmp_path / "composites")
    words = ("hofam", "--data", f"hofam={scene}", "--out", tmp_path / "run", "--device", "cpu")
    words += ("--workers", 0, "--levels", 6, "--batch", 1, "--precision", "32-true", "--steps", 1)
    assert command("train", *words, "--gf", 2).code == 0
    ended = command("train", *words, "--gf", 3, "--resume")
    assert ended.code == 2
    assert "it was started with gf 2, not 3" in ended.err.splitlines()[-1]
