"""How runs are asked to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from segue import cancel
from segue.cancel import CancelToken, cancel_on_signals, interrupt_on_signals


def test_a_token_is_set_by_any_thread_and_calls_what_waits_once() -> None:
    token, called = CancelToken(), []
    token.on_cancel(lambda: called.append("early"))
    threading.Timer(0.05, token.cancel).start()

    assert token.wait(30)
    token.cancel()
    token.on_cancel(lambda: called.append("late"))

    assert called == ["early", "late"]


def test_what_was_forgotten_is_not_called() -> None:
    token, other, another = CancelToken(), CancelToken(), CancelToken()
    token.on_cancel(other.cancel)
    token.on_cancel(another.cancel)
    token.forget(other.cancel)
    token.forget(other.cancel)

    token.cancel()

    assert (other.cancelled, another.cancelled) == (False, True)


def test_a_wait_ends_by_itself() -> None:
    begun = time.monotonic()

    assert not CancelToken().wait(0.1)
    assert time.monotonic() - begun >= 0.1


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_first_signal_asks_and_the_second_interrupts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    number = getattr(signal, name)
    before = signal.getsignal(number)
    if before == signal.SIG_IGN:  # nohup
        pytest.skip(f"whoever started the tests ignores {name}")

    monkeypatch.setattr(cancel, "ONE_REQUEST_SECONDS", 0.0)
    with cancel_on_signals() as token:
        signal.raise_signal(number)
        assert token.cancelled
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    assert signal.getsignal(number) == before


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM ends programs of Windows at once")
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_cluster_and_whoever_started_a_process_ask_once(
    second: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster sends SIGTERM to all processes of a job; one that started another passes on what it got."""
    monkeypatch.setattr(cancel, "ONE_REQUEST_SECONDS", 3600.0)
    with cancel_on_signals() as token:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(second)
        assert token.cancelled


def test_ctrl_c_pressed_twice_interrupts_however_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancel, "ONE_REQUEST_SECONDS", 3600.0)
    with cancel_on_signals():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_given_token_is_cancelled_by_signals_and_by_its_owner() -> None:
    token = CancelToken()

    with cancel_on_signals(token) as same:
        assert same is token
        assert not token.cancelled
        token.cancel()

    assert token.cancelled


def test_what_the_caller_ignores_stays_ignored() -> None:
    code = (
        "import os, signal\n"
        "from segue.cancel import cancel_on_signals\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "with cancel_on_signals() as token:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print(token.wait(30), signal.getsignal(signal.SIGINT) == signal.SIG_IGN)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=120,
        check=False,
    )

    assert run.stdout == "True True\n", run.stderr


def test_children_of_the_tests_hear_ctrl_c_wherever_the_tests_were_started() -> None:
    """`make test &` ignores it; tests/conftest.py gives the default handler back."""
    code = "import signal; print(signal.getsignal(signal.SIGINT) == signal.SIG_IGN)"

    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert child.stdout == "False\n"


def test_signals_that_would_end_python_interrupt_it_and_others_stay_as_they_are() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        for handler in (signal.SIG_DFL, signal.SIG_IGN):
            signal.signal(signal.SIGTERM, handler)
            with interrupt_on_signals():
                if handler == signal.SIG_IGN:
                    signal.raise_signal(signal.SIGTERM)
                else:
                    with pytest.raises(KeyboardInterrupt):
                        signal.raise_signal(signal.SIGTERM)
            assert signal.getsignal(signal.SIGTERM) == handler
    finally:
        signal.signal(signal.SIGTERM, before)
