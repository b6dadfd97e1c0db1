"""How runs are asked to stop."""

from __future__ import annotations

import signal
import threading

import pytest

from segue.utils.cancel import CancelToken, call_after, cancel_on_signals, interrupt_on_signals


def test_a_token_is_set_by_any_thread_and_calls_what_waits_once() -> None:
    token, called = CancelToken(), []
    token.on_cancel(lambda: called.append("early"))
    threading.Timer(0.05, token.cancel).start()

    assert token.wait(30)
    token.cancel()
    token.on_cancel(lambda: called.append("late"))

    assert called == ["early", "late"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_first_signal_asks_and_the_second_interrupts(name: str) -> None:
    number = getattr(signal, name)
    before = signal.getsignal(number)
    if before == signal.SIG_IGN:  # nohup
        pytest.skip(f"whoever started the tests ignores {name}")

    with cancel_on_signals(one_request_seconds=0.0) as token:
        signal.raise_signal(number)
        assert token.cancelled
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    assert signal.getsignal(number) == before


def test_ctrl_c_pressed_twice_interrupts_however_fast() -> None:
    with cancel_on_signals(one_request_seconds=3600.0):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


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


def test_a_signal_is_heard_in_a_thread_unless_the_block_ends_before() -> None:
    called: list[str] = []
    heard = threading.Event()

    def act() -> None:
        called.append("late")
        heard.set()

    with cancel_on_signals(), call_after(signal.SIGTERM, 60.0, lambda: called.append("never")):
        signal.raise_signal(signal.SIGTERM)
    assert called == []
    with cancel_on_signals(), call_after(signal.SIGTERM, 0.0, act):
        signal.raise_signal(signal.SIGINT)
        assert not heard.wait(0.2)
        signal.raise_signal(signal.SIGTERM)
        assert heard.wait(10)
    assert called == ["late"]
    assert signal.set_wakeup_fd(-1) == -1
