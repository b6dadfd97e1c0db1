"""Results get their place: whole, synced, and never over what is not of their batch."""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segue.batch.places import DONE, RESULT
from segue.batch.publish import MOVING, belongs_to_batch, digest_of, publish, stamp_of
from segue.errors import SinkError
from tests.batch.conftest import UseStore


def work_with(tmp_path: Path, files: dict[str, bytes]) -> Path:
    work = tmp_path / "scratch" / "work"
    for name, data in files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(data)
    return work


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != RESULT
    }


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_results_appear_with_a_mark_and_are_replaced_by_their_own_batch_alone(
    output: Path, tmp_path: Path
) -> None:
    first, stamp = publish(
        work_with(tmp_path, {"masks/0.png": b"1", "old": b"2"}), str(output), "a/b", "mine"
    )
    assert belongs_to_batch(output / "a/b", "mine", "a/b")
    assert json.loads((output / "a/b" / RESULT).read_text())["digest"] == first
    assert stamp == stamp_of(output / "a/b")

    second, _ = publish(work_with(tmp_path, {"masks/0.png": b"3"}), str(output), "a/b", "mine")

    assert files_of(output) == {"a/b/masks/0.png": b"3"}
    assert second == digest_of(output / "a/b") != first
    for name, batch in (("a/b", "other"), ("a", "mine")):
        with pytest.raises(SinkError):
            publish(work_with(tmp_path, {"masks/0.png": b"4"}), str(output), name, batch)
    assert files_of(output) == {"a/b/masks/0.png": b"3"}


def test_a_folder_of_the_user_stays_and_an_empty_one_is_taken(output: Path, tmp_path: Path) -> None:
    (output / "clip").mkdir()
    (output / "clip" / "notes.txt").write_text("mine")
    (output / "empty").mkdir()
    (output / "file").write_text("mine too")

    for name in ("clip", "file", "file/inner"):
        with pytest.raises(SinkError):
            publish(work_with(tmp_path, {"0.png": b"1"}), str(output), name, "batch")
    publish(work_with(tmp_path, {"0.png": b"1"}), str(output), "empty", "batch")

    assert files_of(output) == {"clip/notes.txt": b"mine", "empty/0.png": b"1", "file": b"mine too"}


def test_nothing_is_replaced_through_links(output: Path, tmp_path: Path) -> None:
    publish(work_with(tmp_path, {"0.png": b"1"}), str(tmp_path), "elsewhere/a", "batch")
    publish(work_with(tmp_path, {"0.png": b"1"}), str(tmp_path), "a", "batch")
    (output / "link").symlink_to(tmp_path / "elsewhere")
    (output / "a").symlink_to(tmp_path / "a")

    for name in ("link/a", "a"):
        with pytest.raises(SinkError, match="a link leads out of the output"):
            publish(work_with(tmp_path, {"0.png": b"2"}), str(output), name, "batch")

    assert (tmp_path / "elsewhere/a/0.png").read_bytes() == b"1"
    assert (tmp_path / "a/0.png").read_bytes() == b"1"


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"batch": 1, "name": "a", "digest": "d"}', b"\xff", b"x" * 100_000]
)
def test_a_damaged_mark_is_none(output: Path, data: bytes) -> None:
    (output / RESULT).write_bytes(data)

    assert not belongs_to_batch(output, "1", "a")


def test_results_come_whole_from_another_disk(
    output: Path, tmp_path: Path, far_apart: Callable[..., None]
) -> None:
    work = work_with(tmp_path, {"masks/0.png": b"1"})
    far_apart(work.parent, output)
    publish(work, str(output), "a", "batch")

    assert files_of(output) == {"a/masks/0.png": b"1"}
    assert not (tmp_path / "scratch" / "work").exists()
    assert not list((output / MOVING).glob("*/*"))


@pytest.mark.parametrize("goes_back", [True, False])
def test_results_that_cannot_be_replaced_stay(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goes_back: bool
) -> None:
    publish(work_with(tmp_path, {"masks/0.png": b"old"}), str(output), "a", "batch")
    before, replace, final = files_of(output), Path.replace, output / "a"
    failures = [True] * (1 if goes_back else 2)

    def failing(self: Path, target: Path) -> Path:
        if target == final and failures:
            failures.pop()
            raise OSError(errno.EIO, "the disk fails")
        return replace(self, target)

    work = work_with(tmp_path, {"masks/0.png": b"new"})
    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(SinkError) as caught:
        publish(work, str(output), "a", "batch")
    if goes_back:
        assert files_of(output) == before
        assert not list((output / MOVING).glob("*/*"))
    else:
        (old,) = (output / MOVING).glob("*/*/old")
        assert str(old) in str(caught.value)
        assert (old / "masks/0.png").read_bytes() == b"old"
    publish(work, str(output), "a", "batch")
    assert (final / "masks/0.png").read_bytes() == b"new"


class Store:
    """An object store in a dictionary, with the methods of fsspec that are used, which may break off."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects
        self.left = 10**9
        self.read: list[str] = []

    def _change(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError("the store went away")

    def invalidate_cache(self) -> None: ...

    def info(self, name: str) -> dict[str, object]:
        if name not in self.objects:
            raise FileNotFoundError(name)
        return {"size": len(self.objects[name])}

    def find(self, root: str, detail: bool = False) -> dict[str, dict[str, object]]:
        there = {name: data for name, data in self.objects.items() if name.startswith(f"{root}/")}
        return {name: {"size": len(data)} | self.tags(data) for name, data in there.items()}

    def tags(self, data: bytes) -> dict[str, object]:
        return {}

    def open(self, name: str, mode: str) -> io.BytesIO:
        assert mode == "rb"
        self.read.append(name)
        return io.BytesIO(self.objects[name])

    def exists(self, root: str) -> bool:
        return bool(self.find(root))

    def cat_file(self, name: str) -> bytes:
        if name not in self.objects:
            raise FileNotFoundError(name)
        return self.objects[name]

    def rm_file(self, name: str) -> None:
        self._change()
        del self.objects[name]

    def pipe_file(self, name: str, data: bytes) -> None:
        self._change()
        self.objects[name] = data

    def put_file(self, path: str, name: str) -> None:
        self._change()
        self.objects[name] = Path(path).read_bytes()


@pytest.fixture
def store(addresses_on: UseStore) -> Store:
    made = Store({"bucket/out/mine/masks/0.png": b"of somebody", "bucket/out/notes": b"of somebody"})
    addresses_on(made)
    return made


def test_an_upload_that_breaks_off_is_gone_on_with_and_marked_last(store: Any, tmp_path: Path) -> None:
    results = {f"masks/{n}.png": bytes([n]) for n in range(4)}
    for changes in range(20):
        store.left = changes
        if changes == 6:
            digest, _ = publish(work_with(tmp_path, results), "s3://bucket/out", "a/b", "batch")
            break
        with pytest.raises(SinkError):
            publish(work_with(tmp_path, results), "s3://bucket/out", "a/b", "batch")
        assert f"bucket/out/a/b/{DONE}" not in store.objects

    assert store.objects[f"bucket/out/a/b/{DONE}"] == digest.encode()
    assert {name: store.objects[f"bucket/out/a/b/{name}"] for name in results} == results

    store.left = 100
    publish(work_with(tmp_path, {"masks/0.png": b"new"}), "s3://bucket/out", "a/b", "batch")
    assert sorted(store.find("bucket/out/a/b")) == [
        *(f"bucket/out/a/b/{name}" for name in (DONE, RESULT, "masks/0.png")),
    ]


def test_objects_of_others_are_not_replaced(store: Any, tmp_path: Path) -> None:
    before = dict(store.objects)
    publish(work_with(tmp_path, {"0.png": b"1"}), "s3://bucket/out", "theirs", "other")
    taken = dict(store.objects)

    for name in ("mine", "theirs"):
        with pytest.raises(SinkError):
            publish(work_with(tmp_path, {"masks/0.png": b"1"}), "s3://bucket/out", name, "batch")

    assert store.objects == taken
    assert before.items() <= store.objects.items()


def test_everything_is_synced_before_its_name_and_the_name_before_the_report(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = work_with(tmp_path, {"masks/0.png": b"1", "overlay.mp4": b"2"})
    log: list[tuple[str, str]] = []
    fsync, replace = os.fsync, Path.replace

    def syncing(descriptor: int) -> None:
        log.append(("sync", str(Path(f"/proc/self/fd/{descriptor}").readlink())))
        fsync(descriptor)

    def replacing(self: Path, target: Path) -> Path:
        log.append(("rename", str(target)))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(Path, "replace", replacing)
    publish(work, str(output), "a/b", "batch")

    renamed = log.index(("rename", str(output / "a/b")))
    wanted = [work / "masks/0.png", work / "overlay.mp4", work / "masks", work / RESULT, work]
    assert {("sync", str(path)) for path in wanted} <= set(log[:renamed])
    assert ("sync", str(output)) in log[:renamed]
    assert ("sync", str(output / "a")) in log[renamed:]
