"""The training loop on a network of three numbers."""

from __future__ import annotations

import csv
import ctypes
import errno
import importlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from segue.errors import CheckpointError, DatasetError, OutOfMemoryError, SinkError, TrainingError
from segue.utils import files
from segue.utils.files import locked
from segue.weights import read_checkpoint
from tests.cli.forked import start_forked
from tests.needs import needs

needs("tensorboard")
loop = importlib.import_module("segue_train.loop")
handover = importlib.import_module("segue_train.data.handover")


class Line(nn.Module):
    """Fits ``y = a·x``; a batch that holds NaN gives a loss that is NaN."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Linear(3, 1, bias=False)

    def forward(
        self, batch: dict[str, Tensor], progress: float, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        loss = (self.network(batch["x"]) - batch["x"].sum(1, keepdim=True)).square().mean()
        return loss, {"square": loss}


class Numbers(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Batches of random numbers; ``event`` happens before each, number ``broken`` is NaN."""

    def __init__(self, count: int, seed: int, event: Callable[[int], None], broken: int | None) -> None:
        self.count, self.seed, self.event, self.broken = count, seed, event, broken

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        self.event(number)
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(1000 * self.seed + number))
        return {"x": x * torch.nan if number == self.broken else x}


@dataclass(frozen=True)
class LineRecipe:
    name: str = "line"
    gradient_clip: float | None = 1.0
    average_decay: float | None = None
    event: Callable[[int], None] = lambda number: None
    broken: int | None = None

    def network(self) -> nn.Module:
        return Line()

    def batches(self, count: int, seed: int) -> Numbers:
        return Numbers(count, seed, self.event, self.broken)

    def parameter_groups(self, network: nn.Module) -> list[dict[str, Any]]:
        return [{"params": list(network.parameters()), "lr": 0.1}]

    def optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(groups)

    def learning_rate(self, progress: float, step: int) -> float:
        return 1 - progress


@pytest.fixture
def settings(tmp_path: Path) -> Any:
    return loop.RunSettings(
        out=tmp_path / "run",
        steps=6,
        seed=3,
        accelerator="cpu",
        save_every=2,
        log_every=2,
        report=lambda text: None,
    )


def weights(path: Path) -> Tensor:
    return read_checkpoint(path).tensors["weight"]


@pytest.mark.parametrize("decay", [None, 0.9])
def test_a_resumed_run_ends_as_an_uninterrupted_one(
    settings: Any, tmp_path: Path, decay: float | None
) -> None:
    recipe = LineRecipe(average_decay=decay)
    whole = loop.train(recipe, settings)
    parts = replace(settings, out=tmp_path / "parts")
    loop.train(recipe, replace(parts, until=3))
    half = weights(parts.out / "line.safetensors")
    resumed = loop.train(recipe, replace(parts, resume=True))
    assert torch.equal(weights(resumed), weights(whole))
    assert not torch.equal(half, weights(whole))


def test_logs_have_the_learning_rate_of_the_steps(settings: Any) -> None:
    loop.train(LineRecipe(), settings)
    with (settings.out / "logs" / "from-0" / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["learning_rate"]]
    # The last of each two steps: 0.1 falls to 0 in six.
    rates = {int(row["step"]): float(row["learning_rate"]) for row in rows}
    assert rates == pytest.approx({2: 0.1 * 5 / 6, 4: 0.1 * 3 / 6, 6: 0.1 * 1 / 6})


def test_callbacks_are_told_of_steps_scores_and_files(settings: Any) -> None:
    told: list[Any] = []

    class Callback:
        def on_train_start(self, run: Any) -> None:
            told.append(("start", run.settings.steps))

        def on_step_end(self, run: Any, losses: dict[str, float]) -> None:
            told.append((run.step, sorted(losses)))

        def on_validation_end(self, run: Any, score: float) -> None:
            told.append(("score", score, type(run.network)))

        def on_save(self, run: Any, path: Path) -> None:
            told.append(("saved", path.is_file()))

    scored = replace(settings, steps=2, validate=lambda network: 0.5, callbacks=[Callback()])
    loop.train(LineRecipe(), scored)
    steps = [(number, ["loss", "square"]) for number in (1, 2)]
    assert told == [("start", 2), *steps, ("score", 0.5, nn.Linear), ("saved", True)]


@pytest.mark.parametrize(
    ("seconds", "words"), [(45.2, "45 s"), (720, "12 min"), (12_000, "3 h 20 min"), (89.9, "90 s")]
)
def test_times_are_read_at_a_glance(seconds: float, words: str) -> None:
    assert loop.time_left(seconds) == words


def test_a_run_goes_on_with_as_many_batches_a_step(settings: Any) -> None:
    loop.train(LineRecipe(), replace(settings, accumulate=2, until=2))
    words = r"started with 2 batches a step, not 1; keep --devices times --accumulate at 2"
    with pytest.raises(CheckpointError, match=words):
        loop.train(LineRecipe(), replace(settings, resume=True))
    path = settings.out / "last.ckpt"
    state = torch.load(path, weights_only=True)
    del state["progress"]["batches"]  # as those of earlier versions
    torch.save(state, path)
    loop.train(LineRecipe(), replace(settings, accumulate=2, resume=True))


class Joined(torch.utils.data.Dataset[dict[str, Tensor]]):
    """Each batch is three of :class:`Numbers`."""

    def __init__(self, count: int, parts: Numbers) -> None:
        self.count, self.parts = count, parts

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        return {"x": torch.cat([self.parts[i]["x"] for i in range(3 * number, 3 * number + 3)])}


@dataclass(frozen=True)
class SteepRecipe(LineRecipe):
    """Steps are gradients, so that equal weights mean equal gradients."""

    large: bool = False

    def batches(self, count: int, seed: int) -> Any:
        small = super().batches(3 * count if self.large else count, seed)
        return Joined(count, small) if self.large else small

    def optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        return torch.optim.SGD(groups)


def test_batches_that_accumulate_have_the_gradient_of_a_large_one(settings: Any, tmp_path: Path) -> None:
    large = weights(loop.train(SteepRecipe(large=True), settings))
    parts = replace(settings, out=tmp_path / "parts", accumulate=3)
    loop.train(SteepRecipe(), replace(parts, until=2))
    resumed = loop.train(SteepRecipe(), replace(parts, resume=True))
    torch.testing.assert_close(weights(resumed), large, rtol=1e-6, atol=1e-7)
    alone = weights(loop.train(SteepRecipe(), replace(settings, out=tmp_path / "alone")))
    assert (alone - large).abs().max() > 1e-3


def test_existing_output_is_refused_unless_resumed_or_thrown_away(settings: Any) -> None:
    loop.train(LineRecipe(), settings)
    with pytest.raises(SinkError, match=r"--resume.*--overwrite"):
        loop.train(LineRecipe(), settings)
    with pytest.raises(SinkError):
        loop.train(LineRecipe(), replace(settings, resume=True, overwrite=True))
    loop.train(LineRecipe(), replace(settings, overwrite=True, steps=2))
    assert read_checkpoint(settings.out / "line.safetensors").metadata["step"] == "2"


@pytest.mark.parametrize("how", [{}, {"resume": True}, {"overwrite": True}])
def test_a_folder_takes_one_training_at_a_time(
    settings: Any, monkeypatch: pytest.MonkeyPatch, how: dict[str, bool]
) -> None:
    monkeypatch.setattr(files, "ENDING", 0.05)
    if how:
        loop.train(LineRecipe(), replace(settings, steps=1))
    with locked([settings.out / "last.ckpt"]):
        before = sorted(settings.out.iterdir())
        with pytest.raises(SinkError):
            loop.train(LineRecipe(), replace(settings, steps=2, **how))
        assert sorted(settings.out.iterdir()) == before
    loop.train(LineRecipe(), replace(settings, steps=2, **how))
    assert not list(settings.out.glob(".*"))


def test_there_must_be_something_to_resume(settings: Any) -> None:
    with pytest.raises(CheckpointError):
        loop.train(LineRecipe(), replace(settings, resume=True))
    loop.train(LineRecipe(), replace(settings, until=1))
    loop.train(LineRecipe(), replace(settings, resume=True))


def test_a_checkpoint_of_another_run_is_refused(settings: Any) -> None:
    loop.train(LineRecipe(), settings)
    with pytest.raises(CheckpointError, match=r"last\.ckpt.*seed"):
        loop.train(LineRecipe(), replace(settings, resume=True, seed=5))


def test_a_damaged_checkpoint_is_refused_in_one_line(settings: Any) -> None:
    loop.train(LineRecipe(), settings)
    path = settings.out / "last.ckpt"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(CheckpointError, match=r"last\.ckpt: ") as caught:
        loop.train(LineRecipe(), replace(settings, resume=True))
    assert "\n" not in str(caught.value)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(settings: Any) -> None:
    with pytest.raises(TrainingError, match="step 5"):
        loop.train(LineRecipe(broken=4), settings)
    assert read_checkpoint(settings.out / "line.safetensors").metadata["step"] == "4"
    assert torch.isfinite(weights(settings.out / "line.safetensors")).all()


def test_ctrl_c_saves_and_the_run_goes_on_as_if_nothing_had_been(settings: Any, tmp_path: Path) -> None:
    whole = loop.train(LineRecipe(), replace(settings, out=tmp_path / "whole"))

    def interrupt(number: int) -> None:
        if number == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        loop.train(LineRecipe(event=interrupt), settings)
    assert read_checkpoint(settings.out / "line.safetensors").metadata["step"] == "3"
    assert torch.equal(weights(loop.train(LineRecipe(), replace(settings, resume=True))), weights(whole))


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="there are no process groups here")
@pytest.mark.parametrize(("moment", "passed_on"), [pytest.param(0, False, marks=pytest.mark.slow), (9, True)])
def test_sigterm_to_the_whole_group_saves_and_the_run_goes_on(
    settings: Any, tmp_path: Path, moment: int, passed_on: bool
) -> None:
    """Whoever started the training may get the signal too, and pass it on as Ctrl-C."""
    settings = replace(settings, steps=12)
    whole = loop.train(LineRecipe(), replace(settings, out=tmp_path / "whole"))

    def end_the_group(number: int) -> None:
        if number == moment:
            os.killpg(0, signal.SIGTERM)
            if passed_on:
                os.kill(os.getppid(), signal.SIGINT)

    def train_in_a_group() -> None:
        os.setpgid(0, 0)
        without_saves = replace(settings, save_every=50, log_every=50, workers=2)
        try:
            loop.train(LineRecipe(event=end_the_group), without_saves)
        except KeyboardInterrupt:
            sys.exit(130)

    ended = start_forked(train_in_a_group)()
    assert ended.returncode == 130, ended.stderr
    assert "Traceback" not in ended.stderr
    step = int(read_checkpoint(settings.out / "line.safetensors").metadata["step"])
    assert 0 < step < 12
    assert torch.equal(weights(loop.train(LineRecipe(), replace(settings, resume=True))), weights(whole))


class Counted(Line):
    """It also counts its passes, as batch norms keep statistics, and learns from the batch before again."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("passes", torch.zeros(()))
        self.previous: dict[str, Tensor] = {}

    def get_extra_state(self) -> dict[str, Tensor]:
        return self.previous

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        self.previous = state

    def forward(self, batch: Any, progress: float, step: int) -> Any:
        self.passes += 1
        retained = self.previous.get("x", batch["x"])
        self.previous["x"] = batch["x"]  # in place, of which a copy of the dict alone would not know
        return super().forward({"x": torch.cat([batch["x"], retained])}, progress, step)


@dataclass(frozen=True)
class CountedRecipe(LineRecipe):
    def network(self) -> nn.Module:
        return Counted()


class Stuck(Counted):
    """Its fourth step does not end, and gets SIGTERM."""

    def forward(
        self, batch: dict[str, Tensor], progress: float, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        result = super().forward(batch, progress, step)
        if step == 3:
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
            mutex = ctypes.create_string_buffer(64)
            library = ctypes.CDLL(None)
            library.pthread_mutex_lock(mutex)
            library.pthread_mutex_lock(mutex)  # for ever, as in a long call: no handler of Python runs
        return result


class StuckRecipe(CountedRecipe):
    def network(self) -> nn.Module:
        return Stuck()


@pytest.mark.skipif(sys.platform != "linux", reason="a lock of its C library")
def test_sigterm_ends_a_step_that_does_not_and_the_run_goes_on(settings: Any, tmp_path: Path) -> None:
    whole = loop.train(CountedRecipe(), replace(settings, out=tmp_path / "whole"))
    begun = time.monotonic()
    stuck = replace(settings, save_every=500, log_every=50, report=print)
    ended = start_forked(lambda: loop.train(StuckRecipe(), stuck))()
    assert ended.returncode == 130, ended.stderr
    assert time.monotonic() - begun < 60
    assert "step 4 takes longer than 1 s; the state before it is saved" in ended.stdout
    resumed = loop.train(CountedRecipe(), replace(settings, resume=True))
    assert torch.equal(weights(resumed), weights(whole))
    states = [
        torch.load(path / "last.ckpt", weights_only=True)["network"]["passes"]
        for path in (settings.out, tmp_path / "whole")
    ]
    assert torch.equal(*states)


def test_unreadable_data_are_reported_in_one_line_from_workers_too(settings: Any) -> None:
    with pytest.raises(DatasetError) as caught:
        loop.train(LineRecipe(event=fail), replace(settings, workers=1))
    assert str(caught.value) == "mask.png is not a readable mask"


def test_workers_without_shared_memory_give_the_same_training(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker gives 64 MB; a tensor that has no room there is lost, and the loop would wait for ever."""
    whole = loop.train(LineRecipe(), replace(settings, out=tmp_path / "whole"))
    monkeypatch.setattr(handover, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(handover, "MIN_FREE", 1 << 62)  # workers are forked with it
    assert isinstance(handover.hand_over({"x": torch.zeros(2)})["x"], np.ndarray)
    monkeypatch.setattr(torch.UntypedStorage, "share_memory_", _refuse, raising=True)
    monkeypatch.setattr(torch.UntypedStorage, "_share_fd_cpu_", _refuse, raising=True)
    limited = loop.train(LineRecipe(), replace(settings, workers=2))
    assert torch.equal(weights(limited), weights(whole))


def _refuse(*_: object) -> None:
    raise RuntimeError("unable to allocate shared memory (shm): No space left on device (28)")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@dataclass(frozen=True)
class HugeRecipe(LineRecipe):
    """Its network needs more memory than any machine has."""

    def network(self) -> nn.Module:
        return nn.Linear(1 << 40, 1 << 20)


def test_a_network_that_memory_does_not_hold_is_said_in_one_sentence(settings: Any) -> None:
    with pytest.raises(OutOfMemoryError):
        loop.train(HugeRecipe(), settings)


def test_a_checkpoint_of_a_network_of_another_size_names_a_tensor(settings: Any) -> None:
    loop.train(LineRecipe(), replace(settings, until=1))
    with pytest.raises(CheckpointError, match=r"network\.weight"):
        loop.train(WideRecipe(), replace(settings, resume=True))


class WideRecipe(LineRecipe):
    """The same recipe with a network of five inputs."""

    def network(self) -> nn.Module:
        module = Line()
        module.network = nn.Linear(5, 1, bias=False)
        return module


def test_a_full_disk_is_told_with_what_stands_and_without_temporary_names(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop.train(LineRecipe(), replace(settings, until=1))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/tmpa1b2", None, "run/last.partial")

    monkeypatch.setattr(loop.Fabric, "save", full)
    with pytest.raises(SinkError) as caught:
        loop.train(LineRecipe(), replace(settings, resume=True))
    assert str(caught.value) == (
        f"{settings.out / 'last.ckpt'}: cannot write the checkpoint (the disk is full; free some space); "
        "the checkpoint before it stands, --resume it"
    )


def test_a_training_beside_one_that_runs_there_is_told_so(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "ENDING", 0.05)
    loop.train(LineRecipe(), replace(settings, until=1))
    for more in ({}, {"resume": True}, {"overwrite": True}):
        with locked([settings.out / "last.ckpt"]), pytest.raises(SinkError, match="another run is writing"):
            loop.train(LineRecipe(), replace(settings, **more))


def test_a_worker_that_the_kernel_kills_is_reported_as_lack_of_memory(settings: Any) -> None:
    with pytest.raises(TrainingError, match="signal 9"):
        loop.train(LineRecipe(event=kill), replace(settings, workers=1))


def kill(number: int) -> None:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)


def fail(number: int) -> None:
    raise DatasetError("mask.png is not a readable mask")


def test_seconds_per_step_are_without_validation_and_saving(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    lines: list[str] = []

    def learn(_: int) -> None:
        clock.now += 2

    def score(_: nn.Module) -> float:
        clock.now += 1000
        return 0.5

    more = {"log_every": 1, "save_every": 1, "validate": score, "validate_every": 2}
    loop.train(LineRecipe(event=learn), replace(settings, steps=4, report=lines.append, **more))
    assert [line.split("  ")[2] for line in lines if "s/step" in line] == ["2.00 s/step"] * 4


def validates_for_long(rank: int, file: Path) -> None:
    """One of two processes of a training; the first validates longer than the group of gradients waits."""
    limit = timedelta(seconds=1)
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2, timeout=limit)
    group = loop.patient_group()
    if rank == 0:
        time.sleep(1.2)
    loop.wait_for_all(group)
    dist.destroy_process_group()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes that have imported PyTorch already")
@pytest.mark.skipif(not dist.is_gloo_available(), reason="PyTorch without gloo")
def test_processes_wait_for_a_validation_longer_than_the_limit_of_their_group(tmp_path: Path) -> None:
    make = multiprocessing.get_context("fork").Process
    begun = [make(target=validates_for_long, args=(rank, tmp_path / "group")) for rank in range(2)]
    for process in begun:
        process.start()
    for process in begun:
        process.join(120)
    assert [process.exitcode for process in begun] == [0, 0]
