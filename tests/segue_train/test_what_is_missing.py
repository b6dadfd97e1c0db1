"""What a training lacks is said at once, before anything is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from segue_train.commands import making
from tests.cli.running import Command, command_in


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.setattr(making, "missing_packages", lambda extra: "")
    return command_in(monkeypatch, capsys)


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
def test_all_that_a_training_lacks_is_in_one_message(words: str, lacks: str, command: Command) -> None:
    network = words.split()[0]
    assert command("train", *words.split()).complaint.startswith(
        f"error: segue train {network} needs {lacks}"
    )


def test_nothing_is_said_to_be_missing_where_the_data_are_wrong(command: Command, tmp_path: Path) -> None:
    ended = command(
        "train", "stm", "--stage", 0, "--data", tmp_path / "none", "--out", tmp_path, "--init", "a"
    )
    assert "none" in ended.complaint
    assert "needs" not in ended.complaint
