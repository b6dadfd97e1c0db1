"""``segue batch`` from its command line: results, failures, kills, interruption, and places elsewhere."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from segue.batch import Ledger
from segue.batch.places import key_of
from segue.cli import main
from segue.jobs.frame_loop import STATE
from tests.batch.conftest import Batch, results, video
from tests.cli.forked import run_forked, start_forked
from tests.cli.running import Command
from tests.lite import lively_lite
from tests.needs import needs
from tests.waiting import wait_for

QUICK = 30.0
"""Seconds in which a batch ends on Ctrl-C, also where other programs have the cores; see STOP_SECONDS."""

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


def alone(videos: Path, command: Command) -> dict[str, bytes]:
    """The masks of the three videos where each is done by itself."""
    for name in ("a", "b", "inner/c"):
        run = command("foreground", videos / f"{name}.mp4", *JOB[2:], "-q", "-o", Path("alone", name))
        assert run.code == 0, run.err
    return results(Path("alone"))


@pytest.mark.usefixtures("workers_here")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="runs two child processes at once")
def test_parts_of_a_batch_run_at_once_on_one_output(videos: Path, command: Command, tmp_path: Path) -> None:
    def run(part: int) -> None:
        sys.argv = ["segue", "batch", str(videos), *JOB, "-o", "out", "-q", "--shard", f"{part}/2"]
        main()

    parts = [start_forked(partial(run, part)) for part in (1, 2)]
    for part in parts:
        ended = part()
        assert ended.returncode == 0, ended.stderr
    merged = command("batch", "--report", "-o", "out")
    assert merged.code == 0, merged.err
    assert merged.out == "0 queued, 0 running, 3 done, 0 failed\n"
    page = (tmp_path / "out/report.html").read_text()
    assert "3 of 3 videos are done" in page
    assert page.count(".jpg") >= 3
    assert results(tmp_path / "out") == alone(videos, command)


@pytest.mark.usefixtures("workers_here")
def test_every_video_gets_its_results_or_one_line_that_says_why_not(
    videos: Path, batch: Batch, command: Command, tmp_path: Path
) -> None:
    (videos / "rotten.mp4").write_bytes(b"nothing of the sort" * 50)

    run = batch(videos, *JOB, "-o", "out", "--workers", 2, "--json-lines")

    assert run.returncode == 1
    events = [json.loads(line) for line in run.stdout.splitlines()]
    assert events[-1] == {"event": "status", "queued": 0, "running": 0, "done": 3, "failed": 1}
    assert sorted(event["frames"] for event in events if event["event"] == "done") == [6, 9, 12]
    masks = results(tmp_path / "out")
    assert len(masks) == 6 + 9 + 12
    with Ledger(tmp_path / "out/.segue-batch/ledger.sqlite") as ledger:
        rows = {row.name: row for row in ledger.tasks()}
    assert {name: row.frames for name, row in rows.items()} == {"a": 6, "b": 9, "inner/c": 12, "rotten": 0}
    assert "not a video" in (rows["rotten"].error or "")
    page = (tmp_path / "out/report.html").read_text()
    assert "3 of 4 videos are done" in page
    assert "not a video" in page
    assert (tmp_path / "out/.segue-batch/images" / f"{key_of('inner/c')}.jpg").stat().st_size > 500

    assert masks == alone(videos, command)

    video(videos / "rotten.mp4", 8)
    assert command("batch", "--retry-failed", *JOB, "-o", "out", "--workers", 1).code == 0
    assert results(tmp_path / "out") == {**masks, **results(tmp_path / "out")}
    assert len(results(tmp_path / "out/rotten")) == 8


def begun(output: Path) -> bool:
    """Whether a worker of a batch has a video in work, or had one."""
    return bool(list(output.glob(".segue-batch/work/*")))


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
@pytest.mark.slow  # test_workers.py kills one
def test_killed_workers_change_no_byte(videos: Path, command: Command, tmp_path: Path) -> None:
    rng, killed = random.Random(3), 0
    words = [
        sys.executable,
        "-m",
        "segue",
        "batch",
        str(videos),
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
        for number in range(10):
            patience = time.monotonic() + rng.uniform(0.0, 5.0) * (number > 0)
            workers = wait_for(
                lambda patience=patience: (
                    (time.monotonic() > patience and begun(tmp_path / "killed") and workers_of(process))
                    or process.poll() is not None
                )
            )
            if isinstance(workers, list):
                os.kill(rng.choice(workers), signal.SIGKILL)
                killed += 1
        assert process.wait() == 0
    assert killed > 0

    assert results(tmp_path / "killed") == alone(videos, command)


@pytest.mark.usefixtures("workers_here")
@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_a_killed_batch_ends_its_workers_and_goes_on(command: Command, tmp_path: Path) -> None:
    for name in "ab":
        video(tmp_path / "videos" / f"{name}.mp4", 60)
    words = [sys.executable, "-m", "segue", "batch", "videos", *JOB, "-o", "out", "--workers", "1"]
    with subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        masks_of(tmp_path, process)
        workers = workers_of(process)
        process.kill()
    assert not [pid for pid in workers if alive(pid)]

    assert "there is a batch already" in command("batch", "videos", *JOB, "-o", "out").complaint
    assert "begun with" in command("batch", "videos", *JOB[:4], "-o", "out", "--resume").complaint
    assert command("batch", "videos", *JOB, "-o", "out", "--workers", 1, "--resume").code == 0
    assert len(results(tmp_path / "out")) == 120


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
        (("videos", "--do", "detect"), "choose from track, foreground, instances"),
        (("videos", "--do", "foreground", "--colour", "red"), "there is no option --colour"),
        (("videos", "--do", "foreground", "--events", "e.csv"), "one place for all videos"),
        (("nowhere", "--do", "foreground"), "no such file, folder or list"),
        (("--status",), "there is no batch here"),
        (("videos", "--do", "foreground", "--address", "127.0.0.1:1"), "Ray"),
    ],
)
def test_mistakes_take_one_line_before_anything_is_done(
    videos: Path, command: Command, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    run = command("batch", *arguments, "-o", "out")

    assert run.code == 2
    assert message in run.err
    assert not results(tmp_path / "out")


@pytest.mark.slow
def test_two_nodes_of_a_ray_cluster_give_the_bytes_of_one_worker(
    videos: Path, batch: Batch, command: Command, tmp_path: Path
) -> None:
    needs("ray")
    cluster_utils = needs("ray.cluster_utils")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        run = batch(videos, *JOB, "-o", tmp_path / "ray", "--address", cluster.address, "--workers", 2)
    finally:
        cluster.shutdown()
    assert run.returncode == 0, run.stderr
    assert results(tmp_path / "ray") == alone(videos, command)


@pytest.fixture
def bucket(store_port: int, store_keys: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of an object store on the loopback address."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{store_port}")
    return "s3://stored"


@pytest.mark.usefixtures("workers_here")
def test_videos_come_from_an_object_store_and_results_go_there(
    videos: Path, command: Command, bucket: str, request: pytest.FixtureRequest
) -> None:
    s3fs = needs("s3fs")
    s3fs.S3FileSystem.clear_instance_cache()  # clients of another address
    request.addfinalizer(s3fs.S3FileSystem.clear_instance_cache)
    store = s3fs.S3FileSystem()
    store.mkdir("stored")
    store.put(str(videos), "stored/in", recursive=True)

    run = command("batch", f"{bucket}/in", *JOB, "-o", f"{bucket}/out", "--workers", 1)

    assert run.code == 0, run.err
    store.invalidate_cache()
    assert len(store.glob("stored/out/inner/c/masks/0*.png")) == 12
    assert store.exists("stored/out/inner/c/.segue.done")
    for name, data in alone(videos, command).items():
        assert store.cat_file(f"stored/out/{name}") == data


def test_one_video_under_two_names_is_reported(videos: Path, command: Command, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("source,name\nvideos/a.mp4,one\nvideos/a.mp4,two\n")
    assert "row 2: the same video" in command("batch", "list.csv", *JOB, "-o", "out").complaint


def test_a_wrong_option_of_one_video_is_reported_with_its_name(
    videos: Path, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "list.csv").write_text('source,box\nvideos/b.mp4,"5,8,30,40"\nvideos/a.mp4,"5,80,35"\n')
    complaint = command("batch", "list.csv", "-o", "out").complaint
    assert complaint.startswith(
        f"error: a ({tmp_path / 'videos' / 'a.mp4'}): box '5,80,35' is not of the form"
    )
    everywhere = command("batch", "videos", "--box", "5,80,35", "-o", "out").complaint
    assert everywhere.startswith("error: box '5,80,35' is not of the form")


def names_and_states(output: Path) -> dict[str, str]:
    with Ledger(output / ".segue-batch/ledger.sqlite", create=False) as ledger:
        return {row.name: row.state for row in ledger.tasks()}


def test_videos_that_would_share_a_folder_are_an_error_before_anything_is_written(
    command: Command, tmp_path: Path
) -> None:
    for number, names in enumerate((("a.mp4", "a.mkv"), ("a.mp4", "a/b.mp4"))):
        folder = tmp_path / f"videos-{number}"
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        run = command("batch", folder, *JOB, "-o", "out")
        assert run.code == 2
        assert "'a'" in run.err
        assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("workers_here")
def test_a_batch_knows_its_sources_results_and_weights(
    videos: Path, command: Command, tmp_path: Path
) -> None:
    words = (*JOB, "-o", "out", "--workers", 1)
    assert command("batch", videos, *words).code == 0
    before = results(tmp_path / "out")
    video(videos / "a.mp4", 9, seed=7)
    shutil.rmtree(tmp_path / "out/b")

    changed = command("batch", videos, *words, "--resume")

    assert changed.code == 1
    assert "a: its source is another than the batch was begun with: its size was" in changed.err
    assert "b: its results are gone; it is done again" in changed.err
    assert names_and_states(tmp_path / "out") == {"a": "failed", "b": "done", "inner/c": "done"}
    assert results(tmp_path / "out") == before  # also those of the old video, until they are asked for again
    assert command("batch", videos, *words, "--retry-failed").code == 0
    assert len(results(tmp_path / "out/a")) == 9


def started(*words: object, cwd: Path, **options: Any) -> subprocess.Popen[bytes]:
    """A batch that runs, in a process group of its own as in a terminal."""
    return subprocess.Popen(
        [sys.executable, "-m", "segue", "batch", *map(str, words)],
        cwd=cwd,
        stdout=options.pop("stdout", subprocess.DEVNULL),
        stderr=options.pop("stderr", subprocess.DEVNULL),
        start_new_session=True,
        **options,
    )


def masks_of(folder: Path, process: subprocess.Popen[bytes]) -> list[Path]:
    """The masks of videos in work, as soon as there are some."""
    ended_or_found = wait_for(
        lambda: process.poll() is not None or list(folder.glob("out/.segue-batch/work/*/masks/0*.png")),
        pause=0.002,  # a video may be done in a tenth of a second
    )
    assert ended_or_found is not True, "the batch has ended"
    return ended_or_found


@pytest.mark.usefixtures("workers_here")
@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_one_ctrl_c_ends_the_batch_in_seconds_with_everything_kept(command: Command, tmp_path: Path) -> None:
    for name in "ab":
        video(tmp_path / f"videos/{name}.mp4", 400)  # more than a fifth of a second
    words = ("videos", *JOB, "-o", "out", "--workers", 1)
    with started(*words, cwd=tmp_path, stderr=subprocess.PIPE) as process:
        workers = wait_for(lambda: workers_of(process))
        masks_of(tmp_path, process)
        os.kill(workers[0], signal.SIGSTOP)  # else it may end the video before it hears of Ctrl-C
        begun = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        os.kill(workers[0], signal.SIGCONT)
        _, err = process.communicate(timeout=60)
        took = time.monotonic() - begun

    assert process.returncode == 130
    assert took < QUICK
    assert "interrupted; give the same command with --resume to go on" in err.decode()
    assert "Traceback" not in err.decode()
    assert not [pid for pid in workers if alive(pid)]
    states = set(names_and_states(tmp_path / "out").values())
    assert "queued" in states <= {"queued", "done"}, "a busy machine may have done one of them"
    kept = {path: path.read_bytes() for path in tmp_path.glob("out/.segue-batch/work/*/masks/0*.png")}
    assert kept
    assert list(tmp_path.glob(f"out/.segue-batch/work/*/masks/{STATE}"))
    assert command("batch", *words, "--resume").code == 0
    assert len(results(tmp_path / "out")) == 800
    names = {key_of(name): name for name in "ab"}
    for path, data in kept.items():
        assert (tmp_path / "out" / names[path.parts[-3]] / "masks" / path.name).read_bytes() == data


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_while_workers_import_is_silent_and_quick(tmp_path: Path, times: int) -> None:
    for name in "ab":
        video(tmp_path / f"videos/{name}.mp4", 600)
    words = ("videos", *JOB, "-o", "out", "--workers", 2)
    with started(*words, cwd=tmp_path, stderr=subprocess.PIPE) as process:
        workers = wait_for(lambda: len(pids := workers_of(process)) == 2 and pids)
        begun = time.monotonic()
        for _ in range(times):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.3)
        _, err = process.communicate(timeout=60)

    assert time.monotonic() - begun < QUICK
    # The second one may come when Python is ending and handles signals no more; a shell shows 130 for both.
    assert process.returncode in ((130,) if times == 1 else (130, -signal.SIGINT))
    assert "Traceback" not in err.decode(), err.decode()
    assert not [pid for pid in workers if alive(pid)]


@pytest.mark.usefixtures("workers_here")
@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes there")
def test_a_name_that_is_no_utf8_and_one_that_commands_the_terminal(command: Command, tmp_path: Path) -> None:
    video(tmp_path / "videos/plain.mp4", 3)
    for name in (b"caf\xe9.mp4", b"red\x1b[31m.mp4"):
        shutil.copy(tmp_path / "videos/plain.mp4", os.fsencode(tmp_path / "videos") + b"/" + name)
    rotten = os.fsencode(tmp_path / "videos") + b"/rotten\xff\x1b[2J.mp4"
    Path(os.fsdecode(rotten)).write_bytes(b"nothing of the sort" * 50)

    run = command("batch", "videos", *JOB, "-o", "out", "--workers", 1)

    assert run.code == 1
    assert "0 queued, 0 running, 3 done, 1 failed" in run.out
    assert "failed: rotten\\udcff\\x1b[2J" in run.out
    assert "\x1b" not in run.out + run.err.replace("\x1b[?25h", "").replace("\x1b[?25l", "")
    assert len(results(tmp_path / "out")) == 9
    page = (tmp_path / "out/report.html").read_text("utf-8")
    assert "\x1b" not in page
    assert "rotten" in command("batch", "--status", "-o", "out").out
    assert command("batch", "videos", *JOB, "-o", "out", "--resume").code == 1


@pytest.mark.slow
def test_weights_that_were_replaced_are_reported(command: Command, tmp_path: Path) -> None:
    video(tmp_path / "a.mp4", 2)
    network = lively_lite()
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    (tmp_path / "list.csv").write_text('source,box\na.mp4,"5,30,30,60"\n')
    words = ("list.csv", "--weights", "w.safetensors", "--format", "png", "-o", "out", "--workers", 1)
    assert command("batch", *words).code == 0
    next(network.parameters()).data.mul_(1.01)
    save_file(network.state_dict(), tmp_path / "w.safetensors")

    assert 'this batch was begun with weights {"' in command("batch", *words, "--resume").complaint


def test_single_files_are_refused_however_they_are_written(
    videos: Path, command: Command, tmp_path: Path
) -> None:
    for option in (("--events=e.csv",), ("--events", "e.csv"), ("--background=b.png",), ("--explain=x",)):
        assert "one place for all videos" in command("batch", videos, *JOB, *option, "-o", "out").complaint
    for text in ("--events=e.csv", "--events e.csv", "--output x", "--overwrite"):
        (tmp_path / "list.csv").write_text(f"source,options\nvideos/a.mp4,\nvideos/b.mp4,{text}\n")
        assert "leave it out" in command("batch", "list.csv", *JOB, "-o", "out").complaint


@pytest.mark.usefixtures("workers_here")
def test_images_of_events_have_a_folder_for_each_video(
    videos: Path, command: Command, tmp_path: Path
) -> None:
    """Each run removes the images of the run before it."""
    words = (*JOB[:-1], "events", "--objects", "-o", "out", "--workers", 1)
    shared = command("batch", videos, *words, "--snapshots", "x")
    assert "--snapshots" in shared.complaint
    assert not (tmp_path / "x").exists()
    rows = (f"videos/{name}.mp4,--snapshots {name}" for name in "ab")
    (tmp_path / "list.csv").write_text("\n".join(["source,options", *rows]))
    assert command("batch", "list.csv", *words).code == 0
    assert all((tmp_path / name).is_dir() for name in "ab")


@pytest.mark.usefixtures("workers_here")
def test_passwords_and_tokens_are_shown_nowhere(tmp_path: Path) -> None:
    address = "http://me:secret@127.0.0.1:9/video.mp4?token=verysecret"
    (tmp_path / "list.txt").write_text(address + "\n")

    ended = run_forked("batch", "list.txt", *JOB, "-o", "out", "--workers", 1, folder=tmp_path)
    again = run_forked("batch", "--status", "-o", "out", folder=tmp_path)

    page = (tmp_path / "out/report.html").read_text("utf-8")
    for shown in (ended.stdout, ended.stderr, again.stdout, page):
        assert "secret" not in shown
    assert "http://127.0.0.1:9/video.mp4" in ended.stdout
    for file in (tmp_path / "out").rglob("*"):
        assert file.is_dir() or b"secret" not in file.read_bytes()
    assert list(names_and_states(tmp_path / "out")) == ["video"]


@pytest.mark.usefixtures("workers_here")
def test_a_resumed_batch_takes_passwords_from_its_sources(
    videos: Path, command: Command, tmp_path: Path
) -> None:
    asked = []

    class Videos(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.path = self.path.partition("?")[0]
            super().do_GET()

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Videos, directory=videos)) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/a.mp4?token=verysecret"
        (tmp_path / "list.txt").write_text(address + "\n")
        (videos / "a.mp4").rename(videos / "later.mp4")
        command("batch", "list.txt", *JOB, "-o", "out", "--workers", 1)
        (videos / "later.mp4").rename(videos / "a.mp4")

        alone = command("batch", *JOB, "-o", "out", "--retry-failed", "--workers", 1)
        assert "a: the ledger keeps no users, passwords and queries" in alone.complaint
        command("batch", "list.txt", *JOB, "-o", "out", "--retry-failed", "--workers", 1)
        server.shutdown()

    assert names_and_states(tmp_path / "out") == {"a": "done"}
    assert set(asked) == {"/a.mp4?token=verysecret"}
