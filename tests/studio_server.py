"""The studio's processes without its pages, as a program: `studio_server.py DATA` supervises a
painter with a narrow network and a reader until it is told to end."""

import asyncio
import logging
import signal
import sys
from pathlib import Path

from impasto.web.config import StudioOptions
from impasto.web.records import Records
from impasto.web.storage import Storage
from impasto.web.supervisor import PROGRAMS, Supervisor


async def serve(folder: Path) -> None:
    """Supervises until SIGTERM."""
    options = StudioOptions(data=folder, devices=("cpu",))
    painter = (str(Path(__file__).with_name("narrow_painter.py")),)
    supervisor = Supervisor(
        options,
        Records(options.database_url),
        Storage(folder),
        programs={**PROGRAMS, "painter": painter},
    )
    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
    await supervisor.start()
    await end.wait()
    await supervisor.stop()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(serve(Path(sys.argv[1])))
