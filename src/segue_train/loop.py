"""Training loop of all recipes, by Lightning Fabric.

A recipe says what the network is, what a batch is and what the loss is; this loop does the rest: precision,
devices, checkpoints, resume, logs, time left.

On several devices each takes its own batches and the gradients are averaged: a step then uses as many batches
as there are devices. A device may also take several batches for a step, one after the other. The data of a
batch depend on the seed and its number alone, and so do random numbers of the network, such as dropout: a run
that was resumed on as many devices does what an uninterrupted one would have done.
"""

from __future__ import annotations

import copy
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from datetime import timedelta
from itertools import islice
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Subset

from segue.errors import DatasetError, MissingExtraError, SinkError, TrainingError, memory_errors
from segue.utils.cancel import CancelToken, call_after, cancel_on_signals
from segue.utils.extras import requires_extra
from segue.utils.files import locked, writing
from segue.utils.system import (
    killed_by,
    let_signals_through,
    set_opencv_threads,
    signals_blocked,
    stop_signals,
)
from segue_train import checkpoints
from segue_train.checkpoints import Progress
from segue_train.costs import time_left
from segue_train.data.handover import hand_over, take_over
from segue_train.recipe import Batch, LoggerName, Recipe, RunSettings, check_accelerator, devices_of

with requires_extra("train"):
    from lightning_fabric import Fabric
    from lightning_fabric.loggers.csv_logs import CSVLogger
    from lightning_fabric.loggers.logger import Logger
    from lightning_fabric.loggers.tensorboard import TensorBoardLogger


def train(recipe: Recipe, settings: RunSettings) -> Path:
    """Run a recipe; every checkpoint also writes the weights ``out/<name>.safetensors``.

    On Ctrl-C the current step is finished and saved first. On SIGTERM, too, unless that takes longer than
    :data:`GRACE`: then the state before this step is saved, and the process ends with the code 130.

    Args:
        recipe: network, batches, loss and optimiser of the training.
        settings: output folder, number of steps, seed, devices and how often the run saves and logs.

    Returns:
        The file of weights, ``out/<name>.safetensors``; ``out`` is the folder of ``settings``.

    Raises:
        KeyboardInterrupt: the run was interrupted, and is saved.
        SinkError: ``out`` holds another run, another process trains there, or it cannot be written.
        CheckpointError: there is nothing to resume, or a checkpoint is of another run.
        DatasetError: a file of the training data cannot be read.
        TrainingError: the loss is no longer finite, or a worker was killed, and the last checkpoint stands;
            or there is no such device, or ``torchrun`` started another number of processes than the settings
            ask for.
        OutOfMemoryError: the memory of the processor or of a GPU does not suffice.
    """
    with memory_errors(_LESS_MEMORY):
        return _train(recipe, settings)


VALIDATION_LIMIT = timedelta(days=7)
"""Maximum time for which processes wait for the one that validates and saves."""

GRACE, GRACE_OF_SEVERAL = 1.0, 8.0
"""Seconds after SIGTERM in which a step may end, with one process and with several, which save together or
not at all. A cluster or Docker often kills after ten, and saving a checkpoint takes some of them."""

_LESS_MEMORY = "--resume it with fewer --workers, or start again with smaller batches or images"


def _train(recipe: Recipe, settings: RunSettings) -> Path:
    check_accelerator(settings.accelerator, settings.devices)
    checkpoints.check_output_folder(
        settings.out, recipe.name, resume=settings.resume, overwrite=settings.overwrite
    )
    devices, machines = devices_of(settings.devices)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it repeats what was asked for
    fabric = Fabric(
        accelerator=settings.accelerator,
        devices=devices,
        num_nodes=machines,
        precision=settings.precision,
        callbacks=list(settings.callbacks),
    )
    fabric.launch()
    with locked([settings.out / checkpoints.LATEST]) if fabric.is_global_zero else nullcontext():
        _train_on(fabric, recipe, settings)
    return settings.out / f"{recipe.name}.safetensors"


def _train_on(fabric: Fabric, recipe: Recipe, settings: RunSettings) -> None:
    fabric.seed_everything(settings.seed, verbose=False)
    network = recipe.network()  # before anything is thrown away, for it may start from weights in ``out``
    if fabric.is_global_zero:
        checkpoints.clear_folder(settings.out, recipe.name, resume=settings.resume)
    fabric.barrier()
    run = TrainingRun(fabric, recipe, settings, network)
    try:
        run.run()
    except (RuntimeError, OSError, EOFError):  # how a lost worker shows depends on what it did last
        if all(worker.exitcode != -9 for worker in run.workers):
            raise
        raise TrainingError(
            f"a process that prepares batches {killed_by(-9)}; the last checkpoint stands, --resume it"
        ) from None


class TrainingRun:
    """One training, as passed to callbacks.

    Attributes:
        fabric: Lightning Fabric, which says which process this is.
        settings: settings of the run.
        progress: the steps so far and their time.
    """

    def __init__(self, fabric: Fabric, recipe: Recipe, settings: RunSettings, network: nn.Module) -> None:
        self.fabric, self.recipe, self.settings = fabric, recipe, settings
        self.raw: Any = network
        self.plain_optimizer = recipe.optimizer(recipe.parameter_groups(self.raw))
        self.objective, self.optimizer = fabric.setup(self.raw, self.plain_optimizer)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        a_step = fabric.world_size * settings.accumulate
        self.progress = Progress(recipe.name, settings.seed, settings.origin, a_step, settings.defaults)
        self.state: dict[str, Any] = {
            "progress": self.progress,  # first: it says best why a checkpoint is of another run
            "network": self.objective,
            "optimizer": self.optimizer,
            "precision": fabric.strategy.precision,
        }
        self.average = _averaged(self.raw, recipe.average_decay) if recipe.average_decay else None
        if self.average:
            self.state["average"] = self.average
        if settings.resume:
            checkpoints.restore(fabric, settings.out / checkpoints.LATEST, self.state)
        self.log = _Log(fabric, settings, self.progress)
        self.patient = patient_group()
        self.workers: Sequence[BaseProcess] = ()
        self._grace = GRACE if fabric.world_size == 1 else GRACE_OF_SEVERAL
        self._changes = threading.Lock()  # held while the state changes
        self._in_step = False
        self._before_step: dict[str, Any] = {}  # what the step in work changes of the network's state

    @property
    def step(self) -> int:
        """Number of completed steps."""
        return self.progress.step

    @property
    def network(self) -> nn.Module:
        """Network in training."""
        network: nn.Module = self.raw.network
        return network

    def run(self) -> None:
        """Run all remaining steps."""
        settings, progress = self.settings, self.progress
        end = min(settings.until or settings.steps, settings.steps)
        self.objective.train()
        self.fabric.call("on_train_start", run=self)
        with (
            cancel_on_signals() as token,
            call_after(signal.SIGTERM, self._grace, self._end_now),
            closing(self.log),
            closing(self._batches(end)) as batches,
            self._changes,
        ):
            while progress.step < end:
                stop = self._step(islice(batches, settings.accumulate), token)
                validates = progress.step % settings.validate_every == 0 or progress.step == end
                with self.log.pause():
                    if settings.validate and validates:
                        self._validate(settings.validate)
                    if stop or progress.step % settings.save_every == 0 or progress.step == end:
                        self._save()
                if stop:
                    raise KeyboardInterrupt

    def _batches(self, end: int) -> Generator[Batch, None, None]:
        """Batches of this device, from the current step to ``end``."""
        world, rank = self.fabric.world_size, self.fabric.global_rank
        a_step = self.progress.batches
        data = self.recipe.batches(self.settings.steps * a_step, self.settings.seed)
        subset = Subset(data, range(self.progress.step * a_step + rank, end * a_step, world))
        if self.settings.workers:
            cv2.setNumThreads(1)  # before processes are forked, which cannot end its threads
        loader: DataLoader[Batch] = DataLoader(
            subset,
            batch_size=None,
            num_workers=self.settings.workers,
            worker_init_fn=_settle_worker,
            collate_fn=hand_over if self.settings.workers else None,
            pin_memory=self.fabric.device.type == "cuda",
        )
        with signals_blocked(stop_signals()):  # workers begin with them blocked, until they ignore them
            batches: Any = iter(loader)
        if self.settings.workers:
            self.workers = batches._workers
        try:
            yield from map(self.fabric.to_device, map(take_over, batches))
        except DatasetError as error:
            # A worker sends its whole traceback as the message; the last line is what was wrong.
            message = str(error).strip().splitlines()[-1]
            raise DatasetError(message.split("DatasetError: ")[-1]) from error
        finally:
            # An error would keep the iterator, and with it workers for which Python waits when it ends.
            if self.settings.workers:
                batches._shutdown_workers()

    def _step(self, batches: Iterator[Batch], token: CancelToken) -> bool:
        """Run one optimiser step; returns whether any device was interrupted."""
        recipe, progress, count = self.recipe, self.progress, self.settings.accumulate
        where = progress.step / self.settings.steps
        factor = recipe.learning_rate(where, progress.step)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        totals: dict[str, float] = {}
        with self._unchanged():
            for number, batch in enumerate(batches, start=1):
                _seed_step(self.settings.seed, progress.step, number, self.fabric.global_rank)
                with self.fabric.no_backward_sync(self.objective, enabled=number < count):
                    values = self._accumulate_gradient(batch, where, token.cancelled and number == count)
                for name, value in values.items():
                    totals[name] = totals.get(name, 0.0) + value / count
        stop = totals.pop("interrupted") > 0
        if recipe.gradient_clip:
            self._clip_gradient(recipe.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            self.average.update_parameters(self.raw)
        progress.step += 1
        self.log.step(totals, max(group["lr"] for group in self.optimizer.param_groups))
        self.fabric.call("on_step_end", run=self, losses=totals)
        return stop

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """Context of a step's passes; copies what they may change, so that it can still be saved.

        A pass changes buffers and extra states, such as samples that stay for the next step.
        """
        parameters = {name for name, _ in self.raw.named_parameters(remove_duplicate=False)}
        state = self.raw.state_dict()
        self._before_step = {name: copy.deepcopy(state[name]) for name in state.keys() - parameters}
        self._in_step = True
        self._changes.release()
        try:
            yield
        finally:
            self._changes.acquire()
            self._in_step = False

    def _end_now(self) -> None:
        """Save the last state and end the process, without finishing the step."""
        with self._changes:
            if not self._in_step:  # it has ended in the meantime
                return
            done = "the last checkpoint stands"
            if self.fabric.world_size == 1:
                state = {**self.state, "network": {**self.raw.state_dict(), **self._before_step}}
                try:
                    checkpoints.save(self.fabric, self.settings.out / checkpoints.LATEST, state)
                    done = "the state before it is saved"
                except SinkError as error:
                    done = f"{error}; {done}"
            step, grace = self.progress.step + 1, self._grace
            self.settings.report(f"SIGTERM: step {step} takes longer than {grace:.0f} s; {done}, --resume it")
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(130)

    def _accumulate_gradient(self, batch: Batch, where: float, interrupted: bool) -> dict[str, float]:
        """Accumulate the gradient of a batch; returns the losses of all devices."""
        step = self.progress.step
        loss, parts = self.objective(batch, where, step)
        values = self._means({"loss": loss, **parts, "interrupted": loss.new_tensor(float(interrupted))})
        if not math.isfinite(values["loss"]):
            raise TrainingError(
                f"the loss is {values['loss']} at step {step + 1}; the last checkpoint stands, "
                "lower the learning rate or look at the data before --resume"
            )
        self.fabric.backward(loss / self.settings.accumulate)
        return values

    def _clip_gradient(self, norm: float) -> None:
        """Clip the gradient of the network, not of helpers such as a discriminator."""
        self.fabric.strategy.precision.unscale_gradients(self.plain_optimizer)
        nn.utils.clip_grad_norm_(self.raw.network.parameters(), norm)

    def _means(self, values: dict[str, Tensor]) -> dict[str, float]:
        """Average values over the devices, in one message."""
        stacked = torch.stack([value.detach().float() for value in values.values()])
        means = self.fabric.all_reduce(stacked, reduce_op="mean")
        assert isinstance(means, Tensor)
        return dict(zip(values, means.tolist(), strict=True))

    def _validate(self, score: Callable[[nn.Module], float]) -> None:
        if self.fabric.is_global_zero:
            network = copy.deepcopy(self._exported())
            with self._unchanged():
                value, progress = score(network.network.eval()), self.progress
            self.log.score(value)
            if value > progress.best_score:
                progress.best_score, progress.best_step = value, progress.step
                self._export("-best")
            self.fabric.call("on_validation_end", run=self, score=value)
        wait_for_all(self.patient)

    def _save(self) -> None:
        checkpoints.save(self.fabric, self.settings.out / checkpoints.LATEST, self.state)
        if self.fabric.is_global_zero:
            self._export("")
        self.fabric.call("on_save", run=self, path=self._file(""))
        wait_for_all(self.patient)

    def _file(self, suffix: str) -> Path:
        return self.settings.out / f"{self.recipe.name}{suffix}.safetensors"

    def _export(self, suffix: str) -> None:
        checkpoints.export(self._file(suffix), self._exported(), self.progress, self.settings.steps)

    def _exported(self) -> Any:
        return self.average.module if self.average else self.raw


def patient_group() -> dist.ProcessGroup | None:
    """Process group without time limit; None in a single process.

    The group of the gradients would end the run if a process waits longer than its time limit, such as ten
    minutes with NCCL, while another process validates.
    """
    if not dist.is_available() or not dist.is_initialized():
        return None
    group: dist.ProcessGroup = dist.new_group(backend="gloo", timeout=VALIDATION_LIMIT)
    return group


def wait_for_all(group: dist.ProcessGroup | None) -> None:
    """Wait for all processes of a group."""
    if group is not None:
        dist.barrier(group)


def _seed_step(*numbers: int) -> None:
    """Seed PyTorch's generators by run, step and batch, for dropout."""
    torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]))


def _averaged(network: nn.Module, decay: float) -> AveragedModel:
    """Exponential moving average of the weights, faster at the start."""

    def follow(average: Tensor, value: Tensor, count: Tensor | int) -> Tensor:
        if not value.is_floating_point():
            return value
        return average.lerp(value, 1 - min(decay, int(count) / (int(count) + 10)))

    average = AveragedModel(network, avg_fn=follow, use_buffers=True)
    assert isinstance(average.n_averaged, Tensor)
    average.n_averaged.fill_(1)  # the first step moves the average, too, instead of replacing it
    return average


class _Log:
    """Logs mean losses to the terminal, as CSV and for TensorBoard."""

    def __init__(self, fabric: Fabric, settings: RunSettings, progress: Progress) -> None:
        self.settings, self.progress = settings, progress
        self.sums: dict[str, float] = {}
        self.count = 0
        self.mark = self.reported = time.perf_counter()
        self.writers: list[Logger] = []
        if fabric.is_global_zero:
            where: dict[str, Any] = {"name": checkpoints.LOGS, "version": f"from-{progress.step}"}
            csv = CSVLogger(settings.out, flush_logs_every_n_steps=1, **where)
            self.writers = [csv, TensorBoardLogger(settings.out, **where)]
            if settings.logger is not None:
                self.writers.append(_online_logger(settings.logger, settings, progress))

    def step(self, values: dict[str, float], rate: float) -> None:
        """Add the losses and rate of a step; log every ``log_every`` steps and at the end."""
        now = time.perf_counter()
        self.progress.seconds += now - self.mark
        self.mark = now
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1
        if self.progress.step % self.settings.log_every == 0 or self.progress.step == self.settings.steps:
            if self.writers:
                self._speak((now - self.reported) / self.count, rate)
            self.reported, self.count = now, 0
            self.sums.clear()

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Exclude the time inside from the speed."""
        start = time.perf_counter()
        yield
        spent = time.perf_counter() - start
        self.mark, self.reported = self.mark + spent, self.reported + spent

    def score(self, value: float) -> None:
        self._write({"score": value})
        self.settings.report(f"step {self.progress.step}/{self.settings.steps}  score {value:.4f}")

    def close(self) -> None:
        for writer in self.writers:
            writer.finalize("success")

    def _speak(self, seconds: float, rate: float) -> None:
        step, steps = self.progress.step, self.settings.steps
        means = {name: total / self.count for name, total in self.sums.items()}
        self._write({**means, "learning_rate": rate, "seconds_per_step": seconds})
        parts = " ".join(f"{name} {value:.4f}" for name, value in means.items())
        left = time_left((steps - step) * seconds)
        self.settings.report(f"step {step}/{steps}  {parts}  {seconds:.2f} s/step  {left} left")

    def _write(self, values: dict[str, float]) -> None:
        with writing(self.settings.out / checkpoints.LOGS):
            for writer in self.writers:
                writer.log_metrics(dict(values), self.progress.step)
                writer.save()


def _online_logger(name: LoggerName, settings: RunSettings, progress: Progress) -> Logger:
    """Create a Lightning logger for Weights & Biases or MLflow, with the options of the run."""
    logger: Logger
    try:
        from pytorch_lightning import loggers  # late: few trainings use it

        if name == "wandb":
            logger = loggers.WandbLogger(
                name=settings.out.name, project=progress.recipe, save_dir=settings.out
            )
        else:
            logger = loggers.MLFlowLogger(experiment_name=progress.recipe, run_name=settings.out.name)
    except ImportError as error:
        package = {"wandb": "wandb", "mlflow": "mlflow-skinny"}[name]
        raise MissingExtraError(f"--logger {name} needs: pip install pytorch-lightning {package}") from error
    logger.log_hyperparams({**progress.origin, "seed": progress.seed, "steps": settings.steps})
    return logger


def _settle_worker(_: int) -> None:
    """Ignore signals in a worker, which the loop ends, and use one core."""
    for number in stop_signals():
        signal.signal(number, signal.SIG_IGN)
    let_signals_through(stop_signals())
    set_opencv_threads(1)
