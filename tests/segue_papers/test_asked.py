"""Options for one row or for all, and the commands of trainings that have not been given."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from segue.cli.running import check_training
from segue.errors import SegueError
from segue.jobs.values import checked
from segue.registry import DATASETS, DETECTORS, MODELS
from segue.weights import write_checkpoint
from segue_papers import TABLES, Table, tables_of
from segue_papers.asked import How
from segue_papers.needs import row_lacks
from tests.needs import needs


def asked(tables: list[Table], output: Path, **given: list[str]) -> How:
    return checked(How, {"output": output, **given}).for_tables(tables)


def test_options_are_for_all_or_for_a_network_or_a_row(tmp_path: Path) -> None:
    tables = tables_of("mustan", ["sbi2015"])
    rows = {row.key: row for row in tables[0].rows}
    texts = ["--device cpu --events a=b", "mustan2=--fast", "MUSTAN2, CDnet=--depth 'a b'"]
    how = asked(tables, tmp_path, run=texts)
    assert how.options_of("mustan1", rows["mustan1-cdnet-isd"]) == ["--device", "cpu", "--events", "a=b"]
    assert how.options_of("mustan2", rows["mustan2-cdnet-isd"])[4:] == ["--fast"]
    assert how.options_of("mustan2", rows["mustan2-cdnet"])[4:] == ["--fast", "--depth", "a b"]
    for text, message in (
        ("mustan3=--fast", "--run mustan3: "),
        ("--roi 'a", "--run --roi 'a: "),
        ("device cuda", "--run device cuda: .*NAME=OPTIONS"),
    ):
        with pytest.raises(SegueError, match=message):
            asked(tables, tmp_path, run=[text])


def test_a_network_that_is_not_known_ends_before_anything_runs() -> None:
    tables = tables_of("stm", ["memory"])
    How(model="stcn").for_tables(tables)
    with pytest.raises(SegueError):
        How(model="nonet").for_tables(tables)


def commands(texts: list[str]) -> list[list[str]]:
    """The trainings among what a row lacks, as they are typed after ``segue train``."""
    found = [command for text in texts for command in re.findall(r"`(segue train [^`]*)`", text)]
    return [shlex.split(command)[2:] for command in found]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table.paper} {table.name}")
def test_rows_name_valid_commands_for_missing_weights(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("tensorboard")
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    how = asked([table], tmp_path / "out", data=[f"{name}=FOLDER" for name in DATASETS.names])
    for row in table.rows:
        lacks = list(row_lacks(row, table, how))
        trainings = commands(lacks)
        assert (row.training is not None) == bool(trainings), row.name
        for words in trainings:
            check_training(words)
        for text in lacks:
            name = text.strip("`").rpartition(" ")[2].partition("=")[0]
            known = text.startswith(("`segue weights get ", "--weights ")) and name in (
                *MODELS.names,
                *DETECTORS.names,
            )
            assert known or trainings, text


def test_a_training_begins_from_what_its_authors_published_or_from_a_training_of_its_own(
    tmp_path: Path,
) -> None:
    needs("tensorboard")
    tables = tables_of("ms-sts", ["parts"])
    row = tables[0].rows[1]
    data = ["ytvis=V", "coco=C"]

    def lacks(**given: list[str]) -> list[str]:
        return list(row_lacks(row, tables[0], asked(tables, tmp_path, data=data, **given)))

    first, second = lacks()
    assert first.startswith("--weights coco-pretrained-r50=FILE (https://drive.google.com/file/d/1aWCeak2DY5")
    start, own = commands([first, second])
    assert start[0] == "seqformer-coco"
    made = Path(start[start.index("--out") + 1]) / "seqformer-r50-coco.safetensors"
    assert own[own.index("--start") + 1] == str(made)
    (only,) = lacks(weights=["coco-pretrained-r50=w.pth"])
    assert commands([only])[0][-4:-2] == ["--start", "w.pth"]
    made.parent.mkdir(parents=True)
    write_checkpoint(made, {}, {"step": "1", "steps": "2"})
    assert len(lacks()) == 2, "it has not ended"
    write_checkpoint(made, {}, {"step": "2", "steps": "2"})
    assert lacks() == [second]


def test_a_training_of_folds_is_one_command_for_each_fold_that_is_there(tmp_path: Path) -> None:
    tables = tables_of("mustan", ["cdnet-unseen"])
    how = asked(tables, tmp_path, data=["cdnet=C"])
    row = next(row for row in tables[0].rows if row.key == "mustan2-cdnet")
    assert len(commands(list(row_lacks(row, tables[0], how)))) == 4
    videos = ["baseline/highway", "baseline/office"]
    found = commands(list(row_lacks(row, tables[0], how, videos)))
    assert [words[words.index("--fold") + 1] for words in found] == ["2", "3"]
    assert all(words[words.index("--init") + 1] == "FILE" for words in found)
    with pytest.raises(SegueError):
        list(row_lacks(row, tables[0], how, ["mine"]))
