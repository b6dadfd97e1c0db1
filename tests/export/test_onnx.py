"""The exported graphs give what the networks give, with onnxruntime and numpy alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from segue.cli.main import app
from segue.errors import SegueError, SinkError
from segue.models.mustan_lite import MustanLite, shipped_slim
from segue.sessions import TrackSession
from segue.types import Frame
from segue.weights import write_checkpoint
from tests.clips import clip
from tests.fill import fill_plainly
from tests.lite import lively_lite

pytest.importorskip("onnx", reason="the extra export is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra export is not installed")

from segue.export import follow  # noqa: E402
from segue.export.onnx import export_onnx  # noqa: E402


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graphs")
    export_onnx(lively_lite(), folder)
    return folder


@pytest.mark.parametrize(("height", "width", "objects"), [(48, 64, 3), (50, 70, 1)])
def test_the_tracker_gives_the_masks_of_a_session(
    graphs: Path, height: int, width: int, objects: int
) -> None:
    frames, masks = clip(5, 34 if objects == 1 else 12, height, width, objects)
    tracker, session = follow.Tracker(graphs), TrackSession(lively_lite(), device="cpu")
    for t, image in enumerate(frames):
        first = masks[0] if t == 0 else None
        expected = session.step(Frame(t, t / 10, image), first).mask
        assert (tracker.step(image, first) != expected).mean() <= 1e-3, f"frame {t}"
    assert len(np.unique(expected)) == objects + 1


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
        [sys.executable, "-c", program], cwd=graphs, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[0] == "(48, 64) False False"


def test_graphs_json_names_inputs_and_the_schedule(graphs: Path) -> None:
    listing = json.loads((graphs / "graphs.json").read_text("utf-8"))
    assert listing["schedule"]["mem_every"] == 5
    for name, graph in listing["graphs"].items():
        session = onnxruntime.InferenceSession(str(graphs / f"{name}.onnx"))
        assert [item.name for item in session.get_inputs()] == list(graph["inputs"])
        assert [item.name for item in session.get_outputs()] == graph["outputs"]


@pytest.mark.parametrize("network", [MustanLite(), shipped_slim()], ids=["mustan-lite", "mustan-slim"])
def test_foreground_networks_give_the_same_probabilities(network: nn.Module, tmp_path: Path) -> None:
    fill_plainly(network)
    network.eval()
    export_onnx(network, tmp_path)
    window = torch.rand(1, 3, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    planes = 21 if isinstance(network, MustanLite) else 3
    scene = torch.rand(1, planes, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = network(window, scene).sigmoid().numpy()
    graphs = {path.stem: onnxruntime.InferenceSession(str(path)) for path in tmp_path.glob("*.onnx")}
    decode = graphs["decode"]
    roles = json.loads((tmp_path / "graphs.json").read_text("utf-8"))["roles"].values()
    feeds = []
    for role, frame in zip(roles, (window[:, 2], window[:, 0], window[:, 1], scene), strict=True):
        feeds += graphs.get(f"encode_{role}", graphs.get("encode")).run(None, {"frame": frame.numpy()})
    names = [item.name for item in decode.get_inputs()]
    (found,) = decode.run(None, dict(zip(names, feeds, strict=True)))
    assert expected.std() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_other_networks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SegueError, match="Linear cannot be exported; stcn-lite"):
        export_onnx(nn.Linear(2, 2), tmp_path)


def test_the_command_writes_into_an_empty_folder_only(tmp_path: Path) -> None:
    weights = tmp_path / "lite.safetensors"
    write_checkpoint(weights, lively_lite().state_dict(), {})
    command = ["export", "stcn-lite", str(tmp_path), "--weights", str(weights)]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, SinkError)
    assert "not empty" in str(result.exception)
