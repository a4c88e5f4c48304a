"""`impasto serve` with a painter whose network is narrow, as a program: `studio_server.py DATA`."""

import sys
from pathlib import Path
from typing import Any, cast

from impasto.cli import main
from impasto.web import supervisor

if __name__ == "__main__":
    programs = cast("dict[str, Any]", supervisor.PROGRAMS)
    programs["painter"] = (str(Path(__file__).with_name("narrow_painter.py")),)
    # As long as a slow machine may need for what is written down at the end.
    supervisor.STOP_SECONDS = 60.0
    flags = ("--port", "0", "--devices", "cpu", "--free-space", "0")
    sys.exit(main(["serve", "--data", sys.argv[1], *flags]))
