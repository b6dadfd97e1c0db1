"""Trainings in processes of their own: interrupted, on several devices, on several machines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from segue.errors import TrainingError
from segue.weights import read_checkpoint
from segue_train.recipe import devices_of
from tests.ports import free_port
from tests.segue_train.scenes import save_scene

# Threads add up in an order that differs from run to run. Adam makes of such an error in a gradient near 0 a
# step as long as any other, of 1e-4: three steps gave differences of 5e-5 with two threads, of 2e-6 with one.
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1"}
TINY = {"width": "0.05", "size": "32x32", "batch": "2", "workers": "0", "device": "cpu", "log-every": "1"}


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    save_scene(tmp_path / "videos", "baseline", "highway")
    return tmp_path / "videos"


def run(videos: Path, name: str, *more: str, **settings: str) -> Path:
    """Train in a process; gives the weights."""
    begun = begin(videos, name, *more, **settings)
    said = begun.communicate()[0]
    if begun.returncode:
        raise TrainingError(said)
    return videos.with_name(name) / "mustan2.safetensors"


def begin(videos: Path, name: str, *more: str, **settings: str) -> subprocess.Popen[str]:
    """Begin a training in a process of its own."""
    options = TINY | {"data": f"cdnet={videos}", "out": str(videos.with_name(name))} | settings
    words = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "segue", "train", "mustan2", *words, *more]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, env=ONE_THREAD, **pipes)


def steps(path: Path) -> tuple[str, str]:
    notes = read_checkpoint(path).metadata
    return notes["step"], notes["steps"]


@pytest.mark.slow
def test_a_training_that_is_interrupted_saves_its_step_and_goes_on(videos: Path) -> None:
    folder = videos.with_name("run")
    begun = begin(videos, "run", "--save-every=100000", steps="100000")
    # The training has begun when its log is there; nothing but the end would save.
    look = threading.Event()
    while not any(file.stat().st_size for file in (folder / "logs").glob("*/metrics.csv")):
        look.wait(0.05)
    begun.send_signal(signal.SIGINT)
    assert "--resume" in begun.communicate(timeout=120)[0]
    assert begun.returncode == 130
    done, wanted = steps(folder / "mustan2.safetensors")
    assert 0 < int(done) < int(wanted) == 100000
    again = run(videos, "run", "--resume", steps=str(int(done) + 1))
    assert steps(again) == (str(int(done) + 1),) * 2


@pytest.mark.slow
def test_failed_trainings_raise_their_error(videos: Path) -> None:
    with pytest.raises(TrainingError, match="nowhere"):
        run(videos, "run", data=f"cdnet={videos / 'nowhere'}")


def same_values(one: Path, other: Path) -> None:
    """See that what is learnt is equal; running statistics are those of one device."""
    first, second = (read_checkpoint(path).tensors for path in (one, other))
    for name, value in first.items():
        if "running" not in name and "tracked" not in name:
            assert torch.allclose(value, second[name], atol=1e-5), name


@pytest.mark.slow
def test_two_devices_learn_what_one_learns_from_two_batches_a_step(videos: Path) -> None:
    two = run(videos, "two", steps="3", devices="2")
    one = run(videos, "one", steps="3", accumulate="2")
    assert steps(two) == ("3", "3")
    same_values(one, two)


@pytest.mark.slow
def test_two_machines_learn_what_one_learns_from_two_batches_a_step(videos: Path) -> None:
    port = free_port()
    words = [
        f"--{name}={value}" for name, value in (TINY | {"data": f"cdnet={videos}", "steps": "3"}).items()
    ]
    words += [f"--out={videos.with_name('nodes')}"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    launch += ["--master-addr=127.0.0.1", f"--master-port={port}"]
    nodes = [
        subprocess.Popen(
            [*launch, f"--node-rank={rank}", "-m", "segue", "train", "mustan2", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=ONE_THREAD,
        )
        for rank in (0, 1)
    ]
    outputs = [node.communicate(timeout=500)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], outputs
    one = run(videos, "one", steps="3", accumulate="2")
    assert steps(videos.with_name("nodes") / "mustan2.safetensors") == ("3", "3")
    same_values(one, videos.with_name("nodes") / "mustan2.safetensors")


def test_devices_are_those_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "LOCAL_WORLD_SIZE", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert devices_of(3) == (3, 1)
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8"}.items():
        monkeypatch.setitem(os.environ, name, value)
    assert devices_of(1) == devices_of(4) == (4, 2)
    with pytest.raises(TrainingError):
        devices_of(2)
    monkeypatch.setitem(os.environ, "WORLD_SIZE", "6")
    with pytest.raises(TrainingError):
        devices_of(1)
