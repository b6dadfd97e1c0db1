"""The fastest exact form of a convolution on this machine, found by timing the forms once."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Lock

import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn

import segue
from segue.cache import cache_folder
from segue.errors import SegueError, SinkError
from segue.inputs import parse_json
from segue.layers.activated import Activation
from segue.layers.folding import folded_weight, with_own_weights
from segue.layers.fused import FusedConv2d, InferenceConv2d, PlainConv2d, replace_convolutions
from segue.layers.onednn import can_fuse
from segue.layers.winograd import KERNEL_BYTES, Scratch, Tile, WinogradConv2d, is_plain_3x3
from segue.video.partial import write_complete

FORMS = ("direct", "winograd2", "winograd4", "winograd6")
"""Forms of a wide 3x3 convolution: direct, or Winograd's algorithm on tiles of 2x2 to 6x6."""

PRODUCTS = ("arranged", "columns")
"""Forms of a product with a large table, see :mod:`segue.layers.products`."""

TILES: Mapping[str, Tile] = {"winograd2": 2, "winograd4": 4, "winograd6": 6}

LEAST_CHANNELS = 128  # with fewer, in or out, the transforms take as long as the products that they save
LEAST_AREA = 1024  # positions from which on Winograd is chosen untimed: its kernel costs the same at any size
REVISION = 4  # of the forms: choices that were made among others do not hold
LARGEST_KERNEL = 80 << 20
"""Bytes of a transformed kernel, all parts together, beyond which a form is left out: the memory that layers
share has to hold tiles of all input channels, which the widest layers of XMem do not repay. Tiles of 6x6 are
left out earlier, where their kernel would come in parts."""

REPETITIONS = 3
MARGIN = 0.95  # another form than the direct one has to take at most this part of its time
HOPELESS = 1.3  # times the least time: a form that took longer is not timed again
TIMED_AREA = 1 << 13
"""Positions that a layer is timed on where there are more: from there on the time of each form grows with
their number, so that larger sizes share a choice. A quarter does where tiles of 6x6, whose kernel takes the
largest part of the time, are no choice."""
LOCK_SECONDS = 60.0


class Tuner:
    """Chooses forms by time, and keeps the choices."""

    def __init__(self, path: Path | None, *, times: bool) -> None:
        self.path, self.times = path, times
        self.choices = {} if path is None else _read(path)
        self._lock = Lock()

    def choose(self, key: str, forms: Mapping[str, Callable[[], object]], fallback: str) -> str:
        """The name of one of the forms."""
        with self._lock:  # two sessions in two threads take the same form
            if key not in self.choices and self.times:
                self._measure(key, forms)
        chosen = self.choices.get(key, fallback)
        return chosen if chosen in forms else fallback

    def _measure(self, key: str, forms: Mapping[str, Callable[[], object]]) -> None:
        """Time the forms in turn, unless another process has done so; other callers wait."""
        if self.path is None:
            self.choices[key] = fastest(forms)
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.path}.lock", timeout=LOCK_SECONDS):
                self.choices = {**self.choices, **_read(self.path)}
                if key not in self.choices:
                    self.choices[key] = fastest(forms)
                    text = json.dumps(self.choices, indent=1, sort_keys=True)
                    write_complete(self.path, text.encode())
        except (OSError, SinkError, Timeout):
            # Choices that cannot be kept would be others in the next run.
            self.times = False


def fastest(forms: Mapping[str, Callable[[], object]]) -> str:
    """The form of the shortest time of several; the first one unless another is clearly faster."""
    for run in forms.values():
        run()  # the first time allocates and arranges
    best, left = dict.fromkeys(forms, math.inf), list(forms)
    for _ in range(REPETITIONS):
        for name in left:
            begun = clock()
            forms[name]()
            best[name] = min(best[name], clock() - begun)
        left = [name for name in left if best[name] <= HOPELESS * min(best.values())]
        if len(left) == 1:
            break
    first, *others = best
    chosen = min(others, key=best.__getitem__, default=first)
    return chosen if best[chosen] < MARGIN * best[first] else first


def clock() -> float:
    """Seconds of the process, which other programs hardly change; Windows counts these too coarsely."""
    return time.perf_counter() if os.name == "nt" else time.process_time()


def tuner() -> Tuner:
    """Tuning of this process, from the environment variable ``SEGUE_TUNE``."""
    return _tuner(os.environ.get("SEGUE_TUNE", "on"), str(cache_folder()))


@functools.lru_cache(maxsize=4)
def _tuner(mode: str, folder: str) -> Tuner:
    if mode in ("off", "0"):
        return Tuner(None, times=False)
    if mode in ("on", "1", ""):
        path = Path(folder) / f"tuning-{machine_digest()}.json"
        try:
            return Tuner(path, times=True)
        except SegueError:
            path.unlink(missing_ok=True)  # a cache is made again
            return Tuner(path, times=True)
    if not Path(mode).is_file():
        raise SegueError(f"SEGUE_TUNE={mode}: there is no such file; give on, off or a file of choices")
    return Tuner(Path(mode), times=False)


def machine_digest() -> str:
    """Key of the choices: processor, its instructions, and versions, as 16 hexadecimal digits."""
    libraries = [torch.__version__, segue.__version__, f"forms {REVISION}"]
    described = [processor(), torch.backends.cpu.get_cpu_capability(), *libraries]
    return hashlib.sha256("\n".join(described).encode()).hexdigest()[:16]


def processor() -> str:
    """The name that the processor gives itself, or its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def untimed(cin: int, cout: int, area: int) -> str:
    """The form where nothing is timed: Winograd for many channels and positions."""
    return "winograd4" if min(cin, cout) >= LEAST_CHANNELS and area >= LEAST_AREA else "direct"


class TunedConv2d(InferenceConv2d):
    """A zero-padded 3x3 convolution and the activation after it, in its fastest form."""

    def __init__(self, conv: nn.Conv2d, activation: Activation, scratch: Scratch, chooser: Tuner) -> None:
        super().__init__()
        self._dense: Callable[[], Tensor] | None = folded_weight(conv)  # until a form holds them
        self._bias = None if conv.bias is None else conv.bias.detach()
        self._outputs = conv.out_channels
        self._names = forms_of(conv.in_channels, conv.out_channels)
        self._activation, self._scratch, self._chooser = activation, scratch, chooser
        self._forms: dict[str, InferenceConv2d] = {}
        self._chosen: dict[str, str] = {}

    def run(
        self, x: Tensor, skip: Tensor | None = None, *, first: int = 0, bias: bool = True, **how: bool
    ) -> Tensor:
        return self._form(x, first, bias=bias).run(x, skip, first=first, bias=bias, **how)

    def _form(self, x: Tensor, first: int, *, bias: bool) -> InferenceConv2d:
        key = size_key(x, self._outputs, self._names)
        if key not in self._chosen:
            part = part_to_time(x, self._names)
            runs = {name: partial(self._run, name, part, first, bias) for name in self._names}
            rule = untimed(x.shape[1], self._outputs, x.shape[2] * x.shape[3])
            self._chosen[key] = self._chooser.choose(key, runs, rule if rule in runs else self._names[-1])
            self._make(self._chosen[key])
            for name in self._forms.keys() - set(self._chosen.values()):
                del self._forms[name]
            self._dense = None
        return self._forms[self._chosen[key]]

    def _run(self, name: str, x: Tensor, first: int, bias: bool) -> Tensor:
        return self._make(name).run(x, first=first, bias=bias)

    def _make(self, name: str) -> InferenceConv2d:
        if name not in self._forms:
            conv = self._convolution()
            if name == "direct":
                self._forms[name] = (FusedConv2d if can_fuse() else PlainConv2d)(conv, self._activation)
            else:
                self._forms[name] = WinogradConv2d(conv, self._scratch, TILES[name], self._activation)
        return self._forms[name]

    def _convolution(self) -> nn.Conv2d:
        """The convolution that this one replaces."""
        held = next(iter(self._forms.values())).dense_weight if self._dense is None else self._dense
        weight = held()
        conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, bias=False, device="meta")
        conv.weight = nn.Parameter(weight, requires_grad=False)
        conv.bias = None if self._bias is None else nn.Parameter(self._bias, requires_grad=False)
        return conv


def use_tuned(module: nn.Module, chooser: Tuner | None = None) -> None:
    """Replace the convolutions inside ``module`` by their fastest forms on this processor, in place."""
    scratch, chooser = Scratch(), chooser or tuner()

    def make(conv: nn.Conv2d, activation: Activation) -> nn.Module | None:
        # Forms make their weights at the first frame. Those of the network may be gone by then as a whole.
        if can_tune(conv, activation):
            return TunedConv2d(with_own_weights(conv), activation, scratch, chooser)
        return FusedConv2d(with_own_weights(conv), activation) if can_fuse() else None

    replace_convolutions(module, make)


def forms_of(cin: int, cout: int) -> tuple[str, ...]:
    """Choose the forms of a layer that are worth their memory."""
    pairs = 4 * cin * cout  # bytes of a number for each pair of channels, in float32

    def fits(tile: Tile) -> bool:
        return (tile + 2) ** 2 * pairs <= (LARGEST_KERNEL if tile < 6 else min(LARGEST_KERNEL, KERNEL_BYTES))

    return tuple(name for name in FORMS if name == "direct" or fits(TILES[name]))


def can_tune(conv: nn.Conv2d, activation: Activation) -> bool:
    """Whether there is more than one form of a convolution worth timing."""
    wide = min(conv.in_channels, conv.out_channels) >= LEAST_CHANNELS
    return wide and activation in ("none", "relu") and is_plain_3x3(conv)


def size_key(x: Tensor, cout: int, names: Sequence[str] = FORMS) -> str:
    """Kind and size of a layer; sizes between two powers of two share a choice, and so do several objects.

    ``x``: input of the layer, (B, C, H, W).
    """
    batch, cin, height, width = x.shape
    area = min(height * width, _timed_area(names))
    pictures, choice = "1" if batch == 1 else "n", "" if names == FORMS else f" {' '.join(names)}"
    return f"conv3x3 {cin}-{cout} batch {pictures} area 2^{area.bit_length() - 1}{choice}"


def part_to_time(x: Tensor, names: Sequence[str] = FORMS) -> Tensor:
    """So much of the input of a layer that timing it tells which form is fastest for all of it.

    ``x``: (B, C, H, W), channels last in memory.
    """
    batch, _, height, width = x.shape
    area = _timed_area(names)
    if batch > 1:
        return x[: max(2, -(-area // (height * width)))]
    tiles = math.lcm(*(TILES[name] for name in names if name in TILES))
    return x[:, :, : -(-area // (width * tiles)) * tiles]


def _timed_area(names: Sequence[str]) -> int:
    return TIMED_AREA if "winograd6" in names else TIMED_AREA // 4


def _read(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SegueError(f"{path}: cannot read the choices of layers ({error})") from None
    if not isinstance(found, dict) or not all(value in (*FORMS, *PRODUCTS) for value in found.values()):
        known = ", ".join((*FORMS, *PRODUCTS))
        raise SegueError(f"{path}: no file of choices of layers; its values must be {known}")
    return found
