"""Writes a network as ONNX, once it is found to give what torch gives."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from impasto.blueprint import FADE, IDENTITY, LEAST_SIDE, SEEN_SIDE
from impasto.errors import OptionError, RunError
from impasto.images import check_place, fit_within, write_whole
from impasto.network_files import read_network_file
from impasto.networks import Network, mix, read_network
from impasto.onnx_sessions import load_onnxruntime, missing, open_session
from impasto.portable import portable

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

TOLERANCE = 1e-4
"""Largest difference from torch, in units of the value range."""

_SIZES = ((64, 48), (37, 50), (9, 70), (160, 131))
"""Heights and widths that are compared: whole strides and not, and smaller than the network's
least."""


def export_network(
    source: str | os.PathLike[str], path: str | os.PathLike[str], *, overwrite: bool = False
) -> float:
    """Writes a network as one ONNX file, checked by `onnx.checker` and against torch.

    Args:
        source: the network in impasto's own format.
        path: of the file, with the extension `.onnx`.
        overwrite: replace a file that exists.

    Returns:
        The largest difference from torch's results, in units of the value range.

    Raises:
        WeightsError: the source is missing, damaged, or no network.
        OptionError: the packages are not installed, or the name has another extension.
        RunError: the results differ by more than `TOLERANCE`.
        OutputError: the file exists or cannot be written.
    """
    if Path(path).suffix.lower() != ".onnx":
        raise OptionError(f"{path}: only ONNX is written; give a name that ends in .onnx")
    check_place(path, overwrite=overwrite)
    network = read_network(source)
    try:
        import onnx

        load_onnxruntime()
    except ImportError as error:
        raise OptionError(missing(error)) from None
    model = portable(read_network_file(source, "np"))
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString(deterministic=True)
    worst = difference(open_session(data), network)
    if not worst <= TOLERANCE:
        raise RunError(
            f"{path}: not written: onnxruntime's results differ from torch's by {worst:.2g}, more "
            f"than {TOLERANCE:g}; check the network, or use another version of onnxruntime"
        )
    write_whole(path, data, overwrite=overwrite)
    return worst


@torch.no_grad()
def difference(session: InferenceSession, network: Network) -> float:
    """The largest difference between the results of an exported network and of torch.

    Pictures of noise of several sizes are compared, every known style, and two strengths.
    """
    random = np.random.default_rng(0)
    worst = 0.0
    for place, (height, width) in enumerate(_SIZES):
        photo = random.random((1, 3, height, width), np.float32)
        painting = random.random((1, 3, 48 + 45 * place, 80), np.float32)
        count = len(network.names)
        places = range(count) if place == 0 else [place % count] if count else [0]
        for style in places:
            strength = (1.0, 0.6, 0.1)[(place + style) % 3]
            feeds = {"photo": photo, "strength": np.array([strength], np.float32)}
            if network.table is None:
                scale = np.array([0.3], np.float32)
                vector = network.vector_of_picture(_viewed(painting, 0.3))
                zeros = np.zeros_like(vector.numpy())
                feeds |= {"painting": painting, "scale": scale, "vector": zeros}
                own = vector if strength == 1 else network.vector_of_picture(_viewed(photo, 1))
            else:
                vector = network.vector_of_name(network.names[style])
                own = network.vector_of_name(IDENTITY)
                feeds["style"] = np.eye(count, dtype=np.float32)[[style]]
            expected = _faded(network, torch.from_numpy(photo), vector, own, strength)
            found = session.run(["picture", "vector_used"], feeds)
            picture, used = (np.asarray(one) for one in found)
            if np.shape(picture) != photo.shape or not np.isfinite(picture).all():
                return float("inf")
            worst = max(worst, float(np.abs(picture - expected.numpy()).max()))
            scale = max(1.0, float(vector.abs().max()))
            worst = max(worst, float(np.abs(used - vector.numpy()).max()) / scale)
    return worst


def _viewed(picture: NDArray[np.float32], scale: float) -> Tensor:
    """A picture as its style is predicted from it."""
    height, width = picture.shape[2:]
    width, height = fit_within(width, height, round(scale * SEEN_SIDE))
    size = max(height, LEAST_SIDE), max(width, LEAST_SIDE)
    return F.interpolate(torch.from_numpy(picture), size, mode="bilinear", antialias=True)


def _faded(network: Network, photo: Tensor, vector: Tensor, own: Tensor, strength: float) -> Tensor:
    """What torch makes of a photo at a strength."""
    painted = network.transfer(photo, mix([vector, own], [strength, 1 - strength]))
    return photo + min(1.0, strength / FADE) * (painted - photo)
