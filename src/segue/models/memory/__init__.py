"""Memories of frames, reading from them, and the trackers of STCN, STM, XMem and Cutie."""

from segue.models.memory.long_term import LongTermSchedule, LongTermTracker
from segue.models.memory.memory import Memory
from segue.models.memory.published import BicubicTracker
from segue.models.memory.table import MemoryTable
from segue.models.memory.tracker import FramePlan, MemoryTracker

__all__ = [
    "BicubicTracker",
    "FramePlan",
    "LongTermSchedule",
    "LongTermTracker",
    "Memory",
    "MemoryTable",
    "MemoryTracker",
]
