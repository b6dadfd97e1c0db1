"""Saved states of sessions, stages and trackers, and their file."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from segue.errors import ArgumentError, CheckpointError, ResumeError, SegueError, memory_error
from segue.types import Frame, ObjectInfo, Segmentation
from segue.utils.files import replacing
from segue.utils.inputs import check_file, kind_of, parse_json, user_path
from segue.utils.notices import warn_caller

FORMAT = "segue-session-20"


@dataclass(frozen=True, slots=True)
class SessionState:
    """All that a session knows.

    Attributes:
        tensors: tensors by name.
        values: JSON values by name.
    """

    tensors: dict[str, Tensor]
    values: dict[str, Any]

    @classmethod
    def joined(cls, parts: Mapping[str, SessionState], values: dict[str, Any]) -> SessionState:
        """Join the states of parts by name; :meth:`part` returns each one. Tensors are shared."""
        tensors = {
            f"{name}.{key}": tensor for name, part in parts.items() for key, tensor in part.tensors.items()
        }
        return cls(tensors, {**values, "parts": {name: part.values for name, part in parts.items()}})

    def part(self, name: str) -> SessionState:
        """State of a part of a joined state; tensors are shared."""
        start = f"{name}."
        tensors = {
            key.removeprefix(start): tensor for key, tensor in self.tensors.items() if key.startswith(start)
        }
        return SessionState(tensors, self.values["parts"][name])

    def to(self, device: torch.device) -> SessionState:
        """Copy with all tensors on a device."""
        return SessionState({name: tensor.to(device) for name, tensor in self.tensors.items()}, self.values)

    def clone(self) -> SessionState:
        """Copy with cloned tensors."""
        return SessionState({name: tensor.clone() for name, tensor in self.tensors.items()}, self.values)

    def require(self, origin: Mapping[str, Any]) -> None:
        """Check that the state was saved with the same model and settings; CheckpointError if not."""
        for name, value in origin.items():
            if name not in self.values:
                raise ResumeError(f"the state is one of another kind of session: it has no {name}")
            # As a file has them: lists for tuples, and keys that are texts.
            saved, value = (json.loads(json.dumps(each)) for each in (self.values[name], value))
            if saved != value:
                raise ResumeError(f"the session was saved with {name} {saved}, not {value}")

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, complete or not at all.

        Args:
            path: file to write; an existing one is replaced.

        Raises:
            SinkError: the file cannot be written.
        """
        metadata = {"format": FORMAT, "values": json.dumps(self.values)}
        with replacing(user_path(path)) as partial, partial.open("wb") as file:
            _write_tensors(file, self.tensors, metadata)

    @classmethod
    def load(cls, path: str | Path) -> SessionState:
        """Read a saved state; nothing of the file is executed.

        Args:
            path: file that :meth:`save` wrote.

        Returns:
            The state, with its tensors on the CPU.

        Raises:
            CheckpointError: the file is missing, damaged or not a session.
        """
        path = user_path(path)
        values = saved_values(path)
        with _reading(path), safe_open(path, framework="pt") as file:
            return cls({name: file.get_tensor(name) for name in file.keys()}, values)  # noqa: SIM118


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot read the saved session ({error})") from None


def saved_values(path: Path) -> dict[str, Any]:
    """The JSON values of a saved state, without its tensors; CheckpointError as :meth:`SessionState.load`."""
    check_file(path, CheckpointError)
    with _reading(path), safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a saved session of this version of segue")
    try:
        values = parse_json(metadata["values"])
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged session ({error})") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: damaged session (its values have no names)")
    return values


_TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""Names of types in safetensors files."""


def _write_tensors(file: BinaryIO, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file tensor by tensor; its library copies all of them first."""
    order = sorted(tensors, key=lambda name: -tensors[name].element_size())  # each is aligned
    header: dict[str, Any] = {"__metadata__": metadata}
    begin = 0
    for name in order:
        tensor, end = tensors[name], begin + tensors[name].nbytes
        header[name] = {
            "dtype": _TYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
        begin = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in order:
        plain = tensors[name].detach().cpu()
        file.write((plain.view(torch.int16) if plain.dtype == torch.bfloat16 else plain).numpy().tobytes())


class FormsWarning(UserWarning):
    """A session continues with other layer implementations than it was saved with."""


class DamagedStateError(ResumeError):
    """A saved state has wrong values; ``reason`` names the resulting error."""

    def __init__(self, reason: str, path: Path | None = None) -> None:
        super().__init__(reason, path)
        self.reason, self.path = reason, path

    def __str__(self) -> str:
        if self.path is None:
            return f"the state is damaged ({self.reason})"
        return f"{self.path}: damaged ({self.reason}); give --overwrite"


@contextmanager
def blaming_state(path: Path | None = None) -> Iterator[None]:
    """Context that reports errors inside as a damaged state, since states may come from anywhere."""
    try:
        yield
    except DamagedStateError as error:
        raise DamagedStateError(error.reason, error.path or path) from error
    except SegueError:
        raise
    except Exception as error:
        if (exhausted := memory_error(error)) is not None:
            raise exhausted from error  # the state is good
        raise DamagedStateError(type(error).__name__, path) from error


@dataclass(frozen=True)
class _StateField:
    """Marks an attribute in the body of a class; see :func:`checkpointed`."""

    initial: Any
    new_item: str | Callable[[], Any] | None
    later: bool


def checkpointed(
    initial: Any = ..., *, new_item: str | Callable[[], Any] | None = None, later: bool = False
) -> Any:
    """Declare an attribute of a :class:`Checkpointable` that its state contains.

    Args:
        initial: its first value, or a factory; without one the class sets it itself.
        new_item: of a list or dict of checkpointables whose number varies, what makes an empty one, or the
            name of the attribute that does.
        later: whether it was added later: states of earlier versions leave it as it begins.
    """
    return _StateField(initial, new_item, later)


class Checkpointable:
    """Can be saved: the attributes declared with :func:`checkpointed`, of the class and of its bases.

    They are JSON values, arrays, tensors, collections and dataclasses of them, whose fields count if they
    compare, or checkpointable themselves, also in a list or a dict. ``state_fields`` are their names and
    initial values, ``state_types`` the dataclasses in them. Tensors are restored to the ``device`` of the
    object, if it has one.

    A failure inside of :meth:`changing` leaves the object between two states. ``torn`` then has the reason,
    and the object raises an error until it is reset or restored.
    """

    torn: str | None = None

    state_fields: ClassVar[dict[str, Any]] = {}
    state_types: ClassVar[tuple[type, ...]] = ()
    _new_items: ClassVar[dict[str, str | Callable[[], Any]]] = {}
    _later: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Collect the declared attributes; access to an unset one raises AttributeError, as usual."""
        super().__init_subclass__(**keywords)
        declared = {name: each for name, each in vars(cls).items() if isinstance(each, _StateField)}
        for name in declared:
            delattr(cls, name)
        cls.state_fields = cls.state_fields | {name: each.initial for name, each in declared.items()}
        makers = {name: each.new_item for name, each in declared.items() if each.new_item is not None}
        cls._new_items = cls._new_items | makers
        cls._later = cls._later | {name for name, each in declared.items() if each.later}

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget everything: all declared attributes have their initial values."""
        self.torn = None
        for name, initial in self.state_fields.items():
            if initial is not ...:
                setattr(self, name, initial() if callable(initial) else initial)

    def check_intact(self) -> None:
        """Raise an error if an earlier change failed halfway."""
        if self.torn is not None:
            raise SegueError(
                f"{type(self).__name__}: {self.torn}, so that nothing can follow; "
                "begin anew with reset(), or go on from a saved state with restore()"
            )

    @contextmanager
    def changing(self, what: str) -> Iterator[None]:
        """Context that changes the state; after a failure inside, the state is unusable."""
        self.check_intact()
        try:
            yield
        except BaseException as error:
            self.torn = f"{what} failed in the middle ({type(error).__name__})"
            raise

    def _config_fingerprint(self) -> dict[str, Any]:
        """Configuration of a saved state as JSON; it must be equal when the state is restored."""
        return {}

    def _forms(self) -> dict[str, Any]:
        """Choice of the network's layer implementations, as JSON; it may differ when restored."""
        return {}

    def _reset_transient_state(self) -> None:
        """Clear attributes outside the state, before :meth:`restore` sets the others."""

    def state(self, *, copy: bool = True) -> SessionState:
        """Return the complete state for :meth:`restore`; see :meth:`Session.state`."""
        self.check_intact()
        tensors: dict[str, Tensor] = {}
        parts: dict[str, SessionState] = {}
        values: dict[str, Any] = {}
        for name in self.state_fields:
            value = getattr(self, name)
            if _is_part(value):
                parts[name] = value.state(copy=copy)
            elif name in self._new_items or _holds_parts(value):
                items = _items_of(value)
                parts |= {f"{name}.{key}": item.state(copy=copy) for key, item in items.items()}
                values[name] = [*items]
            else:
                values[name] = _packed(value, name, tensors, copy=copy)
        forms = {"forms": self._forms()} if self._forms() else {}
        joined = SessionState.joined(parts, {**self._config_fingerprint(), **forms, **values})
        return SessionState({**joined.tensors, **tensors}, joined.values)

    def restore(self, state: SessionState) -> None:
        """Restore a result of :meth:`state`; see :meth:`Session.restore`."""
        if not isinstance(state, SessionState):
            raise ArgumentError(
                f"state: {kind_of(state)}; give what state() returned, or SessionState.load(FILE) for a file"
            )
        with blaming_state():
            state.require(self._config_fingerprint())
            saved, current = state.values.get("forms"), self._forms()
        if saved and current and saved != current:
            warn_caller(
                "the session was saved with other forms of layers than it has here, and results may differ "
                "by rounding; jobs that are resumed take the recorded ones on the same kind of processor",
                FormsWarning,
            )
        self._reset_transient_state()
        self.torn = None
        with self.changing("restoring a state"), blaming_state():
            self._take_over(state)

    def _take_over(self, state: SessionState) -> None:
        """Set the attributes of a state."""
        kinds = {kind.__name__: kind for kind in (*self.state_types, Frame, ObjectInfo, Segmentation)}
        device = getattr(self, "device", None)
        if device is not None:
            state = state.to(device)
        for name in self.state_fields:
            if name in state.values["parts"]:
                getattr(self, name).restore(state.part(name))
                continue
            if name in self._later and name not in state.values:
                continue
            saved = state.values[name]
            if not isinstance(saved, list):
                setattr(self, name, _unpacked(saved, name, state.tensors, kinds))
                continue
            if name in self._new_items:  # as many as were saved
                make = self._new_items[name]
                items = {key: getattr(self, make)() if isinstance(make, str) else make() for key in saved}
                setattr(self, name, [*items.values()] if isinstance(getattr(self, name), list) else items)
            items = _items_of(getattr(self, name))
            for key in saved:
                items[key].restore(state.part(f"{name}.{key}"))


def saved_items(state: SessionState, name: str, *kinds: type) -> Iterator[Any]:
    """Iterate over a list in a state; ``kinds`` are the dataclasses in it."""
    types = {kind.__name__: kind for kind in kinds}
    for i, form in enumerate(state.values[name]["list"]):
        yield _unpacked(form, f"{name}.{i}", state.tensors, types)


def _is_part(value: Any) -> bool:
    return hasattr(value, "restore") and hasattr(value, "state")


def _holds_parts(value: Any) -> bool:
    """Whether a value is a list or dict of checkpointables; a list of a class of its own may be empty."""
    if not isinstance(value, (list, dict)):
        return False
    own_class = isinstance(value, list) and type(value) is not list
    return all(map(_is_part, _items_of(value).values())) and (bool(value) or own_class)


def _items_of(value: Any) -> dict[Any, Any]:
    """Items of a list by index, or of a dict by key."""
    return dict(enumerate(value)) if isinstance(value, list) else dict(value)


def _packed(value: Any, path: str, tensors: dict[str, Tensor], *, copy: bool) -> Any:
    """A value for JSON; arrays and tensors go to ``tensors``, under the path that leads to them."""
    if isinstance(value, Tensor):
        tensors[path] = value.detach().to("cpu", copy=True) if copy else value.detach()
        return {"tensor": None}
    if isinstance(value, np.ndarray):
        stored = value.view(np.int16) if value.dtype == np.uint16 else value
        owned = copy or not stored.flags.writeable  # PyTorch knows no arrays that must not be written
        tensors[path] = torch.from_numpy(np.array(stored) if owned else np.ascontiguousarray(stored))
        return {"array": value.dtype.name}
    if is_dataclass(value):
        compared = {item.name: getattr(value, item.name) for item in fields(value) if item.compare}
        return {
            type(value).__name__: {
                n: _packed(v, f"{path}.{n}", tensors, copy=copy) for n, v in compared.items()
            }
        }
    if isinstance(value, dict):
        pairs = enumerate(value.items())
        return {"dict": [[key, _packed(item, f"{path}.{i}", tensors, copy=copy)] for i, (key, item) in pairs]}
    if isinstance(value, (tuple, list, deque)):
        listed = [_packed(item, f"{path}.{i}", tensors, copy=copy) for i, item in enumerate(value)]
        return {type(value).__name__: [value.maxlen, *listed] if isinstance(value, deque) else listed}
    return value.item() if isinstance(value, np.generic) else value


def _unpacked(form: Any, path: str, tensors: dict[str, Tensor], kinds: dict[str, type]) -> Any:
    """Inverse of :func:`_packed`; tensors are copied."""
    if not isinstance(form, dict):
        return form
    ((kind, content),) = form.items()

    def each(items: Sequence[Any]) -> list[Any]:
        return [_unpacked(item, f"{path}.{i}", tensors, kinds) for i, item in enumerate(items)]

    if kind == "tensor":
        return tensors[path].clone()
    if kind == "array":
        array = np.array(tensors[path].cpu().numpy())
        return array.view(np.uint16) if content == "uint16" else array
    if kind == "dict":
        return dict(zip((key for key, _ in content), each([item for _, item in content]), strict=True))
    if kind == "deque":
        return deque(each(content[1:]), maxlen=content[0])
    if kind in ("tuple", "list"):
        return tuple(each(content)) if kind == "tuple" else each(content)
    described = {n: _unpacked(v, f"{path}.{n}", tensors, kinds) for n, v in content.items()}
    for item in fields(kinds[kind]):  # OpenCV crashes where an image is None
        if item.name in described and described[item.name] is None and "None" not in str(item.type):
            raise ValueError(f"{path}.{item.name} is missing")
    return kinds[kind](**described)
