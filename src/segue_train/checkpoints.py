"""Files of a training: checkpoints and weights."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segue.errors import CheckpointError, SinkError
from segue.utils.files import reason_of, refuse_if_locked
from segue.utils.system import replace_file
from segue.weights import write_checkpoint
from segue.weights.checkpoint import OPTIONS
from segue_train.origin import require_same

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LATEST = "last.ckpt"  # file in the folder of a run from which it goes on
LOGS = "logs"
_LOG_FILE = re.compile(r"metrics\.csv|hparams\.yaml|events\.out\.tfevents\..+")


class Progress:
    """Progress of a run: steps, their seconds, the best validation score and its step.

    ``batches`` are those of a step, over all devices: which samples come next depends on them.
    """

    def __init__(
        self,
        recipe: str,
        seed: int,
        origin: Mapping[str, str],
        batches: int,
        defaults: Mapping[str, str] | None = None,
    ) -> None:
        self._defaults = dict(defaults or {})
        self.recipe, self.seed, self.origin, self.batches = recipe, seed, dict(origin), batches
        self.step, self.seconds = 0, 0.0
        self.best_score, self.best_step = float("-inf"), 0

    def state_dict(self) -> dict[str, Any]:
        """State for a checkpoint."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        for name in ("recipe", "seed"):
            if state[name] != getattr(self, name):
                raise CheckpointError(f"its {name} is {state[name]}, that of this run {getattr(self, name)}")
        require_same(state["origin"], self.origin, self._defaults)
        if (
            saved_batches := state.get("batches", self.batches)
        ) != self.batches:  # early checkpoints do not say
            raise CheckpointError(
                f"it was started with {saved_batches} batches a step, not {self.batches}; keep --devices "
                f"times --accumulate at {saved_batches}, or give --overwrite to start again"
            )
        for name, value in state.items():
            setattr(self, name, value)


def check_output_folder(out: Path, name: str, *, resume: bool, overwrite: bool) -> None:
    """Raise unless a run may write into the folder."""
    if resume and overwrite:
        raise SinkError("--resume continues a run, --overwrite throws it away; give one of them")
    if resume and not (out / LATEST).is_file():
        raise CheckpointError(f"nothing to resume: {out / LATEST} does not exist; start without --resume")
    if not resume and not overwrite and _files_of_run(out, name):
        refuse_if_locked(out / LATEST)
        raise SinkError(f"{out}: holds a training run; give --resume to continue it, or --overwrite")


def clear_folder(out: Path, name: str, *, resume: bool) -> None:
    """Create the folder, and remove files of an earlier run unless it is resumed."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not resume:
            for path in _files_of_run(out, name):
                path.unlink()
            _remove_logs(out / LOGS)
    except OSError as error:
        raise SinkError(f"{out}: cannot write the training run there ({reason_of(error)})") from error


def _remove_logs(folder: Path) -> None:
    """Remove the logs of trainings from a folder."""
    for path in folder.glob("from-[0-9]*/*"):
        if _LOG_FILE.fullmatch(path.name):
            path.unlink()
    for emptied in (*folder.glob("from-[0-9]*"), folder):
        with suppress(OSError):  # there is something else in it
            emptied.rmdir()


def save(fabric: Fabric, path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint that appears under its name only when it is complete."""
    partial = path.with_suffix(".partial")
    try:
        fabric.save(partial, state)
        if fabric.is_global_zero:
            replace_file(partial, path)
    except (OSError, RuntimeError) as error:
        # PyTorch reports a full disk as a RuntimeError of its file writer.
        partial.unlink(missing_ok=True)
        stands = "; the checkpoint before it stands, --resume it" if path.exists() else ""
        raise SinkError(f"{path}: cannot write the checkpoint ({reason_of(error)}){stands}") from error
    fabric.barrier()


def restore(fabric: Fabric, path: Path, state: dict[str, Any]) -> None:
    """Restore a state from a checkpoint."""
    try:
        fabric.load(path, state, weights_only=True)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: a checkpoint of another run: {error}") from error
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
        # PyTorch names the tensors that do not fit from the second line on.
        first, *rest = str(error).splitlines() or [type(error).__name__]
        reason = rest[0].strip() if rest and isinstance(error, RuntimeError) else first
        raise CheckpointError(f"{path}: damaged or of another network: {reason}") from error


def export(path: Path, module: Any, progress: Progress, steps: int) -> None:
    """Write the weights of ``module.network``, with its options and training in the metadata."""
    notes = {
        "recipe": progress.recipe,
        "seed": str(progress.seed),
        "step": str(progress.step),
        "steps": str(steps),
        "seconds": str(round(progress.seconds)),
    }
    options = getattr(module.network, "options", None)
    if options:
        notes[OPTIONS] = json.dumps(options)
    # What else the module has, such as a discriminator, is for the training only.
    write_checkpoint(path, module.network.state_dict(), notes)


def _files_of_run(out: Path, name: str) -> list[Path]:
    files = (LATEST, f"{name}.safetensors", f"{name}-best.safetensors")
    return [out / file for file in files if (out / file).exists()]
