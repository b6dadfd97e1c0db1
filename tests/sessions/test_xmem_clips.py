"""XMem on whole clips against its release: memories, objects that enter later, resizing."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from segue.models.xmem import XMem, XMemSchedule
from tests.golden_arrays import Array, Golden
from tests.sessions.recurrent_clips import Run, late_prompts, run, video

GoldenReader = Callable[[str], Golden]

SMALL_LONG_TERM = {"mem_every": 1, "max_mid_term_frames": 4, "min_mid_term_frames": 2}

SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "single": {
        "sync": {"mem_every": 4},
        "deep3": {"mem_every": 4, "deep_update_every": 3},
        "again": {"mem_every": 4, "top_k": 12},
    },
    "late": {
        "work": {"mem_every": 3, "long_term": False},
        "lt": {**SMALL_LONG_TERM, "num_prototypes": 16},
        "every1": {"mem_every": 1, "long_term": False},
    },
    "longterm": {
        "lt": {**SMALL_LONG_TERM, "num_prototypes": 20, "max_long_term_elements": 50},
        "noevict": {**SMALL_LONG_TERM, "num_prototypes": 20},
        "work": {"mem_every": 1, "long_term": False},
        "lt2": {
            "mem_every": 2, "max_mid_term_frames": 3, "min_mid_term_frames": 2, "num_prototypes": 13,
            "max_long_term_elements": 31, "deep_update_every": 5, "top_k": 16,
        },
    },
    "resize": {
        "plain": {"mem_every": 3, "short_side": 80},
        "antialias": {"mem_every": 3, "short_side": 80, "resize": "antialias"},
    },
}  # fmt: skip
QUICK = {("late", "lt")}
"""Objects that enter later, in long-term memory; ``make test-slow`` runs all."""

CASES = [
    pytest.param(file, variant, marks=[] if (file, variant) in QUICK else [pytest.mark.slow])
    for file, variants in SETTINGS.items()
    for variant in variants
]
CLIP_OF = {"single": "A", "late": "B", "longterm": "C", "resize": "D"}


class Sizes:
    """Working elements, long-term elements, groups of objects that entered together in both."""

    def __init__(self) -> None:
        self._groups: list[set[int]] = []

    def __call__(self, tracker: Any) -> list[int]:
        (table,) = tracker.memories[0].tables
        if new := set(table.ids).difference(*self._groups):
            self._groups.append(new)
        long = sum(any(table._prototypes(f"value.{i}") for i in group) for group in self._groups)
        return [len(table.frames) * table.positions, table.long, len(self._groups), long]


@pytest.fixture(scope="module")
def followed(xmem_network: XMem) -> Callable[[str, str], Run]:
    @cache
    def follow(file: str, variant: str) -> Run:
        name = CLIP_OF[file]
        prompts: dict[int, Array] = late_prompts() if name == "B" else {0: video(name)[1][0]}
        if variant == "again":
            prompts[6] = video(name)[1][6]
        schedule = XMemSchedule(**SETTINGS[file][variant], official=True)
        return run(xmem_network, schedule, name, prompts, Sizes())

    return follow


@pytest.mark.parametrize(("file", "variant"), CASES)
def test_a_clip_gives_the_published_numbers(
    followed: Callable[[str, str], Run], golden: GoldenReader, file: str, variant: str
) -> None:
    followed(file, variant).check(golden(f"xmem_{file}"), variant)
