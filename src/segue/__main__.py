"""``python -m segue`` is the command ``segue``."""

import atexit
import os
import signal
import sys

STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""Same as :func:`segue.utils.system.stop_signals`, whose import takes too long here."""

INTERRUPTED = 130
"""Exit status of a run that was asked to end."""


class _Ending:
    """Ends the process as soon as its threads and handlers of the end are through.

    Python would take its modules apart first, which with PyTorch costs .8 s of processor time, and seconds
    where others compute: a camera that is to stop has five.

    Attributes:
        status: exit status of the process.
    """

    def __init__(self) -> None:
        self.status = 1
        self._process = os.getpid()
        atexit.register(self._end)  # before all others, so that it is called last

    def _end(self) -> None:
        if os.getpid() != self._process:  # a fork of it
            return
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        except (OSError, ValueError):
            return  # Python says so, and which status that is
        os._exit(self.status)


def main() -> None:
    """Run the command line; who asks it to end while it is being loaded ends it without a traceback."""
    ending = _Ending()
    deadly = {}
    for number in (getattr(signal, name) for name in STOP_SIGNALS if hasattr(signal, name)):
        if (handler := signal.getsignal(number)) in (signal.SIG_DFL, signal.default_int_handler):
            deadly[number] = signal.signal(number, lambda *_: os._exit(INTERRUPTED))
    from segue.cli import main as run

    for number, handler in deadly.items():
        signal.signal(number, handler)
    try:
        run()
        ending.status = 0
    except SystemExit as error:
        ending.status = error.code if isinstance(error.code, int) else int(error.code is not None)
        raise


if __name__ == "__main__":
    main()
