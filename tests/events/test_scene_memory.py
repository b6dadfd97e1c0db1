"""What stands and what is scene outlives a restart of the camera, in a record that may be damaged."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from segue.events import Event, EventSink
from segue.events.rules import EventRules
from segue.events.scene import memory as memory_module
from segue.events.scene.memory import SceneMemory
from segue.events.scene.scenery import TIMES, SceneryRecord
from segue.events.store.store import EventStore
from segue.events.table import read_events
from segue.events.zones import Zone
from segue.types import ObjectInfo, Segmentation
from tests.events.stored import ask
from tests.events.test_standing import Camera

ZONE = Zone.parse("door=0%,0% 100%,0% 100%,100% 0%,100%")
SOURCE = "the gate"
MIDNIGHT = datetime(2026, 11, 30, tzinfo=UTC)


class Table:
    """Runs of a camera with one table, each by a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "gate.csv"
        self.notices: list[str] = []
        self.events: list[Event] = []
        self.opened: list[EventStore] = []
        self.began = MIDNIGHT

    def open(self, zones: Sequence[Zone] = (ZONE,), *, stops: bool = True) -> tuple[SceneMemory, EventSink]:
        memory = SceneMemory(self.notices.append)
        self.opened.append(self.store())
        memory.begin(self.opened[-1], SOURCE)
        began, self.events = self.began, []
        rules = EventRules(loiter={"door": 5.0} if zones else {})
        sink = EventSink(
            self.path,
            live=True,
            append=True,
            zones=zones,
            rules=rules,
            memory=memory,
            stop_time=lambda: time.monotonic() if stops else None,
            on_event=self.events.append,
            at=lambda time: began + timedelta(seconds=time),
        )
        return memory, sink

    def close(self) -> None:
        for store in self.opened:
            store.close()

    def store(self) -> EventStore:
        return EventStore.open(self.path.with_suffix(".db"))

    @property
    def record(self) -> str:
        """What is stored of the scene."""
        ((text,),) = ask(self.path, "select scene from sources where key = ?", SOURCE)
        return str(text)

    @record.setter
    def record(self, text: str) -> None:
        store = self.store()
        store.save_scene(SOURCE, text)
        store.close()

    @property
    def present(self) -> list[tuple[str, str]]:
        """Events of the objects that are there, as the store knows them."""
        store = self.store()
        found = [(each.event.event, each.event.zone) for each in store.present().get(3, ())]
        store.close()
        return found

    @property
    def rows(self) -> list[tuple[str, int]]:
        return [(row["event"], int(row["object"])) for row in read_events(self.path)]


def watch(sink: EventSink, camera: Camera, seconds: float, *, car: bool, listed: int | None = None) -> None:
    for frame, seen in camera.frames(seconds, car=car, listed=listed):
        sink.write(frame, seen)


def park(table: Table, *, stops: bool = True) -> EventSink:
    """A run in which a car parks."""
    _, sink = table.open(stops=stops)
    camera = Camera()
    watch(sink, camera, 2, car=False)
    watch(sink, camera, 11, car=True, listed=3)
    watch(sink, camera, 1, car=True)
    return sink


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a camera that was stopped while a car is parked."""
    folder = tmp_path_factory.mktemp("run")
    table = Table(folder)
    park(table).close()
    table.close()
    return folder


@pytest.fixture
def parked(run: Path, tmp_path: Path) -> Table:
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    return Table(tmp_path)


@pytest.mark.parametrize("end", ["TERM", "kill -9"])
def test_a_parked_car_goes_on_after_a_restart_and_leaves_once(
    end: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if end == "TERM":
        table: Table = request.getfixturevalue("parked")
    else:
        table = Table(tmp_path)
        monkeypatch.setattr(memory_module, "SAVE_SECONDS", 0.0)
        park(table)
    entered = [("enter", 3), ("zone-enter", 3), ("loiter", 3)]
    assert table.rows == entered
    table.began += timedelta(hours=1)
    memory, sink = table.open()
    camera = Camera()  # whose clock begins anew, and whose session has the car as background
    watch(sink, camera, 12, car=True)
    assert memory.standing.ids == {3}
    assert table.events == [], "nobody is told again"
    assert ("zone-enter", "door") in table.present, "sensors know that it is there"
    watch(sink, camera, 6, car=False, listed=4)  # the hole
    assert [event.event for event in table.events] == ["zone-leave", "leave"]
    assert all(3600 - 20 < event.seconds < 3600 + 20 for event in table.events), "since it came"
    sink.close()
    assert table.rows == [*entered, ("zone-leave", 3), ("leave", 3)]
    assert table.notices == []


def test_objects_gone_between_two_runs_leave_soon(parked: Table) -> None:
    _, sink = parked.open()
    watch(sink, Camera(), 6, car=False)
    assert parked.rows[-1] == ("leave", 3)


def test_a_run_with_an_end_tells_it(tmp_path: Path) -> None:
    table = Table(tmp_path)
    park(table, stops=False).close()
    assert table.rows[-1] == ("end", 3)
    memory, sink = table.open()
    watch(sink, Camera(), 2, car=True)
    assert memory.standing.ids == set()


def test_a_zone_that_is_no_more_is_left(parked: Table) -> None:
    _, sink = parked.open(zones=())
    watch(sink, Camera(), 2, car=True)
    assert [(event.event, event.zone) for event in parked.events] == [("zone-leave", "door")]


def sway(memory: SceneMemory, times: int = TIMES) -> None:
    for number in range(1, times + 1):
        for index in range(6):
            mask = np.zeros((100, 200), np.uint8)
            mask[10:25, 20:40] = number if index < 5 else 0
            objects = (ObjectInfo(number),) if index < 5 else ()
            memory.scenery.update(Segmentation(0, 2.0 * number + index / 5, mask, objects))


def test_places_stay_scene_and_those_taken_back_are_never_scene_again(tmp_path: Path) -> None:
    store = EventStore.open(tmp_path / "gate.db")

    def begun() -> SceneMemory:
        memory = SceneMemory()
        memory.begin(store, SOURCE)
        return memory

    memory = begun()
    sway(memory)
    memory.save()
    [place] = memory.scenery.places
    following = begun()
    assert following.scenery.places == [place], "with its number"
    assert following.scenery.reject(place.number)
    following.save()
    memory = begun()
    sway(memory, 3 * TIMES)
    assert memory.scenery.places == []
    store.close()


def test_places_belong_to_their_source_and_keep_their_numbers(tmp_path: Path) -> None:
    """Another source hides nothing because of them, and a page that rejects place 2 rejects that one."""
    store = EventStore.open(tmp_path / "gate.db")
    memory = SceneMemory()
    memory.begin(store, "gate")
    boxes = ((0.1, 0.1, 0.2, 0.2), (0.4, 0.4, 0.5, 0.5), (0.7, 0.7, 0.8, 0.8))
    memory.scenery.restore(SceneryRecord(places=boxes))
    assert memory.scenery.reject(1)
    memory.begin(store, "street")
    assert memory.scenery.places == []
    sway(memory)
    assert [place.number for place in memory.scenery.places] == [4]
    memory.save()
    memory.begin(store, "gate")
    assert {place.number: place.box for place in memory.scenery.places} == {2: boxes[1], 3: boxes[2]}
    memory.save()
    restarted = SceneMemory()
    restarted.begin(store, "gate")
    assert [place.number for place in restarted.scenery.places] == [2, 3]
    assert restarted.scenery.reject(2)
    assert [place.box for place in restarted.scenery.places] == [boxes[2]]
    store.close()


def altered(good: dict[str, object], **changes: object) -> str:
    objects = json.loads(json.dumps(good["objects"]))
    objects["objects"][0] |= changes
    return json.dumps(good | {"objects": objects})


@pytest.mark.parametrize(
    "damage",
    [
        *(
            "empty",
            "cut",
            "another program",
            "another version",
            "outside",
            "another size",
            "no pixels",
            "runs",
        ),
        *("no base64", "huge", "place"),
    ],
)
def test_a_damaged_or_foreign_record_is_ignored_with_one_line(parked: Table, damage: str) -> None:
    table = parked
    whole = table.record
    good = json.loads(whole)
    pixels = good["objects"]["objects"][0]["appearance"]
    contents = {
        "empty": "",
        "cut": whole[: len(whole) // 2],
        "another program": '{"name": "of another program"}',
        "another version": json.dumps(good | {"format": "segue-scene-0"}),
        "outside": altered(good, corner=[190, 140]),
        "another size": altered(good, appearance=pixels | {"size": [3, 3]}),
        "no pixels": altered(good, inside="0"),
        "runs": altered(good, mask="PP~~"),
        "no base64": altered(good, background=pixels | {"rgb": "?"}),
        "huge": json.dumps(good | {"objects": good["objects"] | {"size": [10**9, 10**9]}}),
        "place": json.dumps(good | {"scenery": {"places": [[0.5, 0.5, 0.4, float(2)]]}}),
    }
    table.record = contents[damage]
    _, sink = table.open()
    assert len(table.notices) == 1
    assert "damaged" in table.notices[0]
    watch(sink, Camera(), 2, car=True)
    assert table.rows[-2:] == [("zone-leave", 3), ("leave", 3)]


def test_a_camera_of_another_size_forgets_what_stood(parked: Table) -> None:
    memory, sink = parked.open(zones=())
    small = Camera()
    for frame, seen in small.frames(2, car=True):
        mask = np.zeros((240, 320), np.uint8)
        sink.write(frame, Segmentation(seen.index, seen.time, mask))
    assert memory.standing.ids == set()
    assert parked.rows[-1] == ("leave", 3)
