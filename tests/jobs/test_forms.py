"""A run keeps the forms of layers that it began with, whatever table is installed when it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import segue
from segue.api.results import Progress, Results
from segue.inference import tuning
from segue.inference.cpu import forms
from segue.inference.cpu.features import can_fuse
from segue.inference.running import inference_copy
from segue.jobs.observer import Observer
from segue.jobs.opened import Run
from segue.jobs.running import RunCancelledError, open_job, run_open
from segue.jobs.values import Model, Outputs, TrackJob, VideoSource
from segue.models.stcn import STCNLite
from segue.prompt_types import BoxPrompt, MaskPrompt
from segue.sessions import TrackSession
from segue.state import FormsWarning, SessionState
from segue.types import Frame, Segmentation
from segue.utils.cancel import CancelToken
from segue.weights import Prepared, prepare, prepared
from tests.cli.running import FRAMES, MASKS, contents
from tests.lite import lively_lite

pytestmark = pytest.mark.skipif(not can_fuse(), reason="this processor has one form of each layer")

COUNT = 5


@pytest.fixture(scope="module")
def network() -> STCNLite:
    return lively_lite()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "video").mkdir()
    for number, image in enumerate(FRAMES[:COUNT]):
        Image.fromarray(image).save(tmp_path / f"video/{number}.png")
    return tmp_path / "video"


def install(least: int | None) -> None:
    """A table of this machine: Winograd's algorithm from so many positions on, None for never."""
    tuning.write(forms.tuned_file(), [(1, 64, least)])


def opened(
    network: STCNLite | Prepared[STCNLite], images: Path, folder: Path, *, resume: bool = False
) -> Run:
    return open_job(
        TrackJob(
            source=VideoSource(place=str(images)),
            model=Model.of(network),
            prompts=(MaskPrompt(1, np.asarray(MASKS[0]) == 1),),
            device="cpu",
            outputs=Outputs(folder=folder, resume=resume),
        )
    )


class Stops(Observer):
    """Stops a run after its third frame."""

    def __init__(self, token: CancelToken) -> None:
        super().__init__()
        self._token = token

    def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
        if frame.index == 2:
            self._token.cancel()


def same(one: SessionState, other: SessionState) -> bool:
    return one.tensors.keys() == other.tensors.keys() and all(
        torch.equal(tensor, other.tensors[name]) for name, tensor in one.tensors.items()
    )


@pytest.mark.parametrize("is_prepared", [False, True])
def test_a_run_goes_on_to_the_same_bytes_with_another_table(
    network: STCNLite, images: Path, tmp_path: Path, *, is_prepared: bool
) -> None:
    def run(folder: str, *, resume: bool = False, stops: bool = False) -> SessionState:
        given = prepare(network, device="cpu") if is_prepared else network
        run = opened(given, images, tmp_path / folder, resume=resume)
        token = CancelToken()
        run_open(run, Stops(token) if stops else None, token)
        return run.session.state()

    install(1)
    whole = run("whole")
    record = json.loads((tmp_path / "whole/job.json").read_text("utf-8"))
    assert record["forms"] == forms.current().digest
    with pytest.raises(RunCancelledError):
        run("out", stops=True)
    install(None)
    resumed = run("out", resume=True)
    assert contents(tmp_path / "out/masks") == contents(tmp_path / "whole/masks")
    assert same(resumed, whole)
    assert json.loads((tmp_path / "out/job.json").read_text("utf-8"))["forms"] == record["forms"]
    assert not same(run("direct"), whole)  # else the forms would not matter here


def test_a_program_that_restores_a_session_in_other_forms_hears_of_it(network: STCNLite) -> None:
    install(1)
    earlier = segue.TrackSession(network, device="cpu")
    earlier.step(FRAMES[0], MASKS[0])
    state = earlier.state()
    install(None)
    with pytest.warns(FormsWarning, match="rounding"):
        segue.TrackSession(network, device="cpu").restore(state)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, forms.Forms]]:
    """Names and forms of the networks that are prepared from now on."""
    names = list[tuple[str, forms.Forms]]()

    def noted(
        network: object,
        device: torch.device,
        precision: torch.dtype,
        shape: forms.Forms,
        compiled: bool,
        *,
        inplace: bool,
    ) -> object:
        names.append((type(network).__name__, shape))
        return inference_copy(network, device, precision, shape, inplace=inplace)

    monkeypatch.setattr(prepared, "inference_copy", noted)
    monkeypatch.setattr(prepared, "_BY_KEY", {})
    return names


def test_a_resumed_run_loads_its_networks_once_and_late_ones_in_its_forms(
    images: Path, tmp_path: Path, loaded: list[tuple[str, forms.Forms]]
) -> None:
    job = TrackJob(
        source=VideoSource(place=str(images)),
        model=Model(name="stcn-lite"),
        prompts=(MaskPrompt(1, np.asarray(MASKS[0]) == 1), BoxPrompt(2, (4, 4, 30, 30), frame=3)),
        device="cpu",
        outputs=Outputs(folder=tmp_path / "out"),
    )
    install(1)
    token = CancelToken()
    with pytest.raises(RunCancelledError):
        segue.jobs.run(job, Stops(token), token)
    first = forms.current()
    install(None)
    loaded.clear()
    segue.jobs.run(job.model_copy(update={"outputs": Outputs(folder=tmp_path / "out", resume=True)}))
    assert loaded == [("SeguePrompt", first)], "the network in these forms is in memory"


def test_results_that_go_on_name_the_session_that_computes_them(
    network: STCNLite, images: Path, tmp_path: Path
) -> None:
    def results(progress: Progress | None = None) -> Results[TrackSession]:
        return segue.track(images, MASKS[0], model=network, device="cpu", progress=progress)

    install(1)
    first = results()
    first.save(tmp_path / "whole")
    stopped = results(lambda done, total: stopped.cancel() if done == 3 else None)
    with pytest.raises(RunCancelledError):
        stopped.save(tmp_path / "out")
    install(None)
    resumed = results()
    resumed.save(tmp_path / "out", resume=True)
    assert resumed.session.ids == (1, 2)
    assert same(resumed.session.state(), first.session.state())
    assert contents(tmp_path / "out/masks") == contents(tmp_path / "whole/masks")
