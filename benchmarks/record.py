"""What every results file says beside its figures: the machine, the date and the command."""

import json
import os
import platform
import re
import shlex
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import torch

from impasto import __version__

RESULTS = Path(__file__).parent / "results"


def describe_run() -> dict[str, Any]:
    """Date, command and machine, as plain data."""
    return {
        "date": date.today().isoformat(),
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "machine": {
            "cpu": _cpu_name(),
            "cores": os.cpu_count(),
            "memory_gib": _memory_gib(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "python": platform.python_version(),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
        },
        "impasto": __version__,
    }


def write_json(path: Path, result: Mapping[str, Any]) -> None:
    """Writes a results file, which replaces an older one only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    try:
        text = json.dumps(result, indent=1, allow_nan=False)
        # A list of numbers on one line, so that a curve is a line and not a page.
        text = re.sub(r"\[\s+([-+.,\deE\s]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)
        partial.write_text(text + "\n", encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        # Windows has no sysconf.
        return None
