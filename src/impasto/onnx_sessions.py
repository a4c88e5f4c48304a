"""onnxruntime, which runs exported networks, without its reports to Microsoft."""

from __future__ import annotations

import os
from types import ModuleType
from typing import TYPE_CHECKING

from impasto.errors import one_line

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def load_onnxruntime() -> ModuleType:
    """The package onnxruntime, loaded so that it tells nobody of its use.

    On Linux and macOS it sends what is run, and on what machine, to Microsoft since 1.29, and keeps
    an identifier of the machine, unless `ORT_DISABLE_TELEMETRY` is set before it is loaded
    (https://github.com/microsoft/onnxruntime/pull/27379); on Windows it is told so afterwards. Who
    has set that variable is heeded.

    Raises:
        ImportError: it is not installed, or cannot be loaded; `missing` has words for that.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    if os.environ["ORT_DISABLE_TELEMETRY"] != "0":
        onnxruntime.disable_telemetry_events()
    return onnxruntime


def open_session(data: bytes, threads: int | None = None) -> InferenceSession:
    """A network that onnxruntime runs on the CPU.

    Args:
        data: an ONNX file.
        threads: CPU threads; by default onnxruntime's own choice.

    Raises:
        ImportError: as `load_onnxruntime` does.
        Exception: it cannot read the file; its errors have no other base.
    """
    onnxruntime = load_onnxruntime()
    chosen = onnxruntime.SessionOptions()
    chosen.intra_op_num_threads = threads or 0
    chosen.inter_op_num_threads = 1
    chosen.log_severity_level = 4
    # Threads that wait without sleep take the processor from others.
    chosen.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(data, chosen, providers=["CPUExecutionProvider"])


def missing(error: ImportError) -> str:
    """What to say where a package that exported networks take cannot be had, with the remedy."""
    if isinstance(error, ModuleNotFoundError):
        return f"the package {error.name} is not there; install it with pip install 'impasto[onnx]'"
    package = (error.name or "onnxruntime").partition(".")[0]
    return f"{package} cannot be loaded ({one_line(str(error))}); install it anew"
