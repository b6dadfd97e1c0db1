"""The exported graphs give what the networks give, with onnxruntime and numpy alone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import segue
from segue.cli.main import app
from segue.errors import ArgumentError, SinkError
from segue.models.mustan import MUSTAN1, MUSTAN2
from segue.models.mustan_lite import MustanLite
from segue.models.stcn import STCN
from segue.sessions import TrackSession
from segue.types import Frame
from segue.weights import write_checkpoint
from tests.clips import clip
from tests.fill import fill, fill_plainly
from tests.lite import lively_lite
from tests.needs import needs

needs("onnx")
onnxruntime = needs("onnxruntime")

from segue.errors import SegueError  # noqa: E402
from segue.export import follow  # noqa: E402
from segue.export.onnx import export_onnx  # noqa: E402


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Graphs that read images of more than 800 positions from coarse to fine, as sessions do meanwhile."""
    folder = tmp_path_factory.mktemp("graphs")
    with pytest.MonkeyPatch.context() as patch:
        for place in ("models.memory.tracker", "export.onnx"):
            patch.setattr(f"segue.{place}.COARSE_ABOVE", 800)
        export_onnx(lively_lite(), folder)
        yield folder


@pytest.fixture(scope="module")
def tracker(graphs: Path) -> follow.Tracker:
    """A tracker that has seen no frame."""
    return follow.Tracker(graphs)


@pytest.mark.parametrize(
    ("height", "width", "objects"), [(48, 64, 3), pytest.param(50, 70, 1, marks=pytest.mark.slow)]
)
def test_the_tracker_gives_the_masks_of_a_session(
    graphs: Path, height: int, width: int, objects: int
) -> None:
    frames, masks = clip(5, 34 if objects == 1 else 12, height, width, objects)
    network, tracker = lively_lite(), follow.Tracker(graphs)
    # A session sees each of several objects in a window of its own; random weights give other masks by it.
    window = network.schedule.window if objects == 1 else None
    session = TrackSession(network, replace(network.schedule, window=window), device="cpu")
    for t, image in enumerate(frames):
        first = masks[0] if t == 0 else None
        expected = session.step(Frame(t, t / 10, image), first).mask
        assert (tracker.step(image, first) != expected).mean() <= 1e-3, f"frame {t}"
    assert len(np.unique(expected)) == objects + 1


def test_the_tracker_reads_large_images_from_coarse_to_fine(graphs: Path) -> None:
    frames, masks = clip(5, 7, 232, 240, 2)
    tracker, session = follow.Tracker(graphs), TrackSession(lively_lite(), device="cpu")
    asked, run = [], tracker._run
    tracker._run = lambda graph, **inputs: asked.append(graph) or run(graph, **inputs)  # type: ignore[method-assign]
    for t, image in enumerate(frames):
        first = None if t else masks[0]
        expected = session.step(Frame(t, t / 10, image), first).mask
        assert (tracker.step(image, first) != expected).mean() <= 1e-3, f"frame {t}"
    assert {"read_coarse"} == {graph for graph in asked if graph.startswith("read")}
    assert len(np.unique(expected)) == 3


def test_the_tracker_looks_into_a_window_as_a_session_does(tmp_path: Path) -> None:
    export_onnx(segue.load("stcn-lite"), tmp_path)
    tracker, session = follow.Tracker(tmp_path), TrackSession("stcn-lite", device="cpu")
    sizes, run = [], tracker._run

    def watched(graph: str, **inputs: Any) -> Any:
        if graph == "encode":
            top, bottom, left, right = inputs["window"]
            sizes.append((bottom - top, right - left))
        return run(graph, **inputs)

    tracker._run = watched  # type: ignore[method-assign]
    scene = np.random.default_rng(0).integers(60, 120, (192, 256, 3), dtype=np.uint8)
    for t in range(9):
        place = slice(80 + t, 112 + t), slice(60 + 4 * t, 100 + 4 * t)
        image, mask = scene.copy(), np.zeros((192, 256), np.uint8)
        image[place], mask[place] = (220, 40, 30), 1
        given = None if t else mask
        shown, expected = tracker.step(image, given), session.step(image, given).mask
        assert (shown != expected).mean() <= 1e-3, f"frame {t}"
        assert (shown != mask).mean() < 0.02, f"frame {t}"
    assert min(sizes) < (192, 192), "between kept frames it encodes a window alone"
    assert len(tracker.memory[0]["keys"]) < 24 * 32, "positions far from the object are thinned out"


def test_a_later_mask_begins_anew_with_its_own_objects_and_size(graphs: Path) -> None:
    frames, masks = clip(5, 3, 48, 64, 2)
    large, others = clip(6, 3, 70, 90, 3)
    both, fresh = follow.Tracker(graphs), follow.Tracker(graphs)
    for frame, mask in zip(frames, (masks[0], None, None), strict=True):
        both.step(frame, mask)
    given = np.where(others[0] > 0, 7 * others[0].astype(np.int32), -1)
    for frame, mask in zip(large, (given, None, None), strict=True):
        shown, expected = both.step(frame, mask), fresh.step(frame, mask)
        assert (shown == expected).all()
        assert set(np.unique(shown)) <= {0, 7, 14, 21}
    assert shown.shape == (70, 90)


def test_the_graphs_take_any_size_and_number_of_objects(graphs: Path) -> None:
    tracker = follow.Tracker(graphs)
    for height, width, objects in ((41, 150, 1), (97, 40, 5)):
        frames, masks = clip(5, 7, height, width, objects)
        session = TrackSession(lively_lite(), replace(lively_lite().schedule, window=None), device="cpu")
        for t, image in enumerate(frames):
            first = None if t else masks[0]
            expected = session.step(Frame(t, t / 10, image), first).mask
            assert (tracker.step(image, first) != expected).mean() <= 1e-3, f"frame {t}"


def test_the_tracker_wants_frames_of_one_size(graphs: Path) -> None:
    tracker = follow.Tracker(graphs)
    square = np.zeros((48, 64), bool)
    square[10:30, 10:40] = True
    shown = tracker.step(np.zeros((48, 64, 3), np.uint8), square)
    assert shown.dtype.kind == "i"
    assert (shown == square).all()
    with pytest.raises(ValueError, match="those before are"):
        tracker.step(np.zeros((40, 64, 3), np.uint8))


def test_the_written_tracker_runs_without_torch(graphs: Path, tmp_path: Path) -> None:
    frames, masks = clip(5, 3, 48, 64, 2)
    np.savez(tmp_path / "clip.npz", frames=frames, mask=masks[0])
    program = (
        "import sys, numpy as np\nfrom follow import Tracker\n"
        f"clip = np.load({str(tmp_path / 'clip.npz')!r})\ntracker = Tracker('.')\n"
        "for t, frame in enumerate(clip['frames']):\n"
        "    mask = tracker.step(frame, None if t else clip['mask'])\n"
        "print(mask.shape, 'torch' in sys.modules, 'segue' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", program], cwd=graphs, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[0] == "(48, 64) False False"


def test_graphs_json_names_inputs_and_the_schedule(graphs: Path) -> None:
    listing = json.loads((graphs / "graphs.json").read_text("utf-8"))
    assert listing["schedule"]["mem_every"] == 5
    for name, graph in listing["graphs"].items():
        session = onnxruntime.InferenceSession(str(graphs / f"{name}.onnx"))
        assert [item.name for item in session.get_inputs()] == list(graph["inputs"])
        assert [item.name for item in session.get_outputs()] == graph["outputs"]


def test_the_page_has_each_graph_with_its_inputs_and_outputs(graphs: Path) -> None:
    listing = json.loads((graphs / "graphs.json").read_text("utf-8"))
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text("utf-8")
    lines = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    assert set(listing["graphs"]) <= set(lines)
    known = set(page.split("`"))
    for name, graph in listing["graphs"].items():
        assert {*graph["inputs"], *graph["outputs"]} <= known, name


def test_graphs_of_foreground_take_what_the_page_describes(tmp_path: Path) -> None:
    export_onnx(MustanLite(), tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text("utf-8")
    (row,) = (line for line in page.splitlines() if line.startswith("| mustan-lite |"))
    assert set(json.loads((tmp_path / "graphs.json").read_text("utf-8"))["graphs"]) <= set(row.split("`"))
    described = re.search(r"background statistics \(1, (\d+), H, W\)", page)
    assert described is not None
    session = onnxruntime.InferenceSession(str(tmp_path / "encode_scene.onnx"))
    session.run(None, {"frame": np.zeros((1, int(described[1]), 32, 32), np.float32)})


FOREGROUND: dict[str, Callable[[], nn.Module]] = {
    "mustan-lite": MustanLite,
    "mustan2": partial(MUSTAN2, width=0.25),
    "mustan2 with a scene": partial(MUSTAN2, width=0.1, background=True),
    "mustan1": partial(MUSTAN1, width=0.1, background=True),
}


SLOW = {"mustan1", "mustan2"}
"""What they are made of is in the others, too."""


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(build, id=name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name, build in FOREGROUND.items()
    ],
)
def test_foreground_networks_give_the_same_probabilities(
    build: Callable[[], nn.Module], tmp_path: Path
) -> None:
    network: Any = build()
    fill_plainly(network)
    network.eval()
    export_onnx(network, tmp_path)
    about = json.loads((tmp_path / "graphs.json").read_text("utf-8"))
    for size in ((64, 96), (70, 90)):
        height, width = (-(-side // about["multiple"]) * about["multiple"] for side in size)
        _compare(network, tmp_path, about, height, width)


def _compare(network: Any, folder: Path, about: dict[str, Any], height: int, width: int) -> None:
    window = torch.rand(1, 3, 3, height, width, generator=torch.Generator().manual_seed(0))
    planes = 21 if network.capabilities.temporal_quantiles else 3
    scene = torch.rand(1, planes, height, width, generator=torch.Generator().manual_seed(1))
    scenes = () if network.background is None else (scene,)
    with torch.inference_mode():
        expected = network(window, *scenes).sigmoid().numpy()
    graphs = {path.stem: onnxruntime.InferenceSession(str(path)) for path in folder.glob("*.onnx")}
    decode = graphs["decode"]
    offsets = list(getattr(network, "offsets", (-4, -2, 0)))
    frames = [window[:, offsets.index(offset)] for offset in (0, *about["context"])]
    maps = {}
    for (place, role), frame in zip(about["roles"].items(), (*frames, *scenes), strict=True):
        found = graphs.get(f"encode_{role}", graphs.get("encode")).run(None, {"frame": frame.numpy()})
        maps |= {f"{place}_map_{i}": values for i, values in enumerate(found)}
    names = [item.name for item in decode.get_inputs()]
    assert names == list(about["graphs"]["decode"]["inputs"])
    (found,) = decode.run(None, {name: maps[name] for name in names})
    assert expected.std() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.slow
def test_the_tracker_gives_the_masks_of_stcn(tmp_path: Path) -> None:
    network = fill(STCN, "stcn")
    export_onnx(network, tmp_path)
    frames, masks = clip(5, 8, 100, 120, 2)  # padded, and two frames become memory
    tracker, session = follow.Tracker(tmp_path), TrackSession(network, device="cpu")
    kept = []
    for t, image in enumerate(frames):
        first = masks[0] if t == 0 else None
        expected = session.step(Frame(t, t / 10, image), first).mask
        assert (tracker.step(image, first) != expected).mean() <= 1e-3, f"frame {t}"
        kept.append(len(tracker.memory))
    assert kept == [1] * 5 + [2] * 3
    assert 0 < (expected > 0).mean() < 1


def test_the_command_writes_into_an_empty_folder_only(tmp_path: Path) -> None:
    weights = tmp_path / "lite.safetensors"
    write_checkpoint(weights, lively_lite().state_dict(), {})
    command = ["export", "stcn-lite", str(tmp_path), "--weights", str(weights)]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, SinkError)
    assert "not empty" in str(result.exception)


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_a_file_is_no_place_for_graphs_and_stays(tmp_path: Path, more: list[str]) -> None:
    (tmp_path / "graphs").write_bytes(b"mine")
    result = CliRunner().invoke(app, ["export", "stcn-lite", str(tmp_path / "graphs"), *more])
    assert isinstance(result.exception, SinkError)
    assert "is a file" in str(result.exception)
    assert (tmp_path / "graphs").read_bytes() == b"mine"


@pytest.mark.parametrize("flag", ["-o", "--output"])
def test_the_folder_may_be_given_as_for_other_commands(tmp_path: Path, flag: str) -> None:
    (tmp_path / "graphs").write_bytes(b"mine")
    result = CliRunner().invoke(app, ["export", "stcn-lite", flag, str(tmp_path / "graphs")])
    assert "is a file" in str(result.exception)
    for words in ([], [str(tmp_path / "a"), flag, str(tmp_path / "b")]):
        result = CliRunner().invoke(app, ["export", "stcn-lite", *words])
        assert isinstance(result.exception, ArgumentError)
        assert "one folder" in str(result.exception)


def write_again(graphs: Path, graph: nn.Module, inputs: Any, path: str, **options: Any) -> None:
    """Write the graph that was traced before, which takes a second less for all of them."""
    Path(path).write_bytes((graphs / f"{Path(path).name.split('.')[1]}.onnx").read_bytes())


@pytest.mark.parametrize("existing", [False, True])
def test_an_interrupted_export_leaves_nothing_of_its_own(
    existing: bool, graphs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, folder = tmp_path / "lite.safetensors", tmp_path / "graphs"
    write_checkpoint(weights, lively_lite().state_dict(), {})
    folder.mkdir()
    before = {path.name: path.read_bytes() for path in graphs.iterdir()} if existing else {}
    for name, data in before.items():
        (folder / name).write_bytes(data)
    (folder / ".decode.onnx.0123abcd.partial").write_bytes(b"of an export that was killed")
    traced, trace = [], torch.onnx.export

    def interrupted(*arguments: Any, **options: Any) -> None:
        if traced:
            raise KeyboardInterrupt
        traced.append(trace(*arguments, **options))

    monkeypatch.setattr(torch.onnx, "export", interrupted)
    words = ["export", "stcn-lite", str(folder), "--weights", str(weights), *["--overwrite"] * existing]
    assert CliRunner().invoke(app, words).exit_code == 130
    assert traced
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    if not existing:
        monkeypatch.setattr(torch.onnx, "export", partial(write_again, graphs))
        assert CliRunner().invoke(app, words).exit_code == 0
        assert {path.name for path in folder.iterdir()} == {path.name for path in graphs.iterdir()}


@pytest.mark.parametrize(
    ("frame", "mask", "message"),
    [
        (np.zeros((48, 64, 3)), np.ones((48, 64), int), r"RGB \(H, W, 3\), uint8, not float64"),
        (np.zeros((3, 48, 64), np.uint8), np.ones((48, 64), int), "a frame is RGB"),
        (np.zeros((48, 64), np.uint8), np.ones((48, 64), int), "a frame is RGB"),
        (np.zeros((48, 64, 3), np.uint8), None, "first frame needs a mask"),
        (
            np.zeros((48, 64, 3), np.uint8),
            np.ones((64, 48), int),
            r"is \(48, 64\) of whole numbers, not int64",
        ),
        (np.zeros((48, 64, 3), np.uint8), np.full((48, 64), 0.5), "of whole numbers, not float64"),
        (np.zeros((48, 64, 3), np.uint8), np.zeros((48, 64), int), "the mask is empty"),
    ],
)
def test_the_tracker_says_what_it_takes(tracker: follow.Tracker, frame: Any, mask: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tracker.step(frame, mask)


def test_unsupported_networks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SegueError, match="Linear"):
        export_onnx(nn.Linear(2, 2), tmp_path)
