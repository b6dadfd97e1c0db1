"""Damaged and hostile files: every reader gives its result, or one line that says what is wrong.

The corpus is made by code: a small valid file of each kind, of which bytes are changed, cut out, doubled or
cut off. The quick part runs with all tests; ``make fuzz`` feeds many more, and says how many.
"""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

from segue.datasets.results import open_results
from segue.errors import SegueError
from segue.flow import read_flow_image
from segue.masks import read_index_mask, write_index_mask
from segue.sinks import PngSink, read_marker, replay
from segue.state import SessionState
from segue.types import Frame, ObjectInfo, Segmentation
from segue.utils.json_files import entries, read_json_text
from segue.video import open_source
from segue.weights.checkpoint import read_checkpoint, read_options
from tests.flow.files import save_flo, save_kitti
from tests.video.making import drawn_image, write_video

MASK = np.pad(np.full((8, 8), 3, np.uint8), 4)

TRIED: Counter[str] = Counter()
"""How many files each reader was given."""


def _png(path: Path) -> None:
    write_index_mask(path, MASK)


def _animation(path: Path) -> None:
    frames = [Image.fromarray(drawn_image(i, (8, 8))) for i in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=40)


def _video(path: Path) -> None:
    write_video(path, [drawn_image(i, (16, 16)) for i in range(4)])


def _zip(path: Path) -> None:
    _png(path.with_name("mask.png"))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path.with_name("mask.png"), "bear/00000.png")


def _json(path: Path) -> None:
    path.write_text(json.dumps({"videos": [{"id": 1}], "annotations": [[1, 2.5, "x", None]]}))


def _zipped_json(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("results.json", json.dumps([{"id": 1, "score": 0.5}] * 20))


def _weights(path: Path) -> None:
    save_file({"a": torch.arange(6.0)}, path, {"options": json.dumps({"width": 3})})


def _session(path: Path) -> None:
    SessionState({"a": torch.arange(6.0)}, {"next_frame": 3, "done": 3}).save(path)


def _torch(path: Path) -> None:
    torch.save({"a": torch.arange(6.0)}, path)


def _npz(path: Path) -> None:
    np.savez_compressed(path, **{"generator/g_e1_conv/w": np.ones((1, 1, 2, 2), np.float32)})


def _detectron(path: Path) -> None:
    path.write_bytes(pickle.dumps({"model": {"a": np.arange(6.0)}}))


def _folder(path: Path) -> None:
    with PngSink(path.parent / "masks", settings={"model": "x"}) as sink:
        for index in range(3):
            frame = Frame(index, index / 10, drawn_image(index, MASK.shape))
            sink.write(frame, Segmentation(index, index / 10, MASK, (ObjectInfo(3, "cat", 0.5),)))


def _records(path: Path) -> None:
    _folder(path)
    path.write_bytes((path.parent / "masks" / ".segue.jsonl").read_bytes())


def _marker(path: Path) -> None:
    _folder(path)
    path.write_bytes((path.parent / "masks" / ".segue.json").read_bytes())


def _read_weights(path: Path) -> None:
    read_options(path, read_checkpoint(path).metadata)


def _read_results(path: Path) -> None:
    results = open_results(path)
    for sequence in results.sequences:
        for name in results.names(sequence):
            results.read(sequence, name)


def _read_json(path: Path) -> None:
    for _ in entries(path, path):
        pass


def _read_video(path: Path) -> None:
    for _ in open_source(path, on_damage="skip", prefetch=0, warn=lambda _: None, end=8):
        pass


def _read_records(path: Path) -> None:
    _folder(path)
    path.replace(path.parent / "masks" / ".segue.jsonl")
    for _ in replay(path.parent / "masks"):
        pass


def _read_marker(path: Path) -> None:
    _folder(path)
    path.replace(path.parent / "masks" / ".segue.json")
    read_marker(path.parent / "masks")


def _flo(path: Path) -> None:
    save_flo(path, np.ones((4, 5, 2)))


def _kitti(path: Path) -> None:
    save_kitti(path, np.ones((4, 5, 2)))


KINDS: dict[str, tuple[Callable[[Path], None], Callable[[Path], object]]] = {
    "mask.png": (_png, read_index_mask),
    "frame.png": (_png, _read_video),
    "animation.webp": (_animation, _read_video),
    "animation.png": (_animation, _read_video),
    "pages.tiff": (_animation, _read_video),
    "video.mp4": (_video, _read_video),
    "video.mkv": (_video, _read_video),
    "flow.flo": (_flo, read_flow_image),
    "flow.png": (_kitti, read_flow_image),
    "results.zip": (_zip, _read_results),
    "table.json": (_json, _read_json),
    "table.zip": (_zipped_json, _read_json),
    "weights.safetensors": (_weights, _read_weights),
    "weights.pth": (_torch, _read_weights),
    "weights.npz": (_npz, _read_weights),
    "weights.pkl": (_detectron, _read_weights),
    "session.safetensors": (_session, SessionState.load),
    "records.jsonl": (_records, _read_records),
    "marker.json": (_marker, _read_marker),
}
"""Of each kind of file: what makes a valid one, and what reads it."""


@cache
def valid(kind: str) -> bytes:
    """The bytes of a valid file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / kind
        KINDS[kind][0](path)
        return path.read_bytes()


def feed(kind: str, data: bytes) -> bool:
    """Let a reader have a file of these bytes; whether it took it.

    Anything but a result or an error with one line for the user passes through, and fails the test.
    """
    TRIED[kind] += 1
    with TemporaryDirectory() as folder:
        path = Path(folder) / kind
        path.write_bytes(data)
        try:
            KINDS[kind][1](path)
        except SegueError:
            return False
        return True


HOSTILE = (b"[" * 5000, b"9" * 5000, b"\xff" * 8, b"\0" * 8, b"NaN", b"../")
"""Further values that are put into files."""


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A valid file of some kind with a few places changed."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    data = bytearray(valid(kind))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        how = draw(st.sampled_from(("set", "cut", "drop", "double", "insert")))
        if how == "set" and data:
            data[at] = draw(st.integers(0, 255))
        elif how == "cut":
            del data[at:]
        elif how == "drop":
            del data[at : at + draw(st.integers(1, 64))]
        elif how == "double":
            data[at:at] = data[at : at + draw(st.integers(1, 64))]
        else:
            data[at:at] = draw(st.sampled_from(HOSTILE))
    return kind, bytes(data)


RELAXED = {"deadline": None, "suppress_health_check": list(HealthCheck), "database": None}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_undamaged_files_are_read(kind: str) -> None:
    assert feed(kind, valid(kind))


@given(damaged())
@settings(max_examples=60, derandomize=True, **RELAXED)
def test_damaged_files_are_read_or_reported(file: tuple[str, bytes]) -> None:
    feed(*file)


@pytest.fixture
def counted(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Say afterwards how many files each reader was given."""
    TRIED.clear()
    yield
    with capsys.disabled():
        print(f"\n{TRIED.total()} files: " + ", ".join(f"{kind} {n}" for kind, n in sorted(TRIED.items())))


@pytest.mark.slow
@pytest.mark.usefixtures("counted")
@given(damaged())
@settings(max_examples=20_000, **RELAXED)
def test_very_many_damaged_files_are_read_or_reported(file: tuple[str, bytes]) -> None:
    feed(*file)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"records.jsonl", "marker.json"}))
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / kind)
    with pytest.raises(SegueError, match="pipe"):
        KINDS[kind][1](tmp_path / kind)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"records.jsonl", "marker.json"}))
def test_a_name_that_no_file_can_have_is_reported(tmp_path: Path, kind: str) -> None:
    with pytest.raises(SegueError):
        KINDS[kind][1](tmp_path / ("n" * 5000 + kind))


def test_archives_that_unpack_to_far_more_are_refused(tmp_path: Path) -> None:
    for name, inside, read in (
        ("spaces.zip", "results.json", read_json_text),
        ("weights.pth", "archive/data.pkl", read_checkpoint),
    ):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(inside, " " * 2**24)
        with pytest.raises(SegueError, match="16777216"):
            read(tmp_path / name)
