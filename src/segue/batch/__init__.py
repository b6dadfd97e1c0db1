"""Many videos on many workers: plan, workers, and a ledger of the outcome."""

from segue.batch.engines import Engine, Event
from segue.batch.ledger import Ledger, Row, State
from segue.batch.plan import Task, read_tasks
from segue.batch.run import run_batch
from segue.batch.scheduler import Scheduler

__all__ = ["Engine", "Event", "Ledger", "Row", "Scheduler", "State", "Task", "read_tasks", "run_batch"]
