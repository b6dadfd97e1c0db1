"""`segue annotate` given again continues: nothing that was done on the page is lost."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from segue.formats.schema import schema_of
from segue.masks import write_index_mask
from segue_web.project.annotations import Correction, FrameAnnotation
from segue_web.project.project import Project
from segue_web.video import Video
from tests.cli.running import Command
from tests.segue_web.conftest import ServeHere
from tests.segue_web.here import ServerHere
from tests.segue_web.videos import numbered, write_video


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "video.mp4", numbered(3))


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    """Masks of another program: object 1 on every frame."""
    folder = tmp_path / "masks"
    folder.mkdir()
    for index in range(3):
        mask = np.zeros((48, 64), np.uint8)
        mask[5:10, 5:15] = 1
        write_index_mask(folder / f"{index:05d}.png", mask)
    return folder


def opened(folder: Path, video: Path) -> Project:
    found = Video(video)
    return Project(folder, found.describe(), found.size)


def end_servers() -> None:
    while ServerHere.running:
        ServerHere.running.pop().stop()


def correct_by_hand(folder: Path, video: Path) -> np.ndarray:
    plane = np.zeros((48, 64), np.bool_)
    plane[20:30, 20:30] = True
    with closing(opened(folder, video)) as project, project.change("brush stroke"):
        project.put(1, {1: (plane, FrameAnnotation("given"))})
        project.correct(1, 1, Correction())
    return plane


def test_the_same_command_keeps_what_was_corrected_by_hand(
    serve_here: ServeHere, command: Command, video: Path, masks: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "p"
    arguments = ("annotate", video, "--project", folder, "--device", "cpu", "--import", masks)
    serve_here(*arguments)
    end_servers()
    with closing(opened(folder, video)) as project:
        assert sorted(project.masks_of(1)) == [0, 1, 2]
    corrected = correct_by_hand(folder, video)

    ended = command(*arguments, "--no-browser")
    end_servers()

    assert "nothing was imported; --import-again" in ended.out
    with closing(opened(folder, video)) as project:
        assert np.array_equal(project.plane(1, 1), corrected)
    serve_here(*arguments, "--import-again")
    end_servers()
    with closing(opened(folder, video)) as project:
        assert not np.array_equal(project.plane(1, 1), corrected)
        assert project.history()["undo"] == "import"
        project.undo()
        assert np.array_equal(project.plane(1, 1), corrected)


def test_an_import_that_was_undone_or_removed_stays_away(
    serve_here: ServeHere, video: Path, masks: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "p"
    arguments = ("annotate", video, "--project", folder, "--device", "cpu", "--import", masks)
    serve_here(*arguments)
    end_servers()
    with closing(opened(folder, video)) as project:
        project.undo()
    serve_here(*arguments)
    end_servers()
    with closing(opened(folder, video)) as project:
        assert project.objects() == []


def test_a_damaged_file_prevents_the_import_of_all(
    serve_here: ServeHere, command: Command, video: Path, masks: Path, tmp_path: Path
) -> None:
    """Else the mended command would find a project with objects."""
    folder, damaged = tmp_path / "p", tmp_path / "more.json"
    damaged.write_text("{")
    arguments = ("annotate", video, "--project", folder, "--device", "cpu", "--import", masks)
    assert "more.json" in command(*arguments, "--import", damaged, "--no-browser").complaint
    serve_here(*arguments)
    end_servers()
    with closing(opened(folder, video)) as project:
        assert sorted(project.masks_of(1)) == [0, 1, 2]


@pytest.mark.parametrize("option", ["--classes", "--labels"])
def test_the_same_command_keeps_classes_and_attributes_of_the_page(
    option: str, serve_here: ServeHere, video: Path, tmp_path: Path
) -> None:
    folder, file = tmp_path / "p", tmp_path / "schema.json"
    pose = {"name": "pose", "type": "choice", "values": ["up", "down"]}
    file.write_text(json.dumps({"classes": [{"name": "fish"}, {"name": "leaf"}], "attributes": [pose]}))
    value = "fish,leaf" if option == "--classes" else file
    arguments = ("annotate", video, "--project", folder, "--device", "cpu", option)
    serve_here(*arguments, value)
    end_servers()
    on_page = schema_of(
        {
            "classes": [{"name": "fish", "colour": "#ff0000"}, {"name": "snail"}],
            "attributes": [{"name": "pose"}],
        }
    )
    with closing(opened(folder, video)) as project:
        assert project.schema.names == ("fish", "leaf")
        with project.change("label schema"):
            project.set_schema(on_page)

    serve_here(*arguments, value)
    end_servers()
    with closing(opened(folder, video)) as project:
        assert project.schema == on_page, "the leaf that was removed stays away, too"

    file.write_text(json.dumps({"classes": [{"name": "frog"}], "attributes": [pose]}))
    serve_here(*arguments, "frog" if option == "--classes" else file)
    end_servers()
    with closing(opened(folder, video)) as project:
        schema = project.schema
        assert sorted(schema.names) == ["fish", "frog", "snail"], "a class that is asked for is added"
        assert schema.attributes[0].type == ("text" if option == "--classes" else "choice")
        assert next(one.colour for one in schema.classes if one.name == "fish") == "#ff0000"


def test_a_project_is_exported_without_the_page_also_while_it_is_open(
    serve_here: ServeHere, command: Command, video: Path, masks: Path, tmp_path: Path
) -> None:
    project = tmp_path / "p"
    missing = command("annotate", video, "--project", project, "--export", "matte")
    assert (missing.code, missing.err.count("there is no project to export")) == (2, 1)
    serve_here("annotate", video, "--project", project, "--import", masks, "--device", "cpu")
    done = command("annotate", video, "--project", project, "--export", "matte", "--each-object")
    assert done.code == 0, done.err
    folder = project / "exports" / "video-matte"
    assert done.out.strip() == f"exported: {folder}"
    [image] = folder.rglob("00001.png")
    assert image.parent.name == "Object_1"
    alpha = cv2.imread(str(image), cv2.IMREAD_UNCHANGED)
    assert (alpha.dtype, int(alpha.max()), np.count_nonzero(alpha)) == (np.uint16, 65535, 50)
    again = command("annotate", video, "--project", project, "--export", "png16")
    assert len([*(project / "exports" / "video-png16").glob("*.png")]) == 3, again.err
    part = command("annotate", video, "--project", project, "--export", "png16", "--start", 1, "--end", 2)
    assert [path.name for path in (project / "exports" / "video-png16-2").iterdir()] == ["00001.png"], (
        part.err
    )
    for arguments, message in (
        (("--export", "mov"), "choose one of davis"),
        (("--premultiplied",), "say how --export writes"),
        (("--start", 2), "say how --export writes"),
        (("--export", "png16", "--start", 3, "--end", 3), "give a frame after the first one, 3"),
    ):
        refused = command("annotate", video, "--project", project, *arguments)
        assert refused.code == 2
        assert message in refused.err
