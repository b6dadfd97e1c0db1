"""``python -m segue`` is the command ``segue``."""

import os
import signal

STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""As :func:`segue.utils.system.stop_signals` says, which takes longer to import than to ask for an end."""

INTERRUPTED = 130
"""Exit status of a run that was asked to end."""


def main() -> None:
    """Run the command line; who asks it to end while it is being loaded ends it without a traceback."""
    deadly = {}
    for number in (getattr(signal, name) for name in STOP_SIGNALS if hasattr(signal, name)):
        if (handler := signal.getsignal(number)) in (signal.SIG_DFL, signal.default_int_handler):
            deadly[number] = signal.signal(number, lambda *_: os._exit(INTERRUPTED))
    from segue.cli import main as run

    for number, handler in deadly.items():
        signal.signal(number, handler)
    run()


if __name__ == "__main__":
    main()
