"""Laws of sessions with XMem and Cutie: saved states, passes, failed steps, bounded memory, odd prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.errors import SegueError
from segue.models.base import Schedule
from segue.models.cutie import Cutie, CutieSchedule
from segue.models.memory import LongTermSchedule
from segue.models.xmem import XMem, XMemSchedule
from segue.prompt_types import MaskPrompt, Prompt, RemovePrompt
from segue.sessions import SessionState, TrackSession
from segue.types import Frame, Segmentation
from segue.weights import prepare
from tests.clips import clip
from tests.fill import built
from tests.golden_arrays import Array

FRAMES, MASKS = clip(5, 9, 48, 64, 3)
LATE = np.where(MASKS[0] == 1, 7, 0).astype(np.uint8)

SMALL: dict[str, LongTermSchedule] = {
    "xmem": XMemSchedule(
        mem_every=1,
        max_mid_term_frames=3,
        min_mid_term_frames=2,
        num_prototypes=8,
        max_long_term_elements=20,
        deep_update_every=3,
    ),
    "cutie": CutieSchedule(
        mem_every=1,
        long_term=True,
        max_mid_term_frames=3,
        min_mid_term_frames=2,
        num_prototypes=8,
        max_long_term_elements=20,
        buffer_tokens=2,
    ),
}

Prompts = Mapping[int, "Array | Sequence[Prompt]"]
PROMPTS: Prompts = {
    0: LATE,
    2: [MaskPrompt(2, MASKS[2] == 2)],
    4: [MaskPrompt(3, MASKS[4] == 3)],
    6: [RemovePrompt(7)],
    7: [MaskPrompt(7, MASKS[7] == 1)],
}


both = pytest.mark.parametrize("system", ["xmem", "cutie"], indirect=True, scope="module")
one = pytest.mark.parametrize(
    "system", [pytest.param("xmem", marks=pytest.mark.slow), "cutie"], indirect=True, scope="module"
)
"""What the two share is proved with one of them; ``make test-slow`` runs both."""


@pytest.fixture(scope="module")
def system(request: pytest.FixtureRequest) -> tuple[Any, LongTermSchedule]:
    """A network, and a schedule under which a few frames fill every memory that it has."""
    network = request.getfixturevalue("xmem_network" if request.param == "xmem" else "cutie_small_network")
    return prepare(network, device="cpu"), SMALL[request.param]


def new_session(system: tuple[Any, Schedule], **arguments: Any) -> TrackSession:
    network, schedule = system
    return TrackSession(network, schedule, device="cpu", **arguments)


def follow(
    session: TrackSession, prompts: Prompts, first: int = 0, end: int = len(FRAMES)
) -> list[Segmentation]:
    return [session.step(Frame(t, t / 10, FRAMES[t]), prompts.get(t)) for t in range(first, end)]


def assert_same(results: Sequence[Segmentation], expected: Sequence[Segmentation]) -> None:
    for one, other in zip(results, expected, strict=True):
        assert np.array_equal(one.mask, other.mask)
        assert np.array_equal(one.probabilities, other.probabilities)


@pytest.fixture(scope="module")
def whole(system: tuple[Any, LongTermSchedule]) -> tuple[list[Segmentation], dict[int, SessionState]]:
    """What a session gives that nothing interrupts, and its states before some frames."""
    session, results = new_session(system), list[Segmentation]()
    states: dict[int, SessionState] = {}
    for t in range(len(FRAMES)):
        if t == 6:
            states[t] = deepcopy(session.state())
        results += follow(session, PROMPTS, t, t + 1)
    return results, states


@both
def test_a_restored_session_goes_on_bit_by_bit(
    system: tuple[Any, LongTermSchedule],
    whole: tuple[list[Segmentation], dict[int, SessionState]],
    tmp_path: Path,
) -> None:
    results, states = whole
    states[6].save(tmp_path / "state")
    session = new_session(system)
    session.restore(SessionState.load(tmp_path / "state"))
    assert_same(follow(session, PROMPTS, first=6), results[6:])


@pytest.mark.slow
@both
def test_a_restored_session_of_the_official_schedule_goes_on_bit_by_bit(
    system: tuple[Any, LongTermSchedule], tmp_path: Path
) -> None:
    system = system[0], replace(system[1], official=True)
    results = follow(new_session(system), PROMPTS)
    first, second = new_session(system), new_session(system)
    follow(first, PROMPTS, end=6)
    first.state().save(tmp_path / "state")
    second.restore(SessionState.load(tmp_path / "state"))
    assert_same(follow(second, PROMPTS, first=6), results[6:])


def nbytes(session: TrackSession) -> int:
    return sum(tensor.nbytes for tensor in session.tracker.state().tensors.values())


@one
def test_memory_stays_within_its_bounds(system: tuple[Any, LongTermSchedule]) -> None:
    session = new_session(system)
    follow(session, {0: MASKS[0]}, end=8)
    sizes = []
    for round_ in range(2):
        for t, image in enumerate(FRAMES[:4]):
            session.step(Frame(8 + 4 * round_ + t, 0.0, image))
        sizes.append(nbytes(session))
    assert max(sizes) <= 1.2 * min(sizes)


@one
def test_without_long_term_memory_the_bound_on_frames_holds(system: tuple[Any, LongTermSchedule]) -> None:
    for policy in ("usage", "fifo"):
        schedule = replace(system[1], long_term=False, memory_frames=3, memory_policy=policy)
        session = new_session((system[0], schedule))
        follow(session, {0: MASKS[0]}, end=6)
        memory = session.tracker.memories[0]  # type: ignore[attr-defined]
        numbers = sorted(frame.number for frame in memory.tables[0].frames)
        assert len(numbers) == 3
        assert numbers[0] == 0


@one
@pytest.mark.parametrize("long_term", [pytest.param(False, marks=pytest.mark.slow), True])
def test_permanent_frames_never_make_room(
    system: tuple[Any, LongTermSchedule], long_term: bool, tmp_path: Path
) -> None:
    schedule = replace(system[1], long_term=long_term, memory_frames=3, memory_policy="fifo")
    prompts = {0: MASKS[0], 3: [MaskPrompt(2, MASKS[3] == 2)]}

    def frames(session: TrackSession) -> list[int]:
        memory = session.tracker.memories[0]  # type: ignore[attr-defined]
        return sorted(frame.number for frame in memory.tables[0].frames)

    plain = new_session((system[0], schedule))
    follow(plain, prompts, end=9)
    assert 3 not in frames(plain)
    session = new_session((system[0], replace(schedule, permanent="given")))
    follow(session, prompts, end=7)
    session.state().save(tmp_path / "state")
    session.restore(SessionState.load(tmp_path / "state"))
    follow(session, prompts, first=7, end=9)
    assert {0, 3} <= set(frames(session))
    assert len(frames(session)) == len(frames(plain)) + 1


@one
def test_objects_that_leave_take_what_was_kept_of_them_along(system: tuple[Any, LongTermSchedule]) -> None:
    session = new_session(system)
    follow(session, PROMPTS, end=6)
    before = nbytes(session)
    session.remove([2, 3])
    assert nbytes(session) < before
    (memory,) = session.tracker.memories  # type: ignore[attr-defined]
    assert memory.states
    assert not any({2, 3} & states.keys() for states in memory.states.values())
    session.remove([7])
    assert nbytes(session) == 0
    assert not session.step(Frame(7, 0.7, FRAMES[7])).mask.any()
    again = session.step(Frame(8, 0.8, FRAMES[8]), MASKS[8])
    assert again.ids == (1, 2, 3)


def test_the_schedule_of_another_network_keeps_what_it_says(xmem_network: XMem) -> None:
    session = TrackSession(xmem_network, Schedule(mem_every=3, top_k=12), device="cpu")
    schedule = session.tracker.schedule  # type: ignore[attr-defined]
    assert isinstance(schedule, XMemSchedule)
    assert (schedule.mem_every, schedule.top_k, schedule.num_prototypes) == (3, 12, 128)


@both
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"include_last": True}, "include_last"),
        ({"min_mid_term_frames": 3}, "min_mid_term_frames is 3"),
        ({"num_prototypes": 0}, "num_prototypes is 0"),
        ({"official": True, "permanent": "given"}, "permanent: with official"),
        ({"penalty": 0.5}, "penalty: XMem and Cutie have none"),
        ({"last_window": 3}, "last_window: XMem and Cutie have none"),
    ],
)
def test_schedules_that_cannot_work_are_refused(
    system: tuple[Any, LongTermSchedule], change: dict[str, Any], words: str
) -> None:
    with pytest.raises(SegueError, match=words):
        new_session((system[0], replace(system[1], **change)))


def test_an_eviction_that_would_leave_nothing_is_refused(cutie_small_network: Cutie) -> None:
    for buffer in (12, -1):
        schedule = replace(SMALL["cutie"], buffer_tokens=buffer)
        with pytest.raises(SegueError):
            new_session((cutie_small_network, schedule))
        new_session((cutie_small_network, replace(schedule, long_term=False)))


def test_objects_that_enter_later_keep_their_own_first_frame(xmem_network: XMem) -> None:
    """With ``official`` it is lost, or stands beside the keys of another frame."""
    network = prepare(xmem_network, device="cpu")

    def kept(official: bool) -> set[int]:
        session = new_session((network, replace(SMALL["xmem"], official=official)))
        follow(session, {0: LATE, 2: [MaskPrompt(2, MASKS[2] == 2)]}, end=7)
        (table,) = session.tracker.memories[0].tables  # type: ignore[attr-defined]
        return {frame.number for frame in table.frames}

    assert {0, 2} <= kept(False)
    assert 2 not in kept(True)


def test_a_network_without_recurrent_state_follows(xmem_network: XMem) -> None:
    network, known = built(lambda: XMem(hidden_channels=0)).eval(), xmem_network.state_dict()
    for name, tensor in network.state_dict().items():
        tensor.copy_(known[name]) if known[name].shape == tensor.shape else tensor.zero_()
    session = new_session((network, SMALL["xmem"]))
    assert len(follow(session, PROMPTS, end=4)) == 4
    assert not session.tracker.memories[0].states  # type: ignore[attr-defined]
