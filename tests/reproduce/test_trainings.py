"""Trainings in processes of their own: interrupted, on several devices, on several machines."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from segue.cancel import CancelToken
from segue.errors import TrainingError
from segue.reproduce.processes import train
from segue.weights import read_checkpoint
from segue_train.recipe import devices_of
from tests.segue_train.scenes import save_scene

TINY = {"width": "0.05", "size": "32x32", "batch": "2", "workers": "0", "device": "cpu", "log-every": "1"}


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    save_scene(tmp_path / "videos", "baseline", "highway")
    return tmp_path / "videos"


def run(videos: Path, name: str, *more: str, cancel: CancelToken | None = None, **settings: str) -> Path:
    """Train in a process; gives the weights."""
    folder = videos.with_name(name)
    options = TINY | {"data": f"cdnet={videos}", "out": str(folder)} | settings
    train(["mustan2", *(f"--{name}={value}" for name, value in options.items()), *more], cancel)
    return folder / "mustan2.safetensors"


def steps(path: Path) -> tuple[str, str]:
    notes = read_checkpoint(path).metadata
    return notes["step"], notes["steps"]


@pytest.mark.slow
def test_a_training_that_is_cancelled_saves_its_step_and_goes_on(videos: Path) -> None:
    token = CancelToken()
    folder = videos.with_name("run")

    # The training has begun when its log is there; nothing but the end would save.
    token_when_there(folder / "logs", token)
    with pytest.raises(KeyboardInterrupt, match="--resume to go on"):
        run(videos, "run", "--save-every=100000", steps="100000", cancel=token)
    done, wanted = steps(folder / "mustan2.safetensors")
    assert 0 < int(done) < int(wanted) == 100000
    again = run(videos, "run", "--resume", steps=str(int(done) + 1))
    assert steps(again) == (str(int(done) + 1),) * 2


def token_when_there(place: Path, token: CancelToken) -> None:
    """Cancel a token when a metrics file below a folder has lines, which a thread looks for."""

    def look() -> None:
        while not any(file.stat().st_size for file in place.glob("*/metrics.csv")):
            token.wait(0.05)
        token.cancel()

    threading.Thread(target=look, daemon=True).start()


@pytest.mark.slow
def test_what_is_wrong_with_a_training_is_its_error(videos: Path) -> None:
    with pytest.raises(TrainingError, match="nowhere"):
        run(videos, "run", data=f"cdnet={videos / 'nowhere'}")


def same_values(one: Path, other: Path) -> None:
    """See that what is learnt is equal; running statistics are those of one device."""
    first, second = (read_checkpoint(path).tensors for path in (one, other))
    for name, value in first.items():
        if "running" not in name and "tracked" not in name:
            assert torch.allclose(value, second[name], atol=1e-4), name


@pytest.mark.slow
def test_two_devices_learn_what_one_learns_from_two_batches_a_step(videos: Path) -> None:
    two = run(videos, "two", steps="3", devices="2")
    one = run(videos, "one", steps="3", accumulate="2")
    assert steps(two) == ("3", "3")
    same_values(one, two)


@pytest.mark.slow
def test_two_machines_learn_what_one_learns_from_two_batches_a_step(videos: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
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
    with pytest.raises(TrainingError, match="--devices"):
        devices_of(2)
    monkeypatch.setitem(os.environ, "WORLD_SIZE", "6")
    with pytest.raises(TrainingError, match="start as many on each"):
        devices_of(1)
