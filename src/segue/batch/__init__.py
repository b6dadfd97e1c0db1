"""Many videos on many workers: a list of jobs, workers, and a ledger of the outcome."""

from segue.batch.ledger import Ledger
from segue.batch.plan import State, Task, read_tasks

__all__ = ["Ledger", "State", "Task", "read_tasks"]
