"""Cutie on whole clips against its release: memories, objects that enter and leave, resizing."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from segue.models.cutie import Cutie, CutieSchedule
from tests.golden_arrays import Array, Golden
from tests.sessions.recurrent_clips import Run, late_prompts, run, video

GoldenReader = Callable[[str], Golden]

LONG = {"long_term": True, "max_mid_term_frames": 4, "min_mid_term_frames": 2}
LATE = {"mem_every": 3, "memory_frames": 3}
EVICTS = {**LONG, "num_prototypes": 20, "max_long_term_elements": 56, "buffer_tokens": 9}

SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "single": {
        "fifo": {"mem_every": 2, "memory_frames": 3},
        "small": {"mem_every": 2, "memory_frames": 3},
        "unbounded": {"mem_every": 2, "memory_frames": 30},
        "stagger2": {"stagger_updates": 2},
        "stagger5": {},
        "again": {"mem_every": 4, "top_k": 12},
    },
    "late": {
        "work": LATE,
        "delete": LATE,
        "lt": {
            **LONG, "mem_every": 1, "num_prototypes": 16, "max_long_term_elements": 70, "buffer_tokens": 10,
        },
        "every1": {"mem_every": 1, "memory_frames": 30},
        "chunk1": {**LATE, "chunk_size": 1},
        "chunkall": LATE,
    },
    "longterm": {
        "lt": {**EVICTS, "mem_every": 1},
        "noevict": {**LONG, "mem_every": 1, "num_prototypes": 20},
        "work": {"mem_every": 1, "memory_frames": 30},
        "again": {**EVICTS, "mem_every": 2},
        "small": {**EVICTS, "mem_every": 2},
        "delete": {"mem_every": 3, "memory_frames": 3},
    },
    "resize": {
        "internal": {"mem_every": 3, "short_side": 80},
        "reader": {"mem_every": 3, "short_side": 80, "resize": "antialias"},
    },
}  # fmt: skip
QUICK = {("late", "delete")}
"""Objects that enter later and are removed; ``make test-slow`` runs all."""

CASES = [
    pytest.param(file, variant, marks=[] if (file, variant) in QUICK else [pytest.mark.slow])
    for file, variants in SETTINGS.items()
    for variant in variants
]
CLIP_OF = {"single": "A", "late": "B", "longterm": "C", "resize": "D"}
REMOVED = {("late", "delete"): {9: 5}, ("longterm", "delete"): {6: 1}}


class Sizes:
    """Working, permanent and long-term elements of each bucket that ever was; -1 where it is gone."""

    def __init__(self) -> None:
        self._stores: list[Any] = []

    def __call__(self, tracker: Any) -> list[list[int]]:
        now = tracker.memories[0].tables
        self._stores += [store for store in now if not any(store is other for other in self._stores)]
        return [
            [s.positions * len(s.frames), s.positions * (len(s.frames) - len(s.temporary())), s.long]
            if any(s is other for other in now)
            else [-1, -1, -1]
            for s in self._stores
        ]


def prompts_of(file: str, variant: str) -> dict[int, Array]:
    """Masks that are given, by frame."""
    name = CLIP_OF[file]
    masks = video(name)[1]
    if name == "B" and not variant.startswith("chunk"):
        prompts = late_prompts()
        if variant == "delete":
            prompts[11] = np.where(masks[11] == 1, 5, 0).astype(np.uint8)
        return prompts
    return {0: masks[0], 6: masks[6]} if variant == "again" else {0: masks[0]}


def follow(networks: dict[str, Cutie], file: str, variant: str) -> Run:
    """Run a variant of a file."""
    found = run(
        networks["small" if variant == "small" else "base"],
        CutieSchedule(**SETTINGS[file][variant], official=True),
        CLIP_OF[file],
        prompts_of(file, variant),
        Sizes(),
        REMOVED.get((file, variant)),
    )
    buckets = max(len(sizes) for sizes in found.sizes)
    found.sizes = [sizes + [[-1, -1, -1]] * (buckets - len(sizes)) for sizes in found.sizes]
    return found


@pytest.fixture(scope="module")
def followed(cutie_network: Cutie, cutie_small_network: Cutie) -> Callable[[str, str], Run]:
    networks = {"base": cutie_network, "small": cutie_small_network}
    return cache(lambda file, variant: follow(networks, file, variant))


@pytest.mark.parametrize(("file", "variant"), CASES)
def test_a_clip_gives_the_published_numbers(
    followed: Callable[[str, str], Run], golden: GoldenReader, file: str, variant: str
) -> None:
    followed(file, variant).check(golden(f"cutie_{file}"), variant)
