"""What a training keeps on disk, and what it removes of an earlier one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from segue.weights import write_checkpoint
from segue_train.checkpoints import clear_folder, save


def test_a_training_removes_the_logs_of_an_earlier_one_and_nothing_else(tmp_path: Path) -> None:
    ours = ("last.ckpt", "logs/from-0/metrics.csv", "logs/from-12/events.out.tfevents.1.host.2")
    others = ("notes.txt", "logs/monday.txt", "logs/from-12/mine.csv", "logs/from-home/metrics.csv")
    for name in (*ours, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    clear_folder(tmp_path, "stcn-lite", resume=True)
    assert all((tmp_path / name).is_file() for name in (*ours, *others))
    clear_folder(tmp_path, "stcn-lite", resume=False)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(others)
    assert not (tmp_path / "logs/from-0").exists()


def save_state(path: Path) -> None:
    fabric: Any = SimpleNamespace(
        save=lambda path, state: torch.save(state, path), is_global_zero=True, barrier=lambda: None
    )
    save(fabric, path, {"step": 1})


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    "write",
    [save_state, lambda path: write_checkpoint(path, {"a": torch.ones(1)}, {})],
    ids=["state", "weights"],
)
def test_a_checkpoint_is_synced_before_it_is_renamed(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = tmp_path / "last.ckpt", list[str]()
    write(path)
    fsync, replace = os.fsync, Path.replace

    def syncing(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def replacing(self: Path, target: Path) -> Path:
        assert str(self) in synced
        assert target == path
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(Path, "replace", replacing)
    write(path)
    assert synced[-1] == str(tmp_path)
