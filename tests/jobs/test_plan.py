"""What is missing for a plan of several jobs is found before the first of them starts."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segue.errors import (
    ArgumentError,
    CheckpointError,
    PromptError,
    SegueError,
    SourceError,
)
from segue.jobs.plan import check_needs
from segue.jobs.values import (
    DetectorConfig,
    ForegroundJob,
    ForegroundOptions,
    InstancesJob,
    Model,
    TrackJob,
    VideoJob,
    VideoSource,
    checked,
)
from segue.masks import write_index_mask
from segue.prompt_types import MaskPrompt
from segue.video.sources.images import write_image
from segue_papers import tables_of
from segue_papers.asked import How
from segue_papers.command import FACE
from segue_papers.rows import plan_table
from tests.cli.running import FRAMES, MASKS


@pytest.fixture
def davis(folder: Path) -> Path:
    for t in range(3):
        for part in ("JPEGImages", "Annotations"):
            (folder / "davis" / part / "one").mkdir(parents=True, exist_ok=True)
        write_image(folder / f"davis/JPEGImages/one/{t:05d}.png", FRAMES[t])
        write_index_mask(folder / f"davis/Annotations/one/{t:05d}.png", MASKS[t])
    return folder / "davis"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for name in ("dog.mp4", "lite.safetensors"):
        (tmp_path / name).write_bytes(b"")
    write_index_mask(tmp_path / "first.png", MASKS[0])
    return tmp_path


def track(**fields: Any) -> TrackJob:
    plain = {"source": VideoSource(place="dog.mp4"), "model": Model(name="stcn-lite")}
    return TrackJob(**{**plain, **fields})


def foreground(**fields: Any) -> ForegroundJob:
    plain = {"source": VideoSource(place="dog.mp4"), "model": Model(name="median")}
    return ForegroundJob(**{**plain, **fields})


def instances(**fields: Any) -> InstancesJob:
    plain = {"source": VideoSource(place="dog.mp4"), "model": Model(name="msstsvis-lite")}
    return InstancesJob(**{**plain, **fields})


def test_a_plan_that_lacks_nothing_is_taken(folder: Path) -> None:
    check_needs(
        [
            track(prompts=(MaskPrompt(0, "first.png"),)),
            track(model=Model(name="stcn-lite", weights=folder / "lite.safetensors")),
            track(source=VideoSource(place="rtsp://camera/stream"), finding=DetectorConfig()),
            track(source=VideoSource(place="0"), prompter="segue-prompt"),
            foreground(roi="first.png", scene="first.png", flow="farneback"),
            foreground(roi="s3://bucket/roi.png"),
            instances(model=Model(name="nanodet+stcn-lite")),
            instances(names="ytvis2019"),
        ]
    )


LACKS: list[tuple[VideoJob, type[SegueError], str]] = [
    (track(source=VideoSource(place="cat.mp4")), SourceError, "cat.mp4"),
    (track(source=VideoSource(place="frames/*.png")), SourceError, r"frames/\*.png"),
    (track(prompts=(MaskPrompt(0, "second.png"),)), PromptError, "second.png"),
    (track(model=Model(name="stmm")), CheckpointError, "no network is called 'stmm'"),
    (track(model=Model(name="mog2")), CheckpointError, "mog2"),
    (
        track(model=Model(name="stcn")),
        CheckpointError,
        "no weights of stcn are available",
    ),
    (track(model=Model(name="stcn", weights=Path("a.pth"))), CheckpointError, "a.pth"),
    (track(prompter="a.safetensors"), PromptError, "prompter 'a.safetensors'"),
    (track(finding=DetectorConfig(name="pointrend")), CheckpointError, "no weights of pointrend"),
    (track(finding=DetectorConfig(name="maskrcnn", weights=Path("m.pth"))), CheckpointError, "m.pth"),
    (track(finding=DetectorConfig(name="eyes")), SegueError, "no detector is called 'eyes'"),
    (foreground(roi="roi.png"), SourceError, "roi.png"),
    (foreground(scene="empty.png"), SourceError, "empty.png"),
    (foreground(flow="flows"), SourceError, "flows.*--flow"),
    (foreground(depth="maps"), SourceError, "maps"),
    (foreground(flow_weights="raft.pth"), SourceError, "raft.pth.*--flow-weights"),
    (foreground(zones=("door",)), SegueError, "door"),
    (foreground(options=ForegroundOptions(without=("nope",))), ArgumentError, "no stage nope"),
    (foreground(options=ForegroundOptions(stages=("nope",))), ArgumentError, "no stage is called 'nope'"),
    (foreground(options=ForegroundOptions(detector="nope")), SegueError, "no detector is called 'nope'"),
    (
        foreground(source=VideoSource(place="rtsp://me:word@camera/1"), options=ForegroundOptions(passes=2)),
        SourceError,
        "^rtsp://camera/1: can be read only once",
    ),
    (instances(names="names.json"), SourceError, "names.json"),
    (instances(model=Model(name="maskrcnn+stcn-lite")), CheckpointError, "no weights of maskrcnn"),
]


@pytest.mark.parametrize(("job", "kind", "message"), LACKS, ids=lambda value: None)
def test_missing_needs_of_later_jobs_are_reported_before_the_first(
    job: VideoJob, kind: type[SegueError], message: str, folder: Path
) -> None:
    with pytest.raises(kind, match=message):
        check_needs([track(), foreground(), job])


ROWS = ["first frame only", "previous frame only"]


def planned(davis: Path, output: Path, **options: Any) -> list[str | None]:
    """What is wrong with two rows of STM's table of memories before one of them starts."""
    tables = tables_of("stm", ["memory"])
    given = {"data": [f"davis={davis}"], "rows": ROWS, "model": "stcn-lite", "workers": 1, **options}
    how = checked(How, {"output": output, **given}).for_tables(tables)
    rows = plan_table(tables[0], how, FACE).rows
    assert not any(row.lacks for row in rows)
    return [row.ended for row in rows]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weights": ["stcn-lite=bad.safetensors"]}, "bad.safetensors"),
        ({"run": ["previous-frame-only=--mem-every never"]}, "Invalid value for '--mem-every'"),
        ({"run": ["previous-frame-only=--mem-every 0"]}, "'--mem-every'"),
        ({"run": ["previous-frame-only=--prompter a.pth"]}, "prompter 'a.pth': neither a file nor one of"),
    ],
)
def test_a_row_that_cannot_be_done_is_found_before_the_first_one(
    wrong: dict[str, list[str]], message: str, davis: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    assert planned(davis, tmp_path / "out") == [None, None]
    last = planned(davis, tmp_path / "out", **wrong)[-1]
    assert last is not None
    assert re.search(message, last)


def test_the_options_of_a_row_are_read_once_and_its_job_is_kept(davis: Path, tmp_path: Path) -> None:
    made: list[VideoJob] = []

    def template(*given: Any) -> VideoJob:
        made.append(FACE.template(*given))
        return made[-1]

    def run_videos(request: Any, how: Any, job: VideoJob, adapt: Any) -> int:
        assert job is made[-1]
        raise SegueError("far enough")

    (table,) = tables_of("stm", ["memory"])
    how = How(data={"davis": davis}, output=tmp_path / "out", model="stcn-lite", run=["--device cpu"])
    face = replace(FACE, template=template, run_videos=run_videos)
    plan = plan_table(table, how.model_copy(update={"rows": {"previous-frame-only"}}), face)
    plan.do()
    (row,) = plan.rows
    assert row.ended == "far enough"
    (job,) = made
    assert isinstance(job, TrackJob)
    assert (job.model.name, job.device, job.outputs.formats) == ("stcn-lite", "cpu", ("png",))
    assert (job.options.include_last, job.options.mem_every, job.options.memory_policy) == (False, 1, "fifo")


def test_a_batch_of_a_row_that_is_there_stops_all_rows(davis: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "out/memory/previous-frame-only/.segue-batch/ledger.sqlite"
    ledger.parent.mkdir(parents=True)
    ledger.write_bytes(b"")
    with pytest.raises(SegueError, match="previous-frame-only"):
        planned(davis, tmp_path / "out")
