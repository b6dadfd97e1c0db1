"""What a measurement ran on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch


def describe(threads: int, device: str = "cpu") -> str:
    """One line: processor or GPU, threads, versions."""
    unit = torch.cuda.get_device_name() if device.startswith("cuda") else _processor()
    return (
        f"{unit}, {os.cpu_count()} cores, {threads} threads used, Python {platform.python_version()}, "
        f"torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()})"
    )


def _processor() -> str:
    """Name of the processor, or of its family where the system does not tell more."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8").splitlines() if table.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
