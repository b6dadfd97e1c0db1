"""Trackers of XMem and Cutie against the published loops, on random videos, objects and settings.

The networks are tiny, for what is held here is when what is remembered, read, moved on and forgotten. Golden
files hold a few settings of the real networks; here every setting takes many values, together with others.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from segue.models.base import FramePrompts, Setup
from segue.models.cutie import CutieSchedule
from segue.models.xmem import XMemSchedule
from tests.clips import Bytes, clip
from tests.sessions.plain_recurrent import Plain, PlainCutie, PlainXMem
from tests.sessions.tiny_recurrent import TinyCutie, TinyXMem

SIZES = [(48, 64), (40, 72), (64, 48), (50, 61), (33, 47)]


def given_masks(dice: random.Random, masks: Bytes) -> dict[int, Bytes]:
    """Objects that enter on random frames, their ids ascending; at times all that are known come again.

    One that is hidden when it should enter never does. The last label lies in front and enters first.
    """
    labels = range(int(masks.max()), 0, -1)
    entry = sorted([0, *(dice.choice([0, dice.randrange(1, len(masks))]) for _ in labels[1:])])
    ids = sorted(dice.sample(range(1, 30), len(labels)))
    again = dice.choice([0.0, 0.1])
    said: dict[int, Bytes] = {}
    known: list[int] = []
    for t, mask in enumerate(masks):
        seen = [n for n, label in enumerate(labels) if (mask == label).any()]
        new = [n for n in seen if entry[n] == t]
        repeated = known if dice.random() < again and set(known) <= set(seen) else []
        plane = np.zeros_like(mask)
        for n in (*repeated, *new):
            plane[mask == labels[n]] = ids[n]
        if plane.any():
            said[t] = plane
        known = [*known, *new]
    return said


def differences(
    tracker: Any, plain: Plain, frames: Bytes, said: dict[int, Bytes], removed: dict[int, int]
) -> Iterator[float]:
    """Largest difference of a probability on each frame, as long as no choice was between near equals."""
    for t, frame in enumerate(frames):
        if t in removed:
            tracker.forget([removed[t]])
            assert isinstance(plain, PlainCutie)
            plain.remove(removed[t])
        if t not in said:
            found, expected = tracker.step(frame), plain.step(frame)
        else:
            mask = torch.from_numpy(said[t].astype(np.int32))
            ids = tuple(int(i) for i in mask.unique() if i)
            found, expected = tracker.step(frame, FramePrompts(mask, ids)), plain.step(frame, mask, ids)
        if not plain.sure:
            return
        order = [0, *(1 + plain.ids.index(i) for i in found.ids)]
        yield float((found.probabilities - expected[order]).abs().max())


def check(network: Any, schedule: Any, plain: Plain, dice: random.Random, *, removes: bool) -> None:
    """Follow a random video by both; differences stay those of rounding."""
    objects = dice.randrange(1, 5)
    frames, masks = clip(dice.randrange(10**6), dice.randrange(8, 20), *plain.settings["size"], objects)
    said = given_masks(dice, masks)
    removed = {}
    first = said[0][said[0] > 0]
    if removes and len(np.unique(first)) > 1:
        t = dice.randrange(2, len(frames))
        gone = int(first.min())
        if not any((mask == gone).any() for later, mask in said.items() if later >= t):
            removed[t] = gone
    setup = Setup(schedule, torch.device("cpu"), torch.float32, 4 << 30)
    with torch.inference_mode():
        found = list(differences(network.tracker(network, setup), plain, frames, said, removed))
    assert max(found) < 1e-3, (plain.settings, list(said), removed, found)


def common(dice: random.Random) -> tuple[dict[str, Any], int]:
    """Settings that both have, and the number of memory positions of a frame."""
    height, width = dice.choice(SIZES)
    positions = -(-height // 16) * -(-width // 16)
    least = dice.randrange(2, 5)
    most = least + dice.randrange(1, 4)
    drawn = {
        "size": (height, width),
        "mem_every": dice.randrange(1, 6),
        "top_k": dice.choice([None, dice.randrange(1, positions + 1)]),
        "least": least,
        "most": most,
        "prototypes": dice.randrange(1, (most - least) * positions + 1),
        "long": dice.random() < 0.7,
    }
    return drawn, positions


def schedule_of(kind: Any, ask: dict[str, Any], **own: Any) -> Any:
    return kind(
        mem_every=ask["mem_every"],
        top_k=ask["top_k"],
        long_term=ask["long"],
        max_mid_term_frames=ask["most"],
        min_mid_term_frames=ask["least"],
        num_prototypes=ask["prototypes"],
        max_long_term_elements=ask["bound"],
        official=True,
        **own,
    )


def xmem(seed: int) -> None:
    dice = random.Random(seed)
    ask, _ = common(dice)
    # The release evicts with one group of objects only: a bound that many videos reach is for Cutie.
    ask |= {"deep": dice.choice([-1, -1, 1, 2, 3, 5, 7]), "bound": 10_000}
    network = TinyXMem(seed)
    schedule = schedule_of(XMemSchedule, ask, deep_update_every=ask["deep"], memory_policy="all")
    check(network, schedule, PlainXMem(network, **ask), dice, removes=False)


def cutie(seed: int) -> None:
    dice = random.Random(seed)
    ask, _ = common(dice)
    ask |= {"stagger": dice.randrange(1, 8), "chunk": dice.choice([None, None, 1, 2])}
    ask |= {"frames": dice.randrange(1, 6), "buffer": dice.randrange(0, 4)}
    ask["bound"] = dice.choice([10_000, ask["prototypes"] + ask["buffer"] + dice.randrange(1, 20)])
    network = TinyCutie(seed)
    own = {"stagger_updates": ask["stagger"], "chunk_size": ask["chunk"], "memory_frames": ask["frames"]}
    schedule = schedule_of(CutieSchedule, ask, buffer_tokens=ask["buffer"], **own)
    check(network, schedule, PlainCutie(network, **ask), dice, removes=True)


@pytest.mark.parametrize("follow", [xmem, cutie])
@pytest.mark.parametrize("seed", range(7))
def test_a_tracker_does_what_the_published_loop_does(follow: Any, seed: int) -> None:
    follow(seed)
