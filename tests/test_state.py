"""What a session saves of its attributes, and how they come back."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segue.errors import CheckpointError
from segue.state import Checkpointable, SessionState, checkpointed


@dataclass
class Sighting:
    place: tuple[int, int]
    look: np.ndarray
    cache: list[int] = field(default_factory=list, compare=False)


class Keeper(Checkpointable):
    recent: deque[Any] = checkpointed()
    seen: dict[int, Any] = checkpointed()
    state_types = (Sighting,)

    def __init__(self, size: int | None = None) -> None:
        self.size, self.recent, self.seen = size, deque(maxlen=size), {}

    def _config_fingerprint(self) -> dict[str, Any]:
        return {"size": self.size}


def again(keeper: Keeper, path: Path) -> Keeper:
    keeper.state().save(path)
    other = Keeper(keeper.size)
    other.restore(SessionState.load(path))
    return other


@pytest.mark.parametrize("size", [3, None])
def test_bounded_queues_stay_bounded_after_a_restart(size: int | None, tmp_path: Path) -> None:
    keeper = Keeper(size)
    keeper.recent.extend([1, 2])
    other = again(keeper, tmp_path / "state")
    assert other.recent == keeper.recent
    assert other.recent.maxlen == size
    other.recent.extend([3, 4])
    assert list(other.recent) == ([2, 3, 4] if size else [1, 2, 3, 4])


def test_settings_are_those_that_a_file_holds(tmp_path: Path) -> None:
    class Configured(Keeper):
        def _config_fingerprint(self) -> dict[str, Any]:
            return {"frames": (4, 7), "names": {1: "car"}, "size": self.size}

    Configured(3).state().save(tmp_path / "state")
    Configured(3).restore(SessionState.load(tmp_path / "state"))
    with pytest.raises(CheckpointError, match="size 3, not 4"):
        Configured(4).restore(SessionState.load(tmp_path / "state"))


def test_every_kind_of_value_comes_back_as_it_was(tmp_path: Path) -> None:
    keeper = Keeper()
    sighting = Sighting((3, 4), np.array([[0.25, 2.0]], np.float32), cache=[1])
    large = np.array([0, 40000, 65535], np.uint16)
    keeper.seen = {
        7: [sighting, None, "text", True],
        8: {1: large, 2: np.array([True, False]), 3: np.zeros(0)},
        9: (torch.tensor([1.5, -2.0]), np.float64(0.5), np.int64(3)),
    }
    keeper.recent.append([large])

    seen = again(keeper, tmp_path / "state").seen

    assert list(seen) == [7, 8, 9]
    found, *rest = seen[7]
    assert isinstance(found, Sighting)
    assert found.place == (3, 4)
    assert found.look.dtype == np.float32
    assert found.look.tolist() == [[0.25, 2.0]]
    assert found.cache == [], "what does not compare is no part of a state"
    assert rest == [None, "text", True]
    assert seen[8][1].dtype == np.uint16
    assert seen[8][1].tolist() == large.tolist()
    assert seen[8][2].tolist() == [True, False]
    assert seen[8][3].shape == (0,)
    assert isinstance(seen[9], tuple)
    assert torch.equal(seen[9][0], torch.tensor([1.5, -2.0]))
    assert seen[9][1:] == (0.5, 3)


def test_a_state_does_not_change_with_the_session() -> None:
    keeper = Keeper()
    plane, tensor = np.zeros(2), torch.zeros(2)
    keeper.seen = {1: plane, 2: tensor}
    state = keeper.state()
    plane += 1
    tensor += 1
    other = Keeper()
    other.restore(state)
    assert other.seen[1].tolist() == [0, 0]
    assert other.seen[2].tolist() == [0, 0]
    other.seen[1] += 5
    third = Keeper()
    third.restore(state)
    assert third.seen[1].tolist() == [0, 0]


def test_a_state_of_other_settings_is_refused() -> None:
    with pytest.raises(CheckpointError):
        Keeper().restore(Keeper(3).state())


class Shelf(Checkpointable):
    """Two keepers that are always there, and others that come and go."""

    fixed: list[Keeper] = checkpointed()
    boxes: dict[str, Keeper] = checkpointed(dict, new_item=Keeper)
    total: torch.Tensor | None = checkpointed(None)

    def __init__(self) -> None:
        super().__init__()
        self.fixed = [Keeper(2), Keeper()]


def test_parts_in_a_list_and_in_a_dict_come_back(tmp_path: Path) -> None:
    shelf = Shelf()
    shelf.fixed[1].seen[3] = torch.ones(2)
    shelf.boxes = {"left": Keeper(), "right": Keeper()}
    shelf.boxes["right"].recent.append(5)
    shelf.total = torch.arange(3)
    shelf.state().save(tmp_path / "state")
    other = Shelf()
    other.boxes = {"old": Keeper()}
    for _ in range(2):  # a state can be restored more than once
        other.restore(SessionState.load(tmp_path / "state"))
        assert torch.equal(other.fixed[1].seen[3], torch.ones(2))
        assert list(other.boxes) == ["left", "right"]
        assert list(other.boxes["right"].recent) == [5]
        assert other.total is not None
        assert torch.equal(other.total, torch.arange(3))
    other.restore(Shelf().state())
    assert not other.boxes


def test_a_state_that_shares_memory_is_told_from_a_copy() -> None:
    shelf = Shelf()
    shelf.total = torch.zeros(2)
    copied, shared = shelf.state(), shelf.state(copy=False)
    shelf.total += 1
    assert copied.tensors["total"].tolist() == [0, 0]
    assert shared.tensors["total"].tolist() == [1, 1]
    before = shared.clone()
    other = Shelf()
    other.restore(shared)
    shelf.total += 1
    assert before.tensors["total"].tolist() == [1, 1]
    assert other.total is not None
    assert other.total.tolist() == [1, 1]


def test_a_part_that_is_missing_in_a_state_is_a_damaged_state() -> None:
    state = Shelf().state()
    state.values["fixed"] = [0, 1, 2]
    with pytest.raises(CheckpointError):
        Shelf().restore(state)


class Grown(Keeper):
    """A keeper of a later version."""

    count: int = checkpointed(3, later=True)
    part: Keeper = checkpointed(Keeper, later=True)


def test_a_state_of_an_earlier_version_leaves_what_was_added_later_as_it_begins() -> None:
    old, new = Keeper(), Grown()
    new.restart()
    old.recent.append(1)
    new.restore(old.state())
    assert (list(new.recent), new.count, list(new.part.recent)) == ([1], 3, [])
    new.count = 5
    new.part.recent.append(2)
    other = Grown()
    other.restart()
    other.restore(new.state())
    assert (other.count, list(other.part.recent)) == (5, [2])
