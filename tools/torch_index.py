"""Which package index pip takes PyTorch from; the Makefile asks.

PyPI's PyTorch for Linux brings gigabytes of CUDA libraries along. A machine without an NVIDIA GPU needs none
of them. This runs before anything is installed: it needs nothing but Python.

Example::

    python tools/torch_index.py auto    # prints options for pip; what was decided goes to standard error
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
SECONDS = 5.0


def has_nvidia() -> bool:
    """Whether there is an NVIDIA GPU, as far as its driver tells."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def can_reach(address: str) -> bool:
    """Whether an index answers within a few seconds."""
    try:
        with urllib.request.urlopen(f"{address}/torch/", timeout=SECONDS):
            return True
    except (OSError, ValueError):
        return False


def options(
    wanted: str,
    *,
    nvidia: Callable[[], bool] = has_nvidia,
    reach: Callable[[str], bool] = can_reach,
    system: str = platform.system(),
) -> tuple[str, str]:
    """Options for pip, and a line that says why.

    Args:
        wanted: ``auto``, ``none`` or empty, or the address of an index.
        nvidia: tells whether there is an NVIDIA GPU.
        reach: tells whether an index answers.
        system: as :func:`platform.system` names it.
    """
    if wanted not in ("auto", "none", ""):
        return f"--extra-index-url {wanted}", f"PyTorch: from {wanted}, as TORCH_INDEX says"
    if wanted != "auto" or system != "Linux":  # elsewhere PyPI's PyTorch has no CUDA
        return "", "PyTorch: from the default package index"
    if nvidia():
        return "", "PyTorch: with CUDA, since there is an NVIDIA GPU (TORCH_INDEX= overrides)"
    if os.environ.get("PIP_NO_INDEX") or not reach(CPU_INDEX):
        return "", f"PyTorch: from the default package index; {CPU_INDEX} cannot be reached"
    return f"--extra-index-url {CPU_INDEX}", "PyTorch: without CUDA, since there is no NVIDIA GPU here"


if __name__ == "__main__":
    for_pip, why = options(sys.argv[1] if len(sys.argv) > 1 else "auto")
    print(why, file=sys.stderr)
    print(for_pip)
