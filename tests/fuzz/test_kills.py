"""Batches that are killed at random: every video is complete or reported, and nothing else changes.

``SEGUE_FUZZ_KILLS`` sets the number of kills of local batches (default 100); those on a cluster, with an
object store that goes away and with a full disk come on top. ``SEGUE_FUZZ_SEED`` tells another story.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from segue.batch import Ledger
from tests.batch.conftest import Batch, results, video
from tests.batch.test_batch import workers_of
from tests.needs import needs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc"),
]

KILLS = int(os.environ.get("SEGUE_FUZZ_KILLS", "100"))
SEED = int(os.environ.get("SEGUE_FUZZ_SEED", "0"))
VIDEOS, FRAMES = 6, 60
JOB = ("videos", "--do", "foreground", "--model", "median", "--format", "png", "--format", "overlay")
CTRL_C_SECONDS = 10.0
LONGEST_SECONDS = 600.0


@pytest.fixture
def world(tmp_path: Path, batch: Batch) -> Path:
    """Videos, files of the user beside the output, and the results of a batch that nobody disturbed."""
    for number in range(VIDEOS):
        video(tmp_path / f"videos/{'inner/' * (number % 2)}{number}.mp4", FRAMES + number, number)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("stays")
    assert batch(*JOB, "-o", "whole", "--workers", 2).returncode == 0
    return tmp_path


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    """Runs the command to its end."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "segue", "batch", *map(str, arguments)]
        return subprocess.run(
            words, cwd=tmp_path, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False
        )

    return run


def beside(world: Path) -> dict[str, tuple[int, bytes]]:
    """Everything that is not a batch's output."""
    files = [
        path for folder in ("foreground", "mine") for path in (world / folder).rglob("*") if path.is_file()
    ]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in sorted(files)}


def start(world: Path, *words: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "segue", "batch", *JOB, *map(str, words)],
        cwd=world,
        stdout=subprocess.DEVNULL,
        stderr=(world / f"stderr-{time.monotonic_ns()}.txt").open("xb"),
        start_new_session=True,
    )


def runs_for(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether a process still runs after so long."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return process.poll() is None


def strike(kind: str, world: Path, process: subprocess.Popen[bytes], rng: random.Random) -> bool:
    """Kill something; gives whether that ends the batch, after it has."""
    if kind == "worker":
        workers = workers_of(process)
        if workers:
            with suppress(ProcessLookupError):
                os.kill(rng.choice(workers), signal.SIGKILL)
        return False
    if kind == "batch":
        process.kill()
        process.wait(CTRL_C_SECONDS)
        # Workers that were still starting say that their parent is gone, before anything of segue runs.
        max(world.glob("stderr-*.txt")).unlink()
        return True
    begun = time.monotonic()
    for _ in range(2 if kind == "ctrl-c twice" else 1):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        time.sleep(rng.uniform(0, 0.5))
    process.wait(CTRL_C_SECONDS - (time.monotonic() - begun))
    return True


def complete(world: Path, output: Path) -> None:
    """See that a batch that has ended well lacks nothing."""
    with Ledger(output / ".segue-batch/ledger.sqlite", create=False) as ledger:
        assert ledger.counts() == {"queued": 0, "running": 0, "done": VIDEOS, "failed": 0}
    assert results(output) == results(world / "whole")
    for path in (world / "whole").rglob("overlay.mp4"):
        assert (output / path.relative_to(world / "whole")).read_bytes() == path.read_bytes()
    assert not [path for path in output.rglob("*") if path.name.endswith(".partial")]
    assert "Traceback" not in said(world)


def said(world: Path) -> str:
    """What all batches that were not killed wrote to the standard error."""
    return "".join(path.read_text("utf-8", "replace") for path in sorted(world.glob("stderr-*.txt")))


def test_random_kills_of_workers_and_batches_change_no_byte(world: Path) -> None:
    rng, before, done = random.Random(SEED), beside(world), Counter[str]()
    kinds = ("worker", "worker", "batch", "ctrl-c", "ctrl-c twice")
    while sum(done.values()) < KILLS:
        output = world / f"out-{sum(done.values())}"
        words = ("-o", output.name, "--workers", 2, "--tries", 999)
        process, begun = start(world, *words), time.monotonic()
        # At least five kills a batch: each is longer than an undisturbed one, and comes to its end at last.
        for kind in rng.choices(kinds, k=min(5, KILLS - sum(done.values()))):
            if not runs_for(process, rng.uniform(0.3, 5.0)):  # before, Python itself starts
                break
            done[kind] += 1
            if strike(kind, world, process, rng):
                process = start(world, *words, "--resume")
        assert process.wait(LONGEST_SECONDS) == 0, said(world)
        complete(world, output)
        assert beside(world) == before
        print(f"{dict(done)} in {time.monotonic() - begun:.0f} s", flush=True)
        shutil.rmtree(output)


def actors() -> list[int]:
    """Processes of Ray's actors on this machine, those of these tests alone: no batch of others uses Ray."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "cmdline").read_bytes().startswith(b"ray::_attempt"):
                found.append(int(entry.name))
    return found


def test_random_losses_of_actors_and_nodes_change_no_byte(world: Path) -> None:
    needs("ray")
    cluster_utils = needs("ray.cluster_utils")
    rng, before = random.Random(SEED), beside(world)
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        node = cluster.add_node(num_cpus=1)
        words = ("-o", "ray", "--address", cluster.address, "--workers", 2, "--tries", 999)
        process = start(world, *words)
        for kind in ("actor", "node", "ctrl-c", "actor", "node", "ctrl-c", "actor", "actor", "node", "actor"):
            if not runs_for(process, rng.uniform(5.0, 15.0)):
                break
            if kind == "actor" and (found := actors()):
                with suppress(ProcessLookupError):
                    os.kill(rng.choice(found), signal.SIGKILL)
            elif kind == "node":
                cluster.remove_node(node, allow_graceful=False)
                node = cluster.add_node(num_cpus=1)
            elif kind == "ctrl-c":
                strike(kind, world, process, rng)
                process = start(world, *words, "--resume")
        assert process.wait(LONGEST_SECONDS) == 0, said(world)
    finally:
        cluster.shutdown()
    complete(world, world / "ray")
    assert beside(world) == before


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A server of an object store that can be stopped and started again on its port, with what it holds."""
    server = needs("moto.server")
    needs("s3fs")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    first = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    first.start()
    _, port = first.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    running = [first]

    class Switch:
        def off(self) -> None:
            running.pop().stop()

        def on(self) -> None:
            running.append(server.ThreadedMotoServer("127.0.0.1", port, verbose=False))
            running[-1].start()

    yield Switch()
    while running:
        running.pop().stop()


def test_a_store_that_goes_away_costs_tries_and_no_byte(world: Path, batch: Batch, store: Any) -> None:
    s3fs = needs("s3fs")
    rng, before = random.Random(SEED), beside(world)
    files = s3fs.S3FileSystem(endpoint_url=os.environ["AWS_ENDPOINT_URL"], skip_instance_cache=True)
    files.mkdir("videos")
    words = ("-o", "s3://videos/out", "--workers", 2)
    process = start(world, *words)
    for _ in range(5):
        if not runs_for(process, rng.uniform(4.0, 12.0)):
            break
        store.off()
        runs_for(process, rng.uniform(0.5, 4.0))
        store.on()
    assert process.wait(LONGEST_SECONDS) in (0, 1)
    ended = batch(*JOB, *words, "--retry-failed")
    assert ended.returncode == 0, ended.stderr
    files.invalidate_cache()
    expected = {f"videos/out/{name}": data for name, data in results(world / "whole").items()}
    found = {name: files.cat_file(name) for name in files.find("videos/out") if "/masks/0" in name}
    assert found == expected
    assert len(files.glob("videos/out/**/.segue.done")) == VIDEOS
    assert beside(world) == before


def test_a_full_disk_is_reported_and_its_batch_is_gone_on_with(world: Path, batch: Batch) -> None:
    output, rng, before = world / "small", random.Random(SEED), beside(world)
    output.mkdir()
    sizes = [(output, f"size={rng.randint(300, 3000)}k") for _ in range(5)]
    mount = ["mount", "-t", "tmpfs", "-o", sizes[0][1], "tmpfs", str(output)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        for number, (_, size) in enumerate(sorted(sizes, key=lambda item: item[1])):
            subprocess.run(["mount", "-o", f"remount,{size}", str(output)], check=False, capture_output=True)
            words = ["-o", output.name, "--workers", 2, *(["--retry-failed"] if number else [])]
            ended = batch(*JOB, *words)
            assert ended.returncode in (0, 1, 2), ended.stderr
            assert "Traceback" not in ended.stderr
            if ended.returncode:
                assert "full" in ended.stdout + ended.stderr
        subprocess.run(["mount", "-o", "remount,size=200m", str(output)], check=True)
        ended = batch(*JOB, "-o", output.name, "--workers", 2, "--retry-failed")
        assert ended.returncode == 0, ended.stderr
        complete(world, output)
    finally:
        subprocess.run(["umount", str(output)], check=False)
    assert beside(world) == before
