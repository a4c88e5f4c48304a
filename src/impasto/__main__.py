"""Runs the command line: `python -m impasto`."""

import sys

if __name__ == "__main__":
    from impasto.cli import main

    sys.exit(main())
