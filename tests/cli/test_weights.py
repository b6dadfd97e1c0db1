"""``segue weights``: list, convert and verify."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import segue
from segue.registry import MODELS
from tests.cli.forked import run_forked
from tests.cli.running import Command, contents


def test_all_networks_are_listed() -> None:
    listed = run_forked("weights", "list")  # apart from threads of other tests, which may write as well
    assert listed.returncode == 0, listed.stderr
    header, *rows = [line.split("\t") for line in listed.stdout.splitlines()]
    assert header == ["network", "weights", "licence"]
    assert [row[0] for row in rows] == [entry.name for entry in MODELS if entry.signature]
    assert all(cell for row in rows for cell in row)


def test_a_file_is_converted_beside_it(command: Command, tmp_path: Path) -> None:
    state = segue.load("stcn-lite").state_dict()
    torch.save(state, tmp_path / "stcn.pth")
    outcome = command("weights", "convert", tmp_path / "stcn.pth")
    assert outcome.code == 0, outcome.err
    assert "use them with --model stcn-lite --weights" in outcome.out
    assert load_file(tmp_path / "stcn.safetensors").keys() == state.keys()
    complaint = command("weights", "convert", tmp_path / "stcn.pth").complaint
    assert "stcn.safetensors: exists already; give --overwrite" in complaint
    assert command("weights", "convert", tmp_path / "stcn.pth", "--overwrite").code == 0
    assert command("weights", "verify", tmp_path / "stcn.pth").out.endswith("complete weights of stcn-lite\n")


def test_a_saved_folder_is_verified_and_converted(command: Command, tmp_path: Path) -> None:
    segue.save_pretrained(segue.load("stcn-lite"), tmp_path / "mine")
    assert command("weights", "verify", tmp_path / "mine").out.endswith("complete weights of stcn-lite\n")
    assert command("weights", "convert", tmp_path / "mine", tmp_path / "a.safetensors").code == 0
    (tmp_path / "empty").mkdir()
    assert "is a folder" in command("weights", "verify", tmp_path / "empty").complaint


def test_foreign_files_are_refused(command: Command, tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pth")
    before = contents(tmp_path)
    for verb in ("convert", "verify"):
        assert "other.pth: " in command("weights", verb, tmp_path / "other.pth").complaint
        assert "none.pth: " in command("weights", verb, tmp_path / "none.pth").complaint
    assert contents(tmp_path) == before


def test_downloads_are_only_made_where_they_can_be(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    for arguments, words in (
        (("pointrend",), "its publisher gives no checksum"),
        (("stcn-lite",), "come with segue"),
        (("other",), "no network is called 'other'"),
    ):
        assert words in command("weights", "get", *arguments).complaint
    assert not list(tmp_path.rglob("*.*"))


def test_weights_are_listed_with_their_state(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "maskrcnn.safetensors").touch()
    rows = dict(line.split("\t")[:2] for line in command("weights", "list").out.splitlines())
    assert rows["maskrcnn"] == "installed"
    assert rows["maskrcnn-v1"] == "segue weights get maskrcnn-v1"
    assert rows["dino-s16"] == "segue weights get dino-s16"
    assert rows["stcn-lite"] == "come with segue"
    assert rows["deeplab"] == "get them yourself"
    assert rows["mustan2"] == "none published"
    details = command("weights", "list", "maskrcnn").out
    assert f"installed\t{tmp_path / 'weights' / 'maskrcnn.safetensors'}" in details
