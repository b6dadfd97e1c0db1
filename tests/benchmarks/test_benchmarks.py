"""The plain loops of the benchmarks compute what segue's session computes, so that times can be compared."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.lib.plain import Network, PlainRunner, SegueRunner
from segue.models.base import Schedule
from segue.models.stcn import STCN, STCNLite
from segue.models.stm import STM
from tests.clips import clip

CPU = torch.device("cpu")
TIE = 1e-3


def assert_same_results(network: Network, schedule: Schedule, objects: int, memory: int = 1) -> None:
    """Both loops, frame by frame, over a small clip; their memories filled to the same size."""
    frames, masks = clip(seed=3, length=4, height=40, width=56, objects=objects)
    segue, plain = SegueRunner(network, CPU, schedule), PlainRunner(network, CPU, schedule)
    for runner in (segue, plain):
        runner.start(frames[0], masks[0])
        runner.fill(memory)
    for image in frames[1:]:
        ours, theirs = segue.step(image), plain.step(image)
        expected = plain.probabilities()
        np.testing.assert_allclose(segue.probabilities(), expected, atol=1e-4)
        second, first = np.sort(expected, axis=0)[-2:]
        clear = first - second > TIE
        np.testing.assert_array_equal(ours[clear], theirs[clear])


@pytest.mark.slow
@pytest.mark.parametrize(("objects", "top_k"), [(3, 20), (1, None)])
def test_plain_stcn_and_the_session_agree(stcn_network: STCN, objects: int, top_k: int | None) -> None:
    assert_same_results(stcn_network, Schedule(mem_every=2, top_k=top_k), objects)


def test_plain_loop_around_stcn_lite_and_the_session_agree() -> None:
    torch.manual_seed(0)
    assert_same_results(STCNLite().eval(), Schedule(mem_every=2, include_last=True), objects=2)


@pytest.mark.slow
def test_plain_stm_and_the_session_agree(stm_network: STM) -> None:
    assert_same_results(stm_network, Schedule(mem_every=2, top_k=None, include_last=True), objects=2)
