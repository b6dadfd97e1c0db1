"""What a recipe is, and how it is run; :mod:`segue.training.loop` runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.utils.data import Dataset

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]

Batch = dict[str, Tensor]


class Recipe(Protocol):
    """What differs from one training to the next."""

    @property
    def name(self) -> str:
        """Name of the network, and of the file of weights."""
        ...

    @property
    def gradient_clip(self) -> float | None:
        """Norm at which the gradient of the network is cut, or None."""
        ...

    @property
    def average_decay(self) -> float | None:
        """Decay of the moving average of the weights, which is then what is exported; or None."""
        ...

    def network(self) -> nn.Module:
        """The initialised network as attribute ``network`` of a module.

        Its ``forward(batch, progress, step)`` returns the loss and its parts by name; ``progress`` in [0, 1).
        """
        ...

    def batches(self, count: int, seed: int) -> Dataset[Batch]:
        """Map-style data set of ``count`` whole batches."""
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
        out: folder for weights, checkpoints and logs.
        steps: steps in all; a resumed run may change it, schedules follow `step / steps`.
        seed: seed of everything random.
        precision: number format, as Fabric calls it; `16-mixed` scales the loss.
        accelerator: where it runs: auto, cpu or cuda.
        devices: number of GPUs, each with its own batches.
        accumulate: batches, per device, whose gradients are averaged for one step, as if they were one batch;
            for batches that a device has no room for.
        workers: processes that prepare batches; 0 prepares them between the steps.
        save_every: steps between two checkpoints.
        log_every: steps between two lines of the log.
        resume: go on with the run in the output folder.
        overwrite: throw away the run in the output folder.
        until: stop after this step, to go on later with `--resume`; schedules stay as they are.
        validate: scores a network in evaluation mode, higher is better; the best one is kept apart.
        validate_every: steps between two validations.
        report: told what happens, a line at a time.
    """

    out: Path
    steps: Annotated[int, Ge(1)]
    seed: int = 0
    precision: Precision = "32-true"
    accelerator: str = "auto"
    devices: int | str = 1
    accumulate: Annotated[int, Ge(1)] = 1
    workers: Annotated[int, Ge(0)] = 0
    save_every: Annotated[int, Ge(1)] = 500
    log_every: Annotated[int, Ge(1)] = 20
    resume: bool = False
    overwrite: bool = False
    until: Annotated[int | None, Ge(1)] = None
    validate: Callable[[nn.Module], float] | None = None
    validate_every: Annotated[int, Ge(1)] = 1000
    report: Callable[[str], None] = print
