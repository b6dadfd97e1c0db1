"""``python -m segue.jobs FILE``: carry out one job in a process of its own, as trainings are."""

from __future__ import annotations

import sys
from pathlib import Path
from pkgutil import resolve_name

from segue.errors import SegueError
from segue.inputs import printable
from segue.jobs.files import read_job
from segue.jobs.running import run
from segue.jobs.values import TrainJob


def main(words: list[str]) -> int:
    """Carry out the job of a file."""
    if len(words) != 1:
        print("error: give one file with a job", file=sys.stderr)
        return 2
    try:
        job = read_job(Path(words[0]))
        if isinstance(job, TrainJob):
            resolve_name("segue_train.running:run_job")(job)  # this process is given up to it
        else:
            run(job)
    except KeyboardInterrupt as interrupted:
        print(str(interrupted) or "interrupted", file=sys.stderr)
        return 130
    except SegueError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
