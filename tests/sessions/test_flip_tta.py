"""The image and its mirror image, followed together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segue.models.base import MemoryNetwork, Schedule
from segue.sessions import TrackSession
from segue.types import Frame, Segmentation
from tests.clips import Bytes, clip
from tests.lite import lively_lite

IMAGE_SUFFIXES, MASKS = clip(5, 6, 48, 64, 2)


def follow(network: MemoryNetwork, schedule: Schedule, images: Bytes, first: Bytes) -> list[Segmentation]:
    session = TrackSession(network, schedule, device="cpu")
    return [
        session.step(Frame(t, t / 10, image), first if t == 0 else None) for t, image in enumerate(images)
    ]


@pytest.fixture(params=["stcn-lite", pytest.param("stm", marks=pytest.mark.slow)])
def network(request: pytest.FixtureRequest) -> MemoryNetwork:
    if request.param == "stcn-lite":
        return lively_lite()
    found: MemoryNetwork = request.getfixturevalue(f"{request.param}_network")
    return found


@pytest.mark.parametrize("flip_tta", [True, False])
def test_only_a_careful_session_gives_mirrored_results_for_mirrored_images(
    network: MemoryNetwork, flip_tta: bool
) -> None:
    schedule = replace(network.schedule, mem_every=2, memory_frames=2, max_jump=None, flip_tta=flip_tta)
    results = follow(network, schedule, IMAGE_SUFFIXES, MASKS[0])
    mirrored = follow(network, schedule, IMAGE_SUFFIXES[:, :, ::-1].copy(), MASKS[0][:, ::-1].copy())
    apart = [
        float(np.abs(one.probabilities - other.probabilities[..., ::-1]).max())
        for one, other in zip(results, mirrored, strict=True)
    ]
    assert len({result.mask.tobytes() for result in results}) > 1
    assert (max(apart) < 1e-3) == flip_tta


def test_a_restored_careful_session_goes_on_bit_by_bit() -> None:
    network = lively_lite()
    schedule = replace(network.schedule, mem_every=2, memory_frames=2, flip_tta=True)
    whole = follow(network, schedule, IMAGE_SUFFIXES, MASKS[0])
    first, second = (TrackSession(network, schedule, device="cpu") for _ in range(2))
    for t in range(3):
        first.step(Frame(t, t / 10, IMAGE_SUFFIXES[t]), MASKS[0] if t == 0 else None)
    second.restore(first.state())
    for t in range(3, len(IMAGE_SUFFIXES)):
        result = second.step(Frame(t, t / 10, IMAGE_SUFFIXES[t]))
        assert result == whole[t]
        assert np.array_equal(result.probabilities, whole[t].probabilities)
