"""Every table from its data to its rows, notes and submission, on small data sets with small weights."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from segue.models.hofam import HOFAM
from segue.models.seqformer import SeqFormer
from segue.models.seqformer.network import YOUTUBE_VIS_2021
from segue.weights import read_checkpoint, write_checkpoint
from segue_papers import TABLES
from tests.cli.running import Command, Outcome, command_in
from tests.lite import lively_instances
from tests.segue_papers import trees
from tests.segue_train.instance_sets import save_ytvis

# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

TINY = "--width 0.05 --size 32x32 --batch 2 --steps 2 --workers 0 --device cpu"

LITE = ("--model", "stcn-lite")

INSTANCES = ("--model", "msstsvis-lite", "--weights", "msstsvis-lite=instances.safetensors")

CASES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "stm youtube-vos": (("ytvos",), LITE, ("STM",)),
    "stm davis-2016": (("davis",), LITE, ("STM",)),
    "stm davis-2017": (("davis",), LITE, ("STM",)),
    "stm memory": (("davis",), LITE, ("first frame only", "every 5 frames")),
    "stm intermediate": (("davis",), LITE, ("first and previous", "every 5 frames")),
    "stcn-report davis": (("davis",), LITE, ("ground truth", "boxes, segue-prompt", "motion")),
    "stcn-report something": (("something",), LITE, ("ground truth", "motion")),
    "mustan sbi2015": (
        ("sbi", "cdnet"),
        (),
        ("MUSTAN2, CDnet", "mustan-lite"),
    ),
    "mustan cdnet-unseen": (
        ("cdnet",),
        (),
        ("MUSTAN2, CDnet",),
    ),
    "mustan context": (
        ("isd",),
        (),
        (
            "five frames",
            "three frames and depth",
            "three frames, normals learnt, too",
            "three frames, camera followed",
        ),
    ),
    "mustan ablation": (
        ("sbi", "isd"),
        (),
        ("MUSTAN2, ISD only",),
    ),
    "mustan ablation-unseen": (
        ("cdnet", "isd"),
        (),
        ("MUSTAN2, ISD only",),
    ),
    "hofam hofam": (("hofam",), ("--weights", "hofam=hofam.safetensors"), ("HOFAM",)),
    "hofam lasiesta": (("lasiesta",), ("--weights", "hofam=hofam.safetensors"), ("HOFAM",)),
    "hofam limu": (
        ("limu", "cdnet"),
        ("--weights", "hofam=hofam.safetensors"),
        ("HOFAM", "without attention"),
    ),
    "hofam plug-in": (
        ("lasiesta", "cdnet"),
        (),
        (
            "mustan-lite, as shipped",
            "with flow, attention and class-in scale",
            "with flow, without attention",
        ),
    ),
    "hofam plug-in-sbi2015": (
        ("sbi", "cdnet"),
        (),
        ("mustan-lite, trained on", "with flow and attention"),
    ),
    "ms-sts ytvis-2019": (("ytvis",), INSTANCES, ("MS-STS, R50",)),
    "ms-sts ytvis-2021": (("ytvis",), INSTANCES, ("MS-STS, R50",)),
    "ms-sts gallery": (("ytvis",), INSTANCES, ("MS-STS, R50",)),
    "ms-sts parts": (("ytvis",), INSTANCES, ("all parts",)),
}
"""By table: its data sets, what is given, and the rows that are run."""

UNPRINTED = {
    "stm youtube-vos": 1,
    "ms-sts ytvis-2019": 1,
    "ms-sts ytvis-2021": 1,
    "ms-sts parts": 1,
}
"""By table: rows that a server scores."""

STRIPS = ("hofam limu", "stm intermediate", "stcn-report davis", "stcn-report something", "ms-sts gallery")
"""Tables that draw frames of their rows."""

PLUG_IN = "--steps 1 --workers 0 --device cpu --pool pool"

TRAINED = {
    "mustan sbi2015": f"{TINY} --devices 2",
    "mustan cdnet-unseen": TINY,
    "mustan context": TINY,
    "mustan ablation": TINY,
    "mustan ablation-unseen": TINY,
    "hofam limu": "--gf 1 --steps 1 --batch 1 --workers 0 --device cpu",
    "hofam plug-in": PLUG_IN,
    "hofam plug-in-sbi2015": PLUG_IN,
}
"""By table: further options of the trainings that are printed."""


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    small = HOFAM(1)
    write_checkpoint(
        tmp_path / "hofam.safetensors", small.state_dict(), {"options": json.dumps(small.options)}
    )
    write_checkpoint(tmp_path / "instances.safetensors", lively_instances().state_dict(), {})
    return command_in(capsys)


def reproduce(command: Command, name: str, data: tuple[str, ...], *words: str) -> Outcome:
    """Run a table over small data sets, which are made unless they are there."""
    given: list[str] = []
    for kind in data:
        make: Callable[[Path], Path] = getattr(trees, kind)
        given += ["--data", f"{kind}={kind if Path(kind).exists() else make(Path(kind))}"]
    size = "--short-side 48 --device cpu" if "ytvis" in data else "--device cpu"
    return command(
        "reproduce", *name.split(), *given, *words, "--run", size, "--workers", "1", "-q", "-o", "out"
    )


def train(outcome: Outcome, options: str, init: str | None = None) -> None:
    """Type the trainings that a table printed, with further options, and with other weights for FILE."""
    found = dict.fromkeys(re.findall(r"`(segue train [^`]*)`", outcome.err))
    assert found, outcome.err
    for text in found:
        words = shlex.split(text)[1:]
        if "--init" in words:
            at = words.index("--init")
            words[at : at + 2] = [] if init is None else ["--init", init]
        command = [sys.executable, "-m", "segue", *words, *shlex.split(options)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr


def filled(outcome: Outcome) -> dict[str, list[str]]:
    """Rows of a printed table that have a number of their own."""
    lines = [line.split("\t") for line in outcome.out.splitlines()[1:]]
    published = sum(heading.startswith("published") for heading in lines[0])
    own = {row[0]: row[1 : len(row) - published] for row in lines[1:]}
    return {name: cells for name, cells in own.items() if any(cells)}


def test_all_tables_have_an_end_to_end_case() -> None:
    others = {"ms-sts attention"}  # draws, and scores nothing: test_command.py
    assert {*CASES, *others} == {f"{table.paper} {table.name}" for table in TABLES}


@pytest.mark.parametrize("name", CASES)
def test_a_table_runs_from_its_data_to_its_rows(command: Command, tmp_path: Path, name: str) -> None:
    data, words, wanted = CASES[name]
    compared: list[str] = []
    rows = [word for row in wanted for word in ("--row", row)]
    outcome = reproduce(command, name, data, *words, *rows, "--json", "out.json")
    if name in TRAINED:
        assert set(filled(outcome)) < set(wanted)
        train(outcome, TRAINED[name])
        outcome = reproduce(command, name, data, *words, *rows, "--json", "out.json", "--resume")
    assert outcome.code == 0, outcome.err
    assert set(filled(outcome)) == set(wanted)
    (table,) = json.loads((tmp_path / "out.json").read_text())["tables"]
    assert [row["ended"] for row in table["rows"]] == [None] * len(wanted)
    assert table["remark"] is None or f"note: {table['remark']}" in outcome.err
    if name in UNPRINTED:
        assert "the annotations of this part are not public" in outcome.err
        with zipfile.ZipFile(table["rows"][0]["results"]) as packed:
            names = packed.namelist()
        asked = ["Annotations/clip/00000.png", "Annotations/clip/00002.png", "Annotations/clip/00004.png"]
        assert names == (asked if data[0] == "ytvos" else ["results.json"])
    else:
        measured = list(filled(outcome).values())
        assert all(0 <= float(cells[0]) <= 100 for cells in measured)
        scores = {row["results"]: row["scores"]["global"] for row in table["rows"]}
        lines = re.findall(r"segue ((?:run|reproduce) .+ -o .+)", outcome.err)
        for number, line in enumerate(lines):
            words = shlex.split(line)
            if words[0] == "reproduce":
                options = ("--resume", "--json", f"again{number}.json", "--workers", "1", "-q")
                assert command(*words, *options).code == 0, line
                (table,) = json.loads((tmp_path / f"again{number}.json").read_text())["tables"]
                (row,) = table["rows"]
                assert row["scores"]["global"] == scores[row["results"]], line
                compared.append(row["results"])
                continue
            again = (*words[:-1], f"again{number}", "--json", f"again{number}.json", "--workers", "1", "-q")
            assert command(*again).code == 0, line
            found = json.loads((tmp_path / f"again{number}.json").read_text())["global"]
            assert found == scores[words[-1]], line
            compared.append(words[-1])
    if name == "mustan context":
        values = dict(zip(outcome.out.splitlines()[1].split("\t")[1:], measured[0], strict=False))
        assert values["F night"] == values["F moving camera"] == values["F tilt from 25°"]
        assert values["F day"] == values["F still camera"] == values["F tilt 18° to 25°"]
        assert values["F neon"] == values["F tilt below 18°"] == ""
    if name in STRIPS:
        assert [*(tmp_path / "out" / name.split()[1] / "strips").glob("*.png")]
    assert len(compared) == len(wanted) - UNPRINTED.get(name, 0)


def test_ms_sts_is_trained_from_a_training_on_coco_and_its_classes_are_those_of_the_table(
    command: Command, tmp_path: Path
) -> None:
    """One step of each published network, so that the way from COCO to the zip is gone once."""
    save_ytvis(tmp_path / "ytvis", YOUTUBE_VIS_2021, length=2)
    save_ytvis(tmp_path / "ytvis", YOUTUBE_VIS_2021, length=2, split="valid")
    labelled = json.loads((tmp_path / "ytvis/valid.json").read_text())
    (tmp_path / "ytvis/valid.json").write_text(json.dumps(labelled | {"annotations": None}))
    trunk = SeqFormer("r50").backbone.body.state_dict()
    write_checkpoint(tmp_path / "r50.safetensors", trunk, {})
    rows = ("--row", "MS-STS, R50", "--json", "out.json")
    outcome = reproduce(command, "ms-sts ytvis-2021 parts", ("ytvis", "coco"), *rows)
    assert "MS-STS, R50" not in filled(outcome)
    step = "--steps 1 --clips 1 --batch 1 --workers 0 --device cpu"
    train(outcome, step, init=str(tmp_path / "r50.safetensors"))
    outcome = reproduce(command, "ms-sts ytvis-2021 parts", ("ytvis", "coco"), *rows)
    assert outcome.code == 0, outcome.err
    this, parts = json.loads((tmp_path / "out.json").read_text())["tables"]
    (row,) = this["rows"]
    with zipfile.ZipFile(row["results"]) as packed:
        assert packed.namelist() == ["results.json"]
    names = read_checkpoint(next(tmp_path.glob("out/weights/msstsvis-*/*.safetensors"))).metadata["options"]
    assert json.loads(json.loads(names)["classes"])["1"] == "airplane"
    assert parts["rows"] == []
    assert "valid.json has the classes of ytvis2021, this table is of ytvis2019" in outcome.err


def test_a_missing_frame_is_one_line_and_a_missing_result_is_no_zip(command: Command, tmp_path: Path) -> None:
    trees.ytvos(tmp_path / "ytvos")
    (tmp_path / "ytvos/valid_all_frames/JPEGImages/clip/00002.jpg").unlink()
    outcome = reproduce(command, "stm youtube-vos", ("ytvos",), *LITE, "--row", "STM", "--row", "STCN")
    assert outcome.code == 1
    notes = [line for line in outcome.err.splitlines() if "00002" in line]
    assert len(notes) == 1, outcome.err
    assert notes[0].startswith("note: STM: ended: ")
    assert "Traceback" not in outcome.err


def test_weights_of_another_network_end_their_row_alone(command: Command) -> None:
    words = ("--weights", "hofam=instances.safetensors", "--weights", "without-attention=hofam.safetensors")
    rows = ("--row", "HOFAM", "--row", "without attention")
    outcome = reproduce(command, "hofam limu", ("limu", "cdnet"), *words, *rows)
    assert outcome.code == 1
    assert set(filled(outcome)) == {"without attention"}
    assert "note: HOFAM: ended: instances.safetensors: holds weights of msstsvis-lite" in outcome.err
