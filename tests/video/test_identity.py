"""What sources are known by."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from segue.errors import SourceError
from segue.video.sources.identity import SourceIdentity, content_digest, has_content


def write(path: Path, data: bytes, time: float = 1e9) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (time, time))
    return path


def test_a_file_is_the_same_under_another_name_and_after_json(tmp_path: Path) -> None:
    before = SourceIdentity.of(write(tmp_path / "a.mp4", b"video"))
    (tmp_path / "a.mp4").rename(tmp_path / "b.mp4")

    kept = SourceIdentity.from_json(json.loads(json.dumps(before.to_json())))

    assert kept == before
    assert kept.difference(SourceIdentity.of(str(tmp_path / "b.mp4"))) is None


@pytest.mark.parametrize(
    ("data", "time", "words"),
    [
        (b"videoed", 1e9, "its size was 5 bytes, now it is 7"),
        (b"VIDEO", 1e9, "its content has changed"),
        (b"video", 2e9, "it was written anew"),
    ],
)
def test_a_file_that_was_replaced_is_reported_with_what_differs(
    tmp_path: Path, data: bytes, time: float, words: str
) -> None:
    before = SourceIdentity.of(write(tmp_path / "a.mp4", b"video"))

    difference = before.difference(SourceIdentity.of(write(tmp_path / "a.mp4", data, time)))

    assert words in str(difference)


def test_a_folder_is_the_list_of_its_images(tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        write(tmp_path / "one" / name, b"image")
    before = SourceIdentity.of(tmp_path / "one")
    assert before.kind == "folder"
    assert before.size == 10

    write(tmp_path / "one/notes.txt", b"no image")
    (tmp_path / "one").rename(tmp_path / "two")
    assert before.difference(SourceIdentity.of(tmp_path / "two")) is None

    (tmp_path / "two/2.png").rename(tmp_path / "two/3.png")
    assert "have changed" in str(before.difference(SourceIdentity.of(tmp_path / "two")))
    write(tmp_path / "two/4.png", b"more")
    assert "its size was 10" in str(before.difference(SourceIdentity.of(tmp_path / "two")))
    assert SourceIdentity.of(tmp_path / "two" / "*.png").size == 14


def test_an_address_is_itself_without_its_password() -> None:
    before = SourceIdentity.of("rtsp://me:secret@camera:554/a?token=abc")

    assert "secret" not in json.dumps(before.to_json())
    assert "abc" not in json.dumps(before.to_json())
    assert before.difference(SourceIdentity.of("rtsp://me:other@camera:554/a?token=abc")) is None
    assert "now it is" in str(before.difference(SourceIdentity.of("rtsp://camera:554/a?token=abd")))
    assert SourceIdentity.of("file:///videos/a.mp4").place == "file:///videos/a.mp4"
    assert SourceIdentity.of("0").kind == "camera"
    assert SourceIdentity.of("0") != SourceIdentity.of("1")
    assert before.difference(SourceIdentity.of("1")) == "its kind was address, now it is camera"


def test_missing_sources_are_errors(tmp_path: Path) -> None:
    for source in ("video.mp4", "*.png"):
        with pytest.raises(SourceError):
            SourceIdentity.of(tmp_path / source)


@pytest.mark.parametrize(
    "values",
    [
        None,
        {"place": "a"},
        {"place": 1, "kind": "file", "size": 1, "modified_ns": 1, "digest": "a"},
        {"place": "a", "kind": "video", "size": 1, "modified_ns": 1, "digest": "a"},
        {"place": "a", "kind": "file", "size": "1", "modified_ns": 1, "digest": "a"},
        {"place": "a", "kind": "file", "size": True, "modified_ns": 1, "digest": "a"},
    ],
)
def test_damaged_values_are_refused(values: Any) -> None:
    with pytest.raises(SourceError):
        SourceIdentity.from_json(values)


def test_files_that_differ_in_the_middle_alone_have_other_content(tmp_path: Path) -> None:
    """Images between black bars are the same at both ends; a large file is sampled everywhere."""
    bars = bytes(1 << 19)
    one, other = (write(tmp_path / f"{name}.bmp", bars + name.encode() * 9 + bars) for name in "ab")
    assert content_digest(one) != content_digest(other)
    large = [
        write(tmp_path / f"{name}.raw", bars * 20 + name.encode() * (1 << 20) + bars * 20) for name in "ab"
    ]
    assert content_digest(large[0]) != content_digest(large[1])


def test_a_digest_of_an_earlier_version_still_names_its_video(tmp_path: Path) -> None:
    one = write(tmp_path / "a.bmp", bytes(1 << 19) + b"a" + bytes(1 << 19))
    ends = hashlib.sha256(bytes(1 << 19)).hexdigest()
    earlier = hashlib.sha256(f"file {[(1 << 20) + 1]}".encode() + ends.encode()).hexdigest()
    assert has_content(one, earlier)
    assert has_content(one, content_digest(one))
    assert not has_content(write(tmp_path / "b.bmp", bytes(9)), earlier)
    assert not has_content(write(tmp_path / "c.bmp", bytes(9)), content_digest(one))
