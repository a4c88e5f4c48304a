"""Runs the command line: `python -m impasto`."""

import signal
import sys
import time

_STARTED = time.monotonic()


def main() -> int:
    """The command line; Ctrl-C while it loads is one line as well."""
    try:
        from impasto import cli

        cli.started = _STARTED
        code = cli.main()
        # Nothing is left to stop, and the interpreter would answer with a traceback.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return code
    except KeyboardInterrupt:
        print("impasto: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
