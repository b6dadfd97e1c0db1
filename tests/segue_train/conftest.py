"""Fixtures of the tests of training."""

from __future__ import annotations

from typing import Any

import pytest

from segue_train.commands import making
from segue_train.data.clips import ClipShape
from segue_train.data.foreground import pool as foreground_pool
from segue_train.recipes import stcn_lite
from tests.needs import needs


@pytest.fixture(autouse=True)
def extra_train() -> None:
    """Tests of training skip where the extra is not installed."""
    needs("tensorboard")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The recipe and settings that a command would train with."""
    found: dict[str, Any] = {}
    monkeypatch.setattr(making, "train", lambda recipe, _, **run: found.update(run, recipe=recipe))
    return found


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a pool hold four samples."""
    monkeypatch.setattr(foreground_pool, "SHARD", 4)


@pytest.fixture
def small_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips of stcn-lite have three frames of 32x32 at any time of a training."""
    for schedule in ("curriculum", "continued"):
        monkeypatch.setattr(stcn_lite, schedule, lambda *_, **__: (ClipShape(1, 3, 32, 1), 0.5, 2))
