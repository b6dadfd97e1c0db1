"""Networks only: one paper, one file; tensors in, tensors out."""

from typing import TYPE_CHECKING

from segue.lazy import lazy_names

if TYPE_CHECKING:
    from segue.models.base import MemoryNetwork as MemoryNetwork
    from segue.models.base import QueryFeatures as QueryFeatures
    from segue.models.base import Schedule as Schedule
    from segue.models.stcn import STCN as STCN
    from segue.models.stcn import STCNLite as STCNLite
    from segue.models.stm import STM as STM

_MODULES = {
    "segue.models.base": "MemoryNetwork QueryFeatures Schedule",
    "segue.models.stcn": "STCN STCNLite",
    "segue.models.stm": "STM",
}

__all__ = [
    "STCN",
    "STM",
    "MemoryNetwork",
    "QueryFeatures",
    "STCNLite",
    "Schedule",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
