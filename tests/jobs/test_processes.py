"""Programs that jobs run in processes of their own: what they say, how they end, and how they are stopped."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from segue.cancel import CancelToken
from segue.errors import TrainingError
from segue.jobs import processes, run
from segue.jobs.files import read_job
from segue.jobs.observer import Observer
from segue.jobs.processes import _finished
from segue.jobs.values import TrainJob


@pytest.mark.parametrize(
    ("program", "ended"),
    [
        ("pass", (0, "")),
        (
            "print('error: first'); print('error: the last '); print('more'); raise SystemExit(3)",
            (3, "the last"),
        ),
        ("import sys; print('error: told aside', file=sys.stderr); sys.exit(2)", (2, "told aside")),
        ("print('an error: inside'); raise SystemExit(4)", (4, "")),
    ],
)
def test_a_program_is_run_to_its_end_and_its_last_error_is_kept(
    program: str, ended: tuple[int, str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert _finished([sys.executable, "-I", "-c", program], None) == ended
    out, err = capfd.readouterr()
    assert out == ""
    assert ("more\n" in err) == ("more" in program), "all that it says goes to the standard error"


def test_a_program_is_interrupted_once_when_its_job_is_cancelled(capfd: pytest.CaptureFixture[str]) -> None:
    program = (
        "import signal, sys, time\n"
        "count = []\n"
        "signal.signal(signal.SIGINT, lambda *_: count.append(1))\n"
        "print('ready', flush=True)\n"
        "while not count: time.sleep(0.01)\n"
        "time.sleep(0.5)\n"
        "print('error: interrupted', len(count))\n"
        "sys.exit(130)\n"
    )
    token = CancelToken()
    out: list[str] = []

    class Stream:
        def write(self, text: str) -> None:
            out.append(text)
            if "ready" in text:
                token.cancel()

        def flush(self) -> None:
            pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", Stream())
        assert _finished([sys.executable, "-I", "-c", program], token) == (130, "interrupted 1")
    assert "".join(out) == "ready\nerror: interrupted 1\n"


class Notices(Observer):
    def __init__(self) -> None:
        self.said: list[str] = []

    def notice(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a training program was started with; ``ends`` is how it ends."""
    found: dict[str, Any] = {"ends": (0, "")}

    def finished(command: Sequence[str], cancel: CancelToken | None) -> tuple[int, str]:
        found.update(command=list(command[:-1]), job=read_job(Path(command[-1])), cancel=cancel)
        return found["ends"]  # type: ignore[no-any-return]

    monkeypatch.setattr(processes, "_finished", finished)
    monkeypatch.setattr(processes, "missing_packages", lambda extra: "")
    return found


TRAINING = TrainJob(network="mustan2", settings={"steps": "4"}, folder=Path("out"))


@pytest.mark.parametrize(
    ("ends", "kind", "message"),
    [
        ((130, "anything"), KeyboardInterrupt, "give the same command with --resume"),
        ((-2, ""), KeyboardInterrupt, "give the same command with --resume"),
        ((1, "no such data"), TrainingError, "^no such data$"),
        ((-9, ""), TrainingError, "killed by signal 9, probably out of memory"),
        ((137, ""), TrainingError, "killed by signal 9, probably out of memory"),
        ((-11, ""), TrainingError, "killed by signal 11$"),
        ((7, ""), TrainingError, "the training of mustan2 ended with 7; its messages say why"),
    ],
)
def test_how_a_training_ended_is_reported(
    asked: dict[str, Any], ends: tuple[int, str], kind: type[BaseException], message: str
) -> None:
    asked["ends"] = ends
    with pytest.raises(kind, match=message):
        run(TRAINING)
