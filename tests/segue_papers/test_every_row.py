"""Every row of every table: the command that is printed of it runs, on small data with small networks.

What is published as weights, or trained for days, stands here for itself in small: networks of a few channels
with the options of the row, those that ship in place of the large ones, and random detectors.
"""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from segue.models.fgsegnet import FgSegNetV2
from segue.models.hofam import HOFAM
from segue.models.mustan import MUSTAN1, MUSTAN2
from segue.models.mustan_lite import MustanLite
from segue.models.semantic import SemanticNetwork
from segue.registry import MODELS
from segue.weights import write_checkpoint
from segue_papers import TABLES, Table, TableRow
from tests.cli.running import Command, command_in
from tests.lite import lively_instances
from tests.segue_papers import trees

# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

LIBRARIES = Path(__file__).resolve().parents[1] / "segue_train" / "libraries"

SCORED = [table for table in TABLES if not table.shows_attention]
"""The table of attention maps scores nothing: ``test_command.py`` draws it."""

DETECTORS = ("maskrcnn-v1", "maskrcnn", "pointrend", "deeplab", "dino-s16", "dino-b16")
TRACKERS = ("stm", "stcn")
INSTANCES = (
    *("seqformer-r50", "seqformer-r101", "seqformer-swin-l"),
    *("msstsvis-r50", "msstsvis-r101", "msstsvis-swin-l"),
)


def title(table: Table) -> str:
    return f"{table.paper} {table.name}"


def network_of(row: TableRow, model: str) -> nn.Module:
    """The network that the training of a row makes, with few channels."""
    assert row.training is not None
    words = row.training.options
    values = dict(itertools.pairwise((*words, "")))
    torch.manual_seed(0)
    if model in ("mustan1", "mustan2"):
        options: dict[str, Any] = {"width": 0.05, "rlim": "--no-rlim" not in values}
        options |= {name: int(values[f"--{name}"]) for name in ("frames", "scales") if f"--{name}" in values}
        options |= {"frm": values["--frm"]} if "--frm" in values else {}
        options |= {"depth_channels": int("--depth" in values), "normals": "--normals" in values}
        return {"mustan1": MUSTAN1, "mustan2": MUSTAN2}[model](**options)
    if model in ("hofam", "stam"):
        return HOFAM(
            1,
            flow_mode="single" if model == "stam" else "hierarchical",
            levels=6 if values.get("--levels") == "6" else 8,
            attention="--no-attention" not in values,
        )
    if model == "mustan-lite":
        return MustanLite(values.get("--flow"), flow_attention="--no-flow-attention" not in values)
    if model == "fgsegnet":
        return FgSegNetV2("imagenet")
    if model in ("pspnet", "deeplabv3plus"):
        return SemanticNetwork(model)  # type: ignore[arg-type]
    assert model in INSTANCES
    return lively_instances()


def weights_of(row: TableRow, model: str, folder: Path) -> Path:
    """The file of the weights of a row that is trained."""
    path = folder / f"{row.key}.safetensors"
    network = network_of(row, model)
    options = getattr(network, "options", {})
    write_checkpoint(path, network.state_dict(), {"network": model, "options": json.dumps(options)})
    return path


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, workers_here: None
) -> Command:
    """Runs commands of tables, with small networks under the names of large ones."""
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(LIBRARIES)
    for names, shipped in ((TRACKERS, "stcn-lite"), (INSTANCES, "msstsvis-lite")):
        for name in names:
            monkeypatch.setitem(MODELS._entries, name, replace(MODELS.find(shipped), name=name, tags={}))
    for name in DETECTORS:
        entry = MODELS.find(name)
        random = replace(
            entry, build=built(entry.build), signature=None, remote=None, folder=lambda: tmp_path
        )
        monkeypatch.setitem(MODELS._entries, name, random)
    return command_in(capsys)


@cache
def built(build: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """A function that builds a network once, with random weights."""

    @cache
    def build_once() -> nn.Module:
        torch.manual_seed(0)
        return build().eval()

    return build_once


def lines_of(command: Command, table: Table, rows: tuple[TableRow, ...], folder: Path) -> Iterator[str]:
    """The commands of rows, as ``--commands`` prints them."""
    data: Callable[[Path], Path] = getattr(trees, table.dataset)
    words = ["--data", f"{table.dataset}={data(folder / table.dataset)}"]
    for row in rows:
        words += ["--row", row.name]
        if row.training is not None:
            path = weights_of(row, row.model or table.model, folder)
            words += ["--weights", f"{row.key}={path}"]
    if table.dataset == "hofam" or table.model == "hofam":
        torch.manual_seed(0)
        small = HOFAM(1)
        write_checkpoint(
            folder / "hofam.safetensors", small.state_dict(), {"options": json.dumps(small.options)}
        )
        words += ["--weights", f"hofam={folder / 'hofam.safetensors'}"]
    size = "--device cpu --short-side 48" if table.dataset == "ytvis" else "--device cpu"
    words += ["--run", size, "-o", str(folder / "out"), "--commands"]
    outcome = command("reproduce", table.paper, table.name, *words)
    assert outcome.code == 0, outcome.err
    first, *lines = outcome.out.splitlines()
    assert first.startswith(f"# {title(table)}. ")
    assert len(lines) == len(rows)
    yield from lines


def run(command: Command, table: Table, rows: tuple[TableRow, ...], folder: Path) -> None:
    """Run the command of each row, and see that it gives numbers, or results for the server."""
    for row, line in zip(rows, lines_of(command, table, rows, folder), strict=True):
        assert line.startswith(("segue run ", "segue reproduce ")), f"{row.name}: {line}"
        scores = folder / f"{row.key}.json"
        outcome = command(*shlex.split(line)[1:], "--workers", "1", "-q", "--json", scores)
        assert outcome.code == 0, f"{row.name}: {line}\n{outcome.err}"
        if table.server is not None:
            assert [*(folder / "out" / table.name / row.key).iterdir()], row.name
            continue
        values = json.loads(scores.read_text())
        if "tables" in values:
            (printed,) = values["tables"][0]["rows"]
            assert printed["name"] == row.name
            values = printed["scores"]
        measures = {key.rpartition("/")[2] for key in table.columns.values()}
        assert measures & {*values["global"]}, row.name


@pytest.mark.parametrize("table", SCORED, ids=title)
def test_the_first_row_of_a_table_runs_as_printed(command: Command, table: Table, tmp_path: Path) -> None:
    run(command, table, table.runnable[:1], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("table", [table for table in SCORED if len(table.runnable) > 1], ids=title)
def test_the_other_rows_of_a_table_run_as_printed(command: Command, table: Table, tmp_path: Path) -> None:
    run(command, table, table.runnable[1:], tmp_path)
