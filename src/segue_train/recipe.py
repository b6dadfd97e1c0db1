"""Interface of recipes, and settings of a run for :mod:`segue_train.loop`."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol, TypeVar, cast, dataclass_transform

import numpy as np
import numpy.typing as npt
import pydantic.dataclasses
import torch
from pydantic import ConfigDict, GetPydanticSchema, ValidationError, model_validator
from pydantic_core import ArgsKwargs, core_schema
from torch import Tensor, nn
from torch.utils.data import Dataset

from segue.errors import TrainingError
from segue.jobs.values import error_text
from segue.options import option
from segue.utils.inputs import check_choice

T = TypeVar("T")

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
LoggerName = Literal["wandb", "mlflow"]
Accelerator = Literal["auto", "cpu", "cuda", "gpu", "mps"]
Batch = dict[str, Tensor]
Loss = tuple[Tensor, dict[str, Tensor]]  # what is made smaller, and its parts by name

UNCHECKED = GetPydanticSchema(lambda source, handler: core_schema.any_schema())
"""Marks a field with objects such as videos, which are not validated."""


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def checked_dataclass(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]:
    """Create a frozen dataclass that validates its values and defines options of commands.

    See :func:`segue.options.option`.
    """
    # Not with defer_build: what is built later loses the docstrings (pydantic 2.14).
    config = ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False, use_attribute_docstrings=True)
    decorator = pydantic.dataclasses.dataclass(frozen=True, kw_only=kw_only, config=config)
    return cast(Callable[[type[T]], type[T]], decorator)


@checked_dataclass()
class Checked:
    """Base of validated values of a training."""

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, values: ArgsKwargs, build: Callable[[Any], Any]) -> Any:
        arguments = inspect.signature(cls).bind(*values.args, **(values.kwargs or {})).arguments
        try:
            return build(ArgsKwargs((), arguments))  # errors name the argument, not its place
        except ValidationError as errors:
            raise TrainingError(error_text(errors)) from None


class Recipe(Protocol):
    """Parts that differ between trainings."""

    @property
    def name(self) -> str:
        """Name of the network, and of the file of weights."""

    @property
    def gradient_clip(self) -> float | None:
        """Maximum norm of the network's gradient, or None."""

    @property
    def average_decay(self) -> float | None:
        """Decay of the moving average of weights, which is exported; or None."""

    def network(self) -> nn.Module:
        """Create the initialised network as attribute ``network`` of a module.

        Returns:
            A module whose ``forward(batch, progress, step)`` gives the loss and its parts by name;
            ``progress`` is in [0, 1).
        """

    def batches(self, count: int, seed: int) -> Dataset[Batch]:
        """Create the data of a run.

        Args:
            count: number of batches.
            seed: seed of the run.

        Returns:
            Map-style data set; batch ``i`` depends on ``seed`` and ``i`` alone.
        """

    def parameter_groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """Group the parameters that learn.

        Args:
            network: the network that is trained.

        Returns:
            Groups in PyTorch's form, each with its base learning rate as ``lr``.
        """

    def optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Create the optimiser.

        Args:
            groups: result of :meth:`parameter_groups`.

        Returns:
            An optimiser over the groups.
        """

    def learning_rate(self, progress: float, step: int) -> float:
        """Factor of the learning rate.

        Args:
            progress: share of the training that is done, in [0, 1).
            step: number of the step, from 0.

        Returns:
            Factor on the base learning rates.
        """


@checked_dataclass()
class CommonRecipe(Checked):
    """Defaults of most recipes: Adam at one rate for all trainable parameters, no clipping, no averaging.

    ``factors`` are on the rate, by a part of the parameters' names; the first that fits counts.

    A recipe whose rate falls in steps gives the shares of the run after which it does as ``falls``.
    """

    factors: ClassVar[Mapping[str, float]] = {"": 1.0}
    optimise: ClassVar[Any] = torch.optim.Adam
    falls: ClassVar[tuple[float, ...]] = ()
    fall_factor: ClassVar[float] = 0.1
    rate: Annotated[float, option(gt=0)] = field(kw_only=True)
    """Maximum learning rate; parts of the network may have a share of it."""

    gradient_clip: ClassVar[float | None] = None
    average_decay: ClassVar[float | None] = None

    def parameter_groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """Group trainable parameters by their factor."""
        groups: dict[str, list[nn.Parameter]] = {part: [] for part in self.factors}
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                groups[next(part for part in groups if part in name)].append(parameter)
        return [
            {"params": parameters, "lr": self.rate * self.factors[part]}
            for part, parameters in groups.items()
            if parameters
        ]

    def optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Create the optimiser with the recipe's constants."""
        optimizer: torch.optim.Optimizer = type(self).optimise(groups)
        return optimizer

    def step_cost(self, batches: int, *, on_processor: bool) -> str:
        """Describe the cost of a step on a device; empty if it is small."""
        return ""

    def learning_rate(self, progress: float, step: int) -> float:
        """Factor that falls in steps."""
        return self.fall_factor ** sum(progress >= fall for fall in self.falls)


def warmed_cosine(progress: float, step: int, warm_up: int, floor: float) -> float:
    """Factor that rises to 1 during warm-up and falls by a cosine."""
    return min(1.0, (step + 1) / warm_up) * (floor + (1 - floor) * (0.5 + 0.5 * math.cos(math.pi * progress)))


class Objective(nn.Module):
    """A network with its loss, a function of network, batch, progress and step."""

    def __init__(self, network: nn.Module, loss: Callable[..., Loss]) -> None:
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, batch: Batch, progress: float, step: int) -> Loss:
        """Loss of a batch, a scalar tensor, and its parts by name."""
        return self.loss(self.network, batch, progress, step)


@dataclass(frozen=True)
class Batches(Dataset[Batch]):
    """Batches by number, each from generators seeded by the run's seed and the number."""

    count: int
    seed: int

    def batch_of(self, number: int) -> Batch:
        """Create batch ``number``, below ``count``."""
        raise NotImplementedError

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Batch:
        if number >= self.count:
            raise IndexError(number)
        return self.batch_of(number)


@lru_cache(maxsize=2)  # a batch may reach into the next pass
def order_of_pass(total: int, *seed: int) -> npt.NDArray[np.int64]:
    """Random order of all items in a pass. Returns (total,), int64."""
    return np.random.default_rng(seed).permutation(total)


def in_passes(total: int, number: int, batch: int, *seed: int) -> Iterator[int]:
    """Items of a batch, from shuffled passes over all items."""
    for place in range(number * batch, (number + 1) * batch):
        epoch, rank = divmod(place, total)
        yield int(order_of_pass(total, *seed, epoch)[rank])


def stacked(arrays: Iterable[npt.NDArray[Any]]) -> Tensor:
    """Stack arrays to a tensor along a new first dimension."""
    return torch.from_numpy(np.stack(list(arrays)))


@checked_dataclass()
class RunSettings(Checked):
    """Settings of a run."""

    out: Annotated[Path, option(flags="out,o")]
    """Folder for weights, checkpoints and logs."""

    steps: Annotated[int, option(ge=1)]
    """Total number of steps; a resumed run may change it. Schedules depend on `step / steps`."""

    seed: int = option(0)
    """Seed of all random choices."""

    precision: Precision = option("32-true")
    """Precision, with Fabric's names; `16-mixed` scales the loss."""

    accelerator: Accelerator = option("auto", flags="device")
    """Device type; auto is a GPU if there is one."""

    devices: int = option(1, ge=1)
    """Number of GPUs of this machine, each with its own batches; do not set it with torchrun."""

    accumulate: int = option(1, ge=1)
    """Number of batches per device whose gradients are averaged for one step, if a whole batch does not fit
    into the memory of a device."""

    workers: int = option(0, ge=0)
    """Number of processes that prepare batches; 0 prepares them between the steps."""

    save_every: int = option(500, ge=1)
    """Steps between checkpoints."""

    log_every: int = option(20, ge=1)
    """Steps between lines of the log."""

    resume: bool = option(False)
    """Continue the run in the output folder."""

    overwrite: bool = option(False)
    """Delete the run in the output folder."""

    until: int | None = option(None, ge=1)
    """Stop after this step, to continue later with `--resume`; schedules do not change."""

    validate: Callable[[nn.Module], float] | None = None
    """Scores a network in evaluation mode, higher is better; the best one is kept apart."""

    validate_every: int = option(1000, ge=1)
    """Steps between validations."""

    logger: LoggerName | None = option(None)
    """Also log to Weights & Biases or MLflow. CSV and TensorBoard are always written."""

    callbacks: Annotated[Sequence[Any], UNCHECKED] = ()
    """Objects with some of the methods `on_train_start(run)`, `on_step_end(run, losses)`,
    `on_validation_end(run, score)` and `on_save(run, path)`. Every process calls them, except for the score,
    which only the first one knows. `run` is a :class:`segue_train.loop.Run`."""

    report: Callable[[str], None] = print
    """Called with each message, a line at a time."""

    origin: Mapping[str, str] = field(default_factory=dict)
    """What the result depends on other than the recipe's name and the seed; a resumed run must have the same.
    Empty for recipes that are not made of options."""

    defaults: Mapping[str, str] = field(default_factory=dict)
    """Default values in ``origin``, for runs of versions without the option."""


def check_accelerator(name: str, devices: int) -> None:
    """Raise an error unless this machine has the requested devices."""
    check_choice("the device of a training", name, Accelerator, TrainingError)
    if name in ("auto", "cpu"):
        return
    available = torch.cuda.device_count() if name != "mps" else int(torch.backends.mps.is_available())
    if available < devices:
        raise TrainingError(
            f"--device {name}: PyTorch finds {available} such devices, not {devices}; --device cpu trains on "
            "the processor"
        )


def devices_of(requested: int) -> tuple[int, int]:
    """Numbers of devices per machine and of machines, for the requested devices."""
    if not torch.distributed.is_available() or not torch.distributed.is_torchelastic_launched():
        return requested, 1
    local, world = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    if requested not in (1, local):
        raise TrainingError(
            f"--devices {requested}, but torchrun started {local} on this machine; leave out --devices"
        )
    if world % local:
        raise TrainingError(
            f"{world} processes in all cannot be {local} on each machine; start as many on each"
        )
    return local, world // local
