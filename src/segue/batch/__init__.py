"""Many videos on many workers: a list of jobs, workers, and a ledger of the outcome."""

from segue.batch.ledger import Ledger
from segue.batch.plan import State, Task, read_tasks
from segue.batch.work import Outcome

__all__ = ["Ledger", "Outcome", "State", "Task", "read_tasks"]
