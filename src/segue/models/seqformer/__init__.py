"""SeqFormer (ECCV 2022)."""

from typing import TYPE_CHECKING

from segue.lazy import lazy_names

if TYPE_CHECKING:
    from segue.models.seqformer.network import Memory as Memory
    from segue.models.seqformer.network import SeqFormer as SeqFormer
    from segue.models.seqformer.network import Size as Size

_MODULES = {
    "segue.models.seqformer.network": "Memory SeqFormer Size",
}

__all__ = [
    "Memory",
    "SeqFormer",
    "Size",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
