"""Saved states with any value changed: a run goes on, or refuses with one error of segue."""

from __future__ import annotations

import copy
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segue.errors import SegueError
from segue.jobs.frame_loop import FIRST_PASS, STATE
from segue.jobs.observer import Observer
from segue.jobs.running import RunCancelledError, open_job, run_open
from segue.jobs.values import DetectorConfig, InstancesJob, Model, Outputs, TrackJob, VideoJob, VideoSource
from segue.models.seqformer import SeqFormer
from segue.options import RuntimeObject
from segue.sessions import SessionState
from segue.types import Frame, Segmentation
from segue.utils.cancel import CancelToken
from segue.video import open_source
from tests.cli.running import MASKS
from tests.jobs.test_cancelled import COUNT, backwards, each_read, images, track, two_passes  # noqa: F401
from tests.lite import lively_lite
from tests.sessions.test_auto import ScriptedDetector
from tests.sessions.test_instances import TINY

REMOVED = object()
CHANGES: list[Any] = [None, "text", -1, 7, 1e30, 10**30, math.nan, [], {}, True, [1, 2], REMOVED]


def instances(images: Path, folder: Path, resume: bool) -> InstancesJob:  # noqa: F811
    return InstancesJob(
        source=VideoSource(place=str(images)),
        model=Model(name="seqformer-r50"),
        options={"window": 3, "overlap": 1, "score": 0.0, "short_side": 32},
        device="cpu",
        outputs=Outputs(folder=folder, resume=resume),
    )


def found(images: Path, folder: Path, resume: bool) -> TrackJob:  # noqa: F811
    return TrackJob(
        source=VideoSource(place=str(images)),
        model=Model(name="stcn-lite"),
        finding={"every": 1},
        device="cpu",
        outputs=Outputs(folder=folder, resume=resume),
    )


def networks(make: Callable[..., VideoJob]) -> dict[str, Any]:
    """What the jobs of a kind have from a program."""
    if make is two_passes:
        return {}
    if make is instances:
        torch.manual_seed(0)
        return {"model": Model.of(SeqFormer("r18", TINY).eval())}
    objects: dict[str, Any] = {"model": Model.of(lively_lite())}
    if make is found:
        finder = ScriptedDetector(dict(enumerate(MASKS)), lookahead=1)
        objects["finding"] = DetectorConfig(every=1, detector=RuntimeObject.of(finder))
    return objects


class StopsAt(Observer):
    """Cancels a run in a pass, after some of its results."""

    def __init__(self, at: int, title: str) -> None:
        self.token, self._at, self._title, self._current = CancelToken(), at, title, ""

    def begin(self, name: str, total: int | None) -> None:
        self._current = name
        self.count(0)

    def count(self, done: int) -> None:
        if self._current == self._title and done >= self._at:
            self.token.cancel()

    def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
        self.count(result.index + 1)


def places(values: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a tree of JSON, the inner ones included."""
    items = values.items() if isinstance(values, dict) else enumerate(values)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, key))


def with_value(state: SessionState, path: tuple[Any, ...], change: Any) -> SessionState:
    """The state with another value at a place."""
    tree: Any = copy.deepcopy(state.values)
    inner = tree
    for key in path[:-1]:
        inner = inner[key]
    if change is REMOVED:
        del inner[path[-1]]
    else:
        inner[path[-1]] = change
    return replace(state, values=tree)


def with_tensor(state: SessionState, name: str, kind: int) -> SessionState:
    """The state with another tensor of a name: empty, of another size or type, with NaN, or removed."""
    tensor = state.tensors[name]
    others = (
        tensor.reshape(-1)[:0],
        torch.zeros(3),
        tensor.to(torch.int8),
        torch.full(tensor.shape, math.nan),
        None,
    )
    rest = {key: value for key, value in state.tensors.items() if key != name}
    other = others[kind]
    return replace(state, tensors=rest if other is None else {**rest, name: other})


KINDS = {
    "track": (track, "frames", 3, STATE),
    "backwards": (backwards, "backwards", 3, FIRST_PASS),
    "forwards": (backwards, "frames", 3, FIRST_PASS),
    "first pass": (two_passes, "first pass", 3, FIRST_PASS),
    "background of two passes": (two_passes, "frames", 0, FIRST_PASS),
    "second pass": (two_passes, "", 0, STATE),
    "instances": (instances, "frames", 1, STATE),
    "found": (found, "frames", 3, STATE),
}


@pytest.mark.parametrize("most", [4, pytest.param(100_000, marks=pytest.mark.slow)], ids=["some", "all"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_state_with_any_other_value_is_taken_or_refused(
    kind: str,
    most: int,
    images: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    make, title, at, name = KINDS[kind]
    objects, watch, source = networks(make), StopsAt(at, title), None
    if not title:  # results come late: stopped while the third frame is read once more
        source = each_read(
            open_source(images, prefetch=0), lambda read: watch.token.cancel() if read == COUNT + 3 else None
        )
    job = make(images, tmp_path / "begun", False).model_copy(update=objects)
    with pytest.raises(RunCancelledError):
        run_open(open_job(job, source), watch, watch.token)
    masks = tmp_path / "begun/masks"
    state = SessionState.load(masks / name)
    if name == FIRST_PASS:
        (masks / STATE).unlink(missing_ok=True)
    edited: list[Callable[[], SessionState]] = [
        partial(with_value, state, path, change) for path in places(state.values) for change in CHANGES
    ]
    edited += [partial(with_tensor, state, name, kind) for kind in range(5) for name in sorted(state.tensors)]
    chosen = np.random.default_rng(0).permutation(len(edited))[:most]
    refusals = []
    for number in chosen:
        folder = tmp_path / f"edited-{number}"
        shutil.copytree(tmp_path / "begun", folder)
        edited[number]().save(folder / "masks" / name)
        try:
            run_open(open_job(make(images, folder, True).model_copy(update=objects)))
        except SegueError as error:
            refusals.append(str(error))
        shutil.rmtree(folder)
    assert refusals
    assert not any("\n" in text for text in refusals)
