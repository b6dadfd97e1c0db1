"""Which videos a batch has: folders, patterns and lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from segue.batch import read_tasks
from segue.batch.plan import measured
from segue.errors import SourceError
from tests.batch.conftest import film


def test_a_folder_stands_for_the_films_below_it_named_by_their_place(films: Path) -> None:
    (films / "notes.txt").write_text("no film")

    assert [task.name for task in read_tasks([str(films)])] == ["a", "b", "inner/c"]


def test_films_that_differ_only_in_their_ending_keep_it(films: Path) -> None:
    (films / "a.mkv").touch()

    assert [task.name for task in read_tasks([str(films)])][:2] == ["a.mkv", "a.mp4"]


def test_folders_of_pictures_are_videos(tmp_path: Path) -> None:
    for name in ("s1", "s2", "s10"):
        (tmp_path / "frames" / name).mkdir(parents=True)
        (tmp_path / "frames" / name / "0.jpg").touch()

    assert [task.name for task in read_tasks([str(tmp_path / "frames")])] == ["s1", "s2", "s10"]


def test_a_table_gives_prompts_and_options_with_paths_beside_it(tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text(
        "source,name,mask,box,point,auto,options\n"
        'a.mp4,first,3@2=m.png,"10,20,30,40;5@7:1,2,3,4",,,--mem-every 3\n'
        "/abs/b.mp4,,,,,yes,\n"
    )

    first, second = read_tasks([str(table)])

    assert (first.name, first.source) == ("first", str(tmp_path / "a.mp4"))
    assert first.arguments == (
        *("--mask", f"3@2={tmp_path / 'm.png'}"),
        *("--box", "10,20,30,40", "--box", "5@7:1,2,3,4"),
        *("--mem-every", "3"),
    )
    assert (second.name, second.source, second.arguments) == ("b", "/abs/b.mp4", ("--auto",))


def test_each_camera_has_its_region_depth_and_flow(tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text("source,roi,depth,flow\na.mp4,street.png,maps,\nb.mp4,/abs/yard.png,,flow/b\n")

    first, second = read_tasks([str(table)])

    assert first.arguments == ("--roi", str(tmp_path / "street.png"), "--depth", str(tmp_path / "maps"))
    assert second.arguments == ("--roi", "/abs/yard.png", "--flow", str(tmp_path / "flow/b"))


def test_parquet_says_the_same_as_csv(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"source": ["a.mp4", "b.mp4"], "box": ["1,2,3,4", None]})
    parquet.write_table(table, tmp_path / "list.parquet")
    (tmp_path / "list.csv").write_text('source,box\na.mp4,"1,2,3,4"\nb.mp4,\n')

    assert read_tasks([str(tmp_path / "list.parquet")]) == read_tasks([str(tmp_path / "list.csv")])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("source,colour\na.mp4,red\n", "column 'colour' is not known"),
        ("name\na\n", "row 1 has no source"),
        ("source,name\na.mp4,../b\n", "must stay inside the output"),
        ("source,box\na.mp4,1,2,3,4\n", "quote those with commas"),
        ('source,options\na.mp4,"--x \'"\n', "options cannot be read"),
    ],
)
def test_a_table_with_a_mistake_is_refused_with_its_row(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "list.csv").write_text(text)

    with pytest.raises(SourceError, match=message):
        read_tasks([str(tmp_path / "list.csv")])


def test_the_cost_of_a_film_is_its_pixels_and_an_unreadable_one_keeps_its_place(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", 10)
    (tmp_path / "rotten.mp4").write_bytes(b"nothing of the sort" * 50)

    a, rotten = measured(read_tasks([str(tmp_path)]))

    assert a.cost == 96 * 128 * 10
    assert rotten.name == "rotten"
