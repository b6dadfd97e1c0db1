"""Trainings of a table: refused beforehand, and in processes of their own what they say and how they end."""

from __future__ import annotations

import sys

import pytest

from segue.cancel import CancelToken
from segue.cli.running import check_training
from segue.errors import SegueError, TrainingError
from segue.reproduce import processes
from segue.reproduce.processes import _finished, train


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
    ends: tuple[int, str],
    kind: type[BaseException],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[list[str]] = []

    def finished(command: list[str], cancel: CancelToken | None) -> tuple[int, str]:
        asked.append(command)
        return ends

    monkeypatch.setattr(processes, "_finished", finished)
    with pytest.raises(kind, match=message):
        train(["mustan2", "--steps", "4"])
    assert asked == [[sys.executable, "-m", "segue", "train", "mustan2", "--steps", "4"]]


STM = ("stm", "--data", "a", "--init", "resnet50.pth", "--stage", "0", "--out", "runs")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("stm", "--stepz", "4"), "segue train stm: No such option: --stepz"),
        ((*STM, "--steps", "many"), "segue train stm: .*'--steps': Input should be a valid integer"),
        ((*STM, "--steps", "0"), "'--steps': Input should be greater than or equal to 1"),
        ((*STM, "--precision", "8"), "'--precision': .*'8' is not one of"),
        ((*STM, "--steps"), "'--steps' requires an argument"),
        (("stm", "--steps", "4"), "segue train stm needs --data; --stage; --out; weights to begin from"),
    ],
)
def test_words_that_a_training_would_refuse_are_refused_without_it(
    words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SegueError, match=message):
        check_training(words)


def test_words_of_a_training_are_checked_without_starting_it() -> None:
    check_training([*STM, "--data", "5@b", "--steps", "4", "--precision", "32-true", "--resume", "-q"])
