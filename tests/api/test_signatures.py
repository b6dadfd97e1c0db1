"""Types for checkers are those of the functions; ``typed_program.py`` has calls."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, get_args, get_overloads

import numpy as np
import pytest
import torch

import segue
from segue.api.track import PromptedTrackArguments
from segue.dataset_runs.protocols import RunArguments, ScoredName
from segue.errors import CheckpointError
from segue.jobs import Model, TrackJob, VideoSource, from_json, to_json
from segue.metrics.data_sets import data_sets
from segue.models.stcn import STCNLite
from segue.registry import DATASETS, MODELS
from segue.weights.prepared import load

BOX = (1.0, 2.0, 8.0, 8.0)


@pytest.mark.parametrize(
    ("function", "shared"), [(segue.track, PromptedTrackArguments), (segue.run, RunArguments)]
)
def test_overloads_have_the_arguments_of_the_function(function: Callable[..., Any], shared: Any) -> None:
    own = inspect.signature(function).parameters
    named = set[str]()
    for overload in get_overloads(function):
        named |= {name for name in inspect.signature(overload).parameters if name != "arguments"}
    assert named | shared.__annotations__.keys() == own.keys()
    for name, annotation in shared.__annotations__.items():
        assert annotation.__forward_arg__ == own[name].annotation, name


def test_networks_of_load_are_those_of_the_catalogue() -> None:
    for overload in get_overloads(load):
        names = overload.__annotations__["name"]
        if names.startswith("Literal"):
            for name in ast.literal_eval(names.removeprefix("Literal")):
                build: Any = MODELS.find(name).build
                build = build.func if isinstance(build, partial) else build
                assert build.value.__name__ == overload.__annotations__["return"]


def test_data_sets_with_scores_are_those_that_no_server_scores() -> None:
    own = {name for name in data_sets() if name not in DATASETS.added}
    assert set(get_args(ScoredName)) == {name for name in own if not DATASETS.find(name).served}


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor, lambda box: np.float32(box)])
def test_prompts_of_arrays_are_those_of_numbers(kind: Callable[[Any], Any]) -> None:
    plain = segue.BoxPrompt(1, BOX), segue.PointPrompt(2, ((1.0, 2.0),), ((3.0, 4.0), (5.0, 6.0)))
    given = (
        segue.BoxPrompt(1, kind(BOX)),
        segue.PointPrompt(2, kind((1.0, 2.0)), kind([(3.0, 4.0), (5.0, 6.0)])),
    )
    assert given == plain
    assert hash(given) == hash(plain)
    job = TrackJob(source=VideoSource(place="my.mp4"), model=Model(name="stcn-lite"), prompts=given)
    assert from_json(to_json(job)) == job


def test_a_network_is_loaded_by_its_class() -> None:
    network = segue.load(STCNLite)
    assert type(network) is STCNLite
    assert type(segue.load(STCNLite, device="cpu")) is STCNLite

    class Another(torch.nn.Module):
        pass

    with pytest.raises(CheckpointError):
        segue.load(Another)
