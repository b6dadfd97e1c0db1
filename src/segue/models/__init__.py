"""Networks only: one paper, one file; tensors in, tensors out."""

from segue.models.base import MemoryNetwork, QueryFeatures, Schedule
from segue.models.stcn import STCN, STCNLite
from segue.models.stm import STM

__all__ = ["STCN", "STM", "MemoryNetwork", "QueryFeatures", "STCNLite", "Schedule"]
