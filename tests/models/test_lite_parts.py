"""Parts that stcn-lite may have: nothing changes before they learn, and states follow their objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from segue.models.lite_parts import SENSORY, LiteTracker, ObjectSummaries, SensoryState
from segue.sessions import SessionState, TrackSession
from segue.types import Frame, RemovePrompt
from tests.clips import clip
from tests.lite import with_parts

FRAMES = 8


def probabilities(session: TrackSession, start: int = 0) -> list[npt.NDArray[np.float32]]:
    frames, masks = clip(3, FRAMES, 64, 96, 2)
    found = []
    for i in range(start, FRAMES):
        result = session.step(Frame(i, i / 24, frames[i]), masks[0] if i == 0 else None)
        found.append(np.asarray(result.probabilities))
    return found


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
