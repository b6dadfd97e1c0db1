"""Parts that stcn-lite may have: nothing changes before they learn, and states follow their objects."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file

from segue.layers.attention import affinity
from segue.models.lite_parts import SENSORY, LiteTracker, ObjectState, ObjectSummaries, SensoryState
from segue.models.memory.similarity import key_rows, query_rows
from segue.models.stcn import STCNLite
from segue.sessions import SessionState, TrackSession
from segue.types import Frame, RemovePrompt
from segue.weights import load
from tests.clips import clip
from tests.lite import lively_lite, with_parts

FRAMES = 8


def probabilities(session: TrackSession, start: int = 0) -> list[npt.NDArray[np.float32]]:
    frames, masks = clip(3, FRAMES, 64, 96, 2)
    found = []
    for i in range(start, FRAMES):
        result = session.step(Frame(i, i / 24, frames[i]), masks[0] if i == 0 else None)
        found.append(np.asarray(result.probabilities))
    return found


def test_parts_that_have_not_learned_change_nothing() -> None:
    before = probabilities(TrackSession(lively_lite(), device="cpu"))
    after = probabilities(TrackSession(with_parts(learned=False), device="cpu"))
    for a, b in zip(before, after, strict=True):
        assert np.allclose(a, b, atol=2e-4)
    learned = probabilities(TrackSession(with_parts(learned=True), device="cpu"))
    assert np.abs(learned[-1] - before[-1]).max() > 0.02


def test_weighted_affinity_is_the_squared_distance_times_both_sharpnesses() -> None:
    torch.manual_seed(1)
    memory, query = torch.randn(6, 5), torch.randn(6, 3)
    memory[-2:].exp_()
    query[-2:].exp_()
    distance = (memory[:4, :, None] - query[:4, None]).square().sum(0)
    expected = -memory[-2][:, None] * query[-1] * distance / math.sqrt(4)
    assert torch.allclose(affinity(memory, query, "weighted"), expected, atol=1e-5)
    rows = key_rows(memory[:, None], "weighted", penalty=1.5)
    found = rows @ query_rows(query[:, None], "weighted").T
    assert torch.allclose(found, expected - 1.5 * query[-1], atol=1e-5)


def test_the_sensory_state_moves_on_as_the_release_of_xmem_does() -> None:
    torch.manual_seed(2)
    part = SensoryState(6, 8)
    value, state = torch.randn(2, 6, 8, 12), torch.randn(2, SENSORY, 4, 6)
    joined = torch.cat([torch.nn.functional.avg_pool2d(value, 2), state], 1)
    f, u, n = part.transform(joined).split(SENSORY, 1)
    expected = f.sigmoid() * state * (1 - u.sigmoid()) + u.sigmoid() * n.tanh()
    assert torch.allclose(part.update(state, value), expected, atol=1e-6)
    zeros = torch.zeros_like(state)
    assert torch.allclose(part.update(None, value), part.update(zeros, value), atol=1e-6)


def test_summaries_are_means_over_the_object_and_over_the_rest() -> None:
    part = ObjectSummaries(4, 8)
    with torch.no_grad():
        part.weigh.weight.zero_()
        assert part.weigh.bias is not None
        part.weigh.bias.zero_()
    value = torch.randn(1, 4, 4, 4)
    mask = torch.zeros(1, 32, 32)
    mask[:, :16] = 1
    sums = part.gather(value, mask)
    assert sums.shape == (1, 8, 5)
    means = sums[..., :-1] / sums[..., -1:]
    assert torch.allclose(means[0, 0], value[0, :, :2].mean((1, 2)), atol=1e-5)
    assert torch.allclose(means[0, 7], value[0, :, 2:].mean((1, 2)), atol=1e-5)


def test_states_are_saved_restored_and_forgotten_with_their_object(tmp_path: Path) -> None:
    network = with_parts(learned=True)
    session = TrackSession(network, device="cpu")
    whole = probabilities(session)
    first, second = TrackSession(network, device="cpu"), TrackSession(network, device="cpu")
    frames, masks = clip(3, FRAMES, 64, 96, 2)
    for i in range(4):
        first.step(Frame(i, i / 24, frames[i]), masks[0] if i == 0 else None)
    first.state().save(tmp_path / "session.safetensors")
    second.restore(SessionState.load(tmp_path / "session.safetensors"))
    assert np.array_equal(probabilities(second, start=4)[-1], whole[-1])
    second.step(Frame(8, 8 / 24, frames[-1]), [RemovePrompt(1)])
    assert isinstance(second.tracker, LiteTracker)
    assert all(set(kept) == {2} for kept in second.tracker.object_states[0].kept.values())


def test_objects_in_several_passes_are_those_of_one() -> None:
    network = with_parts(learned=True)
    together = probabilities(TrackSession(network, device="cpu"))
    apart = probabilities(TrackSession(network, device="cpu", memory_limit=1))
    assert np.allclose(together[-1], apart[-1], atol=1e-4)


def test_frames_that_are_not_kept_do_not_count_in_the_summaries() -> None:
    network, values = with_parts(learned=True), torch.randn(1, 128, 8, 8)
    masks = torch.rand(1, 64, 64)
    kept = network.remember(ObjectState(), values, masks, keep=True)
    passed = network.remember(kept, values, masks, keep=False)
    assert passed.sums is kept.sums
    assert passed.sensory is not None
    assert kept.sensory is not None
    assert not torch.equal(passed.sensory, kept.sensory)


def test_a_file_says_which_parts_its_network_has(tmp_path: Path) -> None:
    network = with_parts(learned=True)
    path = tmp_path / "lite.safetensors"
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(tensors, path, {"options": '{"weighting": true, "sensory": true, "summaries": true}'})
    found = load("stcn-lite", path)
    assert isinstance(found, STCNLite)
    assert found.options == {"weighting": True, "sensory": True, "summaries": True}
