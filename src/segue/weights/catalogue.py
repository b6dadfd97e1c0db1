"""The networks that can be loaded by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import nn

from segue.errors import CheckpointError
from segue.models.stcn import STCN
from segue.models.stcn_lite import STCNLite
from segue.models.stm import STM


@dataclass(frozen=True, slots=True)
class Entry:
    """One network of the catalogue.

    Attributes:
        name: the name that users give.
        build: makes the network with fresh weights.
        signature: a tensor name that files of this network have and files of no other.
        paper: where the network was published, or what it derives from.
        licence: terms of the weights.
        bundled: file in ``segue/assets``, or None where the weights are not ours to ship.
        sha256: checksum of the bundled file, or None where it is not pinned.
        source: where the official file comes from, or None where the weights are bundled.
    """

    name: str
    build: Callable[[], nn.Module]
    signature: str
    paper: str
    licence: str
    bundled: str | None = None
    sha256: str | None = None
    source: str | None = None


CATALOGUE = (
    Entry(
        name="stcn-lite",
        build=STCNLite,
        signature="key_encoder.stem.weight",
        paper="after Cheng et al., NeurIPS 2021 (arXiv 2106.05210)",
        licence="see the model card; the training data are partly for research only",
        bundled="stcn-lite.safetensors",
        sha256="84dc28dc83e6841a59b23a72ebf84b7d706caa344124878437f901931336a85e",
    ),
    Entry(
        name="stcn",
        build=STCN,
        signature="value_encoder.fuser.block1.conv1.weight",
        paper="Cheng et al., NeurIPS 2021 (arXiv 2106.05210)",
        licence="that of the release, https://github.com/hkchengrex/STCN",
        source="https://drive.google.com/uc?id=1mRrE0uCI2ktdWlUgapJI_KmgeIiF2eOm (stcn.pth)",
    ),
    Entry(
        name="stm",
        build=STM,
        signature="KV_M_r4.Key.weight",
        paper="Oh et al., ICCV 2019 (arXiv 1904.00607)",
        licence="CC BY-NC-SA 4.0, non-commercial use only",
        source="https://www.dropbox.com/s/mtfxdr93xc3q55i/STM_weights.pth?dl=1 (STM_weights.pth)",
    ),
)


def find(name: str) -> Entry:
    """The entry called ``name``.

    Raises:
        CheckpointError: there is no such network.
    """
    for entry in CATALOGUE:
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in CATALOGUE)
    raise CheckpointError(f"no network is called {name!r}; known are {known}")


def recognise(names: Iterable[str]) -> Entry | None:
    """The entry whose files hold tensors of these names, or None."""
    present = set(names)
    return next((entry for entry in CATALOGUE if entry.signature in present), None)
