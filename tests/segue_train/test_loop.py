"""The training loop on a network of three numbers."""

from __future__ import annotations

import csv
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from segue.errors import CheckpointError, DatasetError, SinkError, TrainingError
from segue.weights import read_checkpoint

loop = pytest.importorskip("segue_train.loop", reason="the extra train is not installed")


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


def test_two_runs_of_one_seed_agree_and_two_seeds_do_not(settings: Any, tmp_path: Path) -> None:
    ends = [
        weights(loop.train(LineRecipe(), replace(settings, out=tmp_path / name, seed=seed)))
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    ]
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


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


def test_a_step_is_finished_with_all_of_its_batches(settings: Any) -> None:
    seen: list[int] = []

    def interrupt(number: int) -> None:
        seen.append(number)
        if number == 4:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        loop.train(LineRecipe(event=interrupt), replace(settings, accumulate=3))
    assert read_checkpoint(settings.out / "line.safetensors").metadata["step"] == "2"
    assert seen == list(range(6))


class JudgedLine(Line):
    """A line with a helper whose gradient is a million times as large."""

    def __init__(self) -> None:
        super().__init__()
        self.judge = nn.Parameter(torch.zeros(3))

    def forward(
        self, batch: dict[str, Tensor], progress: float, step: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        loss, parts = super().forward(batch, progress, step)
        return loss + 1e6 * self.judge.sum(), parts


@dataclass(frozen=True)
class JudgedRecipe(LineRecipe):
    judged: bool = True

    def network(self) -> nn.Module:
        torch.manual_seed(0)
        return JudgedLine() if self.judged else Line()

    def optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        return torch.optim.SGD(groups)


def test_only_the_gradient_of_the_network_is_cut(settings: Any, tmp_path: Path) -> None:
    ends = [
        weights(loop.train(JudgedRecipe(judged=judged), replace(settings, out=tmp_path / str(judged))))
        for judged in (True, False)
    ]
    assert torch.equal(*ends)


def test_weights_say_what_made_them(settings: Any) -> None:
    metadata = read_checkpoint(loop.train(LineRecipe(), settings)).metadata
    assert metadata.items() >= {"recipe": "line", "seed": "3", "step": "6", "steps": "6"}.items()


def test_the_average_of_the_weights_is_what_is_exported(settings: Any) -> None:
    exported = weights(loop.train(LineRecipe(average_decay=0.9), replace(settings, steps=1)))
    state = torch.load(settings.out / "last.ckpt", weights_only=True)
    before = replace(settings, out=settings.out / "none", steps=1)
    torch.manual_seed(before.seed)
    start = Line().network.weight.detach()
    decay = 1 / 11
    torch.testing.assert_close(exported, decay * start + (1 - decay) * state["network"]["network.weight"])


def test_existing_output_is_refused_unless_resumed_or_thrown_away(settings: Any) -> None:
    loop.train(LineRecipe(), settings)
    with pytest.raises(SinkError, match=r"--resume.*--overwrite"):
        loop.train(LineRecipe(), settings)
    with pytest.raises(SinkError, match="one of them"):
        loop.train(LineRecipe(), replace(settings, resume=True, overwrite=True))
    loop.train(LineRecipe(), replace(settings, overwrite=True, steps=2))
    assert read_checkpoint(settings.out / "line.safetensors").metadata["step"] == "2"


def test_there_must_be_something_to_resume(settings: Any) -> None:
    with pytest.raises(CheckpointError, match="nothing to resume"):
        loop.train(LineRecipe(), replace(settings, resume=True))


def test_a_checkpoint_of_another_run_is_refused(settings: Any) -> None:
    loop.train(LineRecipe(), settings)
    with pytest.raises(CheckpointError, match=r"last\.ckpt.*seed is 3, that of this run 5"):
        loop.train(LineRecipe(), replace(settings, resume=True, seed=5))


def test_a_run_with_other_options_or_data_is_refused(settings: Any) -> None:
    begun = replace(settings, origin={"data": "(4 files 0123)", "batch": "4"})
    loop.train(LineRecipe(), begun)
    loop.train(LineRecipe(), replace(begun, resume=True))
    with pytest.raises(CheckpointError, match=r"last\.ckpt.*begun with data \(4 files 0123\), not \(5"):
        loop.train(LineRecipe(), replace(begun, resume=True, origin={**begun.origin, "data": "(5 files)"}))


def test_a_damaged_checkpoint_is_refused_in_one_line(settings: Any) -> None:
    loop.train(LineRecipe(), settings)
    path = settings.out / "last.ckpt"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(CheckpointError, match=r"last\.ckpt: damaged") as caught:
        loop.train(LineRecipe(), replace(settings, resume=True))
    assert "\n" not in str(caught.value)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(settings: Any) -> None:
    with pytest.raises(TrainingError, match="nan at step 5"):
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


ENDED_BY_THE_CLUSTER = """
import os, signal, sys
from pathlib import Path
from segue_train.loop import RunSettings, train
from tests.segue_train.test_loop import LineRecipe

def end_the_group(number):
    if number == int(sys.argv[2]):
        os.killpg(0, signal.SIGTERM)
        if sys.argv[3] == "True":
            os.kill(os.getppid(), signal.SIGINT)

settings = RunSettings(
    out=Path(sys.argv[1]), steps=12, seed=3, accelerator="cpu", save_every=50, log_every=50,
    workers=2, report=lambda text: None,
)
try:
    train(LineRecipe(event=end_the_group), settings)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="there are no process groups here")
@pytest.mark.parametrize(("moment", "passed_on"), [(0, False), (4, True), (9, False)])
def test_sigterm_to_the_whole_group_saves_and_the_run_goes_on(
    settings: Any, tmp_path: Path, moment: int, passed_on: bool
) -> None:
    """Whoever started the training may get the signal too, and pass it on as Ctrl-C."""
    settings = replace(settings, steps=12)
    whole = loop.train(LineRecipe(), replace(settings, out=tmp_path / "whole"))
    child = [sys.executable, "-c", ENDED_BY_THE_CLUSTER, str(settings.out), str(moment), str(passed_on)]
    ended = subprocess.run(child, capture_output=True, text=True, start_new_session=True, timeout=120)
    assert ended.returncode == 130, ended.stderr
    assert "Traceback" not in ended.stderr
    step = int(read_checkpoint(settings.out / "line.safetensors").metadata["step"])
    assert 0 < step < 12
    assert torch.equal(weights(loop.train(LineRecipe(), replace(settings, resume=True))), weights(whole))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_half_precision_learns_and_goes_on_with_its_scale(settings: Any, tmp_path: Path) -> None:
    half = replace(settings, accelerator="cuda", precision="16-mixed", steps=80, save_every=10)
    whole = weights(loop.train(LineRecipe(), replace(half, out=tmp_path / "whole")))
    loop.train(LineRecipe(), replace(half, until=40))
    saved = torch.load(half.out / "last.ckpt", map_location="cpu", weights_only=True)
    assert saved["precision"]["scale"] > 1
    again = weights(loop.train(LineRecipe(), replace(half, resume=True)))
    # y = x1 + x2 + x3, learnt in half precision; GPUs add in changing order.
    assert torch.allclose(again, torch.ones_like(again), atol=0.1)
    assert torch.allclose(again, whole, atol=1e-2)


def test_lightning_says_nothing_of_its_own(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", lambda record: said.append(record.getMessage()))
    logger = logging.getLogger("lightning_fabric")
    monkeypatch.setattr(logger, "handlers", [handler])
    logger.setLevel(logging.INFO)  # as Lightning leaves it
    loop.train(LineRecipe(), replace(settings, precision="bf16-mixed", steps=1))
    assert not [line for line in said if "Precision" in line]


def test_unreadable_data_are_reported_in_one_line_from_workers_too(settings: Any) -> None:
    with pytest.raises(DatasetError) as caught:
        loop.train(LineRecipe(event=fail), replace(settings, workers=1))
    assert str(caught.value) == "mask.png is not a readable mask"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_worker_that_the_kernel_kills_is_reported_as_lack_of_memory(settings: Any) -> None:
    with pytest.raises(TrainingError, match="killed by signal 9, probably out of memory"):
        loop.train(LineRecipe(event=kill), replace(settings, workers=1))


def kill(number: int) -> None:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)


def fail(number: int) -> None:
    raise DatasetError("mask.png is not a readable mask")


def test_losses_are_logged_and_resuming_keeps_the_former_log(settings: Any) -> None:
    lines: list[str] = []
    loop.train(LineRecipe(), replace(settings, until=4, report=lines.append))
    loop.train(LineRecipe(), replace(settings, resume=True, report=lines.append))
    assert [line.split("  ")[0] for line in lines] == ["step 2/6", "step 4/6", "step 6/6"]
    assert lines[-1].endswith("0:00 left")
    for folder, steps in (("from-0", ["2", "4"]), ("from-4", ["6"])):
        with (settings.out / "logs" / folder / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["step"] for row in rows] == steps
        assert all(float(row["loss"]) > 0 for row in rows)
        assert list((settings.out / "logs" / folder).glob("events.*"))


def test_the_best_network_is_kept_apart(settings: Any) -> None:
    scores = iter([0.3, 0.8, 0.5])
    run = replace(settings, validate=lambda network: next(scores), validate_every=2)
    loop.train(LineRecipe(), run)
    assert read_checkpoint(settings.out / "line-best.safetensors").metadata["step"] == "4"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59, "0:01"), (3570, "1:00"), (9300, "2:35"), (360_000, "100:00")]
)
def test_time_is_reported_in_hours_and_minutes(seconds: float, text: str) -> None:
    assert loop.hours_minutes(seconds) == text
