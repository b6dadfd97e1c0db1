"""``segue batch`` from its command line: results, failures, kills, interruption, and places elsewhere."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from segue.batch import Ledger
from segue.batch.engines import open_engine
from segue.batch.work import JobConfig
from tests.batch.conftest import Batch, film, results
from tests.cli.running import Command

JOB = ("--do", "foreground", "--model", "median", "--format", "png")


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    """The worker processes of a batch (Linux)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if int(stat[1]) == process.pid and b"spawn_main" in line:
            found.append(int(entry.name))
    return found


def test_workers_share_the_cores_by_their_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    engine = open_engine(JobConfig("foreground", (), str(tmp_path), threads=4))
    try:
        assert len(engine.workers) == 1
    finally:
        engine.close()


def test_every_video_gets_its_results_or_one_line_that_says_why_not(
    films: Path, batch: Batch, command: Command, tmp_path: Path
) -> None:
    (films / "rotten.mp4").write_bytes(b"nothing of the sort" * 50)

    run = batch(films, *JOB, "-o", "out", "--workers", 2, "--json-lines")

    assert run.returncode == 1
    events = [json.loads(line) for line in run.stdout.splitlines()]
    assert events[-1] == {"event": "status", "queued": 0, "running": 0, "done": 3, "failed": 1}
    assert sorted(event["frames"] for event in events if event["event"] == "done") == [12, 18, 24]
    masks = results(tmp_path / "out")
    assert len(masks) == 12 + 18 + 24
    with Ledger(tmp_path / "out/.segue-batch/ledger.sqlite") as ledger:
        rows = {row.name: row for row in ledger.rows()}
    assert {name: row.frames for name, row in rows.items()} == {"a": 12, "b": 18, "inner/c": 24, "rotten": 0}
    assert "not a video" in (rows["rotten"].error or "")
    page = (tmp_path / "out/.segue-batch/report.html").read_text()
    assert "3 of 4 videos are done" in page
    assert "not a video" in page
    assert (tmp_path / "out/.segue-batch/pictures/inner/c.jpg").stat().st_size > 500

    alone = tmp_path / "alone"
    assert command("foreground", films / "b.mp4", *JOB[2:], "-q", "-o", alone).code == 0
    assert results(alone) == results(tmp_path / "out/b")

    film(films / "rotten.mp4", 8)
    assert batch("--retry-failed", *JOB, "-o", "out", "--workers", 1).returncode == 0
    assert results(tmp_path / "out") == {**masks, **results(tmp_path / "out")}
    assert len(results(tmp_path / "out/rotten")) == 8


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_a_killed_worker_changes_no_byte(films: Path, batch: Batch, tmp_path: Path, kills: int) -> None:
    assert batch(films, *JOB, "-o", "whole", "--workers", 1).returncode == 0
    rng = random.Random(3)
    words = [
        sys.executable,
        "-m",
        "segue",
        "batch",
        str(films),
        *JOB,
        "-o",
        "killed",
        "--workers",
        "2",
        "--tries",
        "99",
    ]
    with subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        for _ in range(kills):
            patience = time.monotonic() + rng.uniform(0.3, 5.0)
            while process.poll() is None:
                workers = workers_of(process)
                if workers and time.monotonic() > patience:
                    os.kill(rng.choice(workers), signal.SIGKILL)
                    break
        assert process.wait() == 0

    assert results(tmp_path / "killed") == results(tmp_path / "whole")


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_a_killed_batch_ends_its_workers_and_goes_on(batch: Batch, command: Command, tmp_path: Path) -> None:
    for name in "ab":
        film(tmp_path / "films" / f"{name}.mp4", 30)
    words = [sys.executable, "-m", "segue", "batch", "films", *JOB, "-o", "out", "--workers", "1"]
    with subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while not list(tmp_path.glob("out/.segue-batch/work/*/masks/*.png")) and process.poll() is None:
            os.sched_yield()
        workers = workers_of(process)
        process.kill()
    assert not [pid for pid in workers if alive(pid)]

    assert "there is a batch already" in command("batch", "films", *JOB, "-o", "out").complaint
    assert "begun with" in command("batch", "films", *JOB[:4], "-o", "out", "--resume").complaint
    assert batch("films", *JOB, "-o", "out", "--workers", 1, "--resume").returncode == 0
    assert len(results(tmp_path / "out")) == 60


def alive(pid: int) -> bool:
    """Whether a process runs; it may take the kernel a moment to end one."""
    patience = time.monotonic() + 10
    while time.monotonic() < patience:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return False
        except OSError:
            return False
    return True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("films", "--do", "detect"), "choose from track, foreground, instances"),
        (("films", "--do", "foreground", "--colour", "red"), "there is no option --colour"),
        (("films", "--do", "foreground", "--events", "e.csv"), "one place for all videos"),
        (("nowhere", "--do", "foreground"), "no such file, folder or list"),
        (("--status",), "there is no batch here"),
        (("films", "--do", "foreground", "--address", "127.0.0.1:1"), "Ray"),
    ],
)
def test_mistakes_take_one_line_before_anything_is_done(
    films: Path, command: Command, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    run = command("batch", *arguments, "-o", "out")

    assert run.code == 2
    assert message in run.err
    assert not results(tmp_path / "out")


@pytest.mark.slow
def test_two_nodes_of_a_ray_cluster_give_the_bytes_of_one_worker(
    films: Path, batch: Batch, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        run = batch(films, *JOB, "-o", tmp_path / "ray", "--address", cluster.address, "--workers", 2)
    finally:
        cluster.shutdown()
    assert run.returncode == 0, run.stderr
    assert batch(films, *JOB, "-o", "here", "--workers", 1).returncode == 0
    assert results(tmp_path / "ray") == results(tmp_path / "here")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of an object store on the loopback address."""
    server = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    store = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    store.start()
    _, port = store.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    yield "s3://films"
    store.stop()


def test_films_come_from_an_object_store_and_results_go_there(
    films: Path, batch: Batch, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3fs = pytest.importorskip("s3fs")
    store = s3fs.S3FileSystem(endpoint_url=os.environ["AWS_ENDPOINT_URL"], skip_instance_cache=True)
    store.mkdir("films")
    store.put(str(films), "films/in", recursive=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    run = batch(f"{bucket}/in", *JOB, "-o", f"{bucket}/out", "--workers", 1)

    assert run.returncode == 0, run.stderr
    store.invalidate_cache()
    assert len(store.glob("films/out/inner/c/masks/0*.png")) == 24
    assert store.exists("films/out/inner/c/.segue.done")
    assert batch(films, *JOB, "-o", "here", "--workers", 1).returncode == 0
    for name, data in results(tmp_path / "here").items():
        assert store.cat_file(f"films/out/{name}") == data
