"""The tables: what they are, what of a data set they take, and how curves are drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segue.batch.protocols import PROTOCOLS
from segue.datasets.davis import DAVIS_VAL
from segue.errors import DatasetError, SegueError
from segue.metrics.data_sets import data_sets
from segue.registry import DATASETS, MODELS
from segue.reports.charts import write_percentiles
from segue.reproduce import TABLES, Table, tables_of
from segue.reproduce.needs import videos_of
from segue.reproduce.papers import source_names

ids = [f"{table.paper} {table.name}" for table in TABLES]


def test_tables_have_names_of_their_own() -> None:
    assert len(set(ids)) == len(TABLES)
    assert [table.name for table in tables_of("stm", ["memory", "davis-2016"])] == ["memory", "davis-2016"]
    with pytest.raises(
        SegueError, match="stm has no table 'davis-2018'; choose from youtube-vos, davis-2016"
    ):
        tables_of("stm", ["davis-2018"])
    with pytest.raises(SegueError, match="no tables of 'xmem' are known; choose from stm,"):
        tables_of("xmem")


@pytest.mark.parametrize("table", TABLES, ids=ids)
def test_what_a_table_names_is_known(table: Table) -> None:
    assert table.dataset in PROTOCOLS
    assert table.dataset in data_sets()
    assert table.dataset in DATASETS
    assert len({row.key for row in table.rows}) == len(table.rows)
    for row in table.rows:
        assert (row.model or table.model) in MODELS
        assert set(row.published) <= set(table.measures)
        if row.first is not None:
            assert row.first in source_names("boxes" if table.dataset == "something" else "masks")


def folder(root: Path, names: list[str]) -> Path:
    for name in names:
        for part in ("JPEGImages", "Annotations"):
            (root / part / "480p" / name).mkdir(parents=True)
            Image.new("L", (8, 8)).save(root / part / "480p" / name / "00000.png")
    return root


def test_half_a_data_set_is_run_and_the_rest_is_named(tmp_path: Path) -> None:
    (table,) = tables_of("stm", ["davis-2017"])
    names = sorted(DAVIS_VAL)
    assert videos_of(table, folder(tmp_path / "all", names)) == (names, ())
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
    with pytest.raises(DatasetError, match="no part 'test-dev'"):
        videos_of(replace(table, subset="test-dev"), tmp_path / "mine")


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
