"""``python -m segue`` is the command ``segue``."""

import signal


def main() -> None:
    """Run the command line; Ctrl-C while it is being loaded ends it without a traceback."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from segue.cli import main as run

    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, handler)
    run()


if __name__ == "__main__":
    main()
