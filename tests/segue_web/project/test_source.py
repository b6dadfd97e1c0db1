"""A project opens for its own video alone, whatever other videos are called."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from segue.errors import SegueError
from segue.video.sources.identity import content_digest
from segue.video.sources.images import write_image
from segue_web.project.annotations import FrameAnnotation
from segue_web.project.project import Project
from segue_web.project.store import Store
from segue_web.video import Video
from tests.cli.running import Command
from tests.segue_web.conftest import ServeHere
from tests.segue_web.here import ServerHere
from tests.segue_web.videos import numbered, write_video


def opened(folder: Path, path: Path, *, adopt: bool = False) -> Project:
    video = Video(path)
    try:
        return Project(folder, video.describe(), video.size, video.path, adopt=adopt)
    finally:
        video.close()


def annotate(folder: Path, path: Path) -> None:
    with closing(opened(folder, path)) as project, project.change("draw"):
        plane = np.ones(project.size, np.bool_)
        project.put(0, {project.add_object(): (plane, FrameAnnotation("given"))})


@pytest.fixture
def days(tmp_path: Path) -> tuple[Path, Path]:
    """Two videos of one name, size and length."""
    for day, turn in (("day1", 1), ("day2", -1)):
        (tmp_path / day).mkdir()
        write_video(tmp_path / day / "cam1.mp4", numbered(4)[::turn])
    return tmp_path / "day1" / "cam1.mp4", tmp_path / "day2" / "cam1.mp4"


def test_a_video_of_the_same_name_size_and_length_gets_no_project_of_another(
    days: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "cam1.project"
    annotate(folder, days[0])

    with pytest.raises(SegueError, match=r"day1/cam1\.mp4; choose another folder with --project"):
        opened(folder, days[1])
    assert Store.video_of(folder) == days[0], "it stays that of the first"
    opened(folder, days[0]).close()
    opened(folder, days[1], adopt=True).close()
    assert Store.video_of(folder) == days[1]


def test_the_command_refuses_it_and_neither_copies_nor_imports(
    days: tuple[Path, Path],
    serve_here: ServeHere,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    annotate(tmp_path / "segue-out" / "cam1.project", days[0])

    assert "day1" in command("annotate", days[1], "--device", "cpu", "--no-browser").complaint
    assert "day1" in command("annotate", days[1], "--copy-to", tmp_path / "copy").complaint
    assert not (tmp_path / "copy").exists()
    assert command("annotate", days[0], "--copy-to", tmp_path / "copy").code == 0
    serve_here("annotate", days[1], "--device", "cpu", "--adopt")
    ServerHere.running.pop().stop()


def test_frames_in_a_folder_are_another_video_than_a_file_of_the_same_name(tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.mp4", numbered(4))
    for index, image in enumerate(numbered(4)):
        write_image(tmp_path / "clip" / f"{index}.png", image)
    annotate(tmp_path / "p", video)
    with pytest.raises(SegueError, match=r"clip\.mp4"):
        opened(tmp_path / "p", tmp_path / "clip")


def test_a_video_that_was_moved_keeps_its_project(tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    for index, image in enumerate(numbered(4)):
        write_image(frames / f"{index}.png", image)
    annotate(tmp_path / "p", frames)
    moved = tmp_path / "moved"
    shutil.copytree(frames, moved, copy_function=shutil.copy)  # with other times
    shutil.rmtree(frames)

    with closing(opened(tmp_path / "p", moved)) as project:
        assert project.mask(0).all()
    assert Store.video_of(tmp_path / "p") == moved


def test_a_video_whose_content_changed_is_told(days: tuple[Path, Path], tmp_path: Path) -> None:
    annotate(tmp_path / "p", days[0])
    shutil.copy(days[1], days[0])
    with pytest.raises(SegueError, match="as it was before it changed"):
        opened(tmp_path / "p", days[0])


def test_a_project_without_work_is_taken_by_any_video(days: tuple[Path, Path], tmp_path: Path) -> None:
    for day in days:
        opened(tmp_path / "p", day).close()


@pytest.mark.parametrize("digest", [False, True])
def test_a_project_of_an_earlier_segue_opens_for_the_video_at_its_path(
    digest: bool, days: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "p"
    annotate(folder, days[0])
    with closing(sqlite3.connect(folder / "project.db")) as database, database:
        path = json.dumps({"path": str(days[0])})
        sql = (
            "UPDATE meta SET value=? WHERE key='source'" if digest else "DELETE FROM meta WHERE key='source'"
        )
        database.execute(sql, (path,) if digest else ())
        database.execute("ALTER TABLE history DROP COLUMN time")
        for column in ("layer", "edge"):
            database.execute(f"ALTER TABLE objects DROP COLUMN {column}")
        database.execute("ALTER TABLE marks DROP COLUMN unsure")
        database.execute("DROP TABLE shapes")
        for column in ("x", "y"):
            database.execute(f"ALTER TABLE comments DROP COLUMN {column}")
        database.execute("PRAGMA user_version=0")  # as projects without a number

    if digest:
        with pytest.raises(SegueError, match="earlier segue"):
            opened(folder, days[1])
    opened(folder, days[0]).close()
    assert ("it is taken for" in capsys.readouterr().err) == (not digest)
    with pytest.raises(SegueError, match="day1"):
        opened(folder, days[1])


def test_a_digest_covers_images_that_have_equal_sizes(tmp_path: Path) -> None:
    for name, value in (("one", 1), ("two", 2)):
        for index in range(40):
            write_image(tmp_path / name / f"{index}.bmp", np.full((8, 8, 3), value * (index == 38), np.uint8))
    digests = [content_digest(tmp_path / name) for name in ("one", "two")]
    assert digests[0] != digests[1]
    assert content_digest(str(tmp_path / "one" / "*.bmp")) == digests[0]
