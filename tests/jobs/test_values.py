"""Jobs as values: checked, frozen, and the same after JSON."""

from __future__ import annotations

from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.errors import ArgumentError, ResumeError
from segue.formats.png import PngSink
from segue.jobs.record import identified, model_digest, read_job, record, result_settings
from segue.jobs.values import (
    DetectorConfig,
    ForegroundJob,
    InstancesJob,
    Job,
    Model,
    Outputs,
    TrackJob,
    VideoSource,
    from_json,
    to_json,
)
from segue.masks import write_index_mask
from segue.prompt_types import BoxPrompt, MaskPrompt, PointPrompt, RemovePrompt
from segue.registry import MODELS
from segue.types import Frame, Segmentation
from tests.cli.running import MASKS

VIDEO = VideoSource(place="dog.mp4", start="1:30", end=250, stride=2)
LITE = Model(name="stcn-lite", weights="lite.safetensors")

JOBS: list[Job] = [
    TrackJob(
        source=VIDEO,
        model=LITE,
        prompts=(
            MaskPrompt(4, "third.png", frame=3),
            *MaskPrompt.each(MASKS[0]),
            BoxPrompt(1, (1, 2, 3, 4), label="dog"),
            PointPrompt(2, ((1, 2),), frame=9, negative=((3.5, 4),)),
            RemovePrompt(2, frame=12),
        ),
        options={"top_k": None, "memory_policy": "fifo"},
        outputs=Outputs(folder="out", formats=("png", "coco"), resume=True),
    ),
    TrackJob(source=VIDEO, model=LITE, finding=DetectorConfig(name="maskrcnn", classes=("car",), every=25)),
    ForegroundJob(source=VIDEO, model=Model(name="median"), roi="s3://bucket/roi.png", events="events.csv"),
    InstancesJob(source=VIDEO, model=Model(name="msstsvis-lite"), classes=("dog", "cat"), whole=True),
]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.kind)
def test_a_job_is_the_same_after_json(job: Job, tmp_path: Path) -> None:
    assert from_json(to_json(job)) == job
    (tmp_path / "job.json").write_text(to_json(job))
    assert read_job(tmp_path / "job.json") == job


TRACK = '{"kind": "track", "source": {"place": "a"}, "model": {"name": "x"}, '


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "^job: list of 0; give a JSON object$"),
        ("{}", "^job: kind: is missing$"),
        ("{", "no JSON"),
        ('{"kind": "walk"}', "^job: kind is 'walk', but must be one of track, foreground, instances$"),
        ('{"kind": "track", "model": {"name": "stm"}}', "source: is missing"),
        (TRACK + '"outputs": {"folder": 3}}', "outputs.folder is 3, but must be a text"),
        (TRACK + '"colour": 1}', "colour: there is no such"),
        (TRACK + '"prompts": [{"kind": "box", "id": 1}]}', "box: is missing"),
        (
            TRACK + '"prompts": [{"kind": "mask", "id": 1, "mask": "a.png", "frame": -1}]}',
            r"^job: prompts\[0\]: frame is -1, but must be at least 0$",
        ),
        (
            TRACK + '"prompts": [{"kind": "walk"}]}',
            r"^job: prompts\[0\]: kind is 'walk', but must be one of mask",
        ),
        (TRACK + '"options": {"mem_every": "often"}}', "mem_every is 'often'"),
    ],
)
def test_json_that_is_no_job_is_an_error_that_names_the_field(text: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        from_json(text)


def test_files_of_a_job_are_identified_by_content(tmp_path: Path) -> None:
    write_index_mask(tmp_path / "first.png", MASKS[0])
    (tmp_path / "video.mp4").write_bytes(b"video")
    (tmp_path / "w.safetensors").write_bytes(b"weights")
    source = VideoSource(place=str(tmp_path / "video.mp4"))
    job = TrackJob(
        source=source,
        model=Model(name="stm", weights=tmp_path / "w.safetensors"),
        prompts=(MaskPrompt(0, str(tmp_path / "first.png")),),
        outputs=Outputs(folder=tmp_path / "a"),
    )
    before = identified(job)
    assert before.source.identity is not None
    assert before.source.identity.size == 5
    assert before.model.digest is not None
    assert len(before.model.digest) == 64
    # The marker of a folder that is gone on with has the weights by name, and their digest once.
    model = result_settings(before)["model"]
    assert model["weights"] == str(tmp_path / "w.safetensors")
    assert model["digest"] == before.model.digest
    later = job.model_copy(update={"prompts": (*job.prompts, BoxPrompt(1, (1, 1, 4, 4), frame=7))})
    prompts = result_settings(identified(later))["prompts"]
    assert {frame: [item["kind"] for item in said] for frame, said in prompts.items()} == {
        "-1": ["mask"],
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


def test_explain_is_no_result_setting() -> None:
    source, model = VideoSource(place="video.mp4"), Model(name="mustan-lite")
    plain = ForegroundJob(source=source, model=model)
    assert result_settings(plain.model_copy(update={"explain": Path("why")})) == result_settings(plain)


def test_only_fields_for_files_count_by_the_content_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source, scene = VideoSource(place="video.mp4"), tmp_path / "empty.png"
    job = ForegroundJob(source=source, model=Model(name="mustan-lite"), scene=str(scene), device="cpu")
    found = TrackJob(
        source=source, model=Model(name="stcn-lite"), finding=DetectorConfig(name="lost", refine="none")
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


def test_files_of_a_job_may_lie_elsewhere_when_it_goes_on(tmp_path: Path) -> None:
    """Files of one content count as the same wherever they lie; others of the same path do not."""
    (tmp_path / "video.mp4").write_bytes(b"video")
    for place in ("here", "there"):
        (tmp_path / place / "model").mkdir(parents=True)
        (tmp_path / place / "model/config.json").write_text('{"model_type": "sam2_video"}')
        for name in ("first.png", "w.safetensors", "model/model.safetensors"):
            (tmp_path / place / name).write_bytes(name.encode())
    source = VideoSource(place=str(tmp_path / "video.mp4"))

    def settings(place: str) -> dict[str, dict[str, Any]]:
        folder = tmp_path / place
        jobs: dict[str, dict[str, Any]] = {
            "mask": {"prompts": (MaskPrompt(0, str(folder / "first.png")),)},
            "model": {"model": Model(name=str(folder / "model"))},
            "weights": {"model": Model(name="stm", weights=folder / "w.safetensors")},
            "weights in a folder": {"model": Model(name="stm", weights=folder / "model")},
            "prompter": {"prompter": str(folder / "w.safetensors")},
            "detector": {"finding": DetectorConfig(name="zero-shot", weights=folder / "model")},
        }
        plain = {"source": source, "model": Model(name="stcn-lite")}
        return {name: result_settings(identified(TrackJob(**plain | job))) for name, job in jobs.items()}

    frame = Frame(0, 0.0, np.zeros((4, 5, 3), np.uint8))
    result = Segmentation(0, 0.0, np.zeros((4, 5), np.uint8))
    for name, values in settings("here").items():
        sink = PngSink(tmp_path / name, settings=values)
        sink.write(frame, result)
        sink.flush()
    for name, values in settings("there").items():
        PngSink(tmp_path / name, settings=values, resume=True)
    for name in ("first.png", "w.safetensors", "model/model.safetensors"):
        (tmp_path / "here" / name).write_bytes(b"others")
    for name, values in settings("here").items():
        with pytest.raises(ResumeError, match="was begun with"):
            PngSink(tmp_path / name, settings=values, resume=True)
