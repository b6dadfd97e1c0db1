"""What a job writes, reads, may replace and is known by: each rule by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segue.errors import PromptError, SinkError
from segue.jobs.describing import given, stored_prompts
from segue.jobs.identity import identified, record
from segue.jobs.parts import Model, Outputs, VideoSource
from segue.jobs.plan import check_plan, outputs_of
from segue.jobs.values import AnnotateJob, ExportJob, ForegroundJob, Job, TrackJob, TrainJob
from segue.prompts.given import given_prompts
from segue.types import BoxPrompt
from segue.video import open_source


def track(**fields: Any) -> TrackJob:
    plain = {"source": VideoSource(place="films/dog.mp4"), "model": Model(name="stcn-lite")}
    return TrackJob(**{**plain, **fields})


def foreground(**fields: Any) -> ForegroundJob:
    plain = {"source": VideoSource(place="films/dog.mp4"), "model": Model(name="median")}
    return ForegroundJob(**{**plain, **fields})


def test_a_job_writes_its_results_and_what_else_it_names() -> None:
    assert list(outputs_of(track())) == [Path("segue-out/dog/masks"), Path("segue-out/dog/overlay.mp4")]
    alone = track(outputs=Outputs(folder="a.mp4", formats=("overlay",)))
    assert list(outputs_of(alone)) == [Path("a.mp4")]
    array = track(source=VideoSource(place=None), outputs=Outputs(formats=("png",)))
    assert list(outputs_of(array)) == [Path("segue-out/array/masks")]
    more = foreground(
        outputs=Outputs(folder="a", formats=("png",)),
        events="e.csv",
        snapshots="s",
        background="b.png",
        explain="x",
    )
    assert list(outputs_of(more)) == [Path("a/masks"), *map(Path, ("e.csv", "s", "b.png", "x"))]
    assert list(outputs_of(ExportJob(model=Model(name="stcn-lite"), folder="graphs"))) == [Path("graphs")]
    assert list(outputs_of(AnnotateJob(film="dog.mp4"))) == []


REPLACED: list[tuple[Job, bool]] = [
    (track(outputs=Outputs(folder="there")), False),
    (track(outputs=Outputs(folder="there", overwrite=True)), True),
    (track(outputs=Outputs(folder="there", resume=True)), True),
    (ExportJob(model=Model(name="stcn-lite"), folder="there/masks"), False),
    (ExportJob(model=Model(name="stcn-lite"), folder="there/masks", overwrite=True), True),
    (TrainJob(network="stm", folder="there/masks"), False),
    (TrainJob(network="stm", folder="there/masks", overwrite=True), True),
    (TrainJob(network="stm", folder="there/masks", resume=True), True),
]


@pytest.mark.parametrize(("job", "may"), REPLACED, ids=lambda value: None)
def test_what_is_there_is_replaced_where_a_job_says_so(
    job: Job, may: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_plan([job])
    (tmp_path / "there" / "masks").mkdir(parents=True)
    if may:
        check_plan([job])
        return
    with pytest.raises(SinkError, match="there/masks"):
        check_plan([job])


def test_a_record_says_nothing_of_places_and_passwords(tmp_path: Path) -> None:
    job = foreground(
        source=VideoSource(place="rtsp://me:secret@camera/1?token=abc", start=3),
        device="cuda:1",
        notify="https://me:secret@example.org/hook?key=abc",
        outputs=Outputs(folder="out", formats=("png",), overwrite=True, side_by_side=True, rotate="90s"),
    )
    found = record(job)
    assert found["device"] is None
    assert found["outputs"] == {"formats": ["png"], "side_by_side": True, "rotate": "90s"}
    assert found["source"]["start"] == 3
    assert "secret" not in json.dumps(found)
    assert found["source"]["place"].startswith("rtsp://")
    assert found["notify"].startswith("https://")
    (tmp_path / "film.mp4").write_bytes(b"film")
    here = str(tmp_path / "film.mp4")
    fetched = identified(track(source=VideoSource(place=here, origin="s3://key:secret@bucket/film.mp4")))
    assert fetched.source.identity is not None
    source = record(fetched)["source"]
    assert source["identity"] is None
    assert source["place"] == source["origin"]
    assert "film.mp4" in source["place"]
    assert "secret" not in source["place"]
    plain = record(track())
    assert plain["source"]["place"] == "films/dog.mp4"
    assert plain["source"]["origin"] is None


class Gave:
    """What a program might give."""

    def __call__(self) -> None:
        """Nothing."""


def test_objects_are_described_by_class_shape_and_content() -> None:
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    one = given("roi", array)
    assert (one.argument, one.type, one.shape, one.dtype) == ("roi", "numpy.ndarray", (2, 3), "int16")
    assert one.digest == given("roi", torch.from_numpy(array.copy())).digest
    assert one.digest == given("roi", np.asfortranarray(array)).digest
    assert one.digest != given("roi", array + np.int16(1)).digest
    assert given("x", torch.from_numpy(array)).type == "torch.Tensor"
    assert given("x", len).type == "builtins.len"
    assert given("x", Gave).type.endswith("test_plan_parts.Gave")
    assert given("x", Gave()).type.endswith("test_plan_parts.Gave")
    assert given("model", torch.nn.Linear(1, 1)).type == "torch.nn.modules.linear.Linear"
    assert given("x", Gave()).shape is None


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Images of 40 rows and 60 columns."""
    from segue.video.images import write_picture

    for t in range(3):
        write_picture(tmp_path / "film" / f"{t:03d}.png", np.full((40, 60, 3), t, np.uint8))
    return tmp_path / "film"


def test_what_is_wrong_with_prompts_is_an_error_of_prompts(film: Path) -> None:
    with open_source(film) as source, pytest.raises(PromptError, match="prompts"):
        stored_prompts(given_prompts({0: [BoxPrompt(1, (0, 0, float("nan"), 5))]}), source)
