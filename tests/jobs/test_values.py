"""Jobs as values: checked, frozen, and the same after JSON."""

from __future__ import annotations

import json
from hashlib import sha256
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from segue.errors import ArgumentError, SinkError
from segue.jobs.files import read_job, write_job
from segue.jobs.identity import identified, model_digest, record, result_settings
from segue.jobs.parts import BoxValue, Finding, MaskFile, Model, Outputs, PointValue, RemoveValue, VideoSource
from segue.jobs.plan import check_plan
from segue.jobs.prompting import mask_values, plan_prompts, typed_prompts
from segue.jobs.values import (
    AnnotateJob,
    ExportJob,
    ForegroundJob,
    InstancesJob,
    Job,
    TrackJob,
    TrainJob,
    from_json,
    to_json,
)
from segue.masks import write_index_mask
from segue.registry import MODELS
from segue.types import BoxPrompt, Frame, MaskPrompt
from tests.cli.running import FRAMES, MASKS

FILM = VideoSource(place="dog.mp4", start="1:30", end=250, stride=2)
LITE = Model(name="stcn-lite", weights="lite.safetensors")

JOBS: list[Job] = [
    TrackJob(
        source=FILM,
        model=LITE,
        prompts=(
            MaskFile(frame=3, id=4, path="third.png"),
            *mask_values(MASKS[0]),
            BoxValue(box=(1, 2, 3, 4), label="dog"),
            PointValue(frame=9, id=2, positive=((1, 2),), negative=((3.5, 4),)),
            RemoveValue(frame=12, id=2),
        ),
        options={"top_k": None, "memory_policy": "fifo"},
        outputs=Outputs(folder="out", formats=("png", "coco"), resume=True),
    ),
    TrackJob(source=FILM, model=LITE, finding=Finding(name="maskrcnn", classes=("car",), every=25)),
    ForegroundJob(source=FILM, model=Model(name="median"), roi="s3://bucket/roi.png", events="events.csv"),
    InstancesJob(source=FILM, model=Model(name="msstsvis-lite"), classes=("dog", "cat"), whole=True),
    TrainJob(network="stm", settings={"data": ("a", "5@b"), "steps": 4}, folder="runs/stm"),
    ExportJob(model=LITE, folder="graphs"),
    AnnotateJob(film="dog.mp4", imports=("masks",)),
]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.kind)
def test_a_job_is_the_same_after_json(job: Job, tmp_path: Path) -> None:
    assert from_json(to_json(job)) == job
    write_job(job, tmp_path / "job.json")
    assert read_job(tmp_path / "job.json") == job


def test_a_name_that_is_no_valid_text_survives() -> None:
    job = ExportJob(model=LITE, folder=Path("a\udcff"))
    assert to_json(job).isascii()
    assert from_json(to_json(job)) == job


def test_a_job_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        JOBS[0].kind = "train"


TRACK = '{"kind": "track", "source": {"place": "a"}, "model": {"name": "x"}, '


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "must be a valid dictionary"),
        ("{", "no JSON"),
        ('{"kind": "walk"}', "'walk'"),
        ('{"kind": "track", "model": {"name": "stm"}}', "source: is missing"),
        ('{"kind": "export", "model": {"name": "x"}, "folder": 3}', "folder is 3, but must be a text"),
        (TRACK + '"colour": 1}', "colour: there is no such"),
        (TRACK + '"prompts": [{"kind": "box"}]}', "box: is missing"),
        (TRACK + '"options": {"mem_every": "often"}}', "mem_every is 'often'"),
    ],
)
def test_json_that_is_no_job_is_an_error_that_names_the_field(text: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        from_json(text)


def test_masks_as_values_are_those_that_were_given() -> None:
    first = Frame(0, 0.0, FRAMES[0])
    (prompts,) = plan_prompts(mask_values(MASKS[0]), first, first.size, 1, fit=False).values()
    assert all(isinstance(prompt, MaskPrompt) for prompt in prompts)
    for prompt in prompts:
        assert np.array_equal(prompt.mask, MASKS[0] == prompt.id)  # type: ignore[attr-defined]
    assert [prompt.id for prompt in prompts] == [1, 2]


def test_a_value_and_a_file_mean_the_same_mask(tmp_path: Path) -> None:
    write_index_mask(tmp_path / "first.png", MASKS[0])
    first = Frame(0, 0.0, FRAMES[0])
    plans = [
        plan_prompts(values, first, first.size, 1, fit=False)
        for values in (mask_values(MASKS[0]), typed_prompts([str(tmp_path / "first.png")], (), (), ()))
    ]
    assert plans[0] == plans[1]


def test_boxes_are_in_pixels_of_the_source() -> None:
    small = Frame(0, 0.0, np.zeros((24, 32, 3), np.uint8))
    plan = plan_prompts([BoxValue(id=3, box=(8, 4, 20, 30), fill=True)], small, (48, 64), 1, fit=False)
    assert plan == {0: [BoxPrompt(3, (4.0, 2.0, 10.0, 15.0), True)]}


def test_what_a_job_rests_on_is_known_by_content(tmp_path: Path) -> None:
    write_index_mask(tmp_path / "first.png", MASKS[0])
    (tmp_path / "film.mp4").write_bytes(b"film")
    (tmp_path / "w.safetensors").write_bytes(b"weights")
    source = VideoSource(place=str(tmp_path / "film.mp4"))
    job = TrackJob(
        source=source,
        model=Model(name="stm", weights=tmp_path / "w.safetensors"),
        prompts=(MaskFile(path=str(tmp_path / "first.png")),),
        outputs=Outputs(folder=tmp_path / "a"),
    )
    before = identified(job)
    assert before.source.identity is not None
    assert before.source.identity.size == 4
    assert before.model.digest is not None
    assert len(before.model.digest) == 64
    # The marker of a folder that is gone on with has the weights by name, and their digest once.
    model = result_settings(before)["model"]
    assert model["weights"] == str(tmp_path / "w.safetensors")
    assert model["digest"] == before.model.digest
    later = job.model_copy(update={"prompts": (*job.prompts, BoxValue(frame=7, box=(1, 1, 4, 4)))})
    prompts = result_settings(identified(later))["prompts"]
    assert {frame: [item["kind"] for item in said] for frame, said in prompts.items()} == {
        "-1": ["file"],
        "7": ["box"],
    }
    elsewhere = job.model_copy(update={"outputs": Outputs(folder=tmp_path / "b", resume=True)})
    assert record(identified(elsewhere)) == record(before)
    (tmp_path / "w.safetensors").write_bytes(b"others!")
    write_index_mask(tmp_path / "first.png", MASKS[1])
    after = identified(job)
    changed = {
        name
        for name in result_settings(after)
        if result_settings(after)[name] != result_settings(before)[name]
    }
    assert changed == {"model", "prompts"}


def test_only_fields_for_files_count_by_the_content_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source, scene = VideoSource(place="film.mp4"), tmp_path / "empty.png"
    job = ForegroundJob(source=source, model=Model(name="mustan-lite"), scene=str(scene), device="cpu")
    found = TrackJob(
        source=source, model=Model(name="stcn-lite"), finding=Finding(name="lost", refine="none")
    )
    before = result_settings(job), result_settings(found)
    assert before[0]["scene"] == str(scene)
    for name in ("mustan-lite", "stcn-lite", "lost", "none", "cpu"):  # a file of the name of something else
        (tmp_path / name).write_bytes(b"")
    assert (result_settings(job), result_settings(found)) == before
    scene.write_bytes(b"empty")
    assert result_settings(job)["scene"] == f"{scene} sha256={sha256(b'empty').hexdigest()}"


def test_weights_count_by_the_content_of_all_their_files(tmp_path: Path) -> None:
    bundled = MODELS.find("stcn-lite").bundled
    assert bundled is not None
    shipped = sha256((resources.files("segue") / "assets" / bundled).read_bytes()).hexdigest()
    assert model_digest(Model(name="stcn-lite")) == shipped
    for name, content in (("b.safetensors", b"weights"), ("a.json", b"{}"), ("notes.txt", b"none")):
        (tmp_path / name).write_bytes(content)
    both = f"{sha256(b'{}').hexdigest()}+{sha256(b'weights').hexdigest()}"
    assert model_digest(Model(name="other", weights=tmp_path)) == both
    assert model_digest(Model(name="other", weights=tmp_path / "none.safetensors")) is None


def test_conflicts_are_found_for_the_whole_plan(tmp_path: Path) -> None:
    def track(name: str, source: str = "film.mp4", **how: bool) -> TrackJob:
        outputs = Outputs(folder=tmp_path / name, **how)
        return TrackJob(source=VideoSource(place=str(tmp_path / source)), model=LITE, outputs=outputs)

    check_plan([track("a"), track("b"), TrainJob(network="stm", folder=tmp_path / "runs")])
    with pytest.raises(SinkError, match="jobs 1 and 3 of the plan both write there"):
        check_plan([track("a"), track("b"), track("a")])
    with pytest.raises(SinkError, match="jobs 1 and 2 of the plan both write there"):
        check_plan([TrainJob(network="stm", folder=tmp_path / "runs"), track("runs/a")])
    with pytest.raises(SinkError, match="jobs 1 and 2 of the plan both write there"):
        check_plan([track("runs/a"), TrainJob(network="stm", folder=tmp_path / "runs")])
    weights = Model(name="stm", weights=tmp_path / "runs" / "stm.safetensors")
    reads = track("a").model_copy(update={"model": weights})
    check_plan([TrainJob(network="stm", folder=tmp_path / "runs"), reads])
    with pytest.raises(SinkError, match="job 2 of the plan writes there, and job 1 reads it"):
        check_plan([reads, TrainJob(network="stm", folder=tmp_path / "runs")])
    (tmp_path / "c" / "masks").mkdir(parents=True)
    with pytest.raises(SinkError, match="exists already"):
        check_plan([track("a"), track("c")])
    check_plan([track("a"), track("c", resume=True)])


def test_settings_of_a_training_are_what_its_recipe_declares() -> None:
    typed = {"data": ("a", "5@b"), "steps": "4", "precision": "32-true", "resume": True}
    job = TrainJob(network="stm", settings=typed, folder="runs")
    assert dict(job.settings) == {**typed, "steps": 4}
    one = TrainJob(
        network="mustan1", settings={"frames": "5", "depth": True, "data": "cdnet=C"}, folder="runs"
    )
    assert dict(one.settings) == {"frames": 5, "depth": True, "data": ("cdnet=C",)}
    negated = TrainJob(network="hofam", settings={"no-attention": True, "gf": "16"}, folder="runs")
    assert dict(negated.settings) == {"no-attention": True, "gf": 16}


@pytest.mark.parametrize(
    ("network", "settings", "message"),
    [
        ("stmm", {}, "no recipe is called 'stmm'; known are .*stcn-lite"),
        ("stm", {"stepz": 4}, "segue train stm: No such option: --stepz"),
        ("stm", {"steps": "many"}, "--steps is .many., but must be a valid integer"),
        ("stm", {"steps": 0}, "--steps.*greater than or equal to 1"),
        ("stm", {"steps": ("1", "2")}, "--steps may be given once"),
        ("stm", {"precision": "8"}, "--precision is '8'; it must be one of 32-true"),
        ("stm", {"resume": "yes"}, "--resume takes no value"),
        ("stm", {"steps": True}, "--steps needs a value"),
        ("mustan1", {"frames": 4}, "--frames is 4; it must be one of 3, 5, 7"),
    ],
)
def test_settings_that_a_recipe_does_not_take_are_refused_where_the_job_is_made(
    network: str, settings: dict[str, object], message: str
) -> None:
    values = {"kind": "train", "network": network, "settings": settings, "folder": "runs"}
    with pytest.raises(ArgumentError, match=message):
        from_json(json.dumps(values))
