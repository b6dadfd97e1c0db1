"""Trainings in processes of their own: interrupted, on several devices, on several machines."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from segue.cancel import CancelToken
from segue.errors import TrainingError
from segue.jobs import TrainJob, run
from segue.jobs.observer import Observer
from segue.weights import read_checkpoint
from segue_train.recipe import devices_of
from tests.segue_train.scenes import save_scene

TINY = {"width": "0.05", "size": "32x32", "batch": "2", "workers": "0", "device": "cpu", "log-every": "1"}


@pytest.fixture
def films(tmp_path: Path) -> Path:
    save_scene(tmp_path / "films", "baseline", "highway")
    return tmp_path / "films"


def job(films: Path, name: str, **settings: Any) -> TrainJob:
    return TrainJob(
        network="mustan2", settings=TINY | {"data": f"cdnet={films}"} | settings, folder=films.with_name(name)
    )


def steps(path: Path) -> tuple[str, str]:
    notes = read_checkpoint(path).metadata
    return notes["step"], notes["steps"]


@pytest.mark.slow
def test_a_training_that_is_cancelled_saves_its_step_and_goes_on(films: Path) -> None:
    token = CancelToken()
    folder = films.with_name("run")

    class Canceller(Observer):
        def notice(self, text: str) -> None:
            # The training has begun when its log is there; nothing but the end would save.
            token_when_there(folder / "logs", token)

    long = job(films, "run", steps="100000", **{"save-every": "100000"})
    with pytest.raises(KeyboardInterrupt, match="--resume to go on"):
        run(long, Canceller(), token)
    done, wanted = steps(folder / "mustan2.safetensors")
    assert 0 < int(done) < int(wanted) == 100000
    again = job(films, "run", steps=str(int(done) + 1)).model_copy(update={"resume": True})
    assert steps(run(again).paths["weights"]) == (str(int(done) + 1),) * 2


def token_when_there(place: Path, token: CancelToken) -> None:
    """Cancel a token when a metrics file below a folder has lines, which a thread looks for."""

    def look() -> None:
        while not any(file.stat().st_size for file in place.glob("*/metrics.csv")):
            token.wait(0.05)
        token.cancel()

    threading.Thread(target=look, daemon=True).start()


def test_an_option_that_a_training_does_not_have_is_refused_when_its_job_is_made(films: Path) -> None:
    with pytest.raises(ValidationError, match="--widths"):
        job(films, "run", widths="2")


@pytest.mark.slow
def test_what_is_wrong_with_a_training_is_its_error(films: Path) -> None:
    with pytest.raises(TrainingError, match="nowhere"):
        run(job(films, "run", data=f"cdnet={films / 'nowhere'}"))


def same_values(one: Path, other: Path) -> None:
    """See that what is learnt is equal; running statistics are those of one device."""
    first, second = (read_checkpoint(path).tensors for path in (one, other))
    for name, value in first.items():
        if "running" not in name and "tracked" not in name:
            assert torch.allclose(value, second[name], atol=1e-4), name


@pytest.mark.slow
def test_two_devices_learn_what_one_learns_from_two_batches_a_step(films: Path) -> None:
    two = run(job(films, "two", steps="3", devices="2")).paths["weights"]
    one = run(job(films, "one", steps="3", accumulate="2")).paths["weights"]
    assert steps(two) == ("3", "3")
    same_values(one, two)


@pytest.mark.slow
def test_two_machines_learn_what_one_learns_from_two_batches_a_step(films: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [f"--{name}={value}" for name, value in (TINY | {"data": f"cdnet={films}", "steps": "3"}).items()]
    words += [f"--out={films.with_name('nodes')}"]
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
    one = run(job(films, "one", steps="3", accumulate="2")).paths["weights"]
    assert steps(films.with_name("nodes") / "mustan2.safetensors") == ("3", "3")
    same_values(one, films.with_name("nodes") / "mustan2.safetensors")


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
