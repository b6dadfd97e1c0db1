"""What a training keeps on disk, and what it removes of an earlier one."""

from __future__ import annotations

from pathlib import Path

from segue_train.checkpoints import clear_folder


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
