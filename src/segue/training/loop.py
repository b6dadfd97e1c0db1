"""One training loop for all recipes: Lightning Fabric carries it from one CPU core to many GPUs.

A recipe says what the network is, what a batch is and what the loss is; this loop does the rest: precision,
devices, checkpoints, resume, logs, time left.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning.fabric import Fabric
from lightning.fabric.loggers import CSVLogger, TensorBoardLogger
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from segue.errors import CheckpointError


class Recipe(Protocol):
    """What differs from one training to the next."""

    name: str
    gradient_clip: float | None
    average_decay: float | None

    def network(self) -> nn.Module:
        """The network, initialised; its ``forward(batch, progress)`` returns the loss and its parts."""
        ...

    def batches(self, steps: int, seed: int) -> Dataset[dict[str, Tensor]]:
        """Map-style data set of ``steps`` whole batches."""
        ...

    def parameter_groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """Parameters with their base learning rates."""
        ...

    def optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer: ...

    def learning_rate(self, progress: float, step: int) -> float:
        """Factor on the base learning rates."""
        ...


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a recipe is run.

    Attributes:
        out: folder for checkpoints and logs.
        steps: optimiser steps in all; a resumed run may change it, schedules follow ``step / steps``.
        precision: a Fabric precision, such as ``32-true``, ``bf16-mixed`` or ``16-mixed``.
        save_every: steps between two checkpoints.
        until: stop after this step without changing the schedules; the run can be resumed later.
    """

    out: Path
    steps: int
    seed: int = 0
    precision: str = "32-true"
    accelerator: str = "auto"
    devices: int | str = 1
    workers: int = 0
    save_every: int = 500
    log_every: int = 20
    resume: bool = False
    until: int | None = None
    report: Callable[[str], None] = print


@dataclass(slots=True)
class Progress:
    """Where a run stands; saved with every checkpoint."""

    step: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)


def train(recipe: Recipe, settings: RunSettings) -> Path:
    """Run a recipe and return the exported weights, ``out/<name>.safetensors``.

    Raises:
        CheckpointError: ``resume`` without a checkpoint, or a checkpoint of another run.
        FloatingPointError: the loss is no longer finite.
    """
    settings.out.mkdir(parents=True, exist_ok=True)
    loggers = [
        CSVLogger(settings.out, name="logs", version="csv", flush_logs_every_n_steps=1),
        TensorBoardLogger(settings.out, name="logs", version="tensorboard"),
    ]
    fabric = Fabric(
        accelerator=settings.accelerator,
        devices=settings.devices,
        precision=settings.precision,
        loggers=loggers,
    )
    fabric.launch()
    fabric.seed_everything(settings.seed + fabric.global_rank, verbose=False)
    raw = recipe.network()
    average = _Average(raw, recipe.average_decay) if recipe.average_decay else None
    network, optimizer = fabric.setup(raw, recipe.optimizer(recipe.parameter_groups(raw)))
    base = [group["lr"] for group in optimizer.param_groups]
    progress = Progress()
    latest = settings.out / "last.ckpt"
    if settings.resume:
        _restore(fabric, latest, network, optimizer, average, progress)
    data = recipe.batches(settings.steps, settings.seed)
    end = min(settings.until or settings.steps, settings.steps)
    share = range(progress.step + fabric.global_rank, end, fabric.world_size)
    loader = DataLoader(Subset(data, share), batch_size=None, num_workers=settings.workers)
    loader = fabric.setup_dataloaders(loader, use_distributed_sampler=False)
    network.train()
    mark, marked_step = time.perf_counter(), progress.step
    for batch in loader:
        where = progress.step / settings.steps
        factor = recipe.learning_rate(where, progress.step)
        for group, rate in zip(optimizer.param_groups, base, strict=True):
            group["lr"] = rate * factor
        loss, parts = network(batch, where)
        fabric.backward(loss)
        if recipe.gradient_clip:
            fabric.clip_gradients(network, optimizer, max_norm=recipe.gradient_clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if average:
            average.update(raw)
        progress.step += fabric.world_size
        for name, value in {"loss": loss, **parts}.items():
            progress.sums[name] = progress.sums.get(name, 0.0) + float(value.detach())
        if progress.step % settings.log_every < fabric.world_size:
            now = time.perf_counter()
            progress.seconds += now - mark
            rate = (progress.step - marked_step) / (now - mark)
            mark, marked_step = now, progress.step
            _log(fabric, settings, progress, rate, factor)
        if progress.step % settings.save_every < fabric.world_size or progress.step >= end:
            _save(fabric, latest, network, optimizer, average, progress)
            if fabric.is_global_zero:
                _export(recipe, settings, raw, average, progress)
    return settings.out / f"{recipe.name}.safetensors"


class _Average:
    """Exponential moving average of the weights; young averages follow faster."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.count = 0
        self.weights = {name: p.detach().clone() for name, p in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        self.count += 1
        decay = min(self.decay, self.count / (self.count + 10))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value.to(self.weights[name].device), 1 - decay)


def _save(
    fabric: Fabric,
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: _Average | None,
    progress: Progress,
) -> None:
    state: dict[str, Any] = {"network": network, "optimizer": optimizer}
    state["progress"] = {"step": progress.step, "seconds": progress.seconds}
    if average:
        state["average"] = {"count": average.count, "weights": average.weights}
    partial = path.with_suffix(".partial")
    fabric.save(partial, state)
    if fabric.is_global_zero:
        partial.replace(path)
    fabric.barrier()


def _restore(
    fabric: Fabric,
    path: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: _Average | None,
    progress: Progress,
) -> None:
    if not path.is_file():
        raise CheckpointError(f"nothing to resume: {path} does not exist; start without --resume")
    rest = fabric.load(path, {"network": network, "optimizer": optimizer}, weights_only=True)
    progress.step, progress.seconds = rest["progress"]["step"], rest["progress"]["seconds"]
    if average:
        average.count = rest["average"]["count"]
        average.weights = rest["average"]["weights"]


def _export(
    recipe: Recipe, settings: RunSettings, network: nn.Module, average: _Average | None, progress: Progress
) -> None:
    weights = average.weights if average else network.state_dict()
    notes = {"recipe": recipe.name, "steps": str(progress.step), "seed": str(settings.seed)}
    weights = {name.removeprefix("network."): value.contiguous() for name, value in weights.items()}
    save_file(weights, settings.out / f"{recipe.name}.safetensors", notes)
    summary = {"step": progress.step, "steps": settings.steps, "seconds": round(progress.seconds)}
    (settings.out / "progress.json").write_text(json.dumps(summary) + "\n")


def _log(fabric: Fabric, settings: RunSettings, progress: Progress, rate: float, factor: float) -> None:
    means = {name: value / settings.log_every for name, value in progress.sums.items()}
    progress.sums.clear()
    if not math.isfinite(means["loss"]):
        raise FloatingPointError(f"loss is {means['loss']} at step {progress.step}; the last checkpoint stands")
    fabric.log_dict({**means, "learning_rate_factor": factor}, step=progress.step)
    left = (settings.steps - progress.step) / rate
    parts = " ".join(f"{name} {value:.4f}" for name, value in means.items())
    if fabric.is_global_zero:
        settings.report(
            f"step {progress.step}/{settings.steps}  {parts}  {1 / rate:.2f} s/step  "
            f"{left / 3600:.0f}:{left / 60 % 60:02.0f} left"
        )
