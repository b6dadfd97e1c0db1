"""What the protocol of a data set gives of each video, and what of it reaches the job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segue.batch import Task
from segue.batch.work import JobConfig
from segue.dataset_runs import protocols
from segue.dataset_runs.protocols import (
    OWN_DEPTH,
    all_clips,
    protocol_of,
    results_of,
    run,
    score_run,
    scored_here,
    tasks_of,
    template_for,
    with_job,
)
from segue.errors import DatasetError, SourceError
from segue.jobs.values import (
    ForegroundJob,
    ForegroundOptions,
    InstancesJob,
    Model,
    TrackJob,
    VideoJob,
    VideoSource,
)
from segue.masks import read_index_mask
from segue.metrics.data_sets import Request
from tests.cli.running import FRAMES
from tests.segue_train.scenes import save_composites

SOURCE = VideoSource(place=None, max_size=320)
FOREGROUND = ForegroundJob(source=SOURCE, model=Model(name="mustan-lite", weights=Path("/all.safetensors")))


def save_video(root: Path, name: str, numbers: range, roi: bool) -> None:
    for kind, prefix in (("input", "in"), ("groundtruth", "gt")):
        (root / name / kind).mkdir(parents=True)
        for number in numbers:
            image = FRAMES[0] if kind == "input" else np.zeros((48, 64), np.uint8)
            Image.fromarray(image).save(root / name / kind / f"{prefix}{number:06d}.png")
    if roi:
        region = np.zeros((48, 64), np.uint8)
        region[10:30, 5:40] = 255
        Image.fromarray(region).save(root / name / "ROI.png")


def video_jobs(root: Path, template: ForegroundJob = FOREGROUND, **asked: Any) -> dict[str, ForegroundJob]:
    """The jobs of the videos of a data set by their names."""
    request = Request(**{"data": root, "dataset": "foreground", **asked})
    videos = protocol_of(request.dataset).videos(request, root.parent / "given", template)
    return {task.name: task.job for task in videos if isinstance(task.job, ForegroundJob)}


def test_the_region_of_a_video_is_written_for_its_job(tmp_path: Path) -> None:
    save_video(tmp_path / "set", "one", range(1, 4), True)
    save_video(tmp_path / "set", "two", range(1, 4), False)
    template = FOREGROUND.model_copy(update={"flow": "dis", "depth": "maps"})
    one, two = video_jobs(tmp_path / "set", template).values()
    assert one.roi is not None
    region = read_index_mask(Path(one.roi))
    assert region[10:30, 5:40].all()
    assert region.sum() == 20 * 35
    assert two.roi is None
    assert one.source.place == str(tmp_path / "set/one/input"), "the images lie alone, by their numbers"
    assert one.source.max_size == 320
    assert (one.flow, one.depth, one.model) == ("dis", "maps", FOREGROUND.model)
    assert (one.options.without, one.options.passes) == ((), 1)
    twice = template.model_copy(update={"options": ForegroundOptions(passes=2)})
    assert video_jobs(tmp_path / "set", twice)["one"].options.passes == 2


def test_composites_bring_their_flow_and_are_not_aligned(tmp_path: Path) -> None:
    save_composites(tmp_path / "demo")
    (first, *_) = video_jobs(tmp_path / "demo", dataset="hofam").values()
    assert first.flow is not None
    assert Path(first.flow).is_dir()
    assert (first.options.without, first.options.passes) == (("align", "rain"), 1)


def test_links_go_to_the_data_set_as_it_is_now(tmp_path: Path) -> None:
    for data, count in (("old", 5), ("new", 3)):
        paths = [tmp_path / data / f"{number}.png" for number in range(count)]
        paths[0].parent.mkdir()
        for path in [*paths, tmp_path / data / "9.png"]:  # another image lies beside them
            path.write_bytes(path.parent.name.encode())
        folder = protocols._alone(paths, [path.stem for path in paths], tmp_path / "links")
        assert {path.name: path.read_text() for path in folder.iterdir()} == {
            f"{number}.png": data for number in range(count)
        }


def test_composites_of_an_earlier_data_set_do_not_stay(tmp_path: Path) -> None:
    save_composites(tmp_path / "demo")
    (job, *_) = video_jobs(tmp_path / "demo", dataset="hofam").values()
    left = Path(str(job.source.place)) / "in000999.png"
    left.write_bytes(b"another composite")
    video_jobs(tmp_path / "demo", dataset="hofam")
    assert not left.exists()


def test_all_videos_are_there_before_the_first_one_begins(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_video(tmp_path / "set", name, range(1, 4), False)
    template = ForegroundJob(source=SOURCE, model=Model(name="median"))
    request = Request(data=tmp_path / "set", dataset="foreground")
    tasks = tasks_of(request, tmp_path / "out", template)
    assert [(task.name, task.source, task.arguments) for task in tasks] == [
        (name, str(tmp_path / "set" / name / "input"), ()) for name in ("a", "b")
    ]

    def elsewhere(videos: Iterator[Task]) -> Iterator[Task]:
        for video in videos:
            yield with_job(video, source=VideoSource(place=f"{video.name}-gone"))

    with pytest.raises(SourceError, match="a-gone"):
        tasks_of(request, tmp_path / "out", template, elsewhere)


@pytest.mark.parametrize("deep", [True, False])
def test_rendered_clips_bring_their_depth_where_they_have_some(tmp_path: Path, deep: bool) -> None:
    save_video(tmp_path / "isd" / "test", "clip", range(1, 3), False)
    folder = tmp_path / "isd/test/clip"
    meta = {"template": "t", "camera": "static", "light": "day", "tags": [], "fps": 25, "frames": 2}
    (folder / "meta.json").write_text(json.dumps({"name": "clip", **meta}))
    if deep:
        (folder / "depth").mkdir()
        for number in (1, 2):
            Image.fromarray(np.zeros((48, 64), np.uint8)).save(folder / "depth" / f"in{number:06d}.png")
    asked = {"dataset": "isd", "subset": "test"}
    (plain,) = video_jobs(tmp_path / "isd", **asked).values()
    assert plain.depth is None
    own = FOREGROUND.model_copy(update={"depth": OWN_DEPTH})
    if deep:
        (job,) = video_jobs(tmp_path / "isd", own, **asked).values()
        assert job.depth == str(folder / "depth")
        return
    with pytest.raises(DatasetError, match=r"clip .*--depth own"):
        video_jobs(tmp_path / "isd", own, **asked)


def test_results_of_clips_are_one_file_with_the_numbers_of_the_data_set(tmp_path: Path) -> None:
    videos = [
        {"id": number, "width": 8, "height": 6, "length": 1, "file_names": [f"{name}/0.jpg"]}
        for number, name in ((4, "a"), (9, "b"), (11, "c"))
    ]
    described = {"videos": videos, "categories": [{"id": 3, "name": "cat"}], "annotations": None}
    (tmp_path / "valid.json").write_text(json.dumps(described))
    request, output = Request(data=tmp_path, dataset="ytvis"), tmp_path / "out"
    output.mkdir()
    assert json.loads(all_clips(request, output).read_text()) == []
    for name, scores in (("a", [0.5, 0.25]), ("c", [0.75])):
        (output / name).mkdir(parents=True)
        records = [{"video_id": 1, "category_id": 3, "score": score} for score in scores]
        (output / name / "ytvis.json").write_text(json.dumps(records))
    path = results_of(request, output)
    assert path == output / "results.json"
    found = json.loads(path.read_text())
    assert [(item["video_id"], item["score"]) for item in found] == [(4, 0.5), (4, 0.25), (11, 0.75)]
    assert results_of(Request(data=tmp_path), output) == output
    assert not scored_here(request)
    with pytest.raises(DatasetError):
        scored_here(Request(data=tmp_path, dataset="ytvis", sequences=["a"]))


@pytest.mark.parametrize(
    ("dataset", "model", "kind", "name"),
    [
        ("davis", None, TrackJob, "stcn-lite"),
        ("davis", "stm", TrackJob, "stm"),
        ("cdnet", None, ForegroundJob, "mustan-lite"),
        ("hofam", None, ForegroundJob, "hofam"),
        ("hofam", "stam", ForegroundJob, "stam"),
        ("ytvis", "seqformer", InstancesJob, "seqformer"),
    ],
)
def test_each_data_set_has_the_job_of_its_task(
    dataset: str, model: str | None, kind: type, name: str
) -> None:
    request = Request(data=Path("x"), dataset=dataset)
    job = template_for(request, model, "w.pth", {"short_side": 96})
    assert type(job) is kind
    assert (job.model, job.source.place) == (Model(name=name, weights=Path("w.pth")), None)
    assert job.options.short_side == 96  # type: ignore[attr-defined]
    formats = {TrackJob: ("png",), ForegroundJob: ("cdnet",)}
    if kind is InstancesJob:
        assert job.whole  # type: ignore[attr-defined]
    else:
        assert job.outputs.formats == formats[kind]  # type: ignore[index]


def test_all_arguments_of_run_reach_its_videos_and_its_score(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    got: dict[str, Any] = {}

    def tasks_of(request: Request, output: Path, template: VideoJob) -> list[Task]:
        got.update(request=request, output=output)
        return [Task("v", str(tmp_path), job=template)]

    def run_tasks(tasks: Any, how: JobConfig, observer: object) -> int:
        got.update(tasks=tasks, how=how, observer=observer)
        return 2

    def score(request: Request, how: JobConfig, failed: int) -> Any:
        got.update(scored=(request, how.output, failed))
        return "scores"

    monkeypatch.setattr(protocols, "tasks_of", tasks_of)
    monkeypatch.setattr(protocols, "run_tasks", run_tasks)
    monkeypatch.setattr(protocols, "score_run", score)
    watch: Any = object()
    done = run(
        "davis",
        str(tmp_path),
        output="out",
        subset="val",
        sequences=("dog",),
        year="2016",
        workers=3,
        resume=True,
        device="cpu",
        fast=True,
        observer=watch,
        options={"mem_every": 4},
    )
    assert got["request"] == Request(
        data=tmp_path, dataset="davis", subset="val", sequences=["dog"], year="2016"
    )
    assert (got["output"], got["observer"]) == (Path("out"), watch)
    how = got["how"]
    assert (how.command, how.output, how.workers, how.resume) == ("track", "out", 3, True)
    job = got["tasks"][0].job
    assert isinstance(job, TrackJob)
    assert (job.device, job.fast, job.options.mem_every) == ("cpu", True, 4)
    assert got["scored"] == (got["request"], "out", 2)
    assert (done.failed, done.results, done.evaluation) == (2, Path("out"), "scores")
    run("davis", tmp_path, output=tmp_path / "plain")
    assert got["request"] == Request(data=tmp_path)
    assert (got["how"].workers, got["how"].resume) == (None, False)
    job = got["tasks"][0].job
    assert isinstance(job, TrackJob)
    assert (job.device, job.fast) == (None, False)


@pytest.mark.parametrize(
    ("failed", "workers", "missing", "used"),
    [(0, None, "error", 1), (2, None, "empty", 1), (0, 3, "error", 3)],
)
def test_frames_that_failed_count_as_empty_and_workers_score_too(
    monkeypatch: pytest.MonkeyPatch, failed: int, workers: int | None, missing: str, used: int
) -> None:
    got: list[Any] = []

    def score(self: Request, results: Path, report: Any) -> Any:
        got.append((self.missing, self.workers, results))
        report(1, 2, "name")
        return "scores"

    monkeypatch.setattr(Request, "score", score)
    told: list[Any] = []
    how = JobConfig(output="out", workers=workers)
    assert score_run(Request(data=Path("x")), how, failed) == "scores"
    score_run(Request(data=Path("x")), how, failed, lambda *step: told.append(step))
    assert got == [(missing, used, Path("out"))] * 2
    assert told == [(1, 2, "name")]
