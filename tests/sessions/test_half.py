"""bfloat16, and float16, which ``fast`` takes on GPUs without it, computed by the processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import segue
from segue.inference.running import choose_precision, has_bfloat16, inference_copy
from segue.models.detection.nanodet import prepare as nanodet_input
from segue.prompts import Prompter, find_prompter
from segue.sessions import ForegroundSession, InstanceSession, TrackSession
from segue.sessions.instances import WindowOptions
from segue.utils.cache import ASSETS
from segue.weights import Prepared, prepare
from tests.clips import clip
from tests.lite import lively_instances

SAMPLE = ASSETS / "sample" / "video.mp4"
CPU = torch.device("cpu")
FRAMES, MASKS = clip(11, 5, 64, 96, 2)


def prepared(network: Any, precision: torch.dtype) -> Prepared[Any]:
    return Prepared(inference_copy(network, CPU, precision), CPU, precision, "")


def tracked(network: Prepared[Any]) -> list[Any]:
    session = TrackSession(network)
    first = session.step(FRAMES[0], MASKS[0].astype(np.int32))
    return [first, *(session.step(frame) for frame in FRAMES[1:3])]


def foreground(network: Prepared[Any]) -> list[Any]:
    session = ForegroundSession(network)
    return [result for frame in FRAMES if (result := session.step(frame)) is not None]


def instances(network: Prepared[Any]) -> list[Any]:
    session = InstanceSession(network, WindowOptions(window=3, overlap=1, short_side=64, top=3, score=0.0))
    found = [session.step(frame) for frame in FRAMES]
    return [result for result in found if result is not None]


BOTH = [pytest.param(torch.float16, marks=pytest.mark.slow), torch.bfloat16]
"""A tracker has either in ``make test``, the others bfloat16; ``make test-slow`` runs all."""


@pytest.mark.parametrize(
    ("name", "run", "precision"),
    [
        ("stcn-lite", tracked, torch.float16),
        ("stcn-lite", tracked, torch.bfloat16),
        ("mustan-lite", foreground, torch.bfloat16),
        ("instances", instances, torch.bfloat16),
        pytest.param("mustan-lite", foreground, torch.float16, marks=pytest.mark.slow),
        pytest.param("instances", instances, torch.float16, marks=pytest.mark.slow),
    ],
)
def test_small_networks_find_the_same_in_half_precision(
    name: str, run: Callable[[Any], list[Any]], precision: torch.dtype
) -> None:
    network = lively_instances() if name == "instances" else segue.load(name)
    exact, half = (run(prepared(network, each)) for each in (torch.float32, precision))
    assert len(exact) == len(half) > 0
    assert np.mean([(a.mask == b.mask).mean() for a, b in zip(exact, half, strict=True)]) > 0.95


@pytest.mark.parametrize("precision", BOTH)
def test_a_click_selects_the_same_in_half_precision(precision: torch.dtype) -> None:
    rows, columns = np.nonzero(MASKS[0] == 1)
    click = (float(np.median(columns)), float(np.median(rows)))
    network = segue.load("segue-prompt")
    exact, half = (
        Prompter(FRAMES[0], prepared(network, each))(points=[click]) for each in (torch.float32, precision)
    )
    assert not np.array_equal(half.planes, exact.planes)
    assert (half.mask & exact.mask).sum() > 0.9 * (half.mask | exact.mask).sum() > 0


@pytest.mark.parametrize("precision", BOTH)
def test_a_detector_gives_the_same_scores_in_half_precision(precision: torch.dtype) -> None:
    image = next(iter(segue.open_source(SAMPLE))).image
    found = []
    for each in (torch.float32, precision):
        ready = prepared(segue.load("nanodet"), each)
        with ready.inference_guard(), torch.inference_mode():
            found.append([level.float() for level in ready.network(nanodet_input(image).to(ready.dtype))])
    for one, other in zip(*found, strict=True):
        assert not torch.equal(one, other)
        assert (one.sigmoid() - other.sigmoid()).abs().mean() < 0.005


def test_fast_sessions_and_detectors_make_masks_in_half_precision() -> None:
    box = segue.BoxPrompt(1, (10.0, 10.0, 60.0, 50.0))
    session = TrackSession("stcn-lite", device="cpu", fast=True)
    first = session.step(FRAMES[0], [box])

    def answer(fast: bool) -> Any:
        return find_prompter("segue-prompt", device="cpu", fast=fast)(FRAMES[0])(box=box.box)

    assert np.array_equal(first.mask == 1, answer(fast=True).mask)
    assert np.array_equal(answer(fast=True).planes, answer(fast=False).planes) != has_bfloat16(CPU)
    boxes = np.array([box.box])
    for fast in (False, True):
        found = segue.detector(lambda _: boxes, device="cpu", fast=fast)(FRAMES[0])
        assert np.array_equal(found.mask == 1, answer(fast).mask)


@pytest.mark.slow
@pytest.mark.parametrize("name", [f"{name}_network" for name in ("stcn", "stm", "xmem", "cutie", "sam2")])
def test_published_trackers_find_the_same_in_float16(name: str, request: pytest.FixtureRequest) -> None:
    network = request.getfixturevalue(name)
    exact, half = (tracked(prepared(network, precision)) for precision in (torch.float32, torch.float16))
    for a, b in zip(exact, half, strict=True):
        assert (a.mask == b.mask).mean() > 0.98
        assert b.probabilities.dtype == np.float32
        assert not np.isnan(b.probabilities).any()


def test_a_program_in_autocast_gets_the_same_float16() -> None:
    network = prepared(segue.load("stcn-lite"), torch.float16)
    alone = tracked(network)[-1].probabilities
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(tracked(network)[-1].probabilities, alone)


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((9, 0), torch.bfloat16), ((7, 5), torch.float16), ((6, 1), torch.float32)],
)
def test_a_gpu_gets_the_type_that_it_has_units_for(
    capability: tuple[int, int], expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)
    network, gpu = segue.load("stcn-lite"), torch.device("cuda")
    assert choose_precision(network, gpu, fast=True) == expected
    assert choose_precision(network, gpu, fast=False) == torch.float32


def test_apples_gpu_gets_float16() -> None:
    assert choose_precision(segue.load("stcn-lite"), torch.device("mps"), fast=True) == torch.float16


def test_a_network_that_finds_other_objects_in_half_precision_stays_in_float32() -> None:
    fast = prepare("msstsvis-lite", device="cpu", fast=True)
    assert fast.precision == torch.float32
