"""``torch.compile`` for parts of a network, on request; on a GPU also CUDA graphs."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from segue.errors import ArgumentError

Compilation = Literal["on", "graphs"]


def requested_compilation(device: torch.device, *, compiled: bool = False) -> Compilation | None:
    """Compilation requested by ``SEGUE_COMPILE`` or ``torch.compile``.

    None is not at all, ``graphs`` needs CUDA; ``compiled`` says that the program called ``torch.compile``.
    """
    value = os.environ.get("SEGUE_COMPILE", "off")
    request = f"SEGUE_COMPILE={value}"
    if value in ("off", "0", ""):
        if not compiled:
            return None
        value, request = "on", "model"
    if value not in ("on", "1", "graphs"):
        raise ArgumentError(f"SEGUE_COMPILE={value}: give on, graphs or off")
    if value == "graphs" and device.type != "cuda":
        raise ArgumentError(f"SEGUE_COMPILE=graphs: {device.type} has no CUDA graphs; give on")
    if device.type == "cuda":
        missing = None if importlib.util.find_spec("triton") else "the package triton"
    else:
        has_compiler = any(map(shutil.which, (os.environ.get("CXX", "g++"), "c++", "clang++")))
        missing = None if has_compiler else "a C++ compiler, such as g++"
    if missing:
        raise ArgumentError(f"{request}: torch.compile needs {missing}; install it, or do not compile")
    return "graphs" if value == "graphs" else "on"


def compile_parts(module: nn.Module, how: Compilation) -> None:
    """Compile the parts of a network in place, at their first call."""
    for part in module.children():
        if type(part).forward is nn.Module.forward:  # a list, or a part whose parts are called one by one
            compile_parts(part, how)
        elif how == "on":
            part.forward = torch.compile(part.forward)
        else:
            part.forward = _cloned(torch.compile(part.forward, mode="reduce-overhead"))


def _cloned(compiled: Callable[..., Any]) -> Callable[..., Any]:
    """Copy results, since the next replay of a graph overwrites them."""

    def run(*arguments: Any, **kwargs: Any) -> Any:
        torch.compiler.cudagraph_mark_step_begin()
        return tree_map_only(Tensor, Tensor.clone, compiled(*arguments, **kwargs))

    return run
