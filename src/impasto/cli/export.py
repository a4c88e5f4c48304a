"""`impasto export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from impasto.cli.flags import named_path


def export(
    network: str,
    /,
    *,
    output: Annotated[
        Path, Parameter(name=["--output", "-o"], converter=named_path, allow_leading_hyphen=True)
    ],
    overwrite: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Write a transfer network as one ONNX file, for programs that have no torch.

    Args:
        network: styles or any, the networks that come with impasto, or a network's file.
        output: The file to write, NAME.onnx.
        overwrite: Replace a file that exists.
    """
    from impasto.exporting import export_network
    from impasto.trained import network_path

    worst = export_network(network_path(network), output, overwrite=overwrite)
    size = output.stat().st_size / 1e6
    print(f"{output} ({size:.1f} MB; differs from torch by at most {worst:.1g})")
    return 0
