"""Networks prepared for inference, shared by all sessions."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    NoReturn,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
    overload,
)
from weakref import WeakKeyDictionary, WeakValueDictionary

import torch
from torch import nn

from segue.errors import ArgumentError, SegueError
from segue.inference.compiling import requested_compilation
from segue.inference.cpu.forms import DIRECT, Forms, current, note_new_processor, recorded_forms
from segue.inference.cpu.fused import FusedConv2d
from segue.inference.running import (
    choose_device,
    choose_precision,
    dtype_of_maps,
    inference_copy,
    own_precision,
)
from segue.inference.threads import limit_threads_to_idle_cores
from segue.registry import MODELS, NetworkTask
from segue.utils.allocation import apart_from_heap, release_freed_memory
from segue.utils.forks import ForkSafeLock
from segue.utils.inputs import kind_of
from segue.utils.keywords import suggests_names
from segue.weights.available import entry_for, name_of_class, takes_weights
from segue.weights.identity import network_digest
from segue.weights.loading import (
    kept_networks,
    kept_or_read,
    own_random_numbers,
    read_network,
    weights_identity,
)

if TYPE_CHECKING:
    from segue.models.cutie.network import Cutie
    from segue.models.edgetam.network import EdgeTAM
    from segue.models.fgsegnet import FgSegNetV2
    from segue.models.hofam import HOFAM
    from segue.models.msstsvis.lite import MSSTSVISLite
    from segue.models.mustan import MUSTAN1, MUSTAN2
    from segue.models.mustan_lite import MustanLite
    from segue.models.sam2.network import SAM2
    from segue.models.segue_prompt import SeguePrompt
    from segue.models.stcn import STCN, STCNLite
    from segue.models.stm import STM
    from segue.models.xmem import XMem

Network = TypeVar("Network")

WeightPath: TypeAlias = str | os.PathLike[str]
DeviceLike: TypeAlias = str | int | torch.device | None

FIRST_PASSES = 2
"""Number of first frames in which layers arrange their weights."""

RECENT, SMALL = 4, 16 << 20
"""Prepared networks that stay in memory without a user, and their largest size in bytes. A program that makes
a prompter for each image would otherwise load it each time."""


@dataclass(frozen=True)
class Loaded:
    """Arguments with which :func:`load` created a network; stored on it.

    Attributes:
        name, weights: loaded network and file.
        stays: whether sessions run it on the device where it is.
        fast: whether they take a lower precision where that is faster.
        digest: digest of the loaded weights.
    """

    name: str
    weights: WeightPath | None
    stays: bool
    fast: bool
    digest: str


@dataclass(eq=False)
class Prepared(Generic[Network]):
    """A network for inference on one device, shared by any number of sessions.

    Attributes:
        network: a copy with fused layers, in evaluation mode; it must not be changed.
        device: device.
        precision: precision of the convolutions: float32, bfloat16, float16 or int8.
        digest: SHA-256 of the weights that it was made of, hexadecimal.
        name: its name for :func:`segue.load`, or None.
        forms: choice of its layer implementations.
    """

    network: Network
    device: torch.device
    precision: torch.dtype
    digest: str
    name: str | None = None
    forms: Forms = DIRECT
    _lock: ForkSafeLock = field(default_factory=ForkSafeLock, repr=False)
    _passes_left: int = field(default=FIRST_PASSES, repr=False)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the input images."""
        return dtype_of_maps(self.precision)

    def with_forms(self, forms: Forms | None) -> Prepared[Network]:
        """Change the forms of the layers on a CPU.

        Args:
            forms: the forms; None keeps them.

        Returns:
            A copy with these forms; the network itself if they are equal, or on other devices.
        """
        if forms in (None, self.forms) or self.device.type != "cpu":
            return self
        copy = deepcopy(self.network)
        for layer in cast(nn.Module, copy).modules():
            if isinstance(layer, FusedConv2d):
                layer.forms = forms
        return Prepared(copy, self.device, self.precision, self.digest, self.name, forms)

    def __deepcopy__(self, memo: dict[int, Any]) -> Prepared[Network]:
        return self

    def __reduce__(self) -> NoReturn:
        # Some layers are in the memory of oneDNN.
        raise SegueError("a prepared network cannot be pickled; give what segue.load gave, or its name")

    @contextmanager
    def inference_guard(self) -> Iterator[None]:
        """Context in which the network runs for a frame or a window of frames.

        On a CPU it uses no more threads than there are idle cores. While layers arrange their weights, one
        thread at a time runs the network.
        """
        threads = limit_threads_to_idle_cores() if self.device.type == "cpu" else nullcontext()
        with own_precision(self.device, self.precision), threads:
            if not self._passes_left or self.device.type != "cpu":
                yield
                return
            with self._lock.current(), apart_from_heap():
                yield
                self._passes_left = max(0, self._passes_left - 1)
            if not self._passes_left:
                release_freed_memory()


_LOCK = ForkSafeLock()
_BY_KEY: WeakValueDictionary[Hashable, Prepared[Any]] = WeakValueDictionary()
_BY_MODULE: WeakKeyDictionary[nn.Module, tuple[dict[str, Any], int]] = WeakKeyDictionary()
"""Attributes of networks that were prepared, and a number that changes with them."""

_PREPARED: WeakKeyDictionary[nn.Module, Prepared[Any]] = WeakKeyDictionary()
"""Prepared networks of networks that were loaded for a device, kept as long as these."""

_DIGESTS: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()
"""Digests of networks at their last preparation."""

_AS_LOADED: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()
"""Version numbers of the attributes of networks at loading."""

_NUMBERS = itertools.count()
_RECENT: deque[Prepared[Any]] = deque(maxlen=RECENT)


def prepare(
    network: str | Network | Prepared[Network],
    weights: str | os.PathLike[str] | None = None,
    *,
    task: NetworkTask | None = None,
    device: str | int | torch.device | None = None,
    fast: bool = False,
    adapt: Callable[[Any], Any] | None = None,
) -> Prepared[Network]:
    """Prepare a network for inference; equal network, device and precision give the same object.

    Batch norms are folded, layers are fused, and all weights are checked to be finite.

    Args:
        network: name for :func:`segue.load`; or a network, which is not changed: where it was trained further
            since, there is a new copy; or one that is prepared, which is returned. The parts of what
            ``torch.compile`` gave are compiled.
        weights: weight file of a name; None is the network's own.
        task: the task that a network with this name must have; None takes any.
        device: None selects a GPU if there is one.
        fast: 8-bit integers, bfloat16 or float16, where the network and the device are faster with them.
        adapt: converts the loaded object to the network.

    Returns:
        The prepared network. It stays in memory while it is used.

    Raises:
        ArgumentError: there is no such device, or a network is prepared for another one.
        CheckpointError: as :func:`segue.load`, or a weight is NaN or infinite.

    Example:
        >>> network = segue.load("stcn-lite", device="cpu")
        >>> sessions = [segue.TrackSession(network) for _ in range(10)]  # one copy of the weights
    """
    if isinstance(network, Prepared):
        if device is not None and choose_device(device) != network.device:
            raise ArgumentError(f"device {str(device)!r}: the network is prepared for {network.device}")
        return network.with_forms(recorded_forms())
    network, is_compiled = uncompiled(network)
    device, fast = running_options(network, device, fast)
    place = choose_device(device)
    forms = DIRECT
    if place.type == "cpu":
        note_new_processor()
        forms = current()
    how = (place, fast, requested_compilation(place, compiled=is_compiled), forms)
    making = (place, fast, is_compiled, forms)
    with _LOCK.current():
        if isinstance(network, str):
            if task is not None:
                entry_for(task, network)
            name, by_file = network, (network, weights_identity(network, weights), adapt, *how)

            def read() -> Prepared[Network]:
                # A session may prepare its prompter while it takes a frame.
                with torch.inference_mode(False), own_random_numbers(), apart_from_heap():
                    network = read_network(name, weights)
                    network = network if adapt is None else adapt(network)
                entry = MODELS.find(name)
                # What a plug-in builds without a file may be in use there.
                is_own = takes_weights(entry, weights) or entry.folder is not None
                return _prepared(network, *making, name, inplace=is_own)

            return _shared(by_file, read)
        module = cast(nn.Module, network)
        digest = _DIGESTS[module] = network_digest(module)
        number, loaded = _state_number(module), getattr(module, "loaded", None)
        name_of = None
        if isinstance(loaded, Loaded) and loaded.digest == digest:
            name_of = loaded.name
            if _AS_LOADED.get(module) == number and not is_compiled:  # as sessions by its name run it
                shared: Prepared[Network] = prepare(loaded.name, loaded.weights, device=place, fast=fast)
                if shared.digest == digest:
                    return shared
        key = (number, digest, *how)
        return _shared(key, lambda: _prepared(module, *making, name_of, digest))


def prepared_digest(network: nn.Module) -> str:
    """SHA-256 of the weights that sessions use; takes a second for large weights."""
    return _DIGESTS.get(network) or network_digest(network)


def uncompiled(network: Any) -> tuple[Any, bool]:
    """Unwrap ``torch.compile``; returns the network, and whether it was compiled."""
    original = getattr(network, "_orig_mod", None)
    return (network, False) if original is None else (original, True)


def running_options(network: Any, device: DeviceLike, fast: bool) -> tuple[DeviceLike, bool]:
    """Device of a session, and whether precision is reduced; by default as loaded."""
    loaded = getattr(network, "loaded", None)
    if not isinstance(loaded, Loaded):
        return device, fast
    if device is None and loaded.stays:
        device = next(network.parameters()).device
    return device, fast or loaded.fast


class LoadOptions(TypedDict, total=False):
    """Options of :func:`load`."""

    device: DeviceLike
    fast: bool | None


# The classes of the catalogue by name, for type checkers; a network of any package is loaded by its class.
@overload
def load(
    name: Literal["stcn-lite", "stcn-lite-free"],
    weights: WeightPath | None = None,
    **options: Unpack[LoadOptions],
) -> STCNLite: ...
@overload
def load(
    name: Literal["stcn"], weights: WeightPath | None = None, **options: Unpack[LoadOptions]
) -> STCN: ...
@overload
def load(name: Literal["stm"], weights: WeightPath | None = None, **options: Unpack[LoadOptions]) -> STM: ...
@overload
def load(
    name: Literal["xmem", "xmem-no-sensory"],
    weights: WeightPath | None = None,
    **options: Unpack[LoadOptions],
) -> XMem: ...
@overload
def load(
    name: Literal["cutie", "cutie-small"], weights: WeightPath | None = None, **options: Unpack[LoadOptions]
) -> Cutie: ...
@overload
def load(
    name: Literal["sam2-tiny", "sam2-small", "sam2-base+", "sam2-large"],
    weights: WeightPath | None = None,
    **options: Unpack[LoadOptions],
) -> SAM2: ...
@overload
def load(
    name: Literal["edgetam"], weights: WeightPath | None = None, **options: Unpack[LoadOptions]
) -> EdgeTAM: ...
@overload
def load(
    name: Literal["mustan-lite"], weights: WeightPath | None = None, **options: Unpack[LoadOptions]
) -> MustanLite: ...
@overload
def load(
    name: Literal["mustan1"], weights: WeightPath | None = None, **options: Unpack[LoadOptions]
) -> MUSTAN1: ...
@overload
def load(
    name: Literal["mustan2"], weights: WeightPath | None = None, **options: Unpack[LoadOptions]
) -> MUSTAN2: ...
@overload
def load(
    name: Literal["hofam", "stam"], weights: WeightPath | None = None, **options: Unpack[LoadOptions]
) -> HOFAM: ...
@overload
def load(
    name: Literal["fgsegnet"], weights: WeightPath | None = None, **options: Unpack[LoadOptions]
) -> FgSegNetV2: ...
@overload
def load(
    name: Literal["msstsvis-lite"], weights: WeightPath | None = None, **options: Unpack[LoadOptions]
) -> MSSTSVISLite: ...
@overload
def load(
    name: Literal["segue-prompt", "segue-prompt-free"],
    weights: WeightPath | None = None,
    **options: Unpack[LoadOptions],
) -> SeguePrompt: ...
@overload
def load(
    name: type[Network], weights: WeightPath | None = None, **options: Unpack[LoadOptions]
) -> Network: ...
@overload
def load(name: str, weights: WeightPath | None = None, **options: Unpack[LoadOptions]) -> Any: ...
@suggests_names
def load(
    name: str | type[Any],
    weights: WeightPath | None = None,
    *,
    device: DeviceLike = None,
    fast: bool | None = None,
) -> Any:
    """Load a network in evaluation mode, shared by any number of sessions.

    It is a :class:`torch.nn.Module`: it can be moved, trained, saved and compiled. Sessions run a copy of it
    with fused layers, one for all of them, and a new one after it was trained further.

    Args:
        name: its name, such as ``stcn-lite``; `segue weights list` shows all. Or its class, such as
            :class:`segue.models.STCN`: the first network of that class in the registry.
        weights: weight file, converted or official, or a folder of :func:`segue.save_pretrained`; by default
            the one that comes with segue or that `segue weights get` made. Methods without weights take none.
        device: where it is, and where sessions run it, such as ``cpu``, ``cuda`` or ``auto``. None is the
            CPU, and sessions take a GPU if there is one.
        fast: let sessions run it in bfloat16, float16 or 8-bit integers where the device is faster with them.

    Returns:
        The network with its weights, in the interface of its task; see :class:`segue.registry.Entry`. For a
        method without weights, the method itself.

    Raises:
        CheckpointError: the name is unknown, no weights are available, or the file does not fit.
        ArgumentError: there is no such device, or a method without weights cannot be on it.

    Example:
        >>> network = segue.load("stcn", weights="stcn.safetensors")  # doctest: +SKIP
        >>> shared = segue.load("stcn-lite", device="cpu")
        >>> sessions = [segue.TrackSession(shared) for _ in range(10)]
    """
    name = name_of_class(name) if isinstance(name, type) else name
    if device is None and fast is None:
        return kept_or_read(name, weights)
    prepared: Prepared[Any] = prepare(name, weights, device=device, fast=bool(fast))
    key = "loaded", name, weights_identity(name, weights), str(device), fast
    cache = kept_networks()
    if cache is not None and key in cache:
        return cache[key]
    network = read_network(name, weights).to(prepared.device if device is not None else "cpu")
    network.loaded = Loaded(name, weights, device is not None, bool(fast), prepared.digest)
    _PREPARED[network], _AS_LOADED[network] = prepared, _state_number(network)
    if cache is not None:
        cache[key] = network
    return network


def _shared(key: Hashable, make: Callable[[], Prepared[Any]]) -> Prepared[Any]:
    prepared = _BY_KEY.get(key)
    if prepared is None:
        prepared = _BY_KEY[key] = make()
    networks = kept_networks()
    if networks is not None:
        networks[key] = prepared
    if prepared in _RECENT:
        _RECENT.remove(prepared)
    elif _size(cast(nn.Module, prepared.network)) > SMALL:
        return prepared
    _RECENT.append(prepared)
    return prepared


def _prepared(
    network: Any,
    device: torch.device,
    fast: bool,
    compiled: bool,
    forms: Forms,
    name: str | None,
    digest: str | None = None,
    *,
    inplace: bool = False,
) -> Prepared[Any]:
    if not isinstance(network, nn.Module):
        raise ArgumentError(f"{name or kind_of(network)} is no network, and runs on the processor")
    precision = choose_precision(network, device, fast)
    with torch.inference_mode(False), own_precision(device), own_random_numbers():
        digest = digest or network_digest(network)
        copy = inference_copy(network, device, precision, forms, compiled, inplace=inplace)
    return Prepared(copy, device, precision, digest, name, forms)


def _size(network: nn.Module) -> int:
    """Size of parameters and buffers in bytes."""
    tensors = [*network.parameters(), *network.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _state_number(network: nn.Module) -> int:
    """Number of the state of a network; changes when an attribute is set."""
    attributes = {name: value for name, value in vars(network).items() if not name.startswith("_")}
    cached, number = _BY_MODULE.get(network, (None, -1))
    same = cached is not None and cached.keys() == attributes.keys()
    if cached is None or not same or any(cached[name] is not attributes[name] for name in cached):
        number = next(_NUMBERS)
    _BY_MODULE[network] = attributes, number
    return number
