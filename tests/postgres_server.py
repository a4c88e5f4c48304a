"""A PostgreSQL server of a test's own, on a Unix socket in a folder that goes with it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

USER = "postgres"


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of an empty database; the test is skipped where no server can be started."""
    # Debian keeps the server's programs out of the path, in a folder for each version.
    places = [os.environ.get("PATH", ""), *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    path = os.pathsep.join(places)
    pg_ctl, initdb = shutil.which("pg_ctl", path=path), shutil.which("initdb", path=path)
    if pg_ctl is None or initdb is None:
        pytest.skip("PostgreSQL is not installed")
    pytest.importorskip("psycopg", reason="the PostgreSQL driver is not installed")
    # The server refuses to run as root.
    prefix = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    prefix = prefix if os.geteuid() == 0 else []
    # A socket's path may have 107 bytes; pytest's folders are longer, and not open to others.
    with tempfile.TemporaryDirectory(prefix="pg-") as made:
        folder = Path(made)
        if prefix:
            shutil.chown(folder, USER, USER)

        def run(*command: str) -> None:
            done = subprocess.run(
                [*prefix, *command], cwd=folder, capture_output=True, text=True, timeout=600
            )
            assert done.returncode == 0, done.stdout + done.stderr

        data = str(folder / "data")
        run(initdb, "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses='' -k {folder} -F"
        log = str(folder / "log")
        run(pg_ctl, "-D", data, "-o", options, "-l", log, "-t", "300", "-w", "start")
        try:
            yield f"postgresql+psycopg://{USER}@/postgres?host={folder}"
        finally:
            run(pg_ctl, "-D", data, "-m", "immediate", "-w", "stop")
