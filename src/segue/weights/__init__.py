"""Weights: the catalogue of networks, strict loading, and conversion of the official files."""

from typing import TYPE_CHECKING

from segue.utils.lazy import lazy_names

if TYPE_CHECKING:
    from segue.weights.catalogue import recognise as recognise
    from segue.weights.checkpoint import Checkpoint as Checkpoint
    from segue.weights.checkpoint import read_checkpoint as read_checkpoint
    from segue.weights.checkpoint import write_checkpoint as write_checkpoint
    from segue.weights.loading import convert as convert
    from segue.weights.loading import keep_networks as keep_networks
    from segue.weights.loading import load_for as load_for
    from segue.weights.loading import load_strict as load_strict
    from segue.weights.prepared import Prepared as Prepared
    from segue.weights.prepared import load as load
    from segue.weights.prepared import prepare as prepare
    from segue.weights.pretrained import from_pretrained as from_pretrained
    from segue.weights.pretrained import save_pretrained as save_pretrained

_MODULES = {
    "segue.weights.catalogue": "recognise",
    "segue.weights.checkpoint": "Checkpoint read_checkpoint write_checkpoint",
    "segue.weights.loading": "convert keep_networks load_for load_strict",
    "segue.weights.prepared": "Prepared load prepare",
    "segue.weights.pretrained": "from_pretrained save_pretrained",
}

__all__ = [*" ".join(_MODULES.values()).split()]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
