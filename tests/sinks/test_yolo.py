"""A data set of ultralytics is replaced as a whole, and nothing is removed that a person put there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue.errors import SinkError
from segue.formats import folders
from segue.formats.yolo import YoloSink
from segue.types import Frame, ObjectInfo, Segmentation


def write(folder: Path, label: str = "fish") -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[5:15, 5:15] = 1
    item = ObjectInfo(1, label, 1.0, (5, 5, 15, 15), 100)
    sink = YoloSink(folder)
    sink.write(Frame(0, 0.0, np.zeros((20, 30, 3), np.uint8)), Segmentation(0, 0.0, mask, (item,)))
    sink.close()


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_data_set_of_segue_is_replaced(tmp_path: Path) -> None:
    write(tmp_path / "yolo")
    (tmp_path / "yolo" / "labels" / "train.cache").touch()
    write(tmp_path / "yolo", "leaf")
    assert sorted(files(tmp_path / "yolo")) == [
        "data.yaml",
        "images/train/00000.jpg",
        "labels/train/00000.txt",
    ]
    assert b"leaf" in files(tmp_path / "yolo")["data.yaml"]
    assert [path.name for path in tmp_path.iterdir()] == ["yolo"]


@pytest.mark.parametrize("other", ["images/val/1.jpg", "labels/val/1.txt", "notes.txt", "images/train/1.png"])
def test_foreign_files_are_not_removed(other: str, tmp_path: Path) -> None:
    write(tmp_path / "yolo")
    path = tmp_path / "yolo" / other
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"by hand")
    before = files(tmp_path / "yolo")
    with pytest.raises(SinkError, match=f"holds {other}, which segue did not write"):
        write(tmp_path / "yolo", "leaf")
    assert files(tmp_path / "yolo") == before
    assert [path.name for path in tmp_path.iterdir()] == ["yolo"]


def test_foreign_files_added_during_the_run_are_not_removed(tmp_path: Path) -> None:
    write(tmp_path / "yolo")
    sink = YoloSink(tmp_path / "yolo")
    (tmp_path / "yolo" / "notes.txt").write_text("by hand")
    before = files(tmp_path / "yolo")
    with pytest.raises(SinkError, match=r"notes\.txt"):
        sink.close()
    assert files(tmp_path / "yolo") == before


def test_the_data_set_before_is_there_until_the_new_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "yolo")
    before = files(tmp_path / "yolo")
    rename = folders.rename

    def failing(source: Path, target: Path) -> None:
        if source.name.endswith(".partial"):
            raise PermissionError(13, "no")
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(folders, "rename", failing)
        with pytest.raises(SinkError):
            write(tmp_path / "yolo", "leaf")
    assert files(tmp_path / "yolo") == before

    class Killed(BaseException): ...

    def killed(source: Path, target: Path) -> None:
        if source.name != "yolo":
            raise Killed
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(folders, "rename", killed)
        with pytest.raises(Killed):
            write(tmp_path / "yolo", "leaf")
    assert not (tmp_path / "yolo").exists()
    YoloSink(tmp_path / "yolo").abort()  # the next run gives the folder its name again
    assert files(tmp_path / "yolo") == before
