"""``python -m segue.jobs FILE``: which job it does, and how it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segue.errors import SegueError
from segue.jobs import __main__ as program
from segue.jobs.__main__ import main
from segue.jobs.files import write_job
from segue.jobs.parts import Model
from segue.jobs.values import ExportJob, Job, TrainJob

EXPORT = ExportJob(model=Model(name="stcn-lite"), folder=Path("graphs"))
TRAINING = TrainJob(network="stm", folder=Path("runs"))


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Job]]:
    """The jobs that were carried out, and by what."""
    found: list[tuple[str, Job]] = []
    monkeypatch.setattr(program, "run", lambda job: found.append(("run", job)))
    monkeypatch.setattr(program, "resolve_name", lambda name: lambda job: found.append((name, job)))
    return found


@pytest.mark.parametrize(("job", "by"), [(EXPORT, "run"), (TRAINING, "segue_train.running:run_job")])
def test_the_job_of_the_file_is_done_and_a_training_in_this_process(
    job: Job, by: str, done: list[tuple[str, Job]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_job(job, tmp_path / "job.json")
    assert main([str(tmp_path / "job.json")]) == 0
    assert done == [(by, job)]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (KeyboardInterrupt("saved at step 3"), 130, "saved at step 3\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (SegueError("no such data\x1b"), 2, "error: no such data\\x1b\n"),
    ],
)
def test_how_a_job_ended_is_an_exit_code_and_a_line(
    raised: BaseException,
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(job: Job) -> Any:
        raise raised

    monkeypatch.setattr(program, "run", fail)
    write_job(EXPORT, tmp_path / "job.json")
    assert main([str(tmp_path / "job.json")]) == code
    assert capsys.readouterr() == ("", said)
