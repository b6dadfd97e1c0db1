"""What a measurement ran on."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable, Collection
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


def names_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """A reader of comma-separated names for ``argparse``; it refuses those that are not ``known``."""

    def split(text: str) -> list[str]:
        names = text.split(",")
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
        return names

    return split
