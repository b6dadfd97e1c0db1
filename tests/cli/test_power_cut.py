"""After a power cut a run goes on to the very files of a run that nothing interrupted.

The disk that is played here keeps what was synced and nothing else: of a file the content that it had when it
was synced last, of a folder the names that it had then. Real file systems may keep more, so the other extreme
is played as well, where all names are kept and only contents are lost.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.running import Command

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to see what is synced")

FORMATS = tuple(word for name in ("png", "cdnet", "coco") for word in ("--format", name))


class Disk:
    """What has reached the disk of everything below a folder; knows it from the calls of ``fsync``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._contents: dict[int, bytes] = {}
        self._names: dict[Path, dict[str, int]] = {root: {}}
        self._held: list[int] = []
        self.before_sync: Callable[[], None] = lambda: None

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Takes the calls of ``fsync`` in a block."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", self.fsync)
            yield

    def fsync(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if not path.is_relative_to(self._root):
            return
        self.before_sync()
        self._held.append(os.dup(descriptor))  # so that no other file gets its number
        if path.is_dir():
            self._names[path] = {entry.name: entry.inode() for entry in os.scandir(path)}
        else:
            self._contents[os.fstat(descriptor).st_ino] = Path(f"/proc/self/fd/{descriptor}").read_bytes()

    def cut(self, target: Path, *, all_names: bool) -> None:
        """Write to ``target`` what a power cut at this moment leaves."""
        self._copy(self._root, target, all_names)

    def _copy(self, folder: Path, target: Path, all_names: bool) -> None:
        target.mkdir()
        now = {entry.name: entry for entry in os.scandir(folder)}
        kept = {name: entry.inode() for name, entry in now.items()}
        if not all_names:
            kept = self._names.get(folder, {})
        for name, inode in kept.items():
            if name in now and now[name].is_dir():
                self._copy(folder / name, target / name, all_names)
            else:
                (target / name).write_bytes(self._contents.get(inode, b""))

    def close(self) -> None:
        for descriptor in self._held:
            os.close(descriptor)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def cuts(track: Command, tmp_path: Path, chosen: Callable[[int], bool]) -> list[Path]:
    """What power cuts at some of the moments at which something is synced leave of a run."""
    root = tmp_path / "disk"
    root.mkdir()
    disk, left, moment = Disk(root), [], 0

    def before_sync() -> None:
        nonlocal moment
        moment += 1
        if chosen(moment):
            for all_names in (False, True):
                left.append(tmp_path / f"cut-{moment}-{'all' if all_names else 'synced'}")
                disk.cut(left[-1], all_names=all_names)

    disk.before_sync = before_sync
    with disk.recording():
        outcome = track(*FORMATS, "--output", root / "out")
    disk.close()
    assert outcome.code == 0, outcome
    assert moment > 40
    return left


def goes_on(track: Command, left: Path, whole: dict[str, bytes]) -> None:
    outcome = track(*FORMATS, "--resume", "--output", left / "out")
    assert outcome.code == 0, (left, outcome)
    assert files(left / "out") == whole, left


@pytest.fixture
def whole(track: Command, tmp_path: Path) -> dict[str, bytes]:
    """Files of a run that nothing interrupted."""
    assert track(*FORMATS, "--output", tmp_path / "whole").code == 0
    return files(tmp_path / "whole")


@pytest.mark.usefixtures("saved_often")
def test_a_run_goes_on_after_a_power_cut(track: Command, tmp_path: Path, whole: dict[str, bytes]) -> None:
    for left in cuts(track, tmp_path, lambda moment: moment % 29 == 3):
        goes_on(track, left, whole)


@pytest.mark.slow
@pytest.mark.usefixtures("saved_often")
def test_a_run_goes_on_after_a_power_cut_at_any_moment(
    track: Command, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    for left in cuts(track, tmp_path, lambda _: True):
        goes_on(track, left, whole)


def test_a_folder_that_is_overwritten_does_not_get_its_old_masks_back(track: Command, tmp_path: Path) -> None:
    """The new run is shorter: of the old one nothing may be left behind its end."""
    root = tmp_path / "disk"
    disk = Disk(root)
    with disk.recording():
        assert track("--format", "png", "--output", root / "out").code == 0
        assert track("--format", "png", "--output", root / "out", "--overwrite", "--end", 3).code == 0
    disk.cut(tmp_path / "cut", all_names=False)
    disk.close()
    assert len(list((tmp_path / "cut" / "out" / "masks").glob("*.png"))) == 3
