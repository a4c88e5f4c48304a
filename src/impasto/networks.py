"""Feed-forward transfer networks: a photo repainted in one pass.

The network is an encoder–decoder after Johnson, Alahi & Fei-Fei 2016 with instance normalisation
(Ulyanov, Vedaldi & Lempitsky 2016). Its convolutions are the same for every style; a style is no
more than a scale and a shift for each normalised channel (conditional instance normalisation:
Dumoulin, Shlens & Kudlur 2017). All scales and shifts of one style make its *style vector*. A
network either keeps a table of such vectors, one for each style it was trained on, or predicts them
from a picture of the style (Ghiasi et al. 2017), and is then one for any style. Blends of styles
are means of their vectors.

Shaped for CPUs: the widest maps have few channels, and enlarging by two followed by a convolution
is computed as one convolution of the small map with four kernels of 2×2, which gives the same
numbers with four ninths of the multiplications.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor, nn

from impasto.blueprint import (
    EPSILON,
    IDENTITY,
    LEAST_SIDE,
    PREDICTOR_LAYERS,
    Shape,
    Stage,
    stages_of,
)
from impasto.errors import OptionError, WeightsError
from impasto.features import Layer, layers_of
from impasto.images import write_whole
from impasto.network_files import FORM, FORMAT, read_network_file
from impasto.weights import Weights


class Transfer(nn.Module):
    """The network itself.

    Args:
        shape: its size.
    """

    def __init__(self, shape: Shape | None = None) -> None:
        super().__init__()
        self.shape = shape or Shape()
        self.stages = stages_of(self.shape)
        self.kernels = nn.ParameterList()
        self.bias = nn.Parameter(torch.zeros(3))
        for stage in self.stages:
            weight = torch.empty(stage.outputs, stage.inputs, stage.kernel, stage.kernel)
            nn.init.kaiming_normal_(weight, nonlinearity="relu")
            self.kernels.append(nn.Parameter(weight.contiguous(memory_format=torch.channels_last)))

    def forward(self, photo: Tensor, style: Tensor) -> Tensor:
        """Repaints photos.

        Args:
            photo: `(N, 3, H, W)`, sRGB in [0, 1], H, W ≥ 1.
            style: `(N, V)` or `(1, V)`: style vectors, with `V = shape.vector`.

        Returns:
            `(N, 3, H, W)` in [0, 1].
        """
        height, width = photo.shape[-2:]
        x = enter(photo, self.shape.stride)
        kept = x
        scales = self.scales_and_shifts(style)
        for place, stage in enumerate(self.stages):
            if stage.opens:
                kept = x
            x = convolve(x, self.kernels[place], stage)
            if stage.kind == "out":
                break
            x = normalise(x, *scales[place], relu=stage.relu)
            if stage.closes:
                x = x + kept
        return torch.sigmoid(x + self.bias.view(1, 3, 1, 1))[..., :height, :width]

    def scales_and_shifts(self, style: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The parts of style vectors `(N, V)`: for each normalisation `(N, C)` and `(N, C)`.

        Vectors hold how far scales are from 1.
        """
        parts = style.split([2 * channels for channels in self.shape.normalised], dim=1)
        pairs = [part.chunk(2, dim=1) for part in parts]
        return [(1 + scale, shift) for scale, shift in pairs]


def enter(photo: Tensor, stride: int) -> Tensor:
    """What the first convolution takes: the photo in [−1, 1], its right and lower edges repeated
    until its sides are multiples of `stride` and no smaller than `LEAST_SIDE`."""
    height, width = photo.shape[-2:]
    below, right = (max(LEAST_SIDE, side + -side % stride) - side for side in (height, width))
    x = 2 * photo - 1
    if below or right:
        x = F.pad(x, (0, right, 0, below), mode="replicate")
    return x.contiguous(memory_format=torch.channels_last)


def convolve(x: Tensor, kernel: Tensor, stage: Stage) -> Tensor:
    """The convolution of a stage, borders included: `(N, C, H, W)` → `(N, O, H', W')`."""
    if stage.kind == "up":
        return interleave(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), phases(kernel)))
    margin = stage.kernel // 2
    x = F.pad(x, (margin, margin, margin, margin), mode="reflect")
    return F.conv2d(x, kernel, stride=2 if stage.kind == "down" else 1)


_SUMS = torch.tensor([[[1.0, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])
"""For an even and an odd place of the enlarged map, what the two neighbours in the small map are
multiplied by, out of the three entries of the kernel."""


def phases(kernel: Tensor) -> Tensor:
    """Four kernels of 2×2 that see in a small map what a kernel of 3×3 sees in the enlarged one.

    Args:
        kernel: `(O, C, 3, 3)`.

    Returns:
        `(4·O, C, 2, 2)`: the outputs for even rows and columns, for even rows and odd columns, for
        odd rows and even columns, for odd rows and columns.
    """
    sums = _SUMS.to(kernel)
    found = torch.einsum("apk,bql,ockl->abocpq", sums, sums, kernel)
    return found.flatten(0, 2).contiguous(memory_format=torch.channels_last)


def interleave(x: Tensor) -> Tensor:
    """Puts the four outputs of `phases` where they belong.

    Args:
        x: `(N, 4·O, H + 1, W + 1)`.

    Returns:
        `(N, O, 2·H, 2·W)`, channels_last.
    """
    number, channels, height, width = x.shape
    height, width, channels = height - 1, width - 1, channels // 4
    rows = x.permute(0, 2, 3, 1).unflatten(3, (2, 2, channels))
    even = torch.stack([rows[:, :-1, :-1, 0, 0], rows[:, :-1, 1:, 0, 1]], dim=3)
    odd = torch.stack([rows[:, 1:, :-1, 1, 0], rows[:, 1:, 1:, 1, 1]], dim=3)
    both = torch.stack([even, odd], dim=2)
    return both.view(number, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)


def normalise(x: Tensor, scale: Tensor, shift: Tensor, *, relu: bool) -> Tensor:
    """`scale · (x − μ)/√(σ² + ε) + shift` with the mean and variance of each map, then the ReLU.

    Args:
        x: `(N, C, H, W)`.
        scale: `(N, C)` or `(1, C)`.
        shift: likewise.
        relu: whether a ReLU follows.
    """
    mean, variance = statistics(x)
    factor = scale * (variance + EPSILON).rsqrt()
    return apply_factors(x, factor, shift - mean * factor, relu=relu)


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each map: `(N, C, H, W)` → `(N, C)` and `(N, C)`."""
    rows = x.flatten(2)
    mean = rows.mean(2)
    # Not E[x²] − E[x]², which loses all digits where a map hardly varies.
    return mean, (rows - mean[:, :, None]).square().mean(2)


def apply_factors(x: Tensor, factor: Tensor, offset: Tensor, *, relu: bool) -> Tensor:
    """`factor · x + offset` for each map, then the ReLU."""
    y = torch.addcmul(offset[:, :, None, None], x, factor[:, :, None, None])
    return torch.relu(y) if relu else y


class StyleTable(nn.Module):
    """The style vectors of a network that knows some styles.

    Args:
        names: of the styles.
        size: numbers in a vector.
    """

    def __init__(self, names: Sequence[str], size: int) -> None:
        super().__init__()
        self.names = list(names)
        self.vectors = nn.Parameter(0.01 * torch.randn(len(self.names), size))

    def forward(self, places: Tensor) -> Tensor:
        """`(N,)` numbers of styles → `(N, V)`."""
        return self.vectors[places]


class StylePredictor(nn.Module):
    """Predicts a style vector from a picture of the style.

    The picture is seen through VGG19's convolutions up to `relu4_1`; what is kept of it is the mean
    and the deviation of each channel of `PREDICTOR_LAYERS`, and two hidden layers make a vector of
    that. VGG19 stays as it is.

    Args:
        size: numbers in a vector.
        hidden: widths of the hidden layers.
    """

    def __init__(self, size: int, hidden: tuple[int, int] = (640, 320)) -> None:
        super().__init__()
        seen = 2 * sum(layer.channels for layer in predictor_layers())
        self.hidden = hidden
        self.register_buffer("mean", torch.zeros(seen))
        self.register_buffer("deviation", torch.ones(seen))
        self.first = nn.Linear(seen, hidden[0])
        self.second = nn.Linear(hidden[0], hidden[1])
        self.last = nn.Linear(hidden[1], size)
        nn.init.normal_(self.last.weight, std=0.02)
        nn.init.zeros_(self.last.bias)

    def forward(self, seen: Tensor) -> Tensor:
        """Style vectors of what `VGG.see` found: `(N, 1920)` → `(N, V)`."""
        x = (seen - cast("Tensor", self.mean)) / cast("Tensor", self.deviation)
        x = F.leaky_relu(self.first(x.clamp(-8, 8)), 0.1)
        return self.last(F.leaky_relu(self.second(x), 0.1))


def predictor_layers() -> list[Layer]:
    """The layers of VGG19 that a predictor's statistics are taken of."""
    return [layer for layer in layers_of("vgg19") if layer.name in PREDICTOR_LAYERS]


class VGG(nn.Module):
    """VGG19 up to `relu4_1`, whose statistics a style is predicted from.

    Args:
        weights: VGG19's, in the Oxford preprocessing; `None` leaves zeros, to be loaded.
    """

    def __init__(self, weights: Weights | None = None) -> None:
        super().__init__()
        layers = layers_of("vgg19")
        last = max(i for i, layer in enumerate(layers) if layer.name in PREDICTOR_LAYERS)
        self.names = [layer.name for layer in layers[: last + 1]]
        self.kernels = nn.ParameterList()
        self.biases = nn.ParameterList()
        inputs = 3
        for layer in layers[: last + 1]:
            kernel = torch.zeros(layer.channels, inputs, 3, 3)
            bias = torch.zeros(layer.channels)
            if weights is not None:
                kernel = weights.tensors[f"conv{layer.name[4:]}.weight"].clone()
                bias = weights.tensors[f"conv{layer.name[4:]}.bias"].clone()
            self.kernels.append(nn.Parameter(kernel, requires_grad=False))
            self.biases.append(nn.Parameter(bias, requires_grad=False))
            inputs = layer.channels
        self.register_buffer("mean", torch.tensor([103.939, 116.779, 123.68]), persistent=False)

    def forward(self, picture: Tensor) -> Tensor:
        """What a predictor takes of a picture: `(1, 3, H, W)` sRGB in [0, 1] → `(1, 1920)`."""
        x = picture.flip(1) * 255 - cast("Tensor", self.mean).view(1, 3, 1, 1)
        x = F.pad(x, (1, 1, 1, 1), mode="replicate")
        found = []
        for place, name in enumerate(self.names):
            if name.endswith("_1") and place:
                x = F.max_pool2d(x, 2)
            kernel, bias = self.kernels[place], self.biases[place]
            x = torch.relu(F.conv2d(x, kernel, bias, padding=int(place > 0)))
            if name in PREDICTOR_LAYERS:
                mean, variance = statistics(x)
                found += [mean, variance.sqrt()]
        return torch.cat(found, dim=1)


def seen_of(features: Callable[[str], tuple[Tensor, Tensor]]) -> Tensor:
    """What `VGG` gives, from means and variances that are known already.

    Args:
        features: layer → mean and variance of each channel, `(C,)`.
    """
    pairs = [features(name) for name in PREDICTOR_LAYERS]
    return torch.cat([part for mean, var in pairs for part in (mean, var.sqrt())])[None]


def mix(vectors: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """The style vector of a blend: the mean of vectors `(1, V)`, weighted by shares ≥ 0."""
    total = float(sum(shares))
    return torch.stack([v * (s / total) for v, s in zip(vectors, shares, strict=True)]).sum(0)


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network and what it knows of styles: a table, or what predicts vectors.

    Attributes:
        transfer: repaints.
        table: vectors of known styles, the last of them `IDENTITY`; `None` where any style goes.
        predictor: style vectors from statistics; `None` where there is a table.
        eyes: takes those statistics; `None` where there is a table.
        card: how the network was trained, plain data.
        sha256: of the file it was read from, "" otherwise.
        noise: standard deviation of the noise that photos are to be given; see `impasto.noise`.
    """

    transfer: Transfer
    table: StyleTable | None = None
    predictor: StylePredictor | None = None
    eyes: VGG | None = None
    card: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""
    noise: float = 0.0

    @property
    def names(self) -> list[str]:
        """The styles that a network with a table knows; none for one that predicts."""
        return [] if self.table is None else [n for n in self.table.names if n != IDENTITY]

    @torch.no_grad()
    def vector_of_name(self, name: str) -> Tensor:
        """The style vector `(1, V)` of a known style, or of `IDENTITY`.

        Raises:
            OptionError: the network does not know it.
        """
        if self.table is None or name not in self.table.names:
            known = ", ".join(self.names) or "none: it takes pictures"
            raise OptionError(f"'{name}': the network does not know this style; it knows {known}")
        return self.table.vectors[self.table.names.index(name)][None].detach()

    @torch.no_grad()
    def vector_of_picture(self, picture: Tensor) -> Tensor:
        """The style vector `(1, V)` of a picture `(1, 3, H, W)`, sRGB in [0, 1].

        Raises:
            OptionError: the network has a table of styles instead.
        """
        if self.predictor is None or self.eyes is None:
            raise OptionError("the network knows only its own styles: " + ", ".join(self.names))
        return self.predictor(self.eyes(picture))


def write_network(
    network: Network, path: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Writes a network as safetensors in half precision, with its card in the header.

    Raises:
        OutputError: the file exists or cannot be written.
    """
    parts = {"transfer": network.transfer, "table": network.table}
    parts |= {"predictor": network.predictor, "eyes": network.eyes}
    tensors = {
        f"{name}.{key}": value.to(torch.float16).contiguous()
        for name, part in parts.items()
        if part is not None
        for key, value in part.state_dict().items()
    }
    header = {
        "form": FORM,
        "shape": asdict(network.transfer.shape),
        "styles": None if network.table is None else network.table.names,
        "hidden": None if network.predictor is None else network.predictor.hidden,
        "noise": network.noise,
        "card": dict(network.card),
    }
    data = save(tensors, {FORMAT: json.dumps(header)})
    write_whole(path, data, overwrite=overwrite)


def read_network(path: str | os.PathLike[str]) -> Network:
    """Reads what `write_network` wrote; parameters become float32 and need no gradient.

    Raises:
        WeightsError: the file is missing, damaged, or no network.
    """
    file = read_network_file(path, "pt")
    tensors = {key: value.float() for key, value in file.tensors.items()}
    size = file.shape.vector
    try:
        found = Network(
            Transfer(file.shape),
            None if file.styles is None else StyleTable(file.styles, size),
            None if file.hidden is None else StylePredictor(size, file.hidden),
            None if file.hidden is None else VGG(),
            file.card,
            file.sha256,
            file.noise,
        )
        parts = {"transfer": found.transfer, "table": found.table}
        parts |= {"predictor": found.predictor, "eyes": found.eyes}
        for name, part in parts.items():
            if part is not None:
                own = {
                    k.partition(".")[2]: v for k, v in tensors.items() if k.startswith(f"{name}.")
                }
                part.load_state_dict(own)
                part.requires_grad_(False)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise WeightsError(
            f"{path}: is a damaged network ({first[:80]}); take another copy"
        ) from None
    return found
