"""Many videos on many workers: a list of jobs, workers, and a ledger of the outcome."""

from segue.batch.ledger import Ledger, Row, State
from segue.batch.plan import Task, read_tasks
from segue.batch.work import Outcome

__all__ = ["Ledger", "Outcome", "Row", "State", "Task", "read_tasks"]
