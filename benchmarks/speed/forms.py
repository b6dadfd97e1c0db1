"""What each form of running on a processor gains: whole networks with one form after the other left out.

Example::

    python -m benchmarks.speed.forms                                  # all networks and forms
    python -m benchmarks.speed.forms --networks stcn,cutie --forms fused,selection
    python -m benchmarks.speed.forms --threads 2
    python -m benchmarks.speed.forms --write  # the table in the package; idle, two minutes

All variants of a network take the same frame one after the other, so that other programs on the machine
disturb them alike. Times are those of the processor: the median over frames of the time without a form,
divided by that of the same frame with all of them. ``compile`` and ``channels`` are PyTorch's own means, in
place of ours or left out.

``--write`` measures from how many positions on Winograd's algorithm is faster, with all instructions of this
processor and with AVX2 alone, each with one and two threads, and writes the break-even points as rows of the
family of this processor into the table.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F

import segue
from benchmarks.lib.one_network import Case, squares, video
from segue.inference.cpu.forms import DIRECT, PACKAGED
from segue.registry import MODELS
from segue.sessions.instances import WindowOptions

NETWORKS = ("stcn-lite", "stcn", "stm", "xmem", "cutie", "sam2-tiny", "seqformer-r50", "msstsvis-r50")


def _no_fold(module: Any, **_: object) -> Any:
    return deepcopy(module).requires_grad_(False)


def _whole(query: torch.Tensor, key: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return F.scaled_dot_product_attention(query[None], key[None], values[None])[0]


FORMS: dict[str, dict[str, object]] = {
    "winograd": {"segue.weights.prepared.current": lambda: DIRECT},
    "fused": {"segue.inference.running.use_fused": lambda *_: None},
    "folding": {"segue.inference.running.fold_batch_norms": _no_fold},
    "linear": {"segue.inference.running.use_fused_linear": lambda *_: None},
    "composing": {"segue.inference.running.Composable": type("Never", (), {})},
    "selection": {"segue.models.memory.reads.top_k": lambda scores, count: scores.topk(count, sorted=False)},
    "reading": {"segue.models.sam2.memory.attend_blocks": _whole},
    "strips": {"segue.models.sam2.trunk.strips": lambda x, _: [x]},
    "pieces": {
        f"segue.models.{module}.one_by_one": lambda *_: [slice(None)]
        for module in ("stm", "seqformer.network", "seqformer.encoder")
    },
    "queries": {"segue.layers.attention.QUERIES": 1 << 30},
    "window": {"segue.models.lite_tracker.LiteTracker.choose_window": lambda *_: None},
}
"""What replaces each form, by where it is; see docs/benchmarks.md."""


@contextmanager
def without(form: str | None) -> Iterator[None]:
    """Leave a form out inside the block."""
    with ExitStack() as stack:
        for target, other in FORMS.get(form or "", {}).items():
            stack.enter_context(patch(target, other))
        yield


def session(name: str) -> Callable[[np.ndarray[Any, Any], np.ndarray[Any, Any] | None], object]:
    """A function that takes frame after frame of a network."""
    entry = MODELS.find(name)
    network: Any = segue.load(name) if entry.bundled else entry.build().eval()
    if entry.task == "track":
        tracker = segue.TrackSession(network, device="cpu")
        return lambda image, mask: tracker.step(image, mask)
    if entry.task == "foreground":
        stages = segue.ForegroundSession(network, device="cpu")
        return lambda image, _: stages.step(image)
    windows = segue.InstanceSession(network, WindowOptions(window=2, overlap=1), device="cpu")
    return lambda image, _: windows.step(image)


def gains(name: str, forms: list[str], case: Case, frames: int) -> dict[str, list[float]]:
    """Time without each form over the time with all, for each frame."""
    mask = np.zeros((case.height, case.width), np.uint8)
    for number, place in enumerate(squares(case), 1):
        mask[place] = number
    variants: dict[str | None, Any] = {}
    for form in (None, *forms):
        with without(form):
            torch.manual_seed(0)
            variants[form] = session(name)
    found: dict[str, list[float]] = {form: [] for form in forms}
    for frame in video(case, frames):
        times = {}
        for form, step in variants.items():
            with without(form):
                begun = time.process_time()
                step(frame.image, None if frame.index else mask)
                times[form] = time.process_time() - begun
        if frame.index >= 3:  # layers arrange their weights before
            for form in forms:
                found[form].append(times[form] / times[None])
    return found


AVX2_ONLY = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",  # matrix products of PyTorch; processors of Intel alone know it
}
"""What limits oneDNN, PyTorch and MKL to AVX2."""

MEASURE = """
from pathlib import Path
from segue.utils.allocation import prepare_process
prepare_process()
from segue.inference import tuning
from segue.inference.cpu.forms import family_row
found = []
for threads, width, least in tuning.measure((1, 2)):
    print(f"{instruction_set()}, {threads} threads, {width} channels: {least} positions", flush=True)
    found.append((threads, width, least))
tuning.write(Path(PATH), found, family_row(instruction_set()))
"""


def write_table() -> None:
    """Measure this processor with all of its instructions and with AVX2 alone, each in a process."""
    for limits in ({}, AVX2_ONLY):
        command = [sys.executable, "-c", MEASURE.replace("PATH", repr(str(PACKAGED)))]
        subprocess.run(command, env={**os.environ, **limits}, check=True)


def main() -> None:
    """Print a table, or write the one in the package."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--forms", default=",".join(FORMS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--frames", type=int, default=9)
    parser.add_argument("--size", type=int, nargs=2, default=(240, 432), metavar=("H", "W"))
    parser.add_argument("--objects", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="write the table of break-even points")
    options = parser.parse_args()
    if options.write:
        write_table()
        return
    torch.set_num_threads(options.threads)
    forms = options.forms.split(",")
    print("| network | " + " | ".join(forms) + " |\n|" + " --- |" * (len(forms) + 1))
    for name in options.networks.split(","):
        case = Case(name, options.size[0], options.size[1], objects=options.objects)
        found = gains(name, forms, case, options.frames)
        print(
            f"| {name} | " + " | ".join(f"{statistics.median(found[form]):.2f}" for form in forms) + " |",
            flush=True,
        )


if __name__ == "__main__":
    main()
