"""Files here and elsewhere: what they are known by, what is shown of them, and how they are fetched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from segue.batch import places
from segue.batch.places import (
    RESULT,
    fetch,
    file_system,
    files_below,
    hide_secrets,
    is_remote,
    is_result,
    one_line,
    remote_identity,
)
from segue.errors import SegueError, SourceError
from segue.video.identity import SourceIdentity

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def store() -> Iterator[Any]:
    """A file system in memory with a few files."""
    files = fsspec.filesystem("memory")
    contents = {"films/b.mp4": b"bb", "films/a.MP4": b"a", "films/in/c.mp4": b"c", "films/note.txt": b"n"}
    for name, content in contents.items():
        files.pipe(f"/{name}", content)
    yield files
    files.rm("/films", recursive=True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot read s3://user:secret@bucket/a.mp4?token=x, twice", "cannot read s3://bucket/a.mp4, twice"),
        ("(https://host/a?key=1).", "(https://host/a)."),
        ("HTTPS://a:b@host/x and ftp://c:d@host/y;", "https://host/x and ftp://host/y;"),
        ("no address: a//b", "no address: a//b"),
        ("https://[broken/x?key=1", "https://..."),
    ],
)
def test_addresses_are_shown_without_passwords_and_tokens(text: str, shown: str) -> None:
    assert hide_secrets(text) == shown


def test_an_error_is_one_line() -> None:
    assert one_line(ValueError("two\n  lines of s3://u:p@b/x")) == "two lines of s3://b/x"
    assert one_line(KeyError()) == "KeyError"


def test_films_are_found_without_results(store: Any) -> None:
    assert is_remote("memory://films")
    assert not is_remote("films")
    everything = ["memory:///films/a.MP4", "memory:///films/b.mp4", "memory:///films/in/c.mp4"]
    assert [
        name.replace("memory://films", "memory:///films") for name in files_below("memory://films", {".mp4"})
    ] == (everything)
    store.pipe(f"/films/in/{RESULT}", b"{}")
    store.pipe("/films/in/deep/d.mp4", b"d")
    assert len(files_below("memory://films", {".mp4"})) == 2
    assert files_below("memory://films", {".avi"}) == []


def test_a_remote_file_is_known_by_size_and_time(store: Any) -> None:
    known = remote_identity("memory://films/b.mp4")
    assert known is not None
    assert known.size == 2
    assert known.modified_ns == int(store.info("/films/b.mp4")["created"].timestamp() * 1e9)
    assert remote_identity("memory://films/none.mp4") is None
    store.pipe("/films/b.mp4", b"bbb")
    later = remote_identity("memory://films/b.mp4")
    assert later is not None
    assert known.difference(later)


def test_a_file_is_fetched_once_while_it_stays_the_same(store: Any, tmp_path: Path) -> None:
    target = fetch("memory://films/b.mp4", tmp_path / "in")
    assert (target.read_bytes(), target.suffix) == (b"bb", ".mp4")
    known = remote_identity("memory://films/b.mp4")
    assert known is not None
    assert target.stat().st_mtime_ns == known.modified_ns
    target.write_bytes(b"xx")
    os.utime(target, ns=(known.modified_ns, known.modified_ns))  # type: ignore[arg-type]
    assert fetch("memory://films/b.mp4", tmp_path / "in").read_bytes() == b"xx", "taken as it is"
    target.write_bytes(b"xxx")
    os.utime(target, ns=(known.modified_ns, known.modified_ns))  # type: ignore[arg-type]
    assert fetch("memory://films/b.mp4", tmp_path / "in").read_bytes() == b"bb", "another size"
    os.utime(target, ns=(1, 1))
    target.write_bytes(b"yy")
    assert fetch("memory://films/b.mp4", tmp_path / "in").read_bytes() == b"bb", "another time"
    assert list((tmp_path / "in").iterdir()) == [target]
    with pytest.raises(SourceError, match=r"memory://films/none\.mp4: cannot be fetched"):
        fetch("memory://films/none.mp4", tmp_path / "in")
    assert list((tmp_path / "in").iterdir()) == [target]


def test_what_no_file_system_knows_is_one_line() -> None:
    with pytest.raises(SegueError, match="Protocol not known"):
        file_system("nowhere://a")


@pytest.mark.parametrize("name", [".segue.json", "masks/.segue.json", RESULT, ".segue.jsonl"])
def test_a_folder_of_results_is_reported_by_its_marks(name: str, tmp_path: Path) -> None:
    assert not is_result(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert is_result(tmp_path)


class Told:
    """A file system whose answers about files are given."""

    def __init__(self, **info: Any) -> None:
        self._info = info

    def info(self, name: str) -> dict[str, Any]:
        return self._info


def identity(monkeypatch: pytest.MonkeyPatch, **info: Any) -> SourceIdentity:
    monkeypatch.setattr(places, "file_system", lambda place: (Told(**info), place))
    found = remote_identity("https://me:secret@host/a.mp4")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("info", "modified_ns"),
    [
        ({}, None),
        ({"mtime": 12.5}, 12_500_000_000),
        ({"LastModified": datetime(2026, 1, 1, tzinfo=timezone.utc)}, 1_767_225_600_000_000_000),
        ({"updated": "2026-01-01T00:00:00+00:00"}, 1_767_225_600_000_000_000),
        ({"created": "yesterday"}, None),
        ({"mtime": 0, "created": 7}, 7_000_000_000),
    ],
)
def test_the_time_of_a_remote_file_is_what_its_store_says(
    monkeypatch: pytest.MonkeyPatch, info: dict[str, Any], modified_ns: int | None
) -> None:
    found = identity(monkeypatch, **info)
    assert (found.modified_ns, found.size, found.digest, found.kind) == (modified_ns, None, None, "address")
    assert "secret" not in found.place


def test_a_remote_file_is_another_one_when_its_tag_is(monkeypatch: pytest.MonkeyPatch) -> None:
    one = identity(monkeypatch, size="12", ETag="abc")
    assert one.size == 12
    assert one.digest is not None
    assert one.difference(identity(monkeypatch, size=12, ETag="abc")) is None
    assert one.difference(identity(monkeypatch, size=12, ETag="abd"))
    assert one.difference(identity(monkeypatch, size=12, md5Hash="abc", ETag="abc"))


def test_a_film_is_fetched_whatever_its_address_asks_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Store(Told):
        def get_file(self, name: str, path: str) -> None:
            Path(path).write_bytes(b"film")

    monkeypatch.setattr(places, "file_system", lambda place: (Store(), place))
    one = fetch("https://host/a.mp4?token=1", tmp_path)
    assert (one.suffix, one.read_bytes(), one.stat().st_mtime_ns) == (".mp4", b"film", 0)
    one.write_bytes(b"kept")
    os.utime(one, ns=(0, 0))
    assert fetch("https://host/a.mp4?token=1", tmp_path).read_bytes() == b"kept", (
        "neither size nor time is known"
    )
    assert fetch("https://host/a.mp4?token=2", tmp_path) != one


def test_a_folder_that_cannot_be_listed_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find(self, root: str) -> list[str]:
            raise OSError("no\nentry")

    monkeypatch.setattr(places, "file_system", lambda place: (Broken(), place))
    with pytest.raises(SourceError, match=r"^s3://bucket/films: cannot be listed \(no entry\)$"):
        files_below("s3://me:secret@bucket/films", {".mp4"})
