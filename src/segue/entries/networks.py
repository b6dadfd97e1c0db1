"""Entries of networks and their weight files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

NetworkTask = Literal["track", "foreground", "instances", "prompt", "detect", "features"]

TASKS: Mapping[NetworkTask, str] = {
    "track": "follow objects",
    "foreground": "find foreground",
    "instances": "find and follow instances",
    "prompt": "answer boxes and clicks",
    "detect": "detect objects",
    "features": "describe images by features",
}
"""Descriptions of the tasks of networks."""

PromptKind = Literal["mask", "box", "point"]


@dataclass(frozen=True, slots=True)
class Remote:
    """A file on the network."""

    address: str
    name: str
    sha256: str | None = None
    size: int | None = None
    md5: str | None = None

    @property
    def has_checksum(self) -> bool:
        """Whether the publisher states a checksum."""
        return self.sha256 is not None or self.md5 is not None


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One of several weight files of a network; see ``tags`` of :class:`Entry`.

    Attributes:
        bundled, sha256, source, remote, licence, threshold: as for :class:`Entry`.
        trained_on: description of its training data.
    """

    bundled: str | None = None
    sha256: str | None = None
    source: str | None = None
    remote: Remote | None = None
    licence: str = ""
    threshold: float | None = None
    trained_on: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A network, or a method without weights.

    Attributes:
        name: name for users.
        task: its task. The network has the interface of its task: ``track``
            :class:`segue.models.base.TrackNetwork`, ``foreground``
            :class:`segue.models.base.ForegroundNetwork` or, without weights,
            :class:`segue.sessions.foreground.segmenters.base.Segmenter`, ``instances``
            :class:`segue.models.base.InstanceNetwork`, ``prompt`` that of
            :class:`segue.models.segue_prompt.SeguePrompt`; ``detect`` and ``features`` serve detectors.
        build: creates it with random weights; its options are those that training varies.
        paper: its publication, or the publication it derives from.
        licence: terms of the weights.
        commercial: whether these terms allow commercial use.
        signature: a tensor name that only files of this network have; None for a method without weights.
        required_key: a further name in its files, if the signature is not unique.
        shape: shape of the signature, if the names are not unique.
        rename: renames the tensors of the official file, or of a converted file, to the names of the network.
        bundled: weight file in the package, relative to ``assets`` of segue or absolute; None if the weights
            are not included.
        sha256: checksum of the bundled file; None if it is not pinned.
        source: source of the official file; None if none is published.
        remote: the official file, if `segue weights get` can download it.
        trained_by: argument for ``segue train``, if it is not the name.
        threshold: ``threshold`` of a foreground network, or ``score`` of an instance network, with these
            weights, in 0..1; None is the value of its class.
        prompts: kinds of prompts that the network accepts directly, always including masks; other prompts are
            converted to masks.
        prompter: name of the network that converts the other kinds to masks.
        needs_flow: whether it needs optical flow; it then has the interface of
            :class:`segue.models.hofam.HOFAM`.
        rank: among networks with available weights, the lowest rank is the default; segue's own start at 1.
            None: never.
        tags: further weight files by their tags; ``NAME.TAG`` is the network with that file.
        packages: further packages that ``build`` needs.
        folder: finds the folder of another library from which ``build`` creates the network with its weights,
            or raises CheckpointError; None for networks of segue.
    """

    name: str
    task: NetworkTask
    build: Callable[..., Any]
    paper: str = ""
    licence: str = ""
    commercial: bool = False
    signature: str | None = None
    required_key: str | None = None
    shape: tuple[int, ...] | None = None
    rename: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] | None = None
    bundled: str | None = None
    sha256: str | None = None
    source: str | None = None
    remote: Remote | None = None
    trained_by: str | None = None
    threshold: float | None = None
    prompts: frozenset[PromptKind] = frozenset({"mask"})
    prompter: str = "segue-prompt"
    needs_flow: bool = False
    rank: int | None = None
    tags: Mapping[str, WeightFile] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    folder: Callable[[], Path] | None = None

    def tagged(self, tag: str) -> Entry:
        """The entry of one of the network's further weight files, with the name ``name.tag``."""
        file = self.tags[tag]
        return replace(
            self,
            name=f"{self.name}.{tag}",
            bundled=file.bundled,
            sha256=file.sha256,
            source=file.source,
            remote=file.remote,
            licence=file.licence or self.licence,
            threshold=self.threshold if file.threshold is None else file.threshold,
            rank=None,
            tags={},
        )

    @property
    def training(self) -> str:
        """Command that trains the network."""
        return f"segue train {self.trained_by or self.name}"

    @property
    def download_command(self) -> str:
        """Command that downloads the weights, if any."""
        return f"segue weights get {self.name}"

    def renamed(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Tensors of a weight file by their names in the network."""
        return tensors if self.rename is None else self.rename(tensors)

    def recognises(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether tensors, by name, come from a weight file of this network."""
        if self.signature is None:
            return False
        renamed = self.renamed(tensors)
        if self.signature not in renamed or (
            self.required_key is not None and self.required_key not in renamed
        ):
            return False
        return self.shape is None or tuple(renamed[self.signature].shape) == self.shape
