"""Cameras that run for weeks: what happens when the run, or what it talks to, starts again."""

from __future__ import annotations

import csv
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from segue.errors import SinkError
from segue.events.store import upkeep
from segue.jobs import writing
from segue.sinks.rotation import part_names, part_path, parts_of
from tests.cli.mjpeg import JPEGS, mjpeg_camera
from tests.cli.running import Command, Outcome
from tests.cli.test_foreground import IMAGES
from tests.events.stored import state_of
from tests.events.test_notify import Listener
from tests.ports import free_port
from tests.video.making import write_video


@pytest.fixture(scope="module")
def camera() -> Iterator[str]:
    with mjpeg_camera() as address:
        yield address


@pytest.fixture
def snapshots() -> Iterator[str]:
    with mjpeg_camera() as address:
        yield address.replace("gate", "snapshot.jpg")


@pytest.fixture
def watch(command: Command, camera: str, tmp_path: Path) -> Callable[..., Outcome]:
    """Runs ``segue foreground`` on three times that the square crosses the room."""

    def run(*arguments: object) -> Outcome:
        frames = ("--end", 3 * len(JPEGS), "--when-late", "all")
        given = (*frames, "--model", "median", "--device", "cpu", "--output", tmp_path / "out")
        return command("foreground", camera, *given, "--events", tmp_path / "events.csv", *arguments)

    return run


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return [*csv.DictReader(stream)]


def entered(table: list[dict[str, str]]) -> list[str]:
    return [row["object"] for row in table if row["event"] == "enter"]


def test_the_same_command_goes_on_after_an_earlier_run(watch: Callable[..., Outcome], tmp_path: Path) -> None:
    arguments = (
        "--append",
        "--format",
        "overlay",
        "--snapshots",
        tmp_path / "seen",
        "--zone",
        "wall=0,0 127,0 127,95 0,95",
        "--loiter",
        "wall=0.02s",
    )
    begun = datetime.now().astimezone()
    outcome = watch(*arguments)
    assert outcome.code == 0, outcome
    assert re.search(r"wall: [1-9]\d* entered", outcome.err)
    first, images = rows(tmp_path / "events.csv"), {path.name for path in (tmp_path / "seen").iterdir()}
    assert entered(first)
    assert {row["source"] for row in first} == {"gate"}
    assert begun - timedelta(seconds=1) < datetime.fromisoformat(first[0]["at"]) < datetime.now().astimezone()
    assert (tmp_path / "seen" / first[0]["snapshot"]).exists()
    assert "loiter" in {row["event"] for row in first}
    assert watch(*arguments).code == 0
    both = rows(tmp_path / "events.csv")
    assert both[: len(first)] == first
    assert len(entered(both)) > len(entered(first))
    assert len({*entered(both)}) == len(entered(both)), "no id is given twice"
    assert images < {path.name for path in (tmp_path / "seen").iterdir()}
    assert len(list((tmp_path / "seen").glob("*.jpg"))) == len(both)
    assert len(list((tmp_path / "out").glob("*/overlay.mp4"))) == 2


def test_parts_of_a_later_run_go_on_with_the_ids(watch: Callable[..., Outcome], tmp_path: Path) -> None:
    for _ in range(2):
        assert watch("--rotate", "0.1s", "--format", "npz").code == 0
    tables = sorted(tmp_path.glob("events-*.csv"))
    found = [number for table in tables for number in entered(rows(table))]
    assert len(tables) >= 4
    assert len(found) == len({*found}) > 2


def test_an_object_that_was_there_at_a_crash_leaves_once_in_the_parts_of_the_next_run(
    watch: Callable[..., Outcome], tmp_path: Path
) -> None:
    def tables() -> list[Path]:
        return parts_of(tmp_path / "events.csv")

    rotated = ("--rotate", "0.1s", "--format", "npz")
    assert watch(*rotated).code == 0
    last = rows([table for table in tables() if rows(table)][-1])[-1]  # the last part may have none
    assert last["event"] in ("leave", "end")
    with closing(sqlite3.connect(tmp_path / "events.db")) as base, base:  # as a crash leaves it
        [(seq, visit)] = base.execute("select seq, visit from events order by seq desc limit 1")
        base.execute("delete from events where seq = ?", (seq,))
        base.execute("update visits set ended = null where id = ?", (visit,))
    crashed = tables()
    for _ in range(2):
        assert watch(*rotated).code == 0
    new = [row for table in tables() if table not in crashed for row in rows(table)]
    gone = [row for row in new if row["object"] == last["object"]]
    assert [row["event"] for row in gone] == ["leave"]
    assert gone[0]["at"][:10] == last["at"][:10]
    with closing(sqlite3.connect(tmp_path / "events.db")) as base:
        assert base.execute("select count(*) from visits where ended is null").fetchone() == (0,)
        came, left = (
            Counter(base.execute(f"select object from events where kind in {kinds}"))
            for kinds in ("('enter', 'enter')", "('leave', 'end')")
        )
    assert came == left


def test_a_part_is_complete_where_the_disk_has_no_room_for_the_next_one(
    watch: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records: list[Path] = []
    open_sinks = writing.open_sinks

    def open_if_room(folder: Path, *arguments: Any, **options: Any) -> Any:
        records.append(folder)
        if len(records) == 2:
            raise SinkError(f"{folder}: cannot be written (the disk is full)")
        return open_sinks(folder, *arguments, **options)

    monkeypatch.setattr(writing, "open_sinks", open_if_room)
    assert watch("--rotate", "0.1s", "--format", "npz").complaint
    [first] = parts_of(tmp_path / "events.csv")
    assert np.load(records[0] / "masks.npz")["masks"].size
    came = Counter(row["event"] for row in rows(first))
    assert came["enter"] == came["leave"] + came["end"]
    left = [path for path in tmp_path.rglob(".*") if path.is_file()]
    assert not left, "locks and half-written files"


def test_a_camera_with_events_writes_these_and_their_images_and_goes_on(
    watch: Callable[..., Outcome], tmp_path: Path
) -> None:
    for _ in range(2):
        assert watch().code == 0
    found = rows(tmp_path / "events.csv")
    assert len({*entered(found)}) == len(entered(found)) > 2
    images = {path.name for path in (tmp_path / "events").iterdir()}
    assert {row["snapshot"] for row in found} | {row["clip"] for row in found} == images
    there = {path.name for path in tmp_path.iterdir()}
    assert there == {"events.csv", "events.db", "events", "events.csv.job.json"}, "no mask of each frame"


def test_keep_holds_for_what_was_there_before_rotate_was_added_or_removed(
    watch: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "KEEP_SECONDS", 0.01)
    rotated, keep = ("--rotate", "0.1s"), ("--keep", "0.000001MB")

    def images() -> dict[str, int]:
        names = ["", *(path.name for path in parts_of(tmp_path / "events"))]
        return {name: len([*(tmp_path / "events" / name).glob("*.jpg")]) for name in names}

    def say_deleted(part: str) -> bool:
        """Whether the store says of all images of a part that they are deleted; its rows stay."""
        names = {row["snapshot"] for row in rows(part_path(tmp_path / "events.csv", part) if part else
                                                 tmp_path / "events.csv")}  # fmt: skip
        return {state_of(tmp_path / "events.csv", name, part) for name in names} == {"deleted"}

    assert watch().code == 0
    assert images()[""] > 0
    assert watch(*rotated, *keep).code == 0
    assert images()[""] == 0
    assert say_deleted("")
    before = part_names(tmp_path / "events.csv")
    assert watch(*rotated).code == 0
    earlier = part_names(tmp_path / "events.csv")[len(before) :]
    assert sum(images().values()) > 0
    assert watch(*keep).code == 0
    assert sum(number for name, number in images().items() if name) == 0
    with_rows = [part for part in earlier if rows(part_path(tmp_path / "events.csv", part))]
    assert with_rows
    assert all(map(say_deleted, with_rows))


def test_a_run_with_marks_that_cannot_be_read_deletes_nothing_and_says_so_once(
    watch: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "KEEP_SECONDS", 0.01)
    assert watch().code == 0
    (tmp_path / "events" / "marks.json").write_text("{")
    (tmp_path / "events.db").unlink()  # as of a version before the store
    before = {path.name for path in (tmp_path / "events").glob("*.jpg")}
    said = ""
    for _ in range(2):
        outcome = watch("--keep", "0.000001MB")
        assert outcome.code == 0
        assert before < {path.name for path in (tmp_path / "events").glob("*.jpg")}
        said += outcome.err
    assert said.count("marks.json: cannot be read") == 1, "once in a process"
    assert (tmp_path / "events" / "marks.json").read_text() == "{"


def test_existing_outputs_need_overwrite_or_append(watch: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("mine")
    assert "--overwrite or --append" in watch("--no-append").complaint
    assert "no table of events" in watch("--append").complaint
    assert "exclude each other" in watch("--append", "--overwrite").complaint
    assert (tmp_path / "events.csv").read_text() == "mine"


def test_only_cameras_are_continued_by_append(command: Command, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((48, 64, 3), np.uint8))
    outcome = command("foreground", tmp_path / "1.png", "--append", "--output", tmp_path / "out")
    assert "--append" in outcome.complaint


def test_an_address_of_single_images_is_watched_as_a_camera_is(
    command: Command, snapshots: str, tmp_path: Path
) -> None:
    outcome = command(
        "foreground", snapshots, "--model", "median", "--device", "cpu", "--fps", 40, "--end", 2 * len(JPEGS),
        "--when-late", "all", "--events", tmp_path / "events.csv",
    )  # fmt: skip
    assert outcome.code == 0, outcome
    assert len(entered(rows(tmp_path / "events.csv"))) >= 1


DEAD = "http://127.0.0.1:9/events"  # nobody listens there


def test_the_next_run_delivers_the_events_that_did_not_arrive(
    watch: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}/events"
    with monkeypatch.context() as patch:
        patch.setattr(writing, "LAST_SECONDS", 0.1)
        outcome = watch("--append", "--notify", address)
    first = rows(tmp_path / "events.csv")
    assert outcome.code == 3
    text = f"error: {len(first)} of {len(first)} events not delivered; the next run sends them\n"
    assert outcome.err.endswith(text)
    listener = Listener(port)
    assert watch("--append", "--notify", address).code == 0
    both = rows(tmp_path / "events.csv")
    assert [message["event"] for message in listener.received] == [row["event"] for row in both]
    listener.end()
    assert watch("--append").code == 0, "nothing is owed to a receiver that is no longer given"


def test_a_run_over_a_file_waits_until_its_events_have_arrived(
    command: Command, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "gate.mp4", IMAGES)
    given = ("foreground", tmp_path / "gate.mp4", "--model", "median", "--passes", "1", "--device", "cpu")
    given = (
        *given,
        "--events",
        tmp_path / "events.csv",
        "--output",
        tmp_path / "out",
        "--overwrite",
        "--notify",
    )
    listener.statuses = [500, 204]
    assert command(*given, listener.address).code == 0
    found = rows(tmp_path / "events.csv")
    assert [message["event"] for message in listener.received[1:]] == [row["event"] for row in found]
    monkeypatch.setattr(writing, "FILE_SECONDS", 0.1)
    outcome = command(*given, DEAD)
    assert outcome.code == 3
    assert f"{len(found)} of {len(found)} events not delivered" in outcome.err
    assert rows(tmp_path / "events.csv") == found


def test_home_assistant_needs_a_broker(watch: Callable[..., Outcome]) -> None:
    assert "mqtt://HOST/TOPIC" in watch("--home-assistant").complaint
    assert "mqtt://HOST/TOPIC" in watch("--home-assistant", "--notify", DEAD).complaint
