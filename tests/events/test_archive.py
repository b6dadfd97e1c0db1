"""One value lists all parts of a camera, whatever its runs were given."""

from __future__ import annotations

from pathlib import Path

import pytest

from segue.events.archive import EventArchive
from segue.jobs.places import OutputPlaces
from segue.jobs.values import ForegroundJob, Model, VideoSource
from segue.sinks.rotation import new_part, part_path
from segue_watch.camera import Camera

PARTS = ("20261121T205300Z", "20261121T215300Z", "20261121T215300Z-2", "20261121T215300Z-10")


def test_parts_are_those_of_tables_and_of_images_in_order_of_time(tmp_path: Path) -> None:
    archive = EventArchive(tmp_path / "gate.csv", tmp_path / "gate")
    assert [part.name for part in archive.parts()] == [""], "the first run may begin"
    (tmp_path / "gate-20261121T215300Z-10.csv").touch()
    (tmp_path / "gate-20261121T205300Z.csv").touch()
    for name in (PARTS[0], PARTS[1], PARTS[2], "mine"):
        (tmp_path / "gate" / name).mkdir(parents=True)
    (tmp_path / "gate-mine.csv").touch()
    (tmp_path / "yard-20261121T205300Z.csv").touch()
    parts = archive.parts()
    assert [part.name for part in parts] == ["", *PARTS]
    assert parts[0].table == tmp_path / "gate.csv"
    assert parts[1].table == tmp_path / "gate-20261121T205300Z.csv"
    folders = [part.folder for part in parts]
    assert folders == [tmp_path / "gate", *(tmp_path / "gate" / name for name in PARTS)]
    assert archive.part(PARTS[2]) == parts[3]


@pytest.mark.parametrize("name", ["mine", "..", "/etc", "20261121T205300Z/..", "20261121T205300Z-x"])
def test_invalid_names_of_parts_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no name of a part"):
        EventArchive(tmp_path / "gate.csv", tmp_path / "gate").part(name)


def job(tmp_path: Path, **options: object) -> ForegroundJob:
    source, model = VideoSource(place="0"), Model(name="median")
    values = ForegroundJob(source=source, model=model, snapshots=tmp_path / "seen", **options)  # type: ignore[arg-type]
    return values.model_copy(
        update={"outputs": values.outputs.model_copy(update={"folder": tmp_path / "out"})}
    )


def test_the_parts_of_a_run_are_listed_where_it_writes_them(tmp_path: Path) -> None:
    """A table beside the outputs has parts beside it; one among them has a folder for each part."""
    for place in ({"events": tmp_path / "gate.csv"}, {}):
        places = OutputPlaces.of(job(tmp_path, **place), "gate")  # type: ignore[arg-type]
        formats = () if place else ("events",)
        archive = places.archive(formats)
        assert archive is not None
        part = places.part(PARTS[0])
        listed = archive.part(PARTS[0])
        assert listed.folder == part.snapshots
        table = part.other_outputs["events"] if place else part.folder / "events.csv"
        assert listed.table == table
        table.parent.mkdir(parents=True, exist_ok=True)
        table.touch()
        assert [part.table for part in archive.parts()] == [archive.table, table]
        assert archive.store == archive.table.with_suffix(".db")


def test_outputs_of_a_part_share_its_name(tmp_path: Path) -> None:
    (tmp_path / "seen" / PARTS[1]).mkdir(parents=True)
    places = OutputPlaces.of(job(tmp_path, events=tmp_path / "gate.csv"), "gate")  # type: ignore[arg-type]
    part = places.part(PARTS[1])
    assert part.snapshots == tmp_path / "seen" / PARTS[2]
    assert part.other_outputs["events"] == tmp_path / f"gate-{PARTS[2]}.csv"
    assert new_part([tmp_path / "gate.csv"], PARTS[1]) == PARTS[1]
    assert part_path(tmp_path / "gate.csv", PARTS[1]).name == f"gate-{PARTS[1]}.csv"


def test_a_camera_and_its_run_have_one_archive(tmp_path: Path) -> None:
    """Also where events are a format of a folder."""
    for options in ({"events": tmp_path / "gate.csv"}, {}):
        values = job(tmp_path, **options)
        formats = ("png",) if options else ("png", "events")
        values = values.model_copy(update={"outputs": values.outputs.model_copy(update={"formats": formats})})
        camera = Camera("gate", values, lambda *_: None, lambda _: None)
        archive = camera.archive
        assert archive is not None
        assert archive == OutputPlaces.of(values, "gate").archive(formats)
        assert archive.table == (tmp_path / "gate.csv" if options else tmp_path / "out/events.csv")


def test_only_names_of_images_and_clips_lead_to_files(tmp_path: Path) -> None:
    part = EventArchive(tmp_path / "gate.csv", tmp_path / "gate").part("")
    assert part.file("00001-enter-1.mp4") == tmp_path / "gate" / "00001-enter-1.mp4"
    assert part.file("../gate.csv") is None
