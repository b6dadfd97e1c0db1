"""The memory bank, how it is read, and the tracker that STCN, STM and stcn-lite build on it."""

from segue.models.memory.bank import MemoryBank
from segue.models.memory.tracker import MemoryTracker

__all__ = ["MemoryBank", "MemoryTracker"]
