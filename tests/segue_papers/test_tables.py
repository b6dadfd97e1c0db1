"""The tables: what they are, what of a data set they take, and how curves are drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segue.datasets.davis import DAVIS_VAL
from segue.errors import DatasetError, SegueError
from segue.metrics.data_sets import Request, data_sets
from segue.models.seqformer.network import YOUTUBE_VIS_2021
from segue.registry import DATASETS, MODELS
from segue.reports.charts import write_percentiles
from segue_papers import TABLES, Table, tables_of
from segue_papers.asked import How
from segue_papers.needs import request_of
from segue_papers.papers import source_names
from tests.segue_train.instance_sets import save_ytvis
from tests.segue_train.scenes import save_scene

ids = [f"{table.paper} {table.name}" for table in TABLES]


def test_tables_have_names_of_their_own() -> None:
    assert len(set(ids)) == len(TABLES)
    assert [table.name for table in tables_of("stm", ["memory", "davis-2016"])] == ["memory", "davis-2016"]
    for paper, names in (("stm", ["davis-2018"]), ("xmem", [])):
        with pytest.raises(SegueError, match=(names or [paper])[0]):
            tables_of(paper, names)


@pytest.mark.parametrize("table", TABLES, ids=ids)
def test_names_in_tables_exist(table: Table) -> None:
    assert table.dataset in data_sets()
    assert table.dataset in DATASETS
    assert len({row.key for row in table.rows}) == len(table.rows)
    for row in table.rows:
        assert (row.model or table.model) in MODELS
        assert set(row.published) <= set(table.measures)
        if row.first is not None:
            assert row.first in source_names("boxes" if table.dataset == "something" else "masks")


def test_rows_of_others_stand_beside_with_their_numbers_and_a_reason() -> None:
    counts = {"stm youtube-vos": 10, "ms-sts ytvis-2019": 21, "stcn-report davis": 1}
    for name, count in counts.items():
        (table,) = tables_of(*(lambda paper, table: (paper, [table]))(*name.split()))
        others = [row for row in table.rows if row.no_command is not None]
        assert len(others) == count == len(table.rows) - len(table.runnable)
        assert all(row.published for row in others)
    (table,) = tables_of("stm", ["youtube-vos"])
    rgmp = next(row for row in table.rows if row.name == "RGMP")
    assert rgmp.published == {"overall": 53.8, "J seen": 59.5, "J unseen": 45.2}
    (table,) = tables_of("stcn-report", ["davis"])
    assert table.rows[0].published["frames/s"] == 20.2


def folder(root: Path, names: list[str]) -> Path:
    for name in names:
        for part in ("JPEGImages", "Annotations"):
            (root / part / "480p" / name).mkdir(parents=True)
            Image.new("L", (8, 8)).save(root / part / "480p" / name / "00000.png")
    return root


def test_half_a_data_set_is_run_and_the_rest_is_named(tmp_path: Path) -> None:
    (table,) = tables_of("stm", ["davis-2017"])

    def videos_of(table: Table, root: Path) -> tuple[list[str] | None, list[str]]:
        request, remarks = request_of(table, How(data={"davis": root}, output=tmp_path / "out"))
        assert request is not None
        return request.sequences, remarks

    names = sorted(DAVIS_VAL)
    assert videos_of(table, folder(tmp_path / "all", names)) == (names, [])
    root = folder(tmp_path / "half", ["soapbox", "bear", "dog"])
    found, (remark,) = videos_of(table, root)
    assert found == ["dog", "soapbox"]
    assert remark == (
        "28 of the 30 videos of val of DAVIS 2016 and 2017 are missing: "
        "bike-packing, blackswan, bmx-trees, breakdance, camel and 23 more"
    )
    (root / "ImageSets" / "2017").mkdir(parents=True)
    (root / "ImageSets" / "2017" / "val.txt").write_text("bear\nelephant\n")
    assert videos_of(table, root)[0] == ["bear"]
    found, (remark,) = videos_of(table, folder(tmp_path / "mine", ["cat"]))
    assert (found, remark.startswith("none of the 30 videos")) == (["cat"], True)
    (tmp_path / "mine" / "ImageSets" / "2017").mkdir(parents=True)
    with pytest.raises(DatasetError):
        videos_of(replace(table, subset="test-dev"), tmp_path / "mine")


def test_data_of_another_edition_are_not_taken_for_those_of_a_table(tmp_path: Path) -> None:
    this, other = tables_of("ms-sts", ["ytvis-2021", "ytvis-2019"])
    root = save_ytvis(tmp_path / "vis", YOUTUBE_VIS_2021, length=1, split="valid")
    how = How(data={"ytvis": root}, output=tmp_path / "out")
    assert request_of(this, how) == (Request(data=root, dataset="ytvis", subset="valid"), [])
    assert request_of(other, how) == (
        None,
        [
            f"{root}/valid.json has the classes of ytvis2021, this table is of ytvis2019; "
            "give its folder with --data ytvis=FOLDER",
        ],
    )
    own = save_ytvis(tmp_path / "own", {1: "bright", 2: "dark"}, length=1, split="valid")
    assert request_of(other, How(data={"ytvis": own}, output=tmp_path / "out"))[0] is not None


def test_rendered_clips_without_the_part_that_is_scored_leave_their_table_out(tmp_path: Path) -> None:
    """As `segue synth isd --rooms 8` makes them, for the other tables of MUSTAN."""
    (table,) = tables_of("mustan", ["context"])
    root = save_scene(tmp_path / "isd" / "train", "", "a", frames=1).parent.parent
    (root / "index.csv").write_text("scene_id,split\na,train\n")
    how = How(data={"isd": root}, output=tmp_path / "out")
    text = f"{root} has no clips of the part test; give its folder with --data isd=FOLDER"
    assert request_of(table, how) == (None, [text])


def test_a_folder_without_videos_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    (table,) = tables_of("mustan", ["sbi2015"])
    for name in ("none", ""):
        with pytest.raises(DatasetError):
            request_of(table, How(data={"sbi": tmp_path / name}, output=tmp_path / "out"))


def test_percentiles_are_those_of_the_known_values(tmp_path: Path) -> None:
    values = np.array([np.nan, *np.linspace(0, 1, 11)])
    tenths = write_percentiles(
        tmp_path / "a" / "curve.svg", "title <", "J", {"one": values, "two": values**2}
    )
    assert tenths["one"] == pytest.approx(np.linspace(0, 1, 11))
    text = (tmp_path / "a" / "curve.svg").read_text()
    assert text.count("<polyline") == 2
    assert "title &lt;" in text
    assert ">two</text>" in text
