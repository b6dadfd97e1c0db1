"""Files of others: what is looked for before they are read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

import segue
from segue.datasets.files import read_mask_file, read_rgb
from segue.errors import ArgumentError, SegueError
from segue.flow.files import read_flow
from segue.formats.reading import read_labels
from segue.masks import read_index_mask
from segue.video import open_source
from segue.video.sources.images import decode_image
from segue.weights.checkpoint import read_checkpoint
from segue_web.video import Video
from tests.cli.running import Command

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d7a" * 16 + b"\nsize 7340032\n"
VIDEO: Any = SimpleNamespace(size=(48, 64), count=1, names=("0",), name="a", fps=None)


def frames_of(path: Path) -> object:
    return [frame.index for frame in open_source(path)]


def labels_of(path: Path) -> object:
    return read_labels(path, VIDEO)


READERS: list[tuple[str, Callable[[Path], object]]] = [
    ("a.safetensors", read_checkpoint),
    ("a.pth", read_checkpoint),
    ("a.npz", read_checkpoint),
    ("a.pkl", lambda path: segue.load("stcn", path)),
    ("a.mp4", frames_of),
    ("a.png", frames_of),
    ("a.tif", Video),
    ("a.png", lambda path: frames_of(path.parent)),
    ("a.png", read_index_mask),
    ("a.png", lambda path: read_index_mask(io.BytesIO(path.read_bytes()), path.name)),
    ("a.png", lambda path: decode_image(path.read_bytes(), path.name)),
    ("a.png", read_rgb),
    ("a.png", read_mask_file),
    ("a.flo", read_flow),
    ("a.json", labels_of),
    ("a.xml", labels_of),
    ("a.zip", labels_of),
    ("a.png", labels_of),
]


@pytest.mark.parametrize(("name", "read"), READERS)
def test_a_pointer_of_git_lfs_is_called_so(tmp_path: Path, name: str, read: Callable[[Path], object]) -> None:
    (tmp_path / name).write_bytes(POINTER)
    with pytest.raises(SegueError, match=rf"{name}.* pointer of Git LFS.*git lfs pull") as caught:
        read(tmp_path / name)
    assert "--on-damage" not in str(caught.value), "that would leave out every frame"


def test_a_pointer_in_an_archive_is_called_so(tmp_path: Path) -> None:
    """Archives of a repository hold pointers."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("masks/0.png", POINTER)
    with pytest.raises(SegueError, match="pointer of Git LFS"):
        read_labels(tmp_path / "a.zip", VIDEO)


@pytest.mark.parametrize("path", [b"masks", 3.5, None])
def test_what_is_no_path_is_named(path: Any) -> None:
    with pytest.raises(ArgumentError, match="no path"):
        segue.SessionState.load(path)


def test_small_files_are_read_as_they_are(tmp_path: Path) -> None:
    Image.new("L", (3, 2), 1).save(tmp_path / "a.png")
    assert read_index_mask(tmp_path / "a.png").tolist() == [[1, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize("words", ["annotate {} --no-browser", "view {}", "detect {}"])
def test_an_address_of_a_file_leads_to_its_path(command: Command, tmp_path: Path, words: str) -> None:
    """File managers copy addresses, in which blanks are %20."""
    file = tmp_path / "my film.mp4"
    file.touch()
    address = f"file://{tmp_path}/my%20film.mp4"
    run = command(*(address if word == "{}" else word for word in words.split()))
    assert run.code == 2
    assert f"give the path alone, without file://: {file}" in run.complaint
